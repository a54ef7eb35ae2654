//! A lean `osbuild` package for stages in Python.
//!
//! Importing upstream's package takes longer than most stages run: it brings the whole engine along. Two of its files are
//! covered by ours, which have what almost every stage uses and load the rest from the library's own when it is asked
//! for. Only a package whose interface we know is covered (`docs/decisions/0004-foreign-modules.md`).

use std::path::{Path, PathBuf};

use anyhow::Result;
use fs_err as fs;
use osbuild_sandbox::build_root::LIBRARY;

/// The files, by name.
const FILES: [(&str, &str); 2] = [
    ("__init__.py", include_str!("python/__init__.py")),
    ("api.py", include_str!("python/api.py")),
];

/// Where ours find the library's own files in the sandbox.
const WHOLE: &str = "/run/osbuild/python";

/// What the library's `api.py` must say for ours to stand for it.
const KNOWN_FUNCTIONS: [&str; 3] = [
    "def arguments(path=\"/run/osbuild/api/arguments\"):",
    "def metadata(data: Dict, path=\"/run/osbuild/meta\"):",
    "def exception_handler(path=\"/run/osbuild/api/osbuild\"):",
];

/// Tells whether ours can stand for the package in this directory.
pub(crate) fn can_cover(package: &Path) -> bool {
    let read = |name: &str| fs::read_to_string(package.join(name)).unwrap_or_default();
    let (init, api) = (read("__init__.py"), read("api.py"));
    let defines_nothing = !init
        .lines()
        .any(|line| line.starts_with("def ") || line.starts_with("class "));
    let has = |function: &&str| api.lines().any(|line| line == *function);
    !init.is_empty() && defines_nothing && KNOWN_FUNCTIONS.iter().all(has)
}

/// Writes our files into `directory`; gives what to show in a sandbox, and where.
pub(crate) fn cover(package: &Path, directory: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    fs::create_dir(directory)?;
    let mut shown = Vec::new();
    for (name, text) in FILES {
        let file = directory.join(name);
        fs::write(&file, text)?;
        shown.push((package.join(name), Path::new(WHOLE).join(name)));
        shown.push((file, Path::new(LIBRARY).join("osbuild").join(name)));
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use osbuild_testing::needs;

    use super::*;

    const API: &str = "from typing import Dict\nimport heavy\n\
        def arguments(path=\"/run/osbuild/api/arguments\"):\n    pass\n\
        def metadata(data: Dict, path=\"/run/osbuild/meta\"):\n    pass\n\
        def exception_handler(path=\"/run/osbuild/api/osbuild\"):\n    pass\n\
        def exception_on_path_and_die(error, path):\n    print('died of', error, path)\n\
        class Other:\n    pass\n";

    /// A library's package, with a module that must not be imported needlessly.
    fn package(init: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("__init__.py", init),
            ("api.py", API),
            (
                "engine.py",
                "import heavy\nfrom .api import Other\nclass Pipeline: pass\n",
            ),
            ("light.py", "VALUE = 7\n"),
        ] {
            fs::create_dir_all(folder.path().join("library")).unwrap();
            fs::write(folder.path().join("library").join(name), text).unwrap();
        }
        folder
    }

    const INIT: &str = "from .engine import Pipeline\n__version__ = \"7\"\n";

    #[test]
    fn only_a_package_of_known_interface_is_covered() {
        let covers = |folder: &tempfile::TempDir| can_cover(&folder.path().join("library"));
        assert!(covers(&package(INIT)));
        assert!(!covers(&package("def helper():\n    pass\n")));
        assert!(!covers(&package("")));
        let other = package(INIT);
        let changed = API.replace("def metadata(data: Dict,", "def metadata(data: Dict, more,");
        fs::write(other.path().join("library/api.py"), changed).unwrap();
        assert!(!covers(&other));
        assert!(!can_cover(Path::new("/nowhere")));
    }

    /// Runs Python on a package that is put together as in the sandbox, with `/run/osbuild` elsewhere.
    fn python(script: &str) -> String {
        let folder = package(INIT);
        let path = |name: &str| folder.path().join(name);
        cover(&path("library"), &path("ours")).unwrap();
        fs::create_dir(path("python")).unwrap();
        fs::create_dir(path("osbuild")).unwrap();
        for name in ["engine.py", "light.py"] {
            fs::copy(path("library").join(name), path("osbuild").join(name)).unwrap();
        }
        for (name, _) in FILES {
            fs::copy(path("library").join(name), path("python").join(name)).unwrap();
            let ours = fs::read_to_string(path("ours").join(name)).unwrap();
            let whole = path("python").join(name);
            let here = ours.replace(&format!("{WHOLE}/{name}"), whole.to_str().unwrap());
            fs::write(path("osbuild").join(name), here).unwrap();
        }
        fs::write(path("heavy.py"), "print('heavy')\n").unwrap();
        let ran = Command::new("python3")
            .args(["-B", "-c", script])
            .env("PYTHONPATH", folder.path())
            .output()
            .unwrap();
        String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap()
    }

    #[test]
    fn what_stages_use_is_light() {
        needs![tool("python3")];
        assert_eq!(
            python(
                "import osbuild.api, json\nfrom osbuild import api, light\n\
                 osbuild.api.metadata({'a': 1}, '/dev/stdout')\n\
                 print(api.arguments('/dev/null') if 0 else light.VALUE)"
            ),
            "{\n  \"a\": 1\n}7\n"
        );
    }

    #[test]
    fn the_rest_comes_from_the_library_when_asked_for() {
        needs![tool("python3")];
        assert_eq!(
            python(
                "import osbuild\nprint('imported')\nprint(osbuild.__version__, osbuild.Pipeline.__name__)\n\
                 print(osbuild.api.Other.__name__)"
            ),
            "imported\nheavy\n7 Pipeline\nOther\n"
        );
        assert_eq!(
            python(
                "from osbuild import api\n\
                 with api.exception_handler('/s'):\n    raise ValueError('x')"
            ),
            "heavy\ndied of x /s\n"
        );
        for script in [
            "import osbuild; osbuild.nothing",
            "from osbuild.api import nothing",
        ] {
            let said = python(script);
            let last = said.lines().last().unwrap();
            assert!(
                last.contains("has no attribute 'nothing'") || last.contains("cannot import name"),
                "{said}"
            );
        }
    }
}

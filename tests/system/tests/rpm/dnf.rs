//! The `dnf` of the build root on a repository: stages have no network, so that it lies in the tree.

use fs_err as fs;
use osbuild_testing::deb_repository::sha256;
use osbuild_testing::needs;
use osbuild_testing::rpm_repository::create_repository;
use serde_json::{Value, json};

use crate::manifests::Build;
use crate::package_set::{PackageSet, SPECIAL};

/// Where stages find the repository in their tree.
const ADDRESS: &str = "file:///run/osbuild/tree/srv/repo";

/// A repository in an archive.
struct Repository {
    archive: Vec<u8>,
    /// The checksum of its metadata, as manifests have it.
    checksum: String,
}

impl Repository {
    /// Makes one of the special packages and these.
    fn of(further: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in SPECIAL.iter().chain(further) {
            let file = PackageSet::get().file(name);
            fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
        }
        create_repository(folder.path()).unwrap();
        let metadata = fs::read(folder.path().join("repodata/repomd.xml")).unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_dir_all("srv/repo", folder.path()).unwrap();
        Self {
            archive: archive.into_inner().unwrap(),
            checksum: format!("sha256:{}", sha256(&metadata)),
        }
    }

    /// Installs packages into a tree for each of these options, which are added to what is needed.
    fn install(&self, pipelines: &[(&str, &[&str], Value)]) -> Build {
        let mut build = Build::new();
        let checksum = format!("sha256:{}", sha256(&self.archive));
        build.serve("/repository.tar", &checksum, self.archive.clone());
        let file = json!({
            "type": "org.osbuild.files",
            "origin": "org.osbuild.source",
            "references": [checksum],
        });
        for (name, packages, further) in pipelines {
            let mut options = json!({
                "repos": [{"baseurl": ADDRESS, "checksum": self.checksum}],
                "packages": packages,
                "releasever": "1",
                "basearch": std::env::consts::ARCH,
                "fastestmirror": false,
            });
            for (option, value) in further.as_object().unwrap() {
                options[option] = value.clone();
            }
            let stages = json!([
                {"type": "org.osbuild.untar", "inputs": {"file": file}},
                {"type": "org.osbuild.dnf", "options": options},
            ]);
            build = build.stages(name, &stages);
        }
        build
    }

    /// The repository as the stage is told of it, with a key that packages must be signed with.
    fn with_key(&self) -> Value {
        let key = &PackageSet::get().key;
        json!({"repos": [{"baseurl": ADDRESS, "checksum": self.checksum, "gpgkey": key}]})
    }
}

/// Which packages are in a tree, by the directory of their only file.
fn installed(build: &Build, pipeline: &str) -> Vec<&'static str> {
    let tree = build.workplace.path(&format!("out/{pipeline}"));
    let files = [
        ("successor", "usr/share/successor"),
        ("weak", "usr/share/weak"),
        ("locales", "usr/share/locale/fr/own.mo"),
        ("keys", "etc/pki/key"),
        ("predecessor", "usr/share/predecessor"),
    ];
    let found = files.iter().filter(|(_, file)| tree.join(file).exists());
    found.map(|(name, _)| *name).collect()
}

#[test]
fn what_packages_require_recommend_and_replace_is_obeyed() {
    needs_packages!();
    needs![tool("dnf"), tool("createrepo_c")];
    let repository = Repository::of(&["predecessor"]);
    let build = repository.install(&[
        ("all", &["weak"], repository.with_key()),
        ("strict", &["weak"], json!({"install_weak_deps": false})),
        ("supplemented", &["keys"], json!({})),
        (
            "without",
            &["keys"],
            json!({"exclude_packages": ["locales"]}),
        ),
        ("replaced", &["predecessor"], json!({})),
    ]);
    build.succeed();
    assert_eq!(installed(&build, "all"), ["successor", "weak", "locales"]);
    assert_eq!(installed(&build, "strict"), ["successor", "weak"]);
    assert_eq!(installed(&build, "supplemented"), ["locales", "keys"]);
    assert_eq!(installed(&build, "without"), ["keys"]);
    assert_eq!(installed(&build, "replaced"), ["successor"]);
}

#[test]
fn what_dnf_refuses_fails_the_stage() {
    needs_packages!();
    needs![tool("dnf"), tool("createrepo_c")];
    let repository = Repository::of(&["rival", "needy", "unsigned", "stranger"]);
    let other =
        json!({"repos": [{"baseurl": ADDRESS, "checksum": format!("sha256:{}", "0".repeat(64))}]});
    let cases: [(&[&str], Value, &str); 5] = [
        (&["successor", "rival"], json!({}), "conflicts with rival"),
        (&["needy"], json!({}), "nothing provides nothing-has-it"),
        (
            &["unsigned"],
            repository.with_key(),
            "unsigned.rpm is not signed",
        ),
        (&["stranger"], repository.with_key(), "is not installed"),
        // The repository is another than when its metadata was looked at.
        (
            &["keys"],
            other,
            "error: repo was configured with checksum 0000",
        ),
    ];
    std::thread::scope(|scope| {
        for (packages, options, reason) in &cases {
            let repository = &repository;
            scope.spawn(move || {
                let build = repository.install(&[("tree", packages, options.clone())]);
                let output = build.fail();
                assert!(output.contains(reason), "{reason}\n{output}");
            });
        }
    });
}

//! RPM packages installed by upstream's stage and by the built-in one: verdicts, metadata, trees and databases.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of these tests are test code, too"
)]

use std::path::{Path, PathBuf};

use osbuild_conformance_tests::programs::{Ran, Upstream, ours};
use osbuild_testing::deb_repository::sha256;
use osbuild_testing::rpm_database::RpmDatabase;
use osbuild_testing::rpm_repository::{Package, SigningKey, build};
use osbuild_testing::tree::describe;
use serde_json::{Value, json};

const DATABASE: &str = "/usr/lib/sysimage/rpm";

/// Signed packages and their key.
struct Set {
    _folder: tempfile::TempDir,
    files: Vec<(String, PathBuf)>,
    key: String,
}

impl Set {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let print = |what: &str| format!("print(\"{what}\")");
        let packages = [
            Package::new("setup")
                .file("/etc/passwd", "root:x:0:0::/:\nmail:x:8:12::/:\n")
                .file("/etc/group", "root:x:0:\nmail:x:12:\n")
                .file("/etc/pki/key", "no key\n"),
            Package::new("plain")
                .file("/usr/share/plain/text", "text\n")
                .file_as("", "/usr/share/plain/link", "-> text")
                .entry("%dir %attr(1777,root,root) /usr/share/plain/sticky")
                .file_as("%doc", "/usr/share/docs/plain", "read me\n")
                .file_as("%lang(de)", "/usr/share/locale/de/a.mo", "de\n")
                .file_as("%lang(fr)", "/usr/share/locale/fr/a.mo", "fr\n"),
            Package::new("scripts")
                .line("Epoch: 2")
                .line("Requires(pre): setup")
                .file_as("%attr(2755,root,mail)", "/usr/bin/scripts", "program\n")
                .file_as(
                    "%attr(0755,root,root) %caps(cap_net_raw=ep)",
                    "/usr/bin/ping",
                    "ping\n",
                )
                .lua("pre", "", &print("pre of scripts"))
                .lua("posttrans", "", &print("posttrans of scripts"))
                .lua("triggerin", "-- plain", &print("triggerin of scripts")),
            Package::new("needy").line("Requires: nothing-has-it"),
            Package::new("failing").lua("pre", "", "error(\"no\")"),
            Package::new("rival").line("Conflicts: plain"),
        ];
        let files = build(&packages, folder.path()).unwrap();
        let key = SigningKey::generate().unwrap();
        key.sign(&files).unwrap();
        let names = packages.iter().map(|package| package.name().to_owned());
        Self {
            files: names.zip(files).collect(),
            key: key.public().unwrap(),
            _folder: folder,
        }
    }

    fn manifest(&self, packages: &[&str], is_signed: bool, options: &Value) -> Value {
        let mut items = serde_json::Map::new();
        let mut references = Vec::new();
        for name in packages {
            let (_, file) = self.files.iter().find(|(known, _)| known == name).unwrap();
            let checksum = format!("sha256:{}", sha256(&fs_err::read(file).unwrap()));
            let about = json!({"metadata": {"rpm.check_gpg": is_signed}});
            references.push(json!({"id": checksum, "options": about}));
            let file = format!("file://{}", file.display());
            items.insert(checksum, file.into());
        }
        let mut options = options.clone();
        options["dbpath"] = json!(DATABASE);
        json!({
            "version": "2",
            "pipelines": [{"name": "tree", "stages": [{
                "type": "org.osbuild.rpm",
                "inputs": {"packages": {
                    "type": "org.osbuild.files",
                    "origin": "org.osbuild.source",
                    "references": references,
                }},
                "options": options,
            }]}],
            "sources": {"org.osbuild.curl": {"items": items}},
        })
    }
}

/// What is compared of a build.
#[derive(Debug, PartialEq, Eq)]
struct Built {
    code: i32,
    metadata: Value,
    tree: Vec<String>,
    headers: Vec<String>,
}

fn built(manifest: &Value, run: &dyn Fn(&[&str], &Path) -> Ran, libdir: &[&str]) -> Built {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
    let mut line = vec!["manifest.json", "--store", "store", "--json"];
    line.extend(["--export", "tree", "--output-directory", "out"]);
    line.extend(libdir);
    let ran = run(&line, folder.path());
    let result: Value = serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", ran.stdout, ran.stderr));
    let tree = folder.path().join("out/tree");
    let (described, headers) = if tree.exists() {
        let headers = RpmDatabase::new(&tree, DATABASE).headers().unwrap();
        (describe(&tree).unwrap(), headers)
    } else {
        (String::new(), Vec::new())
    };
    let lines = described.lines();
    let lines = lines.filter(|line| !line.starts_with("usr/lib/sysimage/rpm/"));
    Built {
        code: ran.code,
        metadata: result["metadata"].clone(),
        tree: lines.map(str::to_owned).collect(),
        headers,
    }
}

#[test]
#[ignore = "compares with upstream: needs its checkout in OSBUILD_UPSTREAM and root (`make conformance`)"]
fn packages_come_out_the_same() {
    osbuild_testing::needs![
        root,
        tool("rpm"),
        tool("rpmbuild"),
        tool("rpmsign"),
        tool("gpg")
    ];
    let (upstream, set) = (Upstream::start().unwrap(), Set::make());
    let libdir = upstream.checkout().to_str().unwrap();
    let with_key = json!({"gpgkeys": [set.key]});
    let cases: [(&str, &[&str], bool, Value); 10] = [
        ("files only", &["plain"], false, json!({})),
        (
            "everything",
            &["setup", "plain", "scripts"],
            true,
            with_key.clone(),
        ),
        (
            "no documentation",
            &["plain"],
            false,
            json!({"exclude": {"docs": true}}),
        ),
        (
            "one language",
            &["plain"],
            false,
            json!({"install_langs": ["fr"]}),
        ),
        (
            "no dracut",
            &["setup", "plain", "scripts"],
            false,
            json!({"disable_dracut": true}),
        ),
        ("no key", &["plain"], true, json!({})),
        (
            "a bad key of the tree",
            &["setup"],
            false,
            json!({"gpgkeys.fromtree": ["/etc/pki/key"]}),
        ),
        ("a missing package", &["needy"], false, json!({})),
        ("a failing script", &["failing"], false, json!({})),
        ("a conflict", &["plain", "rival"], false, json!({})),
    ];
    let mut differences = Vec::new();
    for (name, packages, is_signed, options) in cases {
        let manifest = set.manifest(packages, is_signed, &options);
        let theirs = built(
            &manifest,
            &|line, folder| upstream.run(line, folder).unwrap(),
            &["--libdir", libdir],
        );
        let ours = built(&manifest, &|line, folder| ours(line, folder).unwrap(), &[]);
        if theirs != ours {
            differences.push(format!("{name}: {theirs:#?}\nhere\n{ours:#?}"));
        }
    }
    assert!(
        differences.is_empty(),
        "{} differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

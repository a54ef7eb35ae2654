//! Installing from a repository that is made here and served on the loopback interface.

use osbuild_stage_api::testing::{Ran, StageTest};
use osbuild_testing::private_mounts::in_private_mounts;
use osbuild_testing::rpm_repository::{
    Package, SigningKey, build, create_repository, metalink, serve,
};
use osbuild_testing::server::{Answer, Server};
use serde_json::{Value, json};

use super::*;

/// A repository being served below `/repo`.
struct Repository {
    server: Server,
    directory: tempfile::TempDir,
}

impl Repository {
    fn new(key: Option<&SigningKey>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let packages = [
            Package::new("app")
                .line("Requires: library")
                .line("Recommends: extra")
                .file("/usr/bin/app", "program\n"),
            Package::new("library").file("/usr/lib/library", "code\n"),
            Package::new("extra").file("/usr/share/extra", ""),
            Package::new("broken").line("Requires: nothing-has-it"),
        ];
        let files = build(&packages, directory.path()).unwrap();
        if let Some(key) = key {
            key.sign(&files).unwrap();
        }
        create_repository(directory.path()).unwrap();
        let server = Server::start().unwrap();
        serve(directory.path(), &server, "/repo").unwrap();
        Self { server, directory }
    }

    fn checksum(&self) -> String {
        let metadata = fs_err::read(self.directory.path().join("repodata/repomd.xml")).unwrap();
        format!("sha256:{}", hexadecimal(&Sha256::digest(metadata)))
    }

    fn description(&self) -> Value {
        json!({"baseurl": self.server.url("/repo"), "checksum": self.checksum()})
    }
}

fn install(repository: &Value, further: &Value) -> Ran {
    let mut options = json!({"repos": [repository], "packages": ["app"], "releasever": "1",
        "basearch": "x86_64", "fastestmirror": false});
    for (name, value) in further.as_object().unwrap() {
        options[name] = value.clone();
    }
    StageTest::new(&STAGE, options).run()
}

fn has(ran: &Ran, names: [&str; 3]) -> [bool; 3] {
    names.map(|name| ran.tree.contains(&format!("{name} 0644")))
}

const FILES: [&str; 3] = ["usr/bin/app", "usr/lib/library", "usr/share/extra"];

macro_rules! with_dnf {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            osbuild_testing::needs![root, tool("unshare"), tool("dnf"), tool("rpmbuild"), tool("rpmsign"), tool("gpg"), tool("createrepo_c")];
            in_private_mounts(concat!("stages::dnf::tests::", stringify!($name)), bodies::$name);
        }
    )*};
}

with_dnf! {
    dependencies_are_resolved_and_nothing_of_dnf_stays
    packages_must_be_signed_with_the_key_of_their_repository
    metadata_must_have_the_checksum_in_the_end
    a_mirror_that_breaks_off_is_left_for_another
    links_of_the_tree_do_not_lead_out_of_it
}

mod bodies {
    use super::*;

    pub(super) fn dependencies_are_resolved_and_nothing_of_dnf_stays() {
        let repository = Repository::new(None);
        let description = repository.description();
        let ran = install(&description, &json!({})).success();
        assert_eq!(has(&ran, FILES), [true, true, true], "{}", ran.tree);
        assert!(
            ran.tree.contains("etc/machine-id 0644 \"\"\n"),
            "{}",
            ran.tree
        );
        assert!(ran.tree.contains("var/cache/dnf/ "), "{}", ran.tree);
        assert!(!ran.tree.contains("var/cache/dnf/r"), "{}", ran.tree);

        let ran = install(&description, &json!({"install_weak_deps": false})).success();
        assert_eq!(has(&ran, FILES), [true, true, false]);
        let ran = install(&description, &json!({"exclude_packages": ["extra"]})).success();
        assert_eq!(has(&ran, FILES), [true, true, false]);
        let ran = install(&description, &json!({"packages": ["broken"]}));
        assert!(
            ran.error().starts_with("CalledProcessError: "),
            "{}",
            ran.error()
        );
        assert!(
            ran.log.contains("nothing provides nothing-has-it"),
            "{}",
            ran.log
        );
    }

    pub(super) fn packages_must_be_signed_with_the_key_of_their_repository() {
        let (right, wrong) = (
            SigningKey::generate().unwrap(),
            SigningKey::generate().unwrap(),
        );
        let expired = SigningKey::generate_expired().unwrap();
        for (signer, key, is_fine) in [
            (Some(&right), &right, true),
            (Some(&right), &wrong, false),
            (None, &right, false),
            // Signed while the key was good, which is all that rpm asks for.
            (Some(&expired), &expired, true),
            (Some(&expired), &right, false),
        ] {
            let repository = Repository::new(signer);
            let mut description = repository.description();
            description["gpgkey"] = json!(key.public().unwrap());
            let ran = install(&description, &json!({}));
            assert_eq!(ran.result.is_ok(), is_fine, "{}", ran.log);
            assert_eq!(has(&ran, FILES)[0], is_fine, "{}", ran.log);
        }
    }

    pub(super) fn metadata_must_have_the_checksum_in_the_end() {
        let repository = Repository::new(None);
        let mut description = repository.description();
        description["checksum"] = json!(format!("sha256:{}", "0".repeat(64)));
        let ran = install(&description, &json!({}));
        assert_eq!(ran.result.unwrap_err().downcast_ref(), Some(&ExitWith(1)));
        let line = format!(
            "\nerror: repo was configured with checksum {}, but actually got {}\n",
            "0".repeat(64),
            &repository.checksum()["sha256:".len()..]
        );
        assert!(ran.log.ends_with(&line), "{}", ran.log);

        // The metadata is of other packages than are there.
        let package = fs_err::read(repository.directory.path().join("app.rpm")).unwrap();
        let half = package.len() / 2;
        repository
            .server
            .answer("/repo/app.rpm", [Answer::File(package[..half].to_vec())]);
        let ran = install(&repository.description(), &json!({}));
        assert!(
            ran.error().starts_with("CalledProcessError: "),
            "{}",
            ran.error()
        );
        assert!(!has(&ran, FILES)[0]);
    }

    pub(super) fn a_mirror_that_breaks_off_is_left_for_another() {
        let repository = Repository::new(None);
        let server = &repository.server;
        let metadata = fs_err::read(repository.directory.path().join("repodata/repomd.xml"));
        let broken = Answer::ResetAfter(metadata.unwrap(), 100);
        server.answer("/broken/repodata/repomd.xml", [broken]);
        let mirrors = [server.url("/broken"), server.url("/repo")];
        let text = metalink(repository.directory.path(), &mirrors).unwrap();
        server.answer("/metalink", [Answer::File(text.into_bytes())]);
        let mut description = json!({"metalink": server.url("/metalink")});
        description["checksum"] = json!(repository.checksum());
        let ran = install(&description, &json!({})).success();
        assert_eq!(has(&ran, FILES), [true, true, true]);
        let requests = server.requests();
        let is_tried = |path: &str| requests.iter().any(|request| request.path == path);
        assert!(is_tried("/broken/repodata/repomd.xml"), "{requests:?}");
    }

    pub(super) fn links_of_the_tree_do_not_lead_out_of_it() {
        let repository = Repository::new(None);
        for link in [
            "var",
            "var/log",
            "var/cache",
            "var/lib",
            "usr",
            "etc",
            "dev",
        ] {
            let outside = tempfile::tempdir().unwrap();
            let options = json!({"repos": [repository.description()], "packages": ["library"],
                "releasever": "1", "basearch": "x86_64", "fastestmirror": false});
            let test = StageTest::new(&STAGE, options);
            let parent = link.rsplit_once('/').map(|(parent, _)| parent);
            let test = parent.into_iter().fold(test, StageTest::directory);
            // Whether dnf can do anything with such a tree is its business.
            test.symlink(link, outside.path().to_str().unwrap()).run();
            let found = osbuild_testing::tree::describe(outside.path()).unwrap();
            assert_eq!(found, "", "through {link}");
        }
    }
}

#[test]
fn a_repository_needs_its_source_or_its_address() {
    let options =
        json!({"repos": ["sha256:00"], "packages": ["x"], "releasever": "1", "basearch": "y"});
    let ran = StageTest::new(&STAGE, options).run();
    assert_eq!(
        ran.error(),
        "RuntimeError: no source describes the repository sha256:00"
    );
    assert_eq!(ran.tree, "");
}

//! Recipes whose packages can not be had: unknown names, dependencies without an answer, signatures that
//! do not fit.

use osbuild_testing::deb_repository::{DebRepository, generate_key, release, sign_inline};
use osbuild_testing::needs;

use crate::workplace::Workplace;

/// Packages with a chain that ends nowhere.
const PACKAGES: &str = "\
Package: base-files
Version: 1
Architecture: amd64
Essential: yes
Priority: required
Filename: pool/base-files.deb
Size: 3
SHA256: 0000000000000000000000000000000000000000000000000000000000000000

Package: nginx
Version: 1.22.1-9
Architecture: amd64
Depends: nginx-common (>= 1.22)
Filename: pool/nginx.deb
Size: 3
SHA256: 0000000000000000000000000000000000000000000000000000000000000001

Package: nginx-common
Version: 1.22.1-9
Architecture: amd64
Depends: libssl (>= 4)
Filename: pool/nginx-common.deb
Size: 3
SHA256: 0000000000000000000000000000000000000000000000000000000000000002

Package: libssl
Version: 3.0.17-1
Architecture: amd64
Filename: pool/libssl.deb
Size: 3
SHA256: 0000000000000000000000000000000000000000000000000000000000000003
";

/// A recipe that takes one package from the repository in the same folder.
fn recipe(workplace: &Workplace, package: &str) -> String {
    format!(
        "distribution: debian\n\
         release: bookworm\n\
         architecture: amd64\n\
         build: host\n\
         repositories:\n  - mirror: file://{}\n    suites: [stable]\n    keyring: keyring.gpg\n\
         packages:\n  base: essential\n  include: [{package}]\n\
         outputs: [tar]\n",
        workplace.path("mirror").display()
    )
}

/// Building one package of a repository, after something was done to it, fails with these words.
#[track_caller]
fn assert_fails(package: &str, change: impl FnOnce(&DebRepository<'_>), message: &str) {
    let workplace = Workplace::new();
    let folder = workplace.path("mirror");
    let repository = DebRepository::create(&folder, PACKAGES).unwrap();
    repository
        .write_keyring(&workplace.path("keyring.gpg"))
        .unwrap();
    change(&repository);
    workplace.write("image.yaml", recipe(&workplace, package));
    let ran = workplace.build("image.yaml");
    assert_eq!(without_key(&ran.stderr), message);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(!workplace.path("out").exists(), "nothing was exported");
    workplace.assert_usable();
}

/// What is said of a file of the repository that can not be trusted.
fn refused(reason: &str) -> String {
    format!(
        "error: choosing packages for image.yaml: loading the repository file://[folder]/mirror stable: \
         file://[folder]/mirror/dists/stable{reason}\n"
    )
}

/// Shows the fingerprint of a key, another one in each run, as `[key]`.
fn without_key(text: &str) -> String {
    let is_key = |word: &str| word.len() == 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words: Vec<&str> = text
        .split(' ')
        .map(|word| if is_key(word) { "[key]" } else { word })
        .collect();
    words.join(" ")
}

#[test]
fn an_unknown_package_is_told_with_the_nearest_names() {
    needs![root];
    assert_fails(
        "nginz",
        |_| (),
        "error: choosing packages for image.yaml: choosing packages for the system: no repository has a package \
         `nginz`; near names: `nginx`\n  \
          --> image.yaml:11:13\n   |\n11 |   include: [nginz]\n   |             ^^^^^\n  \
           help: check the spelling, or name the repository, suite or component that has it under \
         `repositories`\n",
    );
}

#[test]
fn dependencies_without_an_answer_are_told_as_a_chain() {
    needs![root];
    assert_fails(
        "nginx",
        |_| (),
        "error: choosing packages for image.yaml: choosing packages for the system: the packages cannot be \
         installed together:\n  \
           `nginx` 1.22.1-9 depends on `nginx-common` (>= 1.22)\n    \
             `nginx-common` 1.22.1-9 depends on `libssl` (>= 4), but the repositories only have `libssl` \
         3.0.17-1\n  \
           help: name a repository or suite that has what is missing under `repositories`, or leave out \
         what needs it\n",
    );
}

#[test]
fn a_release_without_a_signature_is_refused() {
    needs![root];
    assert_fails(
        "libssl",
        |repository| {
            let release = release("", PACKAGES.as_bytes(), "");
            repository.write("InRelease", release.as_bytes()).unwrap();
        },
        &refused(
            "/InRelease is not signed; the mirror is broken, or something between here and there replaced the file",
        ),
    );
}

#[test]
fn a_release_that_was_changed_is_refused() {
    needs![root];
    assert_fails(
        "libssl",
        |repository| {
            let signed = repository.read("InRelease").unwrap();
            let changed = signed.replace("Origin: Test", "Origin: Evil");
            repository.write("InRelease", changed.as_bytes()).unwrap();
        },
        &refused(
            "/InRelease does not match its signature by key [key] (keyring.gpg): the file was changed after it was signed; try another mirror",
        ),
    );
}

#[test]
fn a_release_signed_by_someone_else_is_refused() {
    needs![root];
    assert_fails(
        "libssl",
        |repository| {
            let release = release("", PACKAGES.as_bytes(), "");
            let signed = sign_inline(&generate_key(), &release);
            repository.write("InRelease", signed.as_bytes()).unwrap();
        },
        &refused(
            "/InRelease is signed by [key] and none of these keys is in keyring.gpg; name the keyring of this repository (`keyring:`), or install the package that has it (for Debian: debian-archive-keyring)",
        ),
    );
}

#[test]
fn an_index_that_is_not_the_signed_one_is_refused() {
    needs![root];
    assert_fails(
        "libssl",
        |repository| {
            let changed = PACKAGES.replace("Version: 3.0.17-1", "Version: 3.0.17-2");
            repository
                .write("main/binary-amd64/Packages", changed.as_bytes())
                .unwrap();
        },
        &refused(
            "/main/binary-amd64/Packages is not the file the signed release lists: expected 747 bytes with SHA-256 5fdd7570919fe21dce33ec95d662e441f3e7658020b2505c905d90ed9d8a0a4a, got 747 bytes with 48d11c75143dc23f4f6a5388109e74ea8aaca50834c1f0244a1129e29ae2ebeb; the mirror is being updated, broken or tampered with",
        ),
    );
}

/// The repository is right, what it says of a package is not: the file is not there.
#[test]
fn a_package_that_is_not_where_the_index_says_is_told() {
    needs![root];
    assert_fails(
        "libssl",
        |_| (),
        "error: source `org.osbuild.curl` failed for 2 files:\n  \
           curl: error downloading file://[folder]/mirror/pool/base-files.deb: exit code 37 (cannot fetch \
         `file://[folder]/mirror/pool/base-files.deb`: failed to open file \
         `[folder]/mirror/pool/base-files.deb`: No such file or directory (os error 2))\n  \
           curl: error downloading file://[folder]/mirror/pool/libssl.deb: exit code 37 (cannot fetch \
         `file://[folder]/mirror/pool/libssl.deb`: failed to open file \
         `[folder]/mirror/pool/libssl.deb`: No such file or directory (os error 2))\n  \
           help: a file was removed or replaced where it came from: give another address, or let \
         `osbuild lock RECIPE` choose what is there now\n  \
           help: what was fetched is kept; running the same command again goes on from there\n",
    );
}

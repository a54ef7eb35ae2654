//! A recipe without repositories uses the host's apt only where that is of the recipe's distribution.

use crate::support::recipe;
use osbuild_recipe::{AptSolver, solve};

const DEBIAN: &str = "ID=debian\nVERSION_CODENAME=bookworm\n";

/// Solves on a host with these files and gives the last cause of the failure.
fn failure(files: &[(&str, &str)]) -> String {
    let host = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = host.path().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }
    let cache = tempfile::tempdir().unwrap();
    let solver = AptSolver::new(cache.path()).with_host_root(host.path());
    let recipe =
        recipe("distribution: debian\nrelease: bookworm\narchitecture: amd64\noutputs: [tar]\n");
    let error = solve(&recipe, &solver).unwrap_err();
    assert_eq!(error.to_string(), "choosing packages for samples/test.yaml");
    error.root_cause().to_string()
}

const ADVICE: &str = "name `repositories` in the recipe, or give `--mirror` and `--keyring`";

#[test]
fn a_host_of_another_distribution_cannot_stand_in() {
    let expected = format!(
        "the recipe names no repositories, and this machine's apt cannot stand in: it does not run debian; {ADVICE}"
    );
    assert_eq!(
        failure(&[("etc/os-release", "ID=fedora\nVERSION_ID=43\n")]),
        expected
    );
    assert_eq!(failure(&[]), expected);
}

#[test]
fn a_host_without_sources_cannot_stand_in() {
    assert_eq!(
        failure(&[("etc/os-release", DEBIAN)]),
        format!("the recipe names no repositories, and this machine's apt has none; {ADVICE}")
    );
}

#[test]
fn sources_of_third_parties_are_no_distribution() {
    let source = "deb https://deb.example.org/tool stable main\n";
    assert_eq!(
        failure(&[("etc/os-release", DEBIAN), ("etc/apt/sources.list", source)]),
        format!(
            "the recipe names no repositories, and this machine's apt has none for the suite `bookworm`; {ADVICE}"
        )
    );
}

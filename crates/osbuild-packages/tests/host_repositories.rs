//! Goes the whole way on the host's own apt configuration: sources, signatures, indices, choice.

use std::{path::Path, time::Instant};

use osbuild_packages::deb::{
    apt_configuration::{host_apt_configuration, native_architecture},
    download::FetchDownload,
    repository::{LoadOptions, load},
    solve::{BaseSet, SolveRequest, solve},
    universe::Universe,
};

#[test]
#[ignore = "needs the mirror that the host's apt uses"]
fn the_hosts_repositories_are_verified_and_solved() {
    let configuration = host_apt_configuration(Path::new("/"))
        .unwrap()
        .expect("the host has apt sources");
    let cache = tempfile::tempdir().unwrap();
    let options = LoadOptions {
        download: &FetchDownload::default(),
        cache: cache.path(),
        keyring_root: Path::new("/"),
        now: std::time::SystemTime::now(),
    };
    for pass in ["fetched", "cached"] {
        let started = Instant::now();
        let indices = load(&configuration.repositories, native_architecture(), &options)
            .unwrap()
            .indices;
        println!(
            "{} indices {pass} in {:?}",
            indices.len(),
            started.elapsed()
        );
        let started = Instant::now();
        let universe = Universe::read(&indices, native_architecture()).unwrap();
        println!(
            "{} versions read in {:?}",
            universe.version_count(),
            started.elapsed()
        );
        let request = SolveRequest {
            packages: vec!["systemd-sysv".to_owned(), "openssh-server".to_owned()],
            base: BaseSet::Apt,
            pins: configuration.pins.clone(),
        };
        let pins = solve(&universe, &request).unwrap();
        assert!(pins.iter().any(|pin| pin.name == "openssh-server"));
        assert!(
            pins.iter()
                .all(|pin| pin.url.starts_with("http") || pin.url.starts_with("file:"))
        );
    }
}

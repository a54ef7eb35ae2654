//! Builds that use one store at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

use fs_err as fs;
use osbuild_testing::deb_repository::sha256;
use osbuild_testing::needs;
use serde_json::json;

use crate::manifests;
use crate::workplace::{Ran, Workplace, start};

#[test]
fn builds_at_the_same_time_give_equal_results() {
    needs![
        root,
        tool("mkfs.ext4"),
        tool("tar"),
        kernel_filesystem("ext4")
    ];
    let workplace = Workplace::new();
    workplace.write("image.json", manifests::varied());
    let names = ["one", "two", "three"];
    let builds = names.map(|name| {
        let mut command = workplace.command(&["image.json", "--store", "store", "--quiet"]);
        command.args([
            "--export",
            "archive",
            "--export",
            "disk",
            "--checkpoint",
            "*",
        ]);
        command.args(["--output-directory", name]);
        start(command)
    });
    for build in builds {
        assert_eq!(workplace.wait(build), Ran::silent());
    }
    workplace.assert_clean();
    let [one, two, three] =
        names.map(|name| fs::read(workplace.path(&format!("{name}/archive/tree.tar"))).unwrap());
    assert!(one == two && two == three, "the archives differ");
    workplace.assert_usable();
}

/// Builds on one store with a limit; `OSBUILD_TEST_BUILDS` sets it, 200 for a long look.
const BUILDS: usize = 16;
const AT_A_TIME: usize = 8;
/// Room for some of the trees that the builds make.
const LIMIT: u64 = 6 << 20;
/// What each of them makes.
static CONTENT: [u8; 1 << 20] = [3; 1 << 20];

/// A tree of its own for each number but every tenth, with a file in it.
fn numbered(number: usize, checksum: &str) -> String {
    let manifest = json!({
        "version": "2",
        "pipelines": [{"name": "tree", "stages": [
            {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": format!("/{}", number % 10 * number)}]}},
            {
                "type": "org.osbuild.copy",
                "inputs": {"file": {
                    "type": "org.osbuild.files",
                    "origin": "org.osbuild.source",
                    "references": [checksum],
                }},
                "options": {"paths": [{"from": format!("input://file/{checksum}"), "to": "tree:///file"}]},
            },
        ]}],
        "sources": {"org.osbuild.curl": {"items": {checksum: "file:///nowhere"}}},
    });
    manifest.to_string()
}

#[test]
fn many_builds_keep_to_the_limit_of_their_store() {
    needs![root];
    let builds = std::env::var("OSBUILD_TEST_BUILDS").map_or(BUILDS, |text| text.parse().unwrap());
    let workplace = Workplace::new();
    let checksum = format!("sha256:{}", sha256(&CONTENT));
    let downloads = workplace.path("store/sources/org.osbuild.files");
    fs::create_dir_all(&downloads).unwrap();
    fs::write(downloads.join(&checksum), CONTENT).unwrap();
    let info = json!({"version": 1, "maximum-size": LIMIT});
    workplace.write("store/cache.info", info.to_string());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= builds {
                        break;
                    }
                    let (file, out) = (format!("{number}.json"), format!("out{number}"));
                    workplace.write(&file, numbered(number, &checksum));
                    let mut command = workplace.command(&["build", &file, "--store", "store"]);
                    command.args(["--quiet", "--output", &out]);
                    assert_eq!(workplace.wait(start(command)), Ran::silent());
                    let made = fs::read(workplace.path(&format!("{out}/file"))).unwrap();
                    assert!(made == CONTENT, "build {number} made something else");
                    fs::remove_dir_all(workplace.path(&out)).unwrap();
                }
            });
        }
    });
    workplace.assert_clean();
    let size: u64 = fs::read_to_string(workplace.path("store/cache.size"))
        .unwrap()
        .parse()
        .unwrap();
    assert!(size > 0 && size <= LIMIT, "{size} bytes are kept");
    let kept = fs::read_dir(workplace.path("store/steps")).unwrap().count();
    assert!(kept > 0 && kept < builds, "{kept} trees are kept");
    let mut command = workplace.command(&["cache", "--store", "store"]);
    command.arg("verify");
    assert_eq!(workplace.run(command), Ran::silent());
    workplace.assert_usable();
}

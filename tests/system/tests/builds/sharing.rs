//! Builds that use one store at a time.

use fs_err as fs;
use osbuild_testing::needs;

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

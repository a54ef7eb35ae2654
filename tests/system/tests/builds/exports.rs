//! What is handed out at the end of a build.

use osbuild_testing::deb_repository::sha256;
use osbuild_testing::needs;
use osbuild_testing::tree::describe;
use serde_json::json;
use tar::EntryType;

use crate::workplace::{Ran, Workplace};

/// A tree with owners, links and special bits, unpacked from an archive.
fn write_manifest(workplace: &Workplace) {
    let archive = archive();
    let digest = sha256(&archive);
    let checksum = format!("sha256:{digest}");
    workplace.write("tree.tar", archive);
    let address = format!("file://{}", workplace.path("tree.tar").display());
    let manifest = json!({
        "version": "2",
        "pipelines": [{"name": "tree", "stages": [{
            "type": "org.osbuild.untar",
            "inputs": {"file": {
                "type": "org.osbuild.files",
                "origin": "org.osbuild.source",
                "references": [checksum],
            }},
        }]}],
        "sources": {"org.osbuild.curl": {"items": {checksum: address}}},
    });
    workplace.write("image.json", manifest.to_string());
}

fn archive() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, kind, mode, user, group) in [
        ("etc/", EntryType::Directory, 0o755, 0, 0),
        ("etc/link", EntryType::Symlink, 0o777, 7, 8),
        ("srv/", EntryType::Directory, 0o2775, 1000, 1001),
        ("srv/file", EntryType::Regular, 0o4751, 65_000, 1001),
        ("tmp/", EntryType::Directory, 0o1777, 0, 0),
        ("tmp/pipe", EntryType::Fifo, 0o600, 0, 0),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(user);
        header.set_gid(group);
        header.set_size(0);
        if kind == EntryType::Symlink {
            archive
                .append_link(&mut header, path, "../srv/file")
                .unwrap();
        } else {
            archive.append_data(&mut header, path, &[][..]).unwrap();
        }
    }
    archive.into_inner().unwrap()
}

#[test]
fn owners_and_modes_come_out_as_they_are_in_the_tree() {
    needs![root];
    let workplace = Workplace::new();
    write_manifest(&workplace);
    assert_eq!(workplace.build("image.json"), Ran::silent());
    assert_eq!(
        describe(&workplace.path("out")).unwrap(),
        "etc/ 0755\n\
         etc/link -> ../srv/file 7:8\n\
         srv/ 2775 1000:1001\n\
         srv/file 4751 65000:1001 \"\"\n\
         tmp/ 1777\n\
         tmp/pipe 0600 fifo 0x0\n"
    );
}

#[test]
fn owners_are_the_callers_where_that_is_asked_for() {
    needs![root];
    let workplace = Workplace::new();
    write_manifest(&workplace);
    let mut command = workplace.build_command("image.json");
    command.env("OSBUILD_EXPORT_FORCE_NO_PRESERVE_OWNER", "1");
    assert_eq!(workplace.run(command), Ran::silent());
    assert_eq!(
        describe(&workplace.path("out")).unwrap(),
        "etc/ 0755\n\
         etc/link -> ../srv/file\n\
         srv/ 2775\n\
         srv/file 4751 \"\"\n\
         tmp/ 1777\n\
         tmp/pipe 0600 fifo 0x0\n"
    );
}

#[test]
fn an_unknown_export_is_told_with_those_that_exist() {
    needs![root];
    let workplace = Workplace::new();
    write_manifest(&workplace);
    let mut command = workplace.build_command("image.json");
    command.args(["--export", "image"]);
    let message = "error: `image.json` has no pipeline `image`\n  help: its pipelines are: tree\n";
    assert_eq!(
        workplace.run(command),
        Ran {
            code: 1,
            stdout: String::new(),
            stderr: message.to_owned(),
        }
    );
    let mut command = workplace.command(&["image.json", "--store", "store"]);
    command.args(["--export", "image", "--output-directory", "out"]);
    assert_eq!(
        workplace.run(command),
        Ran {
            code: 1,
            stdout: "Export image not found in ['tree']\nFailed\n".to_owned(),
            stderr: String::new(),
        }
    );
}

/// The result can not be put where it should go: a file is there.
#[test]
fn an_output_folder_that_is_a_file_is_told() {
    needs![root];
    let workplace = Workplace::new();
    write_manifest(&workplace);
    workplace.write("out", "");
    let ran = workplace.build("image.json");
    assert_eq!(
        ran.stderr,
        "error: exporting to out: failed to create directory `out`: File exists (os error 17)\n"
    );
    assert_eq!(ran.code, 1);
    workplace.assert_usable();
}

//! Reports of a system in a directory, an archive and a disk image.
//!
//! `image-info/expected.json` is what `tools/osbuild-image-info` of osbuild 191 reports of `image-info/tree`, but for
//! `rpm-verify`, which `docs/differences.md` names as missing.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can not be prepared has failed"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use osbuild_inspect::image_info::image_info;
use serde_json::{Value, json};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/image-info")
        .join(name)
}

fn expected() -> String {
    let text = fs_err::read_to_string(data("expected.json")).unwrap();
    text.trim_end().to_owned()
}

/// Runs a program that must succeed; the script is its standard input.
fn run(program: &str, arguments: &[&str], script: &str) {
    let place = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(place.path(), script).unwrap();
    let output = Command::new(program)
        .args(arguments)
        .stdin(place.reopen().unwrap())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {told}");
}

#[test]
fn a_directory_is_reported_to_the_letter_as_upstream_reports_it() {
    osbuild_testing::needs![tool("systemctl")];
    assert_eq!(image_info(&data("tree")).unwrap(), expected());
}

#[test]
fn an_archive_is_reported_as_the_directory_in_it() {
    osbuild_testing::needs![tool("systemctl")];
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("tree.tar");
    let mut archive = tar::Builder::new(fs_err::File::create(&path).unwrap());
    archive.follow_symlinks(false);
    archive.append_dir_all(".", data("tree")).unwrap();
    archive.finish().unwrap();
    assert_eq!(image_info(&path).unwrap(), expected());
}

#[test]
fn a_disk_image_is_reported_with_its_partitions() {
    osbuild_testing::needs![
        tool("systemctl"),
        tool("sfdisk"),
        tool("blkid"),
        tool("mkfs.ext4"),
        tool("qemu-img")
    ];
    let place = tempfile::tempdir().unwrap();
    let raw = place.path().join("disk.raw");
    let raw_name = raw.to_str().unwrap();
    let file = fs_err::File::create(&raw).unwrap();
    file.set_len(32 << 20).unwrap();
    let table = "label: gpt\nlabel-id: 29579f67-d390-43e7-bd96-dc8f5461171e\nstart=2048, size=2048, \
                 type=21686148-6449-6E6F-744E-656564454649, uuid=F1D650A1-0AA3-4A8E-8A0B-CA2A2E8E0C1C\n\
                 start=4096, size=57344, bootable, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, \
                 uuid=6CB708C1-C0E8-4614-8BBF-C6EBD39484A3\n";
    run("sfdisk", &["--quiet", raw_name], table);
    let tree = data("tree");
    let root = [
        "-q",
        "-L",
        "root",
        "-U",
        "76a22bf4-f153-4541-b6c7-0332c0dfaeac",
    ];
    let mut arguments = root.to_vec();
    arguments.extend(["-d", tree.to_str().unwrap(), "-E", "offset=2097152"]);
    arguments.extend([raw_name, "28M"]);
    run("mkfs.ext4", &arguments, "");
    let qcow2 = place.path().join("disk.qcow2");
    let qcow2_name = qcow2.to_str().unwrap();
    run(
        "qemu-img",
        &["convert", "-q", "-O", "qcow2", raw_name, qcow2_name],
        "",
    );

    let mut report: Value = serde_json::from_str(&expected()).unwrap();
    report["bootloader"] = json!("unknown");
    report["partition-table"] = json!("gpt");
    report["partition-table-id"] = json!("29579F67-D390-43E7-BD96-DC8F5461171E");
    report["partitions"] = json!([
        {
            "bootable": false,
            "fstype": "ext4",
            "label": "root",
            "partuuid": "6CB708C1-C0E8-4614-8BBF-C6EBD39484A3",
            "size": 29_360_128,
            "start": 2_097_152,
            "type": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
            "uuid": "76a22bf4-f153-4541-b6c7-0332c0dfaeac",
        },
        {
            "bootable": false,
            "fstype": null,
            "label": null,
            "partuuid": "F1D650A1-0AA3-4A8E-8A0B-CA2A2E8E0C1C",
            "size": 1_048_576,
            "start": 1_048_576,
            "type": "21686148-6449-6E6F-744E-656564454649",
            "uuid": null,
        },
    ]);
    for (path, format) in [
        (&raw, json!({"type": "raw"})),
        (&qcow2, json!({"type": "qcow2", "compat": "1.1"})),
    ] {
        report["image-format"] = format;
        let told: Value = serde_json::from_str(&image_info(path).unwrap()).unwrap();
        assert_eq!(told, report, "{}", path.display());
    }
}

#[test]
fn an_empty_directory_is_told_to_hold_nothing() {
    let place = tempfile::tempdir().unwrap();
    let error = image_info(place.path()).unwrap_err();
    let expected = format!("{}: no system was found in it", place.path().display());
    assert_eq!(error.to_string(), expected);
}

#[test]
fn an_archive_need_not_have_entries_for_directories() {
    osbuild_testing::needs![tool("systemctl"), tool("tar")];
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("tree.tar");
    let tree = data("tree");
    let list = Command::new("find")
        .args([".", "!", "-type", "d"])
        .current_dir(&tree)
        .output()
        .unwrap();
    let files = place.path().join("files");
    fs_err::write(&files, list.stdout).unwrap();
    let words = ["--directory", tree.to_str().unwrap(), "--create", "--file"];
    let mut words = words.to_vec();
    words.extend([path.to_str().unwrap(), "--no-recursion", "--files-from"]);
    words.push(files.to_str().unwrap());
    run("tar", &words, "");
    assert_eq!(image_info(&path).unwrap(), expected());
}

/// Else an image could have any file of this machine reported.
#[test]
fn an_image_that_stands_on_another_file_is_refused() {
    osbuild_testing::needs![tool("qemu-img")];
    let place = tempfile::tempdir().unwrap();
    let name = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let secret = name("secret");
    fs_err::write(&secret, vec![b's'; 1 << 20]).unwrap();
    let backing = ["-F", "raw", "-b", &secret];
    let data_file = format!("data_file={}", name("data"));
    let own_data = ["-o", &data_file];
    let cases: [(&str, &str, &[&str], &str); 4] = [
        ("a", "qcow2", &backing, "a backing file"),
        ("b", "qcow", &backing, "a backing file"),
        ("c", "qcow2", &own_data, "an external data file"),
        ("d", "vmdk", &["-b", &name("parent")], "a parent"),
    ];
    run(
        "qemu-img",
        &["create", "-q", "-f", "vmdk", &name("parent"), "1M"],
        "",
    );
    for (file, format, options, other) in cases {
        let mut words = vec!["create", "-q", "-f", format];
        words.extend(options);
        if format == "vmdk" {
            words.extend(["-F", "vmdk"]);
        }
        let image = name(file);
        words.extend([image.as_str(), "1M"]);
        run("qemu-img", &words, "");
        let error = format!("{:#}", image_info(Path::new(&image)).unwrap_err());
        let expected = format!("the image stands on another file ({other})");
        assert!(error.contains(&expected), "{error}");
    }
    // Extents that are named in the description of an image without a capacity of its own.
    let mut image = fs_err::read(name("parent")).unwrap();
    image[12..20].fill(0);
    fs_err::write(name("e"), image).unwrap();
    let error = format!("{:#}", image_info(Path::new(&name("e"))).unwrap_err());
    assert!(
        error.contains("(extents that its description names)"),
        "{error}"
    );
}

#[test]
fn what_is_no_image_is_told_to_be_none() {
    osbuild_testing::needs![tool("sfdisk"), tool("blkid")];
    let place = tempfile::tempdir().unwrap();
    let pipe = place.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    let error = format!("{:#}", image_info(&pipe).unwrap_err());
    assert!(
        error.ends_with("neither a directory, nor a file, nor a disk"),
        "{error}"
    );
    let noise = place.path().join("noise");
    let mut state = 1_u32;
    let bytes = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    fs_err::write(&noise, bytes.take(1 << 20).collect::<Vec<u8>>()).unwrap();
    let error = format!("{:#}", image_info(&noise).unwrap_err());
    assert!(
        error.ends_with("neither an image of a disk or file system, nor an archive"),
        "{error}"
    );
}

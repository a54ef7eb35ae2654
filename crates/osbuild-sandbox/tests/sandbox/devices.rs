//! Devices and mounts that undo themselves.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use osbuild_sandbox::mount;
use osbuild_sandbox::overlay::{OverlayChanges, OverlayLayers, overlay};
use osbuild_sandbox::{Access, DeviceDirectory, LoopDevice, LoopOptions};

fn is_mounted(path: &Path) -> bool {
    let mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap();
    let path = path.to_str().unwrap();
    mounts
        .lines()
        .any(|line| line.split(' ').nth(4) == Some(path))
}

pub(crate) fn devices_can_be_used() {
    let parent = tempfile::tempdir().unwrap();
    let devices = DeviceDirectory::create(parent.path()).unwrap();
    let path = devices.path().to_owned();
    for name in ["full", "null", "random", "tty", "urandom", "zero"] {
        let (ours, host) = (path.join(name), Path::new("/dev").join(name));
        let (ours, host) = (
            fs_err::metadata(ours).unwrap(),
            fs_err::metadata(host).unwrap(),
        );
        assert!(ours.file_type().is_char_device(), "{name}");
        assert_eq!(ours.rdev(), host.rdev(), "{name}");
        assert_eq!(ours.mode() & 0o777, 0o666, "{name}");
    }
    assert_eq!(path.join("fuse").exists(), Path::new("/dev/fuse").exists());
    let mut zeroes = [1; 4];
    fs_err::File::open(path.join("zero"))
        .unwrap()
        .read_exact(&mut zeroes)
        .unwrap();
    assert_eq!(zeroes, [0; 4]);
    drop(devices);
    assert!(!path.exists() && !is_mounted(&path));
}

pub(crate) fn mount_guards_undo_themselves() {
    let directory = tempfile::tempdir().unwrap();
    let [source, target, upper, work] = ["source", "target", "upper", "work"].map(|name| {
        let path = directory.path().join(name);
        fs_err::create_dir(&path).unwrap();
        path
    });
    fs_err::write(source.join("file"), "below").unwrap();
    fs_err::create_dir(source.join("inner")).unwrap();
    let inner = mount::tmpfs(&source.join("inner"), 0o755).unwrap();
    fs_err::write(source.join("inner/file"), "inner").unwrap();
    {
        let _bind = mount::bind(&source, &target, Access::ReadOnly).unwrap();
        assert_eq!(
            fs_err::read_to_string(target.join("inner/file")).unwrap(),
            "inner"
        );
        for name in ["new", "inner/new"] {
            let error = fs_err::write(target.join(name), "").unwrap_err();
            assert_eq!(
                error.kind(),
                std::io::ErrorKind::ReadOnlyFilesystem,
                "{name}"
            );
        }
    }
    assert!(!is_mounted(&target) && !is_mounted(&target.join("inner")));
    inner.unmount().unwrap();
    assert!(!source.join("inner/file").exists());

    let mounted = overlay(
        &OverlayLayers {
            lower: std::slice::from_ref(&source),
            changes: Some(OverlayChanges {
                upper: &upper,
                work: &work,
            }),
        },
        &target,
    )
    .unwrap();
    fs_err::write(target.join("file"), "above").unwrap();
    let held = fs_err::File::open(target.join("file")).unwrap();
    let error = mounted.unmount().unwrap_err();
    assert!(error.to_string().starts_with("unmounting "), "{error:#}");
    drop(held);
    assert!(
        !is_mounted(&target),
        "a busy mount is detached all the same"
    );
    assert_eq!(
        fs_err::read_to_string(source.join("file")).unwrap(),
        "below"
    );
    assert_eq!(fs_err::read_to_string(upper.join("file")).unwrap(), "above");
}

pub(crate) fn a_loop_device_shows_its_part_of_a_file() {
    if !Path::new("/dev/loop-control").exists() {
        osbuild_testing::needs![kernel_filesystem("loop")];
    }
    let mut image = tempfile::NamedTempFile::new().unwrap();
    image.write_all(&[b'a'; 4096]).unwrap();
    image.write_all(&[b'b'; 8192]).unwrap();
    image.write_all(&[b'c'; 4096]).unwrap();
    let file = fs_err::OpenOptions::new()
        .read(true)
        .write(true)
        .open(image.path())
        .unwrap();
    let options = LoopOptions {
        offset: 4096,
        size: Some(8192),
        ..LoopOptions::default()
    };
    let device = LoopDevice::attach(file.as_fd(), &options).unwrap();
    let (path, number) = (device.path(), device.device_number().unwrap());
    assert_eq!(number, (7, device.number()));
    assert_eq!(fs_err::read(&path).unwrap(), [b'b'; 8192]);
    let sizes = format!(
        "/sys/block/loop{}/queue/logical_block_size",
        device.number()
    );
    assert_eq!(fs_err::read_to_string(sizes).unwrap(), "512\n");
    device.file().file().write_all(b"written").unwrap();
    device.detach().unwrap();
    let content = fs_err::read(image.path()).unwrap();
    assert_eq!(&content[4090..4104], b"aaaaaawrittenb");

    let read_only = LoopOptions {
        is_read_only: true,
        sector_size: Some(4096),
        is_locked: true,
        ..LoopOptions::default()
    };
    let device = LoopDevice::attach(file.as_fd(), &read_only).unwrap();
    let sizes = format!(
        "/sys/block/loop{}/queue/logical_block_size",
        device.number()
    );
    assert_eq!(fs_err::read_to_string(sizes).unwrap(), "4096\n");
    let error = device.file().file().write_all(&[0; 4096]).unwrap_err();
    assert_eq!(
        error.kind(),
        std::io::ErrorKind::PermissionDenied,
        "{error}"
    );
    let backing = format!("/sys/block/loop{}/loop/backing_file", device.number());
    assert!(Path::new(&backing).exists());
    drop(device);
    assert!(!Path::new(&backing).exists(), "dropping detaches");
}

pub(crate) fn loop_devices_are_shared_out() {
    let images: Vec<_> = (0..6_u8)
        .map(|number| {
            let mut image = tempfile::tempfile().unwrap();
            image.write_all(&[number; 4096]).unwrap();
            (number, image)
        })
        .collect();
    std::thread::scope(|scope| {
        for (number, image) in &images {
            scope.spawn(move || {
                for _ in 0..5 {
                    let device = LoopDevice::attach(image, &LoopOptions::default()).unwrap();
                    assert_eq!(fs_err::read(device.path()).unwrap(), [*number; 4096]);
                    device.detach().unwrap();
                }
            });
        }
    });
}

//! The stage on made-up trees.

use super::*;
use osbuild_stage_api::testing::StageTest;
use serde_json::{Value, json};

const ROOT: &str = "a957573a-f432-4bed-a0bc-e541bddf8579";

/// A tree with two kernels and GRUB for both kinds of firmware.
fn test_with(options: Value) -> StageTest {
    StageTest::new(&STAGE, options)
        .file("boot/vmlinuz-6.1.0-9-amd64", "old")
        .file("boot/vmlinuz-6.1.0-10-amd64", "new")
        .file("boot/vmlinuz-6.1.0-10-amd64.dpkg-new", "half")
        .file("boot/initrd.img-6.1.0-10-amd64", "initrd")
        .file("usr/lib/grub/i386-pc/ext2.mod", "ext2")
        .file("usr/lib/grub/i386-pc/command.lst", "list")
        .file("usr/lib/grub/i386-pc/boot.img", "boot")
        .file("usr/lib/grub/x86_64-efi/ext2.mod", "ext2 for UEFI")
        .file(
            "usr/lib/grub/x86_64-efi/monolithic/grubx64.efi",
            "monolithic",
        )
}

fn read(test: &StageTest, path: &str) -> String {
    fs_err::read_to_string(test.path(path)).unwrap()
}

#[test]
fn the_menu_starts_the_newest_kernel() {
    let serial = json!({"unit": 1});
    let options = json!({"root_fs_uuid": ROOT, "kernel_opts": "console=ttyS0 quiet", "timeout": 0, "serial": serial});
    let test = test_with(options);
    let ran = test.run().success();
    assert_eq!(
        ran.log,
        "kernel 6.1.0-10-amd64\nkernel 6.1.0-9-amd64\nUEFI programs from grub-efi-amd64-bin\n"
    );
    let expected = format!(
        "# Written with the image; update-grub replaces it.\n\
         if [ -s $prefix/grubenv ]; then\n  load_env\nfi\n\
         insmod part_gpt\ninsmod part_msdos\ninsmod ext2\ninsmod all_video\n\
         insmod serial\nif serial --unit=1 --speed=115200; then\n  terminal_input console serial\n  \
         terminal_output console serial\nfi\n\
         set default=0\nset timeout_style=hidden\nset timeout=0\n\
         search --no-floppy --fs-uuid --set=root {ROOT}\n\
         menuentry 'Debian GNU/Linux, with Linux 6.1.0-10-amd64' --class debian --class gnu-linux --class gnu \
         --class os --id 'gnulinux-6.1.0-10-amd64-advanced-{ROOT}' {{\n  \
         linux /boot/vmlinuz-6.1.0-10-amd64 root=UUID={ROOT} ro console=ttyS0 quiet\n  \
         initrd /boot/initrd.img-6.1.0-10-amd64\n}}\n\
         menuentry 'Debian GNU/Linux, with Linux 6.1.0-9-amd64' --class debian --class gnu-linux --class gnu \
         --class os --id 'gnulinux-6.1.0-9-amd64-advanced-{ROOT}' {{\n  \
         linux /boot/vmlinuz-6.1.0-9-amd64 root=UUID={ROOT} ro console=ttyS0 quiet\n}}\n"
    );
    assert_eq!(read(&test, "boot/grub/grub.cfg"), expected);
    assert_eq!(
        read(&test, "etc/default/grub.d/50-image.cfg"),
        "# Settings the image was made with; later files in this directory win.\n\
         GRUB_DISTRIBUTOR='Debian'\nGRUB_DEFAULT='0'\nGRUB_TIMEOUT='0'\nGRUB_TIMEOUT_STYLE='hidden'\n\
         GRUB_CMDLINE_LINUX='console=ttyS0 quiet'\nGRUB_CMDLINE_LINUX_DEFAULT=''\n\
         GRUB_TERMINAL='console serial'\nGRUB_SERIAL_COMMAND='serial --unit=1 --speed=115200'\n"
    );
    assert_eq!(read(&test, "boot/grub/grubenv").len(), 1024);
}

#[test]
fn modules_and_programs_are_where_they_are_looked_for() {
    let test = test_with(json!({"root_fs_uuid": ROOT}));
    let _ = test.run().success();
    assert_eq!(read(&test, "boot/grub/i386-pc/ext2.mod"), "ext2");
    assert_eq!(read(&test, "boot/grub/i386-pc/command.lst"), "list");
    assert!(!test.path("boot/grub/i386-pc/boot.img").exists());
    assert_eq!(
        read(&test, "boot/grub/x86_64-efi/ext2.mod"),
        "ext2 for UEFI"
    );
    assert_eq!(read(&test, "boot/efi/EFI/BOOT/BOOTX64.EFI"), "monolithic");
    assert_eq!(read(&test, "boot/efi/EFI/debian/grubx64.efi"), "monolithic");
    assert_eq!(
        read(&test, "boot/efi/EFI/debian/grub.cfg"),
        format!(
            "search.fs_uuid {ROOT} root\nset prefix=($root)'/boot/grub'\nconfigfile $prefix/grub.cfg\n"
        )
    );
}

#[test]
fn secure_boot_is_set_up_where_the_tree_has_what_it_takes() {
    let test = test_with(json!({"root_fs_uuid": ROOT, "esp": "/efi/"}))
        .file("usr/lib/shim/shimx64.efi.signed", "shim")
        .file("usr/lib/shim/mmx64.efi.signed", "keys")
        .file(
            "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
            "signed",
        );
    let ran = test.run().success();
    assert!(
        ran.log
            .ends_with("UEFI programs from shim-signed and grub-efi-amd64-signed\n"),
        "{}",
        ran.log
    );
    for (path, content) in [
        ("efi/EFI/BOOT/BOOTX64.EFI", "shim"),
        ("efi/EFI/BOOT/grubx64.efi", "signed"),
        ("efi/EFI/BOOT/mmx64.efi", "keys"),
        ("efi/EFI/debian/shimx64.efi", "shim"),
        ("efi/EFI/debian/grubx64.efi", "signed"),
        ("efi/EFI/debian/mmx64.efi", "keys"),
    ] {
        assert_eq!(read(&test, path), content, "{path}");
    }
}

#[test]
fn a_boot_file_system_of_its_own_changes_every_path() {
    let boot = "0ae8e5c2-3f40-4f4e-9a0c-9b1d6e2cf001";
    let test =
        test_with(json!({"root_fs_uuid": ROOT, "boot_fs_uuid": boot, "platforms": ["x86_64-efi"]}));
    let _ = test.run().success();
    let menu = read(&test, "boot/grub/grub.cfg");
    assert!(menu.contains(&format!("--set=root {boot}\n")), "{menu}");
    assert!(
        menu.contains(&format!(
            "  linux /vmlinuz-6.1.0-10-amd64 root=UUID={ROOT} ro\n"
        )),
        "{menu}"
    );
    let stub = read(&test, "boot/efi/EFI/debian/grub.cfg");
    assert!(
        stub.starts_with(&format!(
            "search.fs_uuid {boot} root\nset prefix=($root)'/grub'\n"
        )),
        "{stub}"
    );
    assert!(!test.path("boot/grub/i386-pc").exists());
}

#[test]
fn what_is_missing_is_named_with_its_package() {
    let test = StageTest::new(&STAGE, json!({"root_fs_uuid": ROOT}));
    assert_eq!(
        test.run().error(),
        "ValueError: the tree has no kernel: there is no /boot/vmlinuz-*; package `linux-image-cloud-amd64` or \
         `linux-image-amd64` brings one"
    );
    let test = test.file("boot/vmlinuz-6", "kernel");
    let expected =
        "ValueError: the tree has no /usr/lib/grub/i386-pc: package `grub-pc-bin` brings it";
    assert_eq!(test.run().error(), expected);
}

#[test]
fn quotes_in_the_command_line_survive_the_shell() {
    let test = test_with(json!({"root_fs_uuid": ROOT, "kernel_opts": "dyndbg='file a +p'"}));
    let _ = test.run().success();
    let settings = test.path("etc/default/grub.d/50-image.cfg");
    let script = format!(
        ". {}; printf %s \"$GRUB_CMDLINE_LINUX\"",
        settings.display()
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"dyndbg='file a +p'");
}

//! Filling the empty `/etc` and `/var` of a build root.

use std::ffi::OsString;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use osbuild_stage_api::{Command, Output};

/// Stands for the id of a machine that was never booted; always the same, so that builds are.
const FAKE_MACHINE_ID: &str = "ffffffffffffffffffffffffffffffff\n";
const MACHINE_ID_MODE: u32 = 0o444;
/// Enough for programs that ask who they are.
const MINIMAL_PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n";
const MINIMAL_GROUP: &str = "root:x:0:\n";
/// Debian's own accounts; its packages refer to their numbers.
const DEBIAN_ACCOUNTS: &str = "usr/share/base-passwd";
/// Fedora's choice of ciphers: without it tools refuse packages signed with SHA-1.
const CRYPTO_POLICY: &str = "usr/share/crypto-policies/back-ends/DEFAULT";
/// Programs of `/usr/bin` that are links into `/etc/alternatives`, and what they may mean, best first.
const ALTERNATIVES: [(&str, &[&str]); 2] = [
    ("awk", &["/usr/bin/mawk", "/usr/bin/gawk"]),
    ("python3", &["/usr/bin/python3.6"]),
];

/// Whether a machine id was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MachineId {
    /// It belongs to the root.
    Found,
    /// It is the fake one.
    Made,
}

/// A build root about to be prepared.
#[derive(Debug)]
pub(super) struct Preparation {
    /// `/`, but for tests.
    pub(super) root: PathBuf,
    /// Where programs are looked for.
    pub(super) search_path: OsString,
    pub(super) output: Output,
}

impl Preparation {
    /// Does what the build tree has the means for.
    pub(super) fn run(&self) -> Result<MachineId> {
        fs_err::create_dir_all(self.root.join("etc"))?;
        self.accounts()?;
        self.linker_cache()?;
        self.system_users()?;
        self.minimal_accounts()?;
        let machine_id = self.machine_id()?;
        self.temporary_files()?;
        self.name_services()?;
        self.crypto_policies()?;
        self.alternatives()?;
        Ok(machine_id)
    }

    /// Takes the fake machine id away.
    pub(super) fn remove_machine_id(&self) -> Result<()> {
        Ok(fs_err::remove_file(self.root.join("etc/machine-id"))?)
    }

    fn accounts(&self) -> Result<()> {
        for name in ["passwd", "group"] {
            let master = self
                .root
                .join(DEBIAN_ACCOUNTS)
                .join(format!("{name}.master"));
            if master.exists() {
                self.write_if_missing(name, &fs_err::read_to_string(master)?)?;
            }
        }
        Ok(())
    }

    fn linker_cache(&self) -> Result<()> {
        // It warns where the file is missing.
        self.write_if_missing("ld.so.conf", "")?;
        // Ubuntu's `ldconfig` is a script around this, and a small build root has no shell.
        let name = ["ldconfig.real", "ldconfig"]
            .into_iter()
            .find(|name| self.has(name))
            .unwrap_or("ldconfig");
        self.program(name, &[]).map_or(Ok(()), Command::run)
    }

    fn system_users(&self) -> Result<()> {
        self.program("systemd-sysusers", &[])
            .map_or(Ok(()), Command::run)
    }

    fn minimal_accounts(&self) -> Result<()> {
        self.write_if_missing("passwd", MINIMAL_PASSWD)?;
        self.write_if_missing("group", MINIMAL_GROUP)
    }

    fn machine_id(&self) -> Result<MachineId> {
        let file = self.root.join("etc/machine-id");
        if file.exists() {
            return Ok(MachineId::Found);
        }
        fs_err::write(&file, FAKE_MACHINE_ID)?;
        fs_err::set_permissions(&file, PermissionsExt::from_mode(MACHINE_ID_MODE))?;
        Ok(MachineId::Made)
    }

    fn temporary_files(&self) -> Result<()> {
        let Some(command) = self.program("systemd-tmpfiles", &["--create"]) else {
            return Ok(());
        };
        // Some packages want directories of users that no file describes; the rest is made all the same.
        let status = command.status()?;
        if !status.success() {
            self.output.line(format_args!(
                "systemd-tmpfiles ended with {status}; going on"
            ));
        }
        Ok(())
    }

    /// The default is fine, and nss-resolve would wait for a service that does not run.
    fn name_services(&self) -> Result<()> {
        let file = self.root.join("etc/nsswitch.conf");
        if fs_err::symlink_metadata(&file).is_ok() {
            fs_err::remove_file(&file)?;
        }
        Ok(())
    }

    fn crypto_policies(&self) -> Result<()> {
        let (source, target) = (
            self.root.join(CRYPTO_POLICY),
            self.root.join("etc/crypto-policies/back-ends"),
        );
        if !source.is_dir() || target.exists() {
            return Ok(());
        }
        copy_directory(&source, &target)
    }

    fn alternatives(&self) -> Result<()> {
        for (name, candidates) in ALTERNATIVES {
            let alternative = format!("/etc/alternatives/{name}");
            let link = fs_err::read_link(self.root.join("usr/bin").join(name));
            let here = self.root.join(&alternative[1..]);
            if link.ok().as_deref() != Some(Path::new(&alternative))
                || fs_err::symlink_metadata(&here).is_ok()
            {
                continue;
            }
            if let Some(found) = candidates
                .iter()
                .find(|candidate| self.root.join(&candidate[1..]).exists())
            {
                fs_err::create_dir_all(self.root.join("etc/alternatives"))?;
                symlink(found, &here).with_context(|| format!("linking {}", here.display()))?;
            }
        }
        Ok(())
    }

    fn write_if_missing(&self, name: &str, content: &str) -> Result<()> {
        let file = self.root.join("etc").join(name);
        if file.exists() {
            Ok(())
        } else {
            Ok(fs_err::write(file, content)?)
        }
    }

    fn has(&self, program: &str) -> bool {
        std::env::split_paths(&self.search_path).any(|directory| directory.join(program).exists())
    }

    /// A build tree may well be too small for a program; what it would have done is then not needed either.
    fn program(&self, name: &str, arguments: &[&str]) -> Option<Command> {
        if !self.has(name) {
            self.output.line(format_args!(
                "the build root has no {name}; going on without"
            ));
            return None;
        }
        Some(
            Command::new(name, self.output.clone())
                .env("PATH", &self.search_path)
                .args(arguments),
        )
    }
}

/// Copies what links lead to: they may be relative to where they are.
fn copy_directory(source: &Path, target: &Path) -> Result<()> {
    fs_err::create_dir_all(target)?;
    for entry in fs_err::read_dir(source)? {
        let entry = entry?;
        let target = target.join(entry.file_name());
        if fs_err::metadata(entry.path())?.is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else {
            fs_err::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A build root, and programs that stand in for its own.
    struct Root {
        directory: tempfile::TempDir,
    }

    impl Root {
        fn new(programs: &[(&str, &str)], files: &[(&str, &str)]) -> Self {
            let directory = tempfile::tempdir().unwrap();
            for name in ["root", "bin"] {
                fs_err::create_dir(directory.path().join(name)).unwrap();
            }
            for (name, content) in files {
                let file = directory.path().join("root").join(name);
                fs_err::create_dir_all(file.parent().unwrap()).unwrap();
                fs_err::write(file, content).unwrap();
            }
            for (name, script) in programs {
                // Written by another process: an open file that a fork of another test inherits can not be run.
                let made = std::process::Command::new("sh")
                    .args([
                        "-c",
                        "printf '#!/bin/sh\n%s\n' \"$1\" >\"$2\" && chmod 755 \"$2\"",
                        "sh",
                        script,
                    ])
                    .arg(directory.path().join("bin").join(name))
                    .status();
                assert!(made.unwrap().success());
            }
            Self { directory }
        }

        fn root(&self) -> PathBuf {
            self.directory.path().join("root")
        }

        fn prepare(&self) -> (Result<MachineId>, String) {
            let preparation = Preparation {
                root: self.root(),
                search_path: self.directory.path().join("bin").into_os_string(),
                output: Output::buffered(),
            };
            let result = preparation.run();
            (result, preparation.output.collected())
        }

        fn etc(&self) -> String {
            osbuild_testing::tree::describe(&self.root().join("etc")).unwrap()
        }
    }

    #[test]
    fn a_build_root_without_any_tool_is_prepared_as_far_as_it_goes() {
        let root = Root::new(&[], &[]);
        let (result, log) = root.prepare();
        assert_eq!(result.unwrap(), MachineId::Made);
        assert_eq!(
            log,
            "the build root has no ldconfig; going on without\n\
             the build root has no systemd-sysusers; going on without\n\
             the build root has no systemd-tmpfiles; going on without\n"
        );
        assert_eq!(
            root.etc(),
            "group 0644 \"root:x:0:\\n\"\nld.so.conf 0644 \"\"\n\
             machine-id 0444 \"ffffffffffffffffffffffffffffffff\\n\"\n\
             passwd 0644 \"root:x:0:0:root:/root:/bin/bash\\n\"\n"
        );
    }

    #[test]
    fn debian_gets_its_accounts_and_awk() {
        let root = Root::new(
            &[
                ("ldconfig", "true"),
                ("systemd-sysusers", "true"),
                ("systemd-tmpfiles", "exit 73"),
            ],
            &[
                (
                    "usr/share/base-passwd/passwd.master",
                    "root:*:0:0::/root:/bin/bash\n",
                ),
                ("usr/share/base-passwd/group.master", "disk:*:6:\n"),
                ("usr/bin/mawk", ""),
                ("etc/nsswitch.conf", "hosts: resolve\n"),
            ],
        );
        symlink("/etc/alternatives/awk", root.root().join("usr/bin/awk")).unwrap();
        let (result, log) = root.prepare();
        result.unwrap();
        assert_eq!(
            log,
            "$ ldconfig\n$ systemd-sysusers\n$ systemd-tmpfiles --create\n\
             systemd-tmpfiles ended with exit status: 73; going on\n"
        );
        assert_eq!(
            root.etc(),
            "alternatives/ 0755\nalternatives/awk -> /usr/bin/mawk\ngroup 0644 \"disk:*:6:\\n\"\n\
             ld.so.conf 0644 \"\"\nmachine-id 0444 \"ffffffffffffffffffffffffffffffff\\n\"\n\
             passwd 0644 \"root:*:0:0::/root:/bin/bash\\n\"\n"
        );
    }

    #[test]
    fn ubuntu_needs_no_shell_for_its_linker_cache() {
        let root = Root::new(&[("ldconfig", "exit 1"), ("ldconfig.real", "true")], &[]);
        let (result, log) = root.prepare();
        result.unwrap();
        assert!(log.starts_with("$ ldconfig.real\n"), "{log}");
    }

    #[test]
    fn fedora_gets_its_crypto_policies() {
        let root = Root::new(
            &[],
            &[("usr/share/crypto-policies/DEFAULT/rpm.txt", "policy")],
        );
        let back_ends = root.root().join(CRYPTO_POLICY);
        fs_err::create_dir_all(&back_ends).unwrap();
        symlink("../../DEFAULT/rpm.txt", back_ends.join("rpm.config")).unwrap();
        root.prepare().0.unwrap();
        assert!(
            root.etc()
                .contains("crypto-policies/back-ends/rpm.config 0644 \"policy\"\n"),
            "{}",
            root.etc()
        );
    }

    #[test]
    fn preparing_twice_changes_nothing() {
        let root = Root::new(
            &[],
            &[("usr/share/crypto-policies/back-ends/DEFAULT/a", "policy")],
        );
        root.prepare().0.unwrap();
        let first = root.etc();
        assert_eq!(root.prepare().0.unwrap(), MachineId::Found);
        assert_eq!(root.etc(), first);
    }

    #[test]
    fn users_that_can_not_be_made_end_the_build() {
        let root = Root::new(&[("systemd-sysusers", "echo broken >&2; exit 1")], &[]);
        let (result, log) = root.prepare();
        assert_eq!(
            result.unwrap_err().to_string(),
            "Command '['systemd-sysusers']' returned non-zero exit status 1."
        );
        assert!(log.ends_with("$ systemd-sysusers\nbroken\n"), "{log}");
    }
}

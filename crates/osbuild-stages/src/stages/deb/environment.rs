//! What maintainer scripts run in: the tree, with the kernel's file systems, and programs that would do too much replaced.
//!
//! Replacements are bind mounts: nothing of them stays in the tree, whatever happens.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use osbuild_packages::deb::archive::Archive;
use osbuild_packages::deb::database::Database;
use osbuild_stage_api::{Chroot, StageContext, TreeRoot};
use rustix::mount::UnmountFlags;

use super::{failure, initramfs, scripts};

/// Where a script finds its programs: what dpkg asks for itself.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const NO_DAEMON: &str =
    "#!/bin/sh\necho 'start-stop-daemon: no service is started while packages are installed'\n";
/// Programs of the tree that do nothing for now.
const REPLACED: [(&str, &str); 4] = [
    ("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n"),
    // The same file where `/usr` is merged.
    ("/sbin/start-stop-daemon", NO_DAEMON),
    ("/usr/sbin/start-stop-daemon", NO_DAEMON),
    ("/usr/sbin/update-initramfs", initramfs::STAND_IN),
];

/// Whether dpkg runs the triggers of the packages it has configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Triggers {
    /// At the end of this run.
    Run,
    /// A later run does.
    Later,
}

/// The tree, ready to run its programs.
pub(super) struct Environment<'a> {
    context: &'a StageContext,
    native: String,
    dpkg_version: String,
    tree: TreeRoot,
    chroot: Chroot<'a>,
    scratch: tempfile::TempDir,
}

impl<'a> Environment<'a> {
    /// Mounts what programs expect.
    pub(super) fn enter(context: &'a StageContext, dpkg: &Archive) -> Result<Self> {
        let tree = context.tree_path()?;
        let chroot = context.chroot()?;
        let scratch = tempfile::tempdir().context("making a temporary directory")?;
        Ok(Self {
            context,
            native: dpkg.architecture().to_owned(),
            dpkg_version: dpkg.version().to_owned(),
            tree,
            chroot,
            scratch,
        })
    }

    /// The version of the dpkg that is at work.
    pub(super) fn dpkg_version(&self) -> &str {
        &self.dpkg_version
    }

    pub(super) fn tree(&self) -> &TreeRoot {
        &self.tree
    }

    /// Prepares to run a program of the tree with nothing but our environment.
    pub(super) fn command(
        &self,
        variables: &[(&str, &str)],
        program: &str,
    ) -> osbuild_stage_api::Command {
        let epoch = self.context.source_epoch().map(|epoch| epoch.to_string());
        let always = [
            ("PATH", PATH),
            ("HOME", "/root"),
            ("TERM", "dumb"),
            ("LC_ALL", "C.UTF-8"),
            ("DEBIAN_FRONTEND", "noninteractive"),
            ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
        ];
        let epoch = epoch.as_deref().map(|epoch| ("SOURCE_DATE_EPOCH", epoch));
        let all = always.iter().chain(variables).copied().chain(epoch);
        self.chroot
            .command("env")
            .arg("-i")
            .args(all.map(|(name, value)| format!("{name}={value}")))
            .arg(program)
            .quiet()
    }

    /// Runs the `preinst` of a package, if it has one.
    pub(super) fn preinst(&self, database: &Database, archive: &Archive) -> Result<()> {
        if archive.control_file("preinst").is_none() {
            return Ok(());
        }
        let _replaced = self.replace_programs()?;
        scripts::preinst(self, database, archive, &self.native)
    }

    /// Lets dpkg configure these packages, or all that are not.
    pub(super) fn configure(&self, packages: &[String], triggers: Triggers) -> Result<()> {
        let _replaced = self.replace_programs()?;
        let all = ["-a".to_owned()];
        let ran = self
            .command(&[], "dpkg")
            .args([
                "--force-unsafe-io",
                "--force-confdef",
                "--force-confold",
                "--abort-after=1",
            ])
            .args((triggers == Triggers::Later).then_some("--no-triggers"))
            .arg("--configure")
            .args(if packages.is_empty() { &all } else { packages })
            .run();
        ran.map_err(failure::of_dpkg)
    }

    /// Gives debconf its answers.
    pub(super) fn set_debconf(&self, answers: &[String]) -> Result<()> {
        if answers.is_empty() {
            return Ok(());
        }
        let text = answers.join("\n") + "\n";
        self.command(&[], "debconf-set-selections")
            .input(text)
            .run()
            .context("setting the answers for debconf")
    }

    /// Makes what `update-initramfs` was asked for; tells whether there was something.
    pub(super) fn make_initramfs(&self) -> Result<bool> {
        initramfs::make(self)
    }

    /// Empties `/run`, but for `/run/lock` (policy 9.1.4), and `/tmp`.
    pub(super) fn remove_scratch(&self) -> Result<()> {
        let found = [
            "/run",
            "/tmp",
            "-mindepth",
            "1",
            "-maxdepth",
            "1",
            "!",
            "-path",
            "/run/lock",
        ];
        let remove = ["-exec", "rm", "-rf", "--one-file-system", "{}", "+"];
        let ran = self.command(&[], "find").args(found).args(remove).run();
        ran.context("emptying /run and /tmp")
    }

    /// Puts the replacements over the programs that are there by now, until the result is dropped.
    fn replace_programs(&self) -> Result<Replaced<'_>> {
        let mut replaced = Replaced {
            mounts: Mounts::default(),
            made: None,
            tree: &self.tree,
        };
        for (path, script) in REPLACED {
            if !self.tree.exists(path)? {
                // Services are asked about by the absence of this one, too.
                if !path.ends_with("policy-rc.d") || self.tree.has_entry(path)? {
                    continue;
                }
                self.tree.write(path, "")?;
                replaced.made = Some(path);
            }
            let name = Path::new(path)
                .file_name()
                .context("every program has a name")?;
            let file = self.scratch.path().join(name);
            if !file.exists() {
                fs_err::write(&file, script)?;
                fs_err::set_permissions(
                    &file,
                    std::os::unix::fs::PermissionsExt::from_mode(0o755),
                )?;
            }
            let target = self.tree.real_path(path)?;
            if !replaced.mounts.0.contains(&target) {
                replaced.mounts.bind(&file, &target)?;
            }
        }
        Ok(replaced)
    }
}

/// Programs that are replaced for now.
struct Replaced<'a> {
    mounts: Mounts,
    made: Option<&'static str>,
    tree: &'a TreeRoot,
}

impl Drop for Replaced<'_> {
    fn drop(&mut self) {
        self.mounts.unmount();
        if let Some(path) = self.made
            && let Err(error) = self.tree.remove_file(path)
        {
            tracing::debug!("removing {path}: {error:#}");
        }
    }
}

/// Mounts of ours, the last one goes first.
#[derive(Debug, Default)]
struct Mounts(Vec<PathBuf>);

impl Mounts {
    fn bind(&mut self, source: &Path, target: &Path) -> Result<()> {
        rustix::mount::mount_bind(source, target)
            .map_err(std::io::Error::from)
            .with_context(|| format!("covering {}", target.display()))?;
        self.0.push(target.to_owned());
        Ok(())
    }

    fn unmount(&mut self) {
        while let Some(target) = self.0.pop() {
            if let Err(error) = rustix::mount::unmount(&target, UnmountFlags::DETACH) {
                tracing::debug!("unmounting {}: {error}", target.display());
            }
        }
    }
}

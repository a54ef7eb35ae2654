//! Installs RPM packages, in one transaction of the build root's `rpm`.
//!
//! Signatures and digests are checked by fewer processes than upstream starts, or on the other processors while rpm is
//! at work, but none is left out; `docs/decisions/0006-rpm-packages.md` says how and why.

mod dracut;
mod install;
mod keys;
mod metadata;
mod programs;
mod shortcut;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use anyhow::Result;
use indexmap::IndexMap;
use osbuild_stage_api::{StageContext, StageError, StageModule};
use serde::Deserialize;

use self::programs::Programs;
use crate::shared::fake_machine_id::FakeMachineId;
use crate::shared::no_sync::without_sync;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.rpm", include_str!("rpm.meta.json"), run);

/// What tells packages that the system is to be booted by ostree.
const OSTREE_BOOTED: &str = "/run/ostree-booted";
/// Random numbers that no two machines may share.
const RANDOM_SEED: &str = "/var/lib/systemd/random-seed";

/// Manifests of format 1 list the packages here too; the engine makes an input of that.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the options are those of the manifest"
)]
struct Options {
    dbpath: Option<String>,
    gpgkeys: Vec<String>,
    #[serde(rename = "gpgkeys.fromtree")]
    gpgkeys_from_tree: Vec<String>,
    rpmkeys: RpmkeysOptions,
    disable_dracut: bool,
    exclude: Exclude,
    install_langs: Vec<String>,
    nodeps: bool,
    ignorearch: bool,
    ostree_booted: bool,
    generic_env: IndexMap<String, String>,
    kernel_install_env: KernelInstallEnvironment,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RpmkeysOptions {
    bin_path: Option<String>,
    ignore_import_failures: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Exclude {
    docs: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct KernelInstallEnvironment {
    boot_root: String,
    conf_root: String,
    plugins: String,
    machine_id: String,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let environment = environment(&options)?;
    let programs = Programs::new(context, &options);
    without_sync(|| {
        programs.check_database()?;
        keys::import(&programs, &options)?;
        keys::check_signatures(&programs)?;
        let chroot = context.chroot_to_install()?;
        install_packages(&programs, &options, &environment)?;
        drop(chroot);
        context.tree_path()?.remove_file(RANDOM_SEED)?;
        context.write_metadata(&metadata::packages(&programs)?)
    })
}

fn install_packages(
    programs: &Programs<'_>,
    options: &Options,
    environment: &[(&str, &str)],
) -> Result<()> {
    let tree = programs.context.tree_path()?;
    let machine_id = FakeMachineId::make_if_missing(&tree)?;
    if options.ostree_booted {
        tree.create_dir_all("/run")?;
        tree.write(OSTREE_BOOTED, "")?;
    }
    if options.disable_dracut {
        dracut::mask(&tree)?;
    }
    install::install(programs, options, environment)?;
    keys::import_from_tree(programs, &options.gpgkeys_from_tree)?;
    if options.disable_dracut {
        dracut::unmask(&tree)?;
    }
    machine_id.empty()?;
    if options.ostree_booted {
        tree.remove_file(OSTREE_BOOTED)?;
    }
    Ok(())
}

/// Variables for rpm and for what it starts; those of `kernel-install` under its own names.
fn environment(options: &Options) -> Result<Vec<(&str, &str)>> {
    let kernel_install = &options.kernel_install_env;
    let known = [
        ("BOOT_ROOT", &kernel_install.boot_root),
        ("KERNEL_INSTALL_CONF_ROOT", &kernel_install.conf_root),
        ("KERNEL_INSTALL_PLUGINS", &kernel_install.plugins),
        ("MACHINE_ID", &kernel_install.machine_id),
    ];
    let generic = options.generic_env.iter();
    let generic = generic.map(|(name, value)| (name.as_str(), value.as_str()));
    let given = known.into_iter().filter(|(_, value)| !value.is_empty());
    let given: Vec<(&str, &str)> = given.map(|(name, value)| (name, value.as_str())).collect();
    let twice: BTreeSet<&str> = given
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| options.generic_env.contains_key(*name))
        .collect();
    if !twice.is_empty() {
        let names = twice.into_iter().collect::<Vec<_>>().join(", ");
        let text = format!("given by `generic_env` and by `kernel_install_env`: {names}");
        return Err(StageError::new("ValueError", text).into());
    }
    Ok(generic.chain(given).collect())
}

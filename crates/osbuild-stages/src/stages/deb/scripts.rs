//! Runs a `preinst` as dpkg does.

use anyhow::{Context, Result};
use osbuild_packages::deb::archive::Archive;
use osbuild_packages::deb::database::Database;

use super::environment::Environment;
use super::failure;

/// Where dpkg has the script while it runs it; debconf finds the package's templates beside it.
const SCRIPT: &str = "/var/lib/dpkg/tmp.ci/preinst";

/// Runs `preinst install`.
pub(super) fn preinst(
    environment: &Environment<'_>,
    database: &Database,
    archive: &Archive,
    native: &str,
) -> Result<()> {
    let package = archive.package();
    database.stage_control(archive)?;
    let architecture = match archive.architecture() {
        "all" => native,
        architecture => architecture,
    };
    let variables = [
        ("DPKG_MAINTSCRIPT_PACKAGE", package),
        ("DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT", "1"),
        ("DPKG_MAINTSCRIPT_ARCH", architecture),
        ("DPKG_MAINTSCRIPT_NAME", "preinst"),
        ("DPKG_MAINTSCRIPT_DEBUG", "0"),
        ("DPKG_RUNNING_VERSION", environment.dpkg_version()),
        ("DPKG_ADMINDIR", "/var/lib/dpkg"),
        ("DPKG_ROOT", ""),
    ];
    let ran = environment.command(&variables, SCRIPT).arg("install").run();
    ran.map_err(|error| failure::of_script(package, "preinst", error))?;
    database
        .unstage_control(archive)
        .with_context(|| format!("after the preinst of `{package}`"))
}

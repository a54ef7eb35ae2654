//! The pipeline `os`: packages, then everything the recipe configures, in one tree.
//!
//! Of Debian's packages it is made without a build root: its stages are this program's own or run programs of the tree
//! itself, so it can be made while the build root is made. RPM's packages are installed by the build root's `rpm`.

use serde_json::{Map, Value, json};

use super::identifiers::Identifiers;
use super::placement::{Placed, What, place};
use super::settings::{self, SystemFile};
use super::sources::Sources;
use super::stage::{files_input, stage, stage_with_inputs};
use super::{boot, fstab, rpm};
use crate::attachments::Attachments;
use crate::base_accounts::BaseAccounts;
use crate::distribution::PackageKind;
use crate::lock::Lock;
use crate::recipe::{Content, Recipe, User};

/// Name of the pipeline.
pub(super) const PIPELINE: &str = "os";

/// The stages of the system.
pub(super) fn stages(
    recipe: &Recipe,
    attachments: &Attachments,
    lock: &Lock,
    sources: &mut Sources,
) -> Vec<Value> {
    let identifiers = Identifiers::of(recipe);
    let mut stages = Vec::new();
    stages.extend(before_packages(recipe, lock, &identifiers, sources));
    stages.push(match recipe.package_kind() {
        PackageKind::Deb => packages(&lock.packages.system, json!({}), sources),
        PackageKind::Rpm => rpm::packages(recipe, attachments, &lock.packages.system, sources),
    });
    stages.extend(mountpoints(recipe));
    stages.extend(settings_stages(recipe));
    stages.extend(accounts(recipe));
    stages.extend(files(recipe, attachments, lock, sources));
    stages.extend(services(recipe, lock));
    stages.extend(boot::menu(recipe, &identifiers));
    stages.push(stage(
        "org.osbuild.machine-id",
        json!({ "first-boot": "no" }),
    ));
    stages
}

/// Installs packages into the tree.
pub(super) fn packages<'a>(
    packages: impl IntoIterator<Item = &'a crate::lock::LockedPackage>,
    options: Value,
    sources: &mut Sources,
) -> Value {
    let references: Vec<String> = packages
        .into_iter()
        .map(|package| sources.package(package))
        .collect();
    let inputs = json!({ "packages": files_input(references) });
    stage_with_inputs("org.osbuild.deb", inputs, options)
}

/// What maintainer scripts read has to be there before they run.
fn before_packages(
    recipe: &Recipe,
    lock: &Lock,
    identifiers: &Identifiers,
    sources: &mut Sources,
) -> Vec<Value> {
    let files = settings::before_packages(recipe, lock);
    let mut stages = place(&placed(&files), sources);
    if let Some(fstab) = fstab::stage(recipe, identifiers) {
        if stages.is_empty() {
            let paths = json!([{ "path": "/etc", "parents": true, "exist_ok": true }]);
            stages.push(stage("org.osbuild.mkdir", json!({ "paths": paths })));
        }
        stages.push(fstab);
    }
    stages
}

fn placed(files: &[SystemFile]) -> Vec<Placed<'_>> {
    files
        .iter()
        .map(|file| Placed::file(file.path, file.content.as_bytes(), file.mode))
        .collect()
}

/// The places that other file systems are mounted at.
fn mountpoints(recipe: &Recipe) -> Option<Value> {
    let disk = recipe.disk.as_ref()?;
    let paths: Vec<Value> = disk
        .file_systems()
        .filter(|(_, system)| system.mountpoint != "/")
        .map(|(_, system)| json!({ "path": system.mountpoint, "parents": true, "exist_ok": true }))
        .collect();
    (!paths.is_empty()).then(|| stage("org.osbuild.mkdir", json!({ "paths": paths })))
}

fn settings_stages(recipe: &Recipe) -> Vec<Value> {
    let mut stages = Vec::new();
    if let Some(hostname) = &recipe.hostname {
        stages.push(stage(
            "org.osbuild.hostname",
            json!({ "hostname": hostname }),
        ));
    }
    if let Some(locale) = &recipe.locale {
        stages.push(stage("org.osbuild.locale", json!({ "language": locale })));
    }
    if let Some(zone) = &recipe.timezone {
        stages.push(stage("org.osbuild.timezone", json!({ "zone": zone })));
    }
    stages
}

fn accounts(recipe: &Recipe) -> Vec<Value> {
    let mut stages = Vec::new();
    if !recipe.groups.is_empty() {
        let groups: Map<String, Value> = recipe
            .groups
            .iter()
            .map(|group| {
                let options = group
                    .gid
                    .map_or_else(|| json!({}), |gid| json!({ "gid": gid }));
                (group.name.clone(), options)
            })
            .collect();
        stages.push(stage("org.osbuild.groups", json!({ "groups": groups })));
    }
    if !recipe.users.is_empty() {
        let base = BaseAccounts::of(recipe.package_kind());
        let users: Map<String, Value> = recipe
            .users
            .iter()
            .map(|user| (user.name.clone(), user_json(user, base)))
            .collect();
        stages.push(stage("org.osbuild.users", json!({ "users": users })));
    }
    stages
}

/// Shell of a user that names none; `useradd` alone would give `/bin/sh`.
const DEFAULT_SHELL: &str = "/bin/bash";

fn user_json(user: &User, base: &BaseAccounts) -> Value {
    let mut options = Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            options.insert(key.to_owned(), value);
        }
    };
    set("uid", user.uid.map(Value::from));
    set("gid", user.gid.map(Value::from));
    set(
        "groups",
        (!user.groups.is_empty()).then(|| json!(user.groups)),
    );
    set("description", user.description.clone().map(Value::from));
    let is_new = !base.has_user(&user.name);
    // `useradd` makes a home only when it is told where.
    let usual_home = || is_new.then(|| format!("/home/{}", user.name));
    set(
        "home",
        user.home.clone().or_else(usual_home).map(Value::from),
    );
    let usual_shell = || is_new.then(|| DEFAULT_SHELL.to_owned());
    set(
        "shell",
        user.shell.clone().or_else(usual_shell).map(Value::from),
    );
    set("password", user.password.clone().map(Value::from));
    set(
        "keys",
        (!user.ssh_keys.is_empty()).then(|| json!(user.ssh_keys)),
    );
    Value::Object(options)
}

/// Files the settings imply, then the recipe's own, which may replace them.
fn files(
    recipe: &Recipe,
    attachments: &Attachments,
    lock: &Lock,
    sources: &mut Sources,
) -> Vec<Value> {
    let implied: Vec<SystemFile> = settings::after_packages(recipe, lock)
        .into_iter()
        .filter(|file| !recipe.files.iter().any(|own| own.path == file.path))
        .collect();
    let mut things = placed(&implied);
    things.extend(recipe.files.iter().map(|file| Placed {
        path: &file.path,
        what: match &file.content {
            Content::Text(text) => What::Content(text.as_bytes()),
            Content::Source(source) => What::Content(attachments.get(source).unwrap_or_default()),
            Content::Link(target) => What::Link(target),
            Content::Directory => What::Directory,
        },
        mode: file.mode,
        owner: file.owner.as_ref(),
        group: file.group.as_ref(),
    }));
    place(&things, sources)
}

fn services(recipe: &Recipe, lock: &Lock) -> Option<Value> {
    let services = &recipe.services;
    let mut options = Map::new();
    let mut enable = services.enable.clone();
    enable.extend(settings::implied_services(recipe, lock));
    for (key, units) in [
        ("enabled_services", &enable),
        ("disabled_services", &services.disable),
        ("masked_services", &services.mask),
    ] {
        if !units.is_empty() {
            options.insert(key.to_owned(), json!(units));
        }
    }
    if let Some(target) = &services.target {
        options.insert("default_target".to_owned(), json!(target));
    }
    (!options.is_empty()).then(|| stage("org.osbuild.systemd", Value::Object(options)))
}

//! Configuration files that distributions need for what a recipe sets.

use std::fmt::Write as _;

use crate::distribution::PackageKind;
use crate::lock::Lock;
use crate::recipe::{Keymap, Recipe, Sudo};
use crate::requirement::BUILT_IN_LOCALE;

/// Unit that makes the host keys of the SSH server when the system starts for the first time.
const HOST_KEYS_UNIT: &str = "ssh-host-keys.service";

/// Paths of the host keys that the SSH server's package would make while it is installed.
const HOST_KEYS: [&str; 3] = [
    "/etc/ssh/ssh_host_ecdsa_key",
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssh/ssh_host_rsa_key",
];

/// A configuration file of the system.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SystemFile {
    pub(super) path: &'static str,
    pub(super) content: String,
    pub(super) mode: u32,
}

impl SystemFile {
    fn new(path: &'static str, content: impl Into<String>) -> Self {
        Self {
            path,
            content: content.into(),
            mode: 0o644,
        }
    }
}

/// Files that packages read while they are configured.
pub(super) fn before_packages(recipe: &Recipe, lock: &Lock) -> Vec<SystemFile> {
    let mut files = Vec::new();
    if recipe.package_kind() == PackageKind::Rpm {
        // Their scripts read nothing of the kind.
        return files;
    }
    if let Some(locale) = recipe
        .locale
        .as_ref()
        .filter(|locale| *locale != BUILT_IN_LOCALE)
    {
        // `locales` generates what this file lists.
        files.push(SystemFile::new(
            "/etc/locale.gen",
            format!("{locale} UTF-8\n"),
        ));
    }
    if let Some(keymap) = &recipe.keymap {
        let variant = keymap.variant.as_deref().unwrap_or_default();
        let layout = &keymap.layout;
        // `console-setup` compiles what this file names into the tables it loads at boot.
        files.push(SystemFile::new(
            "/etc/default/keyboard",
            format!(
                "XKBMODEL=\"pc105\"\nXKBLAYOUT=\"{layout}\"\nXKBVARIANT=\"{variant}\"\nXKBOPTIONS=\"\"\nBACKSPACE=\"guess\"\n"
            ),
        ));
    }
    if makes_host_keys(recipe, lock) {
        // The package makes no key that exists, and `ssh-keygen -A` replaces an empty one: so an image holds no
        // secret, and no two machines have the same key.
        files.extend(HOST_KEYS.map(|path| SystemFile {
            mode: 0o600,
            ..SystemFile::new(path, "")
        }));
    }
    files
}

/// Files that are put there once packages are configured.
pub(super) fn after_packages(recipe: &Recipe, lock: &Lock) -> Vec<SystemFile> {
    let mut files = match recipe.package_kind() {
        PackageKind::Deb => of_debian(recipe),
        PackageKind::Rpm => recipe.keymap.iter().map(console).collect(),
    };
    if recipe.users.iter().any(|user| user.sudo != Sudo::No) {
        files.push(SystemFile {
            mode: 0o440,
            ..SystemFile::new("/etc/sudoers.d/recipe", sudoers(recipe))
        });
    }
    if makes_host_keys(recipe, lock) {
        files.push(SystemFile::new(
            "/etc/systemd/system/ssh-host-keys.service",
            host_keys_unit(),
        ));
    }
    files
}

/// What systemd sets up the console by, and what it tells desktops; `kbd` has a table for each XKB layout and variant.
fn console(keymap: &Keymap) -> SystemFile {
    let layout = &keymap.layout;
    let mut text = match &keymap.variant {
        Some(variant) => format!("KEYMAP=\"{layout}-{variant}\"\nXKBVARIANT=\"{variant}\"\n"),
        None => format!("KEYMAP=\"{layout}\"\n"),
    };
    writeln!(text, "XKBLAYOUT=\"{layout}\"").expect("writing to a string cannot fail");
    SystemFile::new("/etc/vconsole.conf", text)
}

/// Other systems read `/etc/locale.conf` and `/etc/localtime` only, and find their own name without `/etc/hosts`.
fn of_debian(recipe: &Recipe) -> Vec<SystemFile> {
    let mut files = Vec::new();
    if let Some(locale) = &recipe.locale {
        files.push(SystemFile::new(
            "/etc/default/locale",
            format!("LANG={locale}\n"),
        ));
    }
    if let Some(zone) = &recipe.timezone {
        files.push(SystemFile::new("/etc/timezone", format!("{zone}\n")));
    }
    if let Some(hostname) = &recipe.hostname {
        files.push(SystemFile::new("/etc/hosts", hosts(hostname)));
    }
    files
}

/// Units that the files above bring.
pub(super) fn implied_services(recipe: &Recipe, lock: &Lock) -> Vec<String> {
    if makes_host_keys(recipe, lock) {
        vec![HOST_KEYS_UNIT.to_owned()]
    } else {
        Vec::new()
    }
}

/// Whether the SSH server's package would make host keys; Fedora's leaves that to the first start.
fn makes_host_keys(recipe: &Recipe, lock: &Lock) -> bool {
    let mut packages = lock.packages.system.iter();
    recipe.package_kind() == PackageKind::Deb
        && packages.any(|package| package.name == "openssh-server")
}

fn host_keys_unit() -> String {
    "[Unit]\n\
     Description=Make the host keys of the SSH server\n\
     ConditionFileNotEmpty=!/etc/ssh/ssh_host_ed25519_key\n\
     Before=ssh.service\n\
     \n\
     [Service]\n\
     Type=oneshot\n\
     ExecStart=/usr/bin/ssh-keygen -A\n\
     RemainAfterExit=yes\n\
     \n\
     [Install]\n\
     WantedBy=multi-user.target\n"
        .to_owned()
}

/// The name resolves to the machine itself, as Debian's installer arranges it.
fn hosts(hostname: &str) -> String {
    let short = hostname.split('.').next().unwrap_or(hostname);
    let names = if short == hostname {
        hostname.to_owned()
    } else {
        format!("{hostname} {short}")
    };
    format!(
        "127.0.0.1\tlocalhost\n127.0.1.1\t{names}\n\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
    )
}

fn sudoers(recipe: &Recipe) -> String {
    let mut text = String::new();
    for user in &recipe.users {
        let tag = match user.sudo {
            Sudo::No => continue,
            Sudo::WithPassword => "",
            Sudo::WithoutPassword => "NOPASSWD: ",
        };
        writeln!(text, "{} ALL=(ALL:ALL) {tag}ALL", user.name)
            .expect("writing to a string cannot fail");
    }
    text
}

//! What upstream's `osbuild-image-info` tells of the system in a tree: `append_filesystem` of the tool.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::links::resolve;
use super::{services, subscription, syntax};
use crate::packages;
use crate::tree::{Tree, is_boot_entry};

type Report = Map<String, Value>;

/// Adds what the tree tells; nothing if it is neither a system nor the file system of its kernels.
pub(super) fn add(report: &mut Report, tree: &Tree) -> Result<()> {
    let Some(release) = text(tree, "etc/os-release") else {
        add_boot(report, tree, "");
        return Ok(());
    };
    add_packages(report, tree)?;
    report.insert(
        "os-release".to_owned(),
        Value::Object(syntax::variables(&release)),
    );
    let states = services::states(tree)?;
    for state in ["enabled", "disabled"] {
        let units = services::in_state(tree, &states, state);
        report.insert(format!("services-{state}"), json!(units));
    }
    add_identity(report, tree);
    add_files(report, tree);
    for (name, patterns, parse) in DIRECTORIES {
        put(report, name, globbed(tree, patterns, *parse));
    }
    let has_boot = tree.below(Path::new("boot")).next().is_some();
    if has_boot {
        add_boot(report, tree, "boot");
    }
    Ok(())
}

fn put(report: &mut Report, name: &str, value: Value) {
    let is_empty = match &value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::String(text) => text.is_empty(),
        other => other.is_null(),
    };
    if !is_empty {
        report.insert(name.to_owned(), value);
    }
}

fn add_packages(report: &mut Report, tree: &Tree) -> Result<()> {
    let (installed, absent) = match packages::rpm_database(tree) {
        None => (Vec::new(), Vec::new()),
        Some(database) => (
            packages::rpm_names(database)?,
            packages::rpm_absent_documentation(database)?,
        ),
    };
    report.insert("packages".to_owned(), json!(installed));
    put(report, "rpm_not_installed_docs", json!(absent));
    put(report, "deb-packages", json!(packages::deb_names(tree)));
    Ok(())
}

fn add_identity(report: &mut Report, tree: &Tree) {
    let target = ["etc/systemd/system", "usr/lib/systemd/system"]
        .iter()
        .find_map(|folder| last_name(tree, &format!("{folder}/default.target")));
    put(report, "default-target", json!(target));
    if let Some(name) = text(tree, "etc/hostname") {
        report.insert("hostname".to_owned(), json!(name.trim()));
    }
    let zone = tree
        .entries
        .get(Path::new("etc/localtime"))
        .and_then(|entry| entry.target.as_ref()?.file_name()?.to_str());
    put(report, "timezone", json!(zone));
    if let Some(id) = text(tree, "etc/machine-id") {
        let line = id.split_inclusive('\n').next().unwrap_or_default();
        report.insert("machine-id".to_owned(), json!(line));
    }
    for (file, name) in [("etc/passwd", "passwd"), ("etc/group", "groups")] {
        if let Some(text) = text(tree, file) {
            let mut lines: Vec<&str> = text.trim().lines().collect();
            lines.sort_unstable();
            report.insert(name.to_owned(), json!(lines));
        }
    }
}

/// Adds the files that have a report of a form of their own.
fn add_files(report: &mut Report, tree: &Tree) {
    let read = |path: &str| text(tree, path).unwrap_or_default();
    let mut authselect = syntax::lines(&read("etc/authselect/authselect.conf"), &['#']).into_iter();
    if let Some(profile) = authselect.next() {
        let features: Vec<String> = authselect.collect();
        let value = json!({"profile-id": profile, "enabled-features": features});
        put(report, "authselect", value);
    }
    put(
        report,
        "chrony",
        Value::Object(syntax::chrony(&read("etc/chrony.conf"))),
    );
    put(report, "container-images", container_images(tree));
    put(report, "dnf", dnf(tree));
    let automatic = syntax::ini(&read("etc/dnf/automatic.conf"));
    put(report, "/etc/dnf/automatic.conf", Value::Object(automatic));
    add_firewall(report, tree);
    let mut fstab: Vec<Vec<String>> = read("etc/fstab")
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect();
    fstab.sort();
    put(report, "fstab", json!(fstab));
    put(
        report,
        "hosts",
        json!(syntax::lines(&read("etc/hosts"), &[])),
    );
    let mut keyboard = Map::new();
    let console = syntax::variables(&read("etc/vconsole.conf"));
    put(&mut keyboard, "vconsole", Value::Object(console));
    let layout = syntax::x11_keyboard(&read("etc/X11/xorg.conf.d/00-keyboard.conf"));
    put(&mut keyboard, "X11", Value::Object(layout));
    put(report, "keyboard", Value::Object(keyboard));
    let locale = syntax::variables(&read("etc/locale.conf"));
    put(report, "locale", Value::Object(locale));
    put(
        report,
        "rhsm",
        subscription::report(|path| text(tree, path)),
    );
    let policy = syntax::variables(&read("etc/selinux/config"));
    if !policy.is_empty() {
        report.insert("selinux".to_owned(), json!({ "policy": policy }));
    }
    put(report, "sudoers", sudoers(tree));
    put(report, "sysconfig", sysconfig(tree));
    let mut tuned = Map::new();
    for name in ["active_profile", "profile_mode"] {
        put(
            &mut tuned,
            name,
            json!(read(&format!("etc/tuned/{name}")).trim()),
        );
    }
    put(report, "tuned", Value::Object(tuned));
    // Upstream looks for it in the root of the tree, where it never is; its key says what is meant.
    let resolver = syntax::lines(&read("etc/resolv.conf"), &['#']);
    report.insert("/etc/resolv.conf".to_owned(), json!(resolver));
    let rules: Map<String, Value> = matching(tree, "/etc/udev/rules.d/*.rules")
        .into_iter()
        .map(|(name, text)| (name, json!(syntax::lines(&text, &['#']))))
        .collect();
    put(report, "/etc/udev/rules.d", Value::Object(rules));
    put(report, "systemd-service-dropins", service_dropins(tree));
}

fn container_images(tree: &Tree) -> Value {
    let index = text(
        tree,
        "var/lib/containers/storage/overlay-images/images.json",
    );
    let images: Vec<Value> = index
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    let images = images.iter().map(|image| {
        let mut told =
            json!({"Id": image["id"], "Digest": image["digest"], "Names": image["names"]});
        if let Some(created) = image.get("created") {
            told["Created"] = created.clone();
        }
        told
    });
    images.collect()
}

fn dnf(tree: &Tree) -> Value {
    let mut told = Map::new();
    let main = syntax::ini(&text(tree, "etc/dnf/dnf.conf").unwrap_or_default());
    put(&mut told, "dnf.conf", Value::Object(main));
    let variables: Map<String, Value> = matching(tree, "/etc/dnf/vars/*")
        .into_iter()
        .map(|(name, text)| (name, json!(text.trim())))
        .collect();
    put(&mut told, "vars", Value::Object(variables));
    Value::Object(told)
}

fn add_firewall(report: &mut Report, tree: &Tree) {
    let main = syntax::variables(&text(tree, "etc/firewalld/firewalld.conf").unwrap_or_default());
    let zone = main.get("DefaultZone").and_then(Value::as_str);
    let name = zone.filter(|name| !name.is_empty()).unwrap_or("public");
    let definition = text(tree, &format!("etc/firewalld/zones/{name}.xml"))
        .or_else(|| text(tree, &format!("usr/lib/firewalld/zones/{name}.xml")));
    if let Some(definition) = definition {
        let services = syntax::firewall_services(&definition);
        report.insert("firewall-enabled".to_owned(), json!(services));
    }
    put(report, "firewall-default-zone", json!(zone));
}

/// Files of `sudoers.d` stand beside `/etc/sudoers`, as upstream has them.
fn sudoers(tree: &Tree) -> Value {
    let mut told = Map::new();
    let main = text(tree, "etc/sudoers").unwrap_or_default();
    put(
        &mut told,
        "/etc/sudoers",
        json!(syntax::lines(&main, &['#'])),
    );
    for (name, text) in matching(tree, "/etc/sudoers.d/*") {
        put(&mut told, &name, json!(syntax::lines(&text, &['#'])));
    }
    Value::Object(told)
}

fn sysconfig(tree: &Tree) -> Value {
    let mut told = Map::new();
    for name in ["kernel", "network"] {
        if let Some(text) = text(tree, &format!("etc/sysconfig/{name}")) {
            told.insert(name.to_owned(), Value::Object(syntax::variables(&text)));
        }
    }
    let scripts: Map<String, Value> = matching(tree, "/etc/sysconfig/network-scripts/ifcfg-*")
        .into_iter()
        .map(|(name, text)| {
            // Upstream takes away every leading letter of `ifcfg-`, of the name of the interface as well.
            let name = name.trim_start_matches(['i', 'f', 'c', 'g', '-']);
            (name.to_owned(), Value::Object(syntax::variables(&text)))
        })
        .collect();
    put(&mut told, "network-scripts", Value::Object(scripts));
    Value::Object(told)
}

fn service_dropins(tree: &Tree) -> Value {
    let mut told = Map::new();
    for folder in ["/etc/systemd/system", "/usr/lib/systemd/system"] {
        let mut services = Map::new();
        let place = Path::new(folder.trim_start_matches('/'));
        let below = tree.below(place);
        let names: BTreeSet<&str> = below
            .filter_map(|(path, _)| path.strip_prefix(place).ok()?.iter().next()?.to_str())
            .filter(|name| name.ends_with(".service.d"))
            .collect();
        for name in names {
            let dropins: Map<String, Value> = matching(tree, &format!("{folder}/{name}/*.conf"))
                .into_iter()
                .map(|(name, text)| (name, json!(syntax::lines(&text, &['#']))))
                .collect();
            put(&mut services, name, Value::Object(dropins));
        }
        put(&mut told, folder, Value::Object(services));
    }
    Value::Object(told)
}

/// Adds boot entries and GRUB's environment below `place`.
fn add_boot(report: &mut Report, tree: &Tree, place: &str) {
    let place = Path::new(place);
    let mut entries: Vec<Report> = tree
        .contents
        .iter()
        .filter(|(path, _)| is_boot_entry(path))
        .filter(|(path, _)| path.parent() == Some(&*place.join("loader/entries")))
        .map(|(_, content)| syntax::boot_entry(&String::from_utf8_lossy(content)))
        .collect();
    let title = |entry: &Report| entry.get("title").map(Value::to_string);
    entries.sort_by_key(title);
    let has_kernel = tree.entries.keys().any(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        path.parent() == Some(place) && name.is_some_and(|name| name.starts_with("vmlinuz-"))
    });
    if place.as_os_str().is_empty() && !has_kernel {
        return;
    }
    let environment = place.join("grub2/grubenv");
    if let Some(environment) = environment.to_str().and_then(|path| text(tree, path)) {
        let variables = Value::Object(syntax::variables(&environment));
        report.insert("boot-environment".to_owned(), variables);
    }
    report.insert("bootmenu".to_owned(), json!(entries));
}

/// How the files of some directories are read, and under which key they are told.
type DirectoryRow = (&'static str, &'static [&'static str], fn(&str) -> Value);

const DIRECTORIES: &[DirectoryRow] = &[
    (
        "dracut",
        &[
            "/etc/dracut.conf.d/*.conf",
            "/usr/lib/dracut/dracut.conf.d/*.conf",
        ],
        |text| Value::Object(syntax::dracut(text)),
    ),
    (
        "modprobe",
        &[
            "/etc/modprobe.d/*.conf",
            "/usr/lib/modprobe.d/*.conf",
            "/usr/local/lib/modprobe.d/*.conf",
        ],
        |text| Value::Object(syntax::blacklist(text)),
    ),
    (
        "security-limits",
        &["/etc/security/limits.conf", "/etc/security/limits.d/*.conf"],
        uncommented,
    ),
    (
        "ssh_config",
        &["/etc/ssh/ssh_config", "/etc/ssh/ssh_config.d/*.conf"],
        uncommented,
    ),
    (
        "sshd_config",
        &["/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/*.conf"],
        uncommented,
    ),
    (
        "sysctl.d",
        &["/etc/sysctl.d/*.conf", "/usr/lib/sysctl.d/*.conf"],
        |text| json!(syntax::lines(text, &['#', ';'])),
    ),
    (
        "systemd-logind",
        &[
            "/etc/systemd/logind.conf",
            "/etc/systemd/logind.conf.d/*.conf",
            "/usr/lib/systemd/logind.conf.d/*.conf",
        ],
        |text| syntax::ini(text).remove("Login").unwrap_or_default(),
    ),
    (
        "tmpfiles.d",
        &["/etc/tmpfiles.d/*.conf", "/usr/lib/tmpfiles.d/*.conf"],
        uncommented,
    ),
    ("yum_repos", &["/etc/yum.repos.d/*.repo"], |text| {
        Value::Object(syntax::ini(text))
    }),
];

fn uncommented(text: &str) -> Value {
    json!(syntax::lines(text, &['#']))
}

/// Reads files by directory and name; a directory that two patterns name is told as the last one found it.
fn globbed(tree: &Tree, patterns: &[&str], parse: fn(&str) -> Value) -> Value {
    let mut told = Map::new();
    for pattern in patterns {
        let mut files = Map::new();
        for (name, text) in matching(tree, pattern) {
            put(&mut files, &name, parse(&text));
        }
        let directory = pattern
            .rsplit_once('/')
            .map_or("", |(directory, _)| directory);
        put(&mut told, directory, Value::Object(files));
    }
    Value::Object(told)
}

/// Tells whether a path, from the root without its slash, is one of those that this module reads.
pub(crate) fn is_read(path: &Path) -> bool {
    const FILES: [&str; 23] = [
        "etc/X11/xorg.conf.d/00-keyboard.conf",
        "etc/authselect/authselect.conf",
        "etc/chrony.conf",
        "etc/dnf/automatic.conf",
        "etc/dnf/dnf.conf",
        "etc/dnf/plugins/product-id.conf",
        "etc/dnf/plugins/subscription-manager.conf",
        "etc/firewalld/firewalld.conf",
        "etc/hosts",
        "etc/locale.conf",
        "etc/machine-id",
        "etc/resolv.conf",
        "etc/rhsm/rhsm.conf",
        "etc/selinux/config",
        "etc/sudoers",
        "etc/sysconfig/kernel",
        "etc/sysconfig/network",
        "etc/tuned/active_profile",
        "etc/tuned/profile_mode",
        "etc/vconsole.conf",
        "boot/grub2/grubenv",
        // Of a file system that `/boot` has to itself.
        "grub2/grubenv",
        "var/lib/containers/storage/overlay-images/images.json",
    ];
    const PATTERNS: [&str; 6] = [
        "/etc/dnf/vars/*",
        "/etc/sudoers.d/*",
        "/etc/sysconfig/network-scripts/ifcfg-*",
        "/etc/udev/rules.d/*.rules",
        "/etc/firewalld/zones/*.xml",
        "/usr/lib/firewalld/zones/*.xml",
    ];
    let Some(path) = path.to_str() else {
        return false;
    };
    let mut patterns = DIRECTORIES
        .iter()
        .flat_map(|(_, patterns, _)| *patterns)
        .chain(&PATTERNS);
    FILES.contains(&path)
        || services::is_read(Path::new(path))
        || patterns.any(|pattern| matches(pattern, path))
}

/// Compares with a pattern of one star in its last component; as in a shell, a star is no leading dot.
fn matches(pattern: &str, path: &str) -> bool {
    let pattern = pattern.trim_start_matches('/');
    let Some((before, after)) = pattern.split_once('*') else {
        return pattern == path;
    };
    path.strip_prefix(before)
        .and_then(|rest| rest.strip_suffix(after))
        .is_some_and(|star| !star.contains('/') && !star.starts_with('.'))
}

/// Files that a pattern names, by their names.
fn matching(tree: &Tree, pattern: &str) -> Vec<(String, String)> {
    let directory = pattern.trim_start_matches('/').rsplit_once('/');
    tree.below(Path::new(directory.map_or("", |(directory, _)| directory)))
        .filter_map(|(path, _)| path.to_str())
        .filter(|path| matches(pattern, path))
        .filter_map(|path| {
            let name = path.rsplit('/').next()?;
            Some((name.to_owned(), text(tree, path)?))
        })
        .collect()
}

/// The text of a file, through links, which stay in the tree.
fn text(tree: &Tree, path: &str) -> Option<String> {
    let path = resolve(tree, Path::new(path))?;
    tree.text(path.to_str()?)
}

/// The name that a path ends at, through links; none if nothing is there.
fn last_name(tree: &Tree, path: &str) -> Option<String> {
    let path = resolve(tree, Path::new(path))?;
    Some(path.file_name()?.to_str()?.to_owned())
}

//! The commands of a kickstart file, in the order that upstream has them.

use serde_json::{Map, Value};

use super::{ClearPartitions, Options, Post, RootPassword, User};
use crate::shared::ini::python_str;

/// Options of `autopart`, in order.
const AUTOPART: [&str; 15] = [
    "type",
    "fstype",
    "nolvm",
    "encrypted",
    "passphrase",
    "escrowcert",
    "backuppassphrase",
    "cipher",
    "luks-version",
    "pbkdf",
    "pbkdf-memory",
    "pbkdf-time",
    "pbkdf-iterations",
    "nohome",
    "noswap",
];
/// Options of `network` that have a value, in order.
const NETWORK: [&str; 11] = [
    "device",
    "bootproto",
    "onboot",
    "ip",
    "ipv6",
    "gateway",
    "ipv6gateway",
    "netmask",
    "hostname",
    "essid",
    "wpakey",
];

/// Returns the lines of the file.
pub(super) fn lines(options: &Options) -> Vec<String> {
    let mut lines = content(options);
    for (name, group) in &options.groups {
        // Quirk of upstream: the number 0 counts as none.
        let gid = group.gid.as_ref().filter(|gid| gid.as_f64() != Some(0.0));
        let gid = gid.map(|gid| format!(" --gid {gid}")).unwrap_or_default();
        lines.push(format!("group --name {name}{gid}"));
    }
    for (name, user) in &options.users {
        lines.extend(user_lines(name, user));
    }
    lines.extend(root_password(&options.rootpw));
    for (command, value) in [
        ("lang", &options.lang),
        ("keyboard", &options.keyboard),
        ("timezone", &options.timezone),
    ] {
        lines.extend(given(value).map(|value| format!("{command} {value}")));
    }
    lines.extend(options.zerombr.then(|| "zerombr".to_owned()));
    lines.extend(options.clearpart.as_ref().map(clear_partitions));
    lines.extend(given(&options.display_mode).map(str::to_owned));
    lines.extend(options.autopart.as_ref().map(autopart));
    lines.extend(options.reboot.as_ref().and_then(reboot));
    lines.extend(options.network.iter().map(network));
    let append = given(&options.bootloader.append);
    lines.extend(append.map(|append| format!("bootloader --append='{append}'")));
    lines.extend(options.post.iter().flat_map(post));
    lines
}

fn given(value: &str) -> Option<&str> {
    (!value.is_empty()).then_some(value)
}

/// What is installed.
fn content(options: &Options) -> Vec<String> {
    let mut lines = Vec::new();
    let option = |line: &mut String, option: &str, value: &str| {
        if !value.is_empty() {
            line.push_str(&format!("{option}{value}"));
        }
    };
    if let Some(ostree) = &options.ostree {
        let mut line = format!(
            "ostreesetup --osname={} --url={} --ref={}",
            ostree.osname, ostree.url, ostree.reference
        );
        option(&mut line, " --remote=", &ostree.remote);
        if !ostree.gpg {
            line.push_str(" --nogpg");
        }
        lines.push(line);
    }
    if let Some(container) = &options.ostreecontainer {
        let mut line = format!("ostreecontainer --url={}", container.url);
        option(&mut line, " --stateroot=", &container.stateroot);
        option(&mut line, " --transport=", &container.transport);
        option(&mut line, " --remote=", &container.remote);
        lines.push(line);
    }
    if let Some(bootc) = &options.bootc {
        let mut line = format!("bootc --source-imgref {}", bootc.source);
        option(&mut line, " --target-imgref ", &bootc.target);
        lines.push(line);
    }
    let live = options.liveimg.as_ref();
    lines.extend(live.map(|image| format!("liveimg --url {}", image.url)));
    lines
}

fn user_lines(name: &str, user: &User) -> Vec<String> {
    let mut line = format!("user --name {name}");
    if let Some(password) = &user.password {
        let password = given(password).unwrap_or("\"\"");
        line.push_str(&format!(" --password {password} --iscrypted"));
    }
    let number = |value: &Option<serde_json::Number>| value.as_ref().map(ToString::to_string);
    for (option, value) in [
        ("shell", given(&user.shell).map(str::to_owned)),
        ("uid", number(&user.uid)),
        ("gid", number(&user.gid)),
        ("groups", given(&user.groups.join(",")).map(str::to_owned)),
        ("homedir", given(&user.home).map(str::to_owned)),
    ] {
        if let Some(value) = value {
            line.push_str(&format!(" --{option} {value}"));
        }
    }
    let mut lines = vec![line];
    lines.extend(given(&user.key).map(|key| format!("sshkey --username {name} \"{key}\"")));
    lines
}

fn root_password(root: &RootPassword) -> Option<String> {
    let switches = [
        (root.lock, "--lock"),
        (root.plaintext, "--plaintext"),
        (root.iscrypted, "--iscrypted"),
        (root.allow_ssh, "--allow-ssh"),
    ];
    let mut words = vec!["rootpw"];
    words.extend(
        switches
            .iter()
            .filter(|(is_on, _)| *is_on)
            .map(|(_, word)| *word),
    );
    words.extend(given(&root.password));
    (words.len() > 1).then(|| words.join(" "))
}

fn clear_partitions(clear: &ClearPartitions) -> String {
    let (drives, list) = (clear.drives.join(","), clear.list.join(","));
    let words = [
        clear.all.then(|| " --all".to_owned()),
        given(&drives).map(|drives| format!(" --drives={drives}")),
        given(&list).map(|list| format!(" --list={list}")),
        given(&clear.disklabel).map(|label| format!(" --disklabel={label}")),
        clear.linux.then(|| " --linux".to_owned()),
        clear.initlabel.then(|| " --initlabel".to_owned()),
    ];
    format!(
        "clearpart{}",
        words.into_iter().flatten().collect::<String>()
    )
}

fn autopart(options: &Map<String, Value>) -> String {
    let words = AUTOPART.iter().filter_map(|name| {
        Some(match options.get(*name)? {
            // Quirk of upstream: `false` switches it on as well.
            Value::Bool(_) => format!(" --{name}"),
            value => format!(" --{name}={}", python_str(value)),
        })
    });
    format!("autopart{}", words.collect::<String>())
}

fn reboot(reboot: &Value) -> Option<String> {
    let is_on = |name: &str| reboot.get(name).and_then(Value::as_bool) == Some(true);
    match reboot {
        Value::Bool(true) => Some("reboot".to_owned()),
        Value::Object(options) if !options.is_empty() => {
            let words = ["eject", "kexec"].into_iter().filter(|name| is_on(name));
            let words =
                std::iter::once("reboot".to_owned()).chain(words.map(|name| format!("--{name}")));
            Some(words.collect::<Vec<_>>().join(" "))
        }
        _ => None,
    }
}

fn network(network: &Map<String, Value>) -> String {
    let mut line = "network".to_owned();
    for name in NETWORK {
        if let Some(value) = network.get(name) {
            line.push_str(&format!(" --{name}={}", python_str(value)));
        }
    }
    let servers = network.get("nameservers").and_then(Value::as_array);
    for server in servers.into_iter().flatten() {
        line.push_str(&format!(" --nameserver={}", python_str(server)));
    }
    match network.get("activate").and_then(Value::as_bool) {
        Some(true) => line.push_str(" --activate"),
        Some(false) => line.push_str(" --no-activate"),
        None => {}
    }
    line
}

fn post(post: &Post) -> Vec<String> {
    let words = [
        post.erroronfail.then(|| " --erroronfail".to_owned()),
        post.nochroot.then(|| " --nochroot".to_owned()),
        given(&post.log).map(|log| format!(" --log \"{log}\"")),
        given(&post.interpreter).map(|program| format!(" --interpreter \"{program}\"")),
    ];
    let mut lines = vec![format!(
        "%post{}",
        words.into_iter().flatten().collect::<String>()
    )];
    lines.extend(post.commands.iter().cloned());
    lines.push("%end".to_owned());
    lines
}

//! Settings that `systemd-firstboot` checks and writes: by the build root's own, or here where it has none.
//!
//! A build without a build root, or in one without systemd, gives the same tree.

use anyhow::{Result, ensure};
use osbuild_stage_api::{StageContext, TreeRoot};

use crate::shared::places::is_outside;

/// `HOST_NAME_MAX` of Linux.
const HOSTNAME_MAX: usize = 64;
/// Names of locales and keyboard maps are shorter than this: `locale_is_valid`, `keymap_is_valid` of systemd.
const NAME_MAX: usize = 128;
/// The longest file name, in bytes.
const FILE_NAME_MAX: usize = 255;
/// Where a system has its time zones.
const TIMEZONES: &str = "/usr/share/zoneinfo";
/// What a file of a time zone starts with: tzfile(5).
const TIMEZONE_MAGIC: &[u8] = b"TZif";

/// Where the program writes.
const DIRECTORIES: [&str; 2] = ["/etc", "/etc/default"];

/// A setting and its value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Setting<'a> {
    Hostname(&'a str),
    Locale(&'a str),
    Timezone(&'a str),
    Keymap(&'a str),
}

impl Setting<'_> {
    /// The file that packages bring a default in.
    fn file(self) -> &'static str {
        match self {
            Self::Hostname(_) => "/etc/hostname",
            Self::Locale(_) => "/etc/locale.conf",
            Self::Timezone(_) => "/etc/localtime",
            Self::Keymap(_) => "/etc/vconsole.conf",
        }
    }

    fn argument(self) -> String {
        match self {
            Self::Hostname(value) => format!("--hostname={value}"),
            Self::Locale(value) => format!("--locale={value}"),
            Self::Timezone(value) => format!("--timezone={value}"),
            Self::Keymap(value) => format!("--keymap={value}"),
        }
    }
}

/// Writes a setting to its file of the tree, whether or not a package brought one: `systemd-firstboot` would leave
/// that alone.
pub(crate) fn replace(context: &StageContext, setting: Setting<'_>) -> Result<()> {
    let tree = context.tree_path()?;
    if tree.remove_file(setting.file())? {
        context.log(format_args!(
            "{} already exists. Replacing.",
            setting.file()
        ));
    }
    // The program would follow links of the tree out of it.
    if !context.has_program("systemd-firstboot") || is_outside(context, &DIRECTORIES)? {
        return write(&tree, setting);
    }
    context
        .command("systemd-firstboot")
        .arg(format!("--root={}", context.tree().display()))
        .arg(setting.argument())
        .run()
}

fn write(tree: &TreeRoot, setting: Setting<'_>) -> Result<()> {
    tree.create_dir_all("/etc")?;
    match setting {
        Setting::Hostname(name) => {
            ensure!(is_hostname(name), "Host name {name} is not valid.");
            tree.write("/etc/hostname", format!("{name}\n"))
        }
        Setting::Locale(name) => {
            ensure!(is_plain_name(name), "Locale {name} is not valid.");
            write_locale(tree, &format!("LANG={}\n", environment_value(name)))
        }
        Setting::Timezone(name) => {
            ensure!(
                is_timezone(tree, name)?,
                "Time zone {name} is not valid, or neither the tree nor the build root has it."
            );
            tree.symlink(format!("..{TIMEZONES}/{name}"), "/etc/localtime")
        }
        Setting::Keymap(name) => {
            ensure!(is_plain_name(name), "Keymap {name} is not valid.");
            let line = format!("KEYMAP={}\n", environment_value(name));
            tree.write("/etc/vconsole.conf", line)
        }
    }
}

/// Debian has the file elsewhere, and so has its `systemd-firstboot`.
fn write_locale(tree: &TreeRoot, line: &str) -> Result<()> {
    if !tree.is_file("/etc/debian_version")? {
        return tree.write("/etc/locale.conf", line);
    }
    tree.create_dir_all("/etc/default")?;
    // Since Debian 13 a link to the other one, which is gone by now.
    tree.remove_file("/etc/default/locale")?;
    tree.write("/etc/default/locale", line)
}

/// `hostname_is_valid` of systemd: labels of letters, digits and inner dashes.
fn is_hostname(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= HOSTNAME_MAX && name.split('.').all(is_label)
}

/// A file name without quotes and control characters.
fn is_plain_name(name: &str) -> bool {
    let is_safe = |c: char| !c.is_ascii_control() && !"\"'\\/".contains(c);
    !matches!(name, "" | "." | "..") && name.len() < NAME_MAX && name.chars().all(is_safe)
}

/// `timezone_is_valid` of systemd; the tree's own zones count as well as those of the build root.
fn is_timezone(tree: &TreeRoot, name: &str) -> Result<bool> {
    if name == "UTC" {
        return Ok(true);
    }
    let is_part = |part: &str| {
        !part.is_empty()
            && part.len() <= FILE_NAME_MAX
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_+".contains(&byte))
    };
    if !name.split('/').all(is_part) {
        return Ok(false);
    }
    let file = format!("{TIMEZONES}/{name}");
    for root in [tree.clone(), TreeRoot::open("/".as_ref())?] {
        if root.is_file(&file)? && root.read(&file)?.starts_with(TIMEZONE_MAGIC) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A value of a file of variables, in quotes where a shell would need them: `write_env_file` of systemd.
fn environment_value(value: &str) -> String {
    const ESCAPED: &str = "\"\\`$";
    const QUOTED: &str = "*?['()<>|&;! \t\n\r";
    if !value.contains(|c| ESCAPED.contains(c) || QUOTED.contains(c)) {
        return value.to_owned();
    }
    let mut text = String::from('"');
    for c in value.chars() {
        if ESCAPED.contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::{Value, json};

    use crate::lookup;

    const PROGRAM: &str = "systemd-firstboot";

    /// A stage, its options, and the file it is to write; `Err` if it is to fail.
    fn cases() -> Vec<(&'static str, Value, Result<&'static str, ()>)> {
        let mut cases = Vec::new();
        for (name, result) in [
            ("debian", Ok("etc/hostname 0644 \"debian\\n\"")),
            ("a.b-c.d", Ok("etc/hostname 0644 \"a.b-c.d\\n\"")),
            ("a.", Err(())),
            ("-a", Err(())),
            ("a_b", Err(())),
            ("a..b", Err(())),
            ("", Err(())),
        ] {
            cases.push(("org.osbuild.hostname", json!({"hostname": name}), result));
        }
        cases.push((
            "org.osbuild.hostname",
            json!({"hostname": "x".repeat(65)}),
            Err(()),
        ));
        for (name, result) in [
            ("UTC", Ok("etc/localtime -> ../usr/share/zoneinfo/UTC")),
            ("Nowhere/Else", Err(())),
            ("../x", Err(())),
            ("/UTC", Err(())),
        ] {
            cases.push(("org.osbuild.timezone", json!({"zone": name}), result));
        }
        for (name, result) in [
            (
                "de-latin1",
                Ok("etc/vconsole.conf 0644 \"KEYMAP=de-latin1\\n\""),
            ),
            ("a/b", Err(())),
            ("a'b", Err(())),
            (
                "a b",
                Ok("etc/vconsole.conf 0644 \"KEYMAP=\\\"a b\\\"\\n\""),
            ),
            (
                "a$b",
                Ok("etc/vconsole.conf 0644 \"KEYMAP=\\\"a\\\\$b\\\"\\n\""),
            ),
        ] {
            cases.push(("org.osbuild.keymap", json!({"keymap": name}), result));
        }
        cases
    }

    fn stage_test(name: &str, options: &Value) -> StageTest {
        StageTest::new(lookup(name).unwrap(), options.clone()).directory("etc")
    }

    #[test]
    fn settings_are_written_without_the_program() {
        for (name, options, expected) in cases() {
            let ran = stage_test(name, &options).without_program(PROGRAM).run();
            match expected {
                Ok(line) => assert_eq!(ran.success().tree, format!("etc/ 0755\n{line}\n")),
                Err(()) => assert!(
                    ran.result.is_err() && ran.tree == "etc/ 0755\n",
                    "{name} {options}: {}",
                    ran.tree
                ),
            }
        }
    }

    #[test]
    fn the_program_itself_does_the_same() {
        osbuild_testing::needs![tool("systemd-firstboot")];
        for (name, options, expected) in cases() {
            let ran = stage_test(name, &options).run();
            let native = stage_test(name, &options).without_program(PROGRAM).run();
            assert_eq!(ran.result.is_ok(), expected.is_ok(), "{name} {options}");
            assert_eq!(ran.tree, native.tree, "{name} {options}");
        }
    }

    #[test]
    fn a_locale_is_written_where_the_distribution_looks_for_it() {
        let run = |test: StageTest| test.without_program(PROGRAM).run().success().tree;
        let options = json!({"language": "en_GB.UTF-8"});
        let other = stage_test("org.osbuild.locale", &options).file("etc/locale.conf", "old");
        assert_eq!(
            run(other),
            "etc/ 0755\netc/locale.conf 0644 \"LANG=en_GB.UTF-8\\n\"\n"
        );
        let debian = stage_test("org.osbuild.locale", &options)
            .file("etc/debian_version", "")
            .symlink("etc/default/locale", "../locale.conf");
        assert_eq!(
            run(debian),
            "etc/ 0755\netc/debian_version 0644 \"\"\netc/default/ 0755\n\
             etc/default/locale 0644 \"LANG=en_GB.UTF-8\\n\"\n"
        );
    }

    #[test]
    fn a_time_zone_of_the_tree_is_good_enough() {
        let test = stage_test("org.osbuild.timezone", &json!({"zone": "Europe/Atlantis"}))
            .file("usr/share/zoneinfo/Europe/Atlantis", "TZif2");
        let ran = test.without_program(PROGRAM).run().success();
        assert_eq!(
            ran.tree.lines().nth(1),
            Some("etc/localtime -> ../usr/share/zoneinfo/Europe/Atlantis")
        );
    }
}

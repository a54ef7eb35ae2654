//! Whether files may be unpacked here while rpm only writes its database: what depends on rpm's settings.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Result, ensure};
use osbuild_packages::rpm::package::Package;
use osbuild_packages::rpm::unpack::{self, Owners, Plan};

use super::Options;
use super::programs::Programs;

/// Mounted where files get labels: rpm sets them as it unpacks.
const SELINUX: &str = "/sys/fs/selinux/enforce";
/// Settings that change what is unpacked or done with it, and their values where they change nothing.
const SETTINGS: [(&str, &[&str]); 4] = [
    ("%{?_netsharedpath}", &[""]),
    ("%{?_excludedocs}", &["", "0"]),
    ("%{?_excludeartifacts}", &["", "0"]),
    ("%{?_install_langs}", &["", "all"]),
];
/// Plug-ins that do something with each file; the settings name them whether they are there or not.
const PLUGINS: [&str; 3] = [
    "%{?__transaction_fapolicyd}",
    "%{?__transaction_fsverity}",
    "%{?__transaction_ima}",
];
/// How rpm's database shows keys.
const KEY: &str = "gpg-pubkey";

/// Decides who unpacks the packages.
pub(super) fn plan<'a>(
    programs: &Programs<'_>,
    options: &Options,
    packages: &'a [Package],
) -> Result<Plan<'a>> {
    if let Some(reason) = reason_of_options(options) {
        return Ok(Plan::LeaveToRpm(reason.to_owned()));
    }
    let tree = programs.context.tree();
    // Before anything is asked of rpm: most sets have scripts.
    let plan = unpack::plan(packages, tree, &owners(programs)?)?;
    if matches!(plan, Plan::LeaveToRpm(_)) {
        return Ok(plan);
    }
    let reason = match reason_of_settings(programs)? {
        None => reason_of_database(programs)?,
        reason => reason,
    };
    Ok(reason.map_or(plan, Plan::LeaveToRpm))
}

/// Makes sure that rpm has registered exactly what was unpacked.
pub(super) fn check(programs: &Programs<'_>, packages: &[Package]) -> Result<()> {
    let mut registered = registered(programs)?;
    registered.sort_unstable();
    let mut unpacked: Vec<&str> = packages.iter().map(Package::name).collect();
    unpacked.sort_unstable();
    ensure!(
        registered == unpacked,
        "rpm has registered other packages than were unpacked: {}",
        registered.join(" ")
    );
    Ok(())
}

fn reason_of_options(options: &Options) -> Option<&'static str> {
    if options.exclude.docs || !options.install_langs.is_empty() {
        Some("files are left out")
    } else if Path::new(SELINUX).exists() {
        Some("files are labelled")
    } else {
        None
    }
}

fn reason_of_settings(programs: &Programs<'_>) -> Result<Option<String>> {
    let settings = SETTINGS.iter().map(|(setting, _)| *setting);
    let questions = settings.chain(PLUGINS).flat_map(|asked| ["--eval", asked]);
    let rpm = programs.context.command("rpm").args(questions);
    let answers = rpm.quiet().read()?;
    let answers = String::from_utf8_lossy(&answers);
    let mut lines = answers.lines();
    for (setting, harmless) in SETTINGS {
        let value = lines.next().unwrap_or("unknown");
        if !harmless.contains(&value) {
            return Ok(Some(format!("its setting {setting} is `{value}`")));
        }
    }
    let plugin = lines.find(|plugin| Path::new(plugin).exists());
    Ok(plugin.map(|plugin| format!("its plug-in {plugin} is there")))
}

/// Packages that are there may have triggers, or files that the new ones share.
fn reason_of_database(programs: &Programs<'_>) -> Result<Option<String>> {
    let is_empty = registered(programs)?.is_empty();
    Ok((!is_empty).then(|| "the tree has packages already".to_owned()))
}

/// The names of the packages in the database.
fn registered(programs: &Programs<'_>) -> Result<Vec<String>> {
    let query = programs.rpm(&[]).args(["-qa", "--qf", "%{NAME}\\n"]);
    let names = query.quiet().read()?;
    let names = String::from_utf8_lossy(&names);
    let names = names.lines().filter(|name| *name != KEY);
    Ok(names.map(str::to_owned).collect())
}

fn owners(programs: &Programs<'_>) -> Result<Owners> {
    let tree = programs.context.tree_path()?;
    let numbers =
        |file: &str| Ok::<_, anyhow::Error>(parse(&tree.read_if_exists(file)?.unwrap_or_default()));
    Ok(Owners {
        users: numbers("/etc/passwd")?,
        groups: numbers("/etc/group")?,
    })
}

/// Both files have the name first and the number third; the first line of a name counts.
fn parse(text: &[u8]) -> HashMap<Vec<u8>, u32> {
    let mut numbers = HashMap::new();
    for line in text.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b':');
        let (Some(name), Some(number)) = (fields.next(), fields.nth(1)) else {
            continue;
        };
        let number = std::str::from_utf8(number)
            .ok()
            .and_then(|text| text.parse().ok());
        if let Some(number) = number {
            numbers.entry(name.to_vec()).or_insert(number);
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_name_counts() {
        let text = b"root:x:0:\nmail:x:8:a,b\n\nbroken\nno:x:number:\nmail:x:9:\n";
        let expected = [("root", 0), ("mail", 8)];
        let expected = expected.map(|(name, number)| (name.as_bytes().to_vec(), number));
        assert_eq!(parse(text), HashMap::from(expected));
    }
}

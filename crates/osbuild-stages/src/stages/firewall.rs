//! Configures firewalld of the tree.

use anyhow::Result;
use osbuild_stage_api::{ExitWith, StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.firewall",
    include_str!("firewall.meta.json"),
    run,
);

const PROGRAM: &str = "firewall-offline-cmd";
/// The program's status for a zone that does not exist: `INVALID_ZONE` of firewalld.
const NO_SUCH_ZONE: i32 = 112;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    ports: Vec<String>,
    #[serde(default)]
    enabled_services: Vec<String>,
    #[serde(default)]
    disabled_services: Vec<String>,
    #[serde(default)]
    default_zone: String,
    #[serde(default)]
    zones: Vec<Zone>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Zone {
    name: String,
    sources: Vec<String>,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let chroot = context.chroot()?;
    if !options.default_zone.is_empty() {
        let argument = format!("--set-default-zone={}", options.default_zone);
        chroot.command(PROGRAM).arg(argument).run()?;
    }
    let lists = [
        ("--port", &options.ports),
        ("--service", &options.enabled_services),
        ("--remove-service", &options.disabled_services),
    ];
    let arguments: Vec<_> = lists
        .into_iter()
        .flat_map(|(option, values)| values.iter().map(move |value| format!("{option}={value}")))
        .collect();
    // These can not be mixed with others.
    if !arguments.is_empty() {
        chroot.command(PROGRAM).args(arguments).run()?;
    }
    for Zone { name, sources } in &options.zones {
        let zone = |option: &str| chroot.command(PROGRAM).arg(format!("{option}={name}"));
        let mut status = zone("--info-zone").status()?;
        if status.code() == Some(NO_SUCH_ZONE) {
            status = zone("--new-zone").status()?;
        }
        if !status.success() {
            return Err(ExitWith(1).into());
        }
        if !sources.is_empty() {
            let sources = sources
                .iter()
                .map(|source| format!("--add-source={source}"));
            zone("--zone").args(sources).run()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::{Value, json};

    fn test(options: &Value, chroot: &str) -> StageTest {
        let test = StageTest::new(&STAGE, options.clone()).program("chroot", chroot);
        ["proc", "dev", "sys"]
            .into_iter()
            .fold(test, StageTest::directory)
    }

    #[test]
    fn ports_services_and_zones_are_set() {
        osbuild_testing::needs![root];
        let options = json!({
            "ports": ["53:tcp", "53:udp"], "enabled_services": ["ntp"], "disabled_services": ["telnet"],
            "default_zone": "work",
            "zones": [{"name": "new", "sources": ["192.0.2.0/24"]}, {"name": "old", "sources": []}],
        });
        let chroot = "case $3 in --info-zone=new) exit 112;; esac";
        assert_eq!(
            test(&options, chroot).run().success().log,
            "$ chroot TREE firewall-offline-cmd --set-default-zone=work\n\
             $ chroot TREE firewall-offline-cmd --port=53:tcp --port=53:udp --service=ntp --remove-service=telnet\n\
             $ chroot TREE firewall-offline-cmd --info-zone=new\n\
             $ chroot TREE firewall-offline-cmd --new-zone=new\n\
             $ chroot TREE firewall-offline-cmd --zone=new --add-source=192.0.2.0/24\n\
             $ chroot TREE firewall-offline-cmd --info-zone=old\n"
        );
    }

    #[test]
    fn an_unknown_service_fails_the_stage() {
        osbuild_testing::needs![root];
        let options = json!({"enabled_services": ["x"]});
        let ran = test(&options, "echo INVALID_SERVICE >&2; exit 101").run();
        assert_eq!(
            ran.error(),
            "CalledProcessError: Command '['chroot', 'TREE', 'firewall-offline-cmd', '--service=x']' \
             returned non-zero exit status 101."
        );
    }
}

//! Says where `chronyd` gets the time from.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::Number;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.chrony", include_str!("chrony.meta.json"), run);

const FILE: &str = "/etc/chrony.conf";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    timeservers: Vec<String>,
    #[serde(default)]
    servers: Vec<Server>,
    leapsectz: Option<String>,
    #[serde(default)]
    refclocks: Vec<ReferenceClock>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    hostname: String,
    minpoll: Option<Number>,
    maxpoll: Option<Number>,
    #[serde(default = "yes")]
    iburst: bool,
    #[serde(default)]
    prefer: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReferenceClock {
    driver: Driver,
    poll: Option<Number>,
    dpoll: Option<Number>,
    offset: Option<Number>,
}

/// Each has its own options, so its name is asked for first.
#[derive(Debug, Deserialize)]
#[serde(tag = "name", deny_unknown_fields)]
enum Driver {
    #[serde(rename = "PPS")]
    Pps {
        device: String,
        #[serde(default)]
        clear: bool,
    },
    #[serde(rename = "SHM")]
    Shm {
        segment: Number,
        perm: Option<String>,
    },
    #[serde(rename = "SOCK")]
    Sock { path: String },
    #[serde(rename = "PHC")]
    Phc {
        path: String,
        #[serde(default)]
        nocrossts: bool,
        #[serde(default)]
        extpps: bool,
        pin: Option<Number>,
        channel: Option<Number>,
        #[serde(default)]
        clear: bool,
    },
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let tree = context.tree_path()?;
    let before = tree.read_to_string(FILE)?;
    // What is asked for first ends up lowest, as upstream has it.
    let mut lines: Vec<String> = options.refclocks.iter().map(clock_line).collect();
    lines.extend(
        options
            .leapsectz
            .iter()
            .filter(|zone| !zone.is_empty())
            .map(|zone| format!("leapsectz {zone}")),
    );
    lines.extend(options.servers.iter().map(server_line));
    let bursts = options.timeservers.iter();
    lines.extend(bursts.map(|server| format!("server {server} iburst")));
    let is_replaced = |line: &str| {
        ["server ", "pool ", "peer "]
            .iter()
            .any(|directive| line.starts_with(directive))
            || options.leapsectz.is_some() && line.starts_with("leapsectz ")
    };
    let kept = before.split('\n').filter(|line| !is_replaced(line));
    lines.extend(kept.map(str::to_owned));
    tree.write(FILE, lines.join("\n"))
}

fn server_line(server: &Server) -> String {
    let mut line = format!("server {}", server.hostname);
    for (is_wanted, word) in [(server.prefer, " prefer"), (server.iburst, " iburst")] {
        if is_wanted {
            line.push_str(word);
        }
    }
    push_settings(
        &mut line,
        &[("minpoll", &server.minpoll), ("maxpoll", &server.maxpoll)],
    );
    line
}

fn clock_line(clock: &ReferenceClock) -> String {
    let mut line = format!("refclock {}", driver_words(&clock.driver));
    push_settings(
        &mut line,
        &[
            ("poll", &clock.poll),
            ("dpoll", &clock.dpoll),
            ("offset", &clock.offset),
        ],
    );
    line
}

fn push_settings(line: &mut String, settings: &[(&str, &Option<Number>)]) {
    for (name, value) in settings {
        if let Some(value) = value {
            line.push_str(&format!(" {name} {value}"));
        }
    }
}

fn driver_words(driver: &Driver) -> String {
    let flag = |is_set: bool, name: &str| is_set.then(|| name.to_owned());
    let number =
        |value: &Option<Number>, name: &str| value.as_ref().map(|value| format!("{name}={value}"));
    let (words, settings) = match driver {
        Driver::Pps { device, clear } => (format!("PPS {device}"), vec![flag(*clear, "clear")]),
        Driver::Shm { segment, perm } => (
            format!("SHM {segment}"),
            vec![perm.as_ref().map(|mode| format!("perm={mode}"))],
        ),
        Driver::Sock { path } => (format!("SOCK {path}"), Vec::new()),
        Driver::Phc {
            path,
            nocrossts,
            extpps,
            pin,
            channel,
            clear,
        } => (
            format!("PHC {path}"),
            vec![
                flag(*nocrossts, "nocrossts"),
                flag(*extpps, "extpps"),
                number(pin, "pin"),
                number(channel, "channel"),
                flag(*clear, "clear"),
            ],
        ),
    };
    let settings: Vec<_> = settings.into_iter().flatten().collect();
    if settings.is_empty() {
        words
    } else {
        format!("{words}:{}", settings.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::{Value, json};

    fn run_on(options: &Value, before: &str) -> String {
        let test = StageTest::new(&STAGE, options.clone()).file(FILE, before);
        test.run().success();
        fs_err::read_to_string(test.path(FILE)).unwrap()
    }

    const BEFORE: &str = "# comment\npool 2.pool.ntp.org iburst\nserver a\npeer b\nservers stay\nleapsectz right/UTC\n";

    #[test]
    fn servers_of_the_package_are_replaced() {
        let options = json!({
            "timeservers": ["1.example", "2.example"],
            "servers": [{"hostname": "3.example", "prefer": true, "minpoll": 0, "maxpoll": -6},
                        {"hostname": "4.example", "iburst": false}],
        });
        assert_eq!(
            run_on(&options, BEFORE),
            "server 3.example prefer iburst minpoll 0 maxpoll -6\nserver 4.example\nserver 1.example iburst\n\
             server 2.example iburst\n# comment\nservers stay\nleapsectz right/UTC\n"
        );
    }

    #[test]
    fn the_leap_second_zone_is_set_or_taken_away() {
        assert_eq!(
            run_on(&json!({"leapsectz": "right/X"}), BEFORE),
            "leapsectz right/X\n# comment\nservers stay\n"
        );
        assert_eq!(
            run_on(&json!({"leapsectz": ""}), BEFORE),
            "# comment\nservers stay\n"
        );
    }

    #[test]
    fn clocks_are_described() {
        let options = json!({"refclocks": [
            {"driver": {"name": "PPS", "device": "/dev/pps0", "clear": true}, "poll": 0, "dpoll": -2, "offset": 0.5},
            {"driver": {"name": "SHM", "segment": 1, "perm": "0660"}},
            {"driver": {"name": "SOCK", "path": "/run/x"}},
            {"driver": {"name": "PHC", "path": "/dev/ptp0", "nocrossts": true, "extpps": true, "pin": 1,
                        "channel": 0, "clear": true}},
        ]});
        assert_eq!(
            run_on(&options, ""),
            "refclock PPS /dev/pps0:clear poll 0 dpoll -2 offset 0.5\nrefclock SHM 1:perm=0660\n\
             refclock SOCK /run/x\nrefclock PHC /dev/ptp0:nocrossts,extpps,pin=1,channel=0,clear\n"
        );
    }

    #[test]
    fn without_chrony_there_is_nothing_to_configure() {
        let ran = StageTest::new(&STAGE, json!({"timeservers": []})).run();
        assert_eq!(
            ran.error(),
            "FileNotFoundError: opening TREE/etc/chrony.conf: No such file or directory (os error 2)"
        );
    }
}

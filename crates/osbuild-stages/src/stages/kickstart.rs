//! Writes a kickstart file.

mod commands;

use anyhow::Result;
use indexmap::IndexMap;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::{Map, Number, Value};

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.kickstart",
    include_str!("kickstart.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    path: String,
    ostree: Option<Ostree>,
    ostreecontainer: Option<OstreeContainer>,
    bootc: Option<Bootc>,
    liveimg: Option<LiveImage>,
    #[serde(default)]
    groups: IndexMap<String, Group>,
    #[serde(default)]
    users: IndexMap<String, User>,
    #[serde(default)]
    rootpw: RootPassword,
    #[serde(default)]
    lang: String,
    #[serde(default)]
    keyboard: String,
    #[serde(default)]
    timezone: String,
    #[serde(default)]
    zerombr: bool,
    clearpart: Option<ClearPartitions>,
    reboot: Option<Value>,
    #[serde(default)]
    display_mode: String,
    autopart: Option<Map<String, Value>>,
    #[serde(default)]
    network: Vec<Map<String, Value>>,
    #[serde(default)]
    bootloader: BootLoader,
    #[serde(default, rename = "%post")]
    post: Vec<Post>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ostree {
    osname: String,
    url: String,
    #[serde(rename = "ref")]
    reference: String,
    #[serde(default)]
    remote: String,
    #[serde(default = "yes")]
    gpg: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OstreeContainer {
    url: String,
    #[serde(default)]
    stateroot: String,
    #[serde(default)]
    transport: String,
    #[serde(default)]
    remote: String,
    /// Taken and, as upstream does, left at that.
    #[serde(rename = "signatureverification")]
    _signature_verification: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bootc {
    #[serde(rename = "source-imgref")]
    source: String,
    #[serde(default, rename = "target-imgref")]
    target: String,
}

/// The schema lets unknown keys pass here, and so does upstream; likewise where it is not said otherwise.
#[derive(Debug, Deserialize)]
struct LiveImage {
    url: String,
}

#[derive(Debug, Deserialize)]
struct Group {
    gid: Option<Number>,
}

#[derive(Debug, Deserialize)]
struct User {
    uid: Option<Number>,
    gid: Option<Number>,
    #[serde(default)]
    groups: Vec<String>,
    /// Taken and, as upstream does, left at that.
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(default)]
    home: String,
    #[serde(default)]
    shell: String,
    password: Option<String>,
    #[serde(default)]
    key: String,
}

#[derive(Debug, Default, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are the published options"
)]
struct RootPassword {
    #[serde(default)]
    lock: bool,
    #[serde(default)]
    plaintext: bool,
    #[serde(default)]
    iscrypted: bool,
    #[serde(default)]
    allow_ssh: bool,
    #[serde(default)]
    password: String,
}

#[derive(Debug, Deserialize)]
struct ClearPartitions {
    #[serde(default)]
    all: bool,
    #[serde(default)]
    initlabel: bool,
    #[serde(default)]
    drives: Vec<String>,
    #[serde(default)]
    list: Vec<String>,
    #[serde(default)]
    disklabel: String,
    #[serde(default)]
    linux: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct BootLoader {
    #[serde(default)]
    append: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Post {
    #[serde(default)]
    erroronfail: bool,
    #[serde(default)]
    interpreter: String,
    #[serde(default)]
    log: String,
    #[serde(default)]
    nochroot: bool,
    commands: Vec<String>,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let text = format!("{}\n", commands::lines(&options).join("\n"));
    let tree = context.tree_path()?;
    let path = std::path::Path::new("/").join(options.path.trim_start_matches('/'));
    if let Some(directory) = path.parent() {
        tree.create_dir_all(directory)?;
    }
    tree.write(&path, &text)?;
    context.log(format_args!("{}:\n{text}", path.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    fn kickstart(mut options: Value) -> String {
        options["path"] = json!("/osbuild.ks");
        let test = StageTest::new(&STAGE, options);
        test.run().success();
        fs_err::read_to_string(test.path("osbuild.ks")).unwrap()
    }

    #[test]
    fn an_empty_file_has_one_line() {
        assert_eq!(kickstart(json!({})), "\n");
    }

    #[test]
    fn what_is_installed_comes_first() {
        for (options, expected) in [
            (
                json!({"ostree": {"osname": "o", "url": "u", "ref": "r", "remote": "m", "gpg": false}, "lang": "en"}),
                "ostreesetup --osname=o --url=u --ref=r --remote=m --nogpg\nlang en\n",
            ),
            (
                json!({"ostreecontainer": {"url": "u", "transport": "oci", "stateroot": "s", "signatureverification": true}}),
                "ostreecontainer --url=u --stateroot=s --transport=oci\n",
            ),
            (
                json!({"bootc": {"source-imgref": "s", "target-imgref": "t"}}),
                "bootc --source-imgref s --target-imgref t\n",
            ),
            (json!({"liveimg": {"url": "u"}}), "liveimg --url u\n"),
        ] {
            assert_eq!(kickstart(options), expected);
        }
    }

    #[test]
    fn users_and_passwords_are_spelled() {
        let options = json!({
            "groups": {"g": {"gid": 5}, "h": {}},
            "users": {"u": {"uid": 0, "gid": 7, "groups": ["a", "b"], "description": "U", "home": "/u", "shell": "/s",
                            "password": "", "key": "ssh-rsa A"}},
            "rootpw": {"password": "x", "iscrypted": true, "allow_ssh": true},
        });
        assert_eq!(
            kickstart(options),
            "group --name g --gid 5\ngroup --name h\n\
             user --name u --password \"\" --iscrypted --shell /s --uid 0 --gid 7 --groups a,b --homedir /u\n\
             sshkey --username u \"ssh-rsa A\"\nrootpw --iscrypted --allow-ssh x\n"
        );
    }

    #[test]
    fn disks_networks_and_scripts_are_spelled() {
        let options = json!({
            "zerombr": true, "clearpart": {"all": true, "drives": ["a", "b"], "disklabel": "gpt", "initlabel": true},
            "display_mode": "text", "autopart": {"noswap": false, "type": "lvm", "pbkdf-time": 5},
            "reboot": {"eject": true, "kexec": true},
            "network": [{"device": "eth0", "onboot": true, "activate": false, "nameservers": ["1.1.1.1", "8.8.8.8"]}],
            "bootloader": {"append": "a=b"},
            "%post": [{"commands": ["one", "two"], "erroronfail": true, "log": "/l", "interpreter": "/i"}],
        });
        assert_eq!(
            kickstart(options),
            "zerombr\nclearpart --all --drives=a,b --disklabel=gpt --initlabel\ntext\n\
             autopart --type=lvm --pbkdf-time=5 --noswap\nreboot --eject --kexec\n\
             network --device=eth0 --onboot=True --nameserver=1.1.1.1 --nameserver=8.8.8.8 --no-activate\n\
             bootloader --append='a=b'\n\
             %post --erroronfail --log \"/l\" --interpreter \"/i\"\none\ntwo\n%end\n"
        );
    }
}

//! Adds users, or changes them.

use anyhow::Result;
use std::path::Path;

use indexmap::IndexMap;
use osbuild_stage_api::{ExitWith, StageContext, StageError, StageModule, accounts};
use serde::Deserialize;
use serde_json::{Number, Value};

use crate::shared::ini::python_str;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.users", include_str!("users.meta.json"), run);

const KEYS_MODE: u32 = 0o600;
const SSH_DIRECTORY_MODE: u32 = 0o700;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    users: IndexMap<String, User>,
}

/// The schema lets unknown keys pass here, and so does upstream.
#[derive(Debug, Deserialize)]
struct User {
    uid: Option<Number>,
    gid: Option<Number>,
    groups: Option<Vec<String>>,
    description: Option<String>,
    home: Option<String>,
    shell: Option<String>,
    password: Option<String>,
    key: Option<String>,
    keys: Option<Vec<String>>,
    /// A number, but a text that has one in it does as well.
    expiredate: Option<Value>,
    #[serde(default)]
    force_password_reset: bool,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    options
        .users
        .iter()
        .try_for_each(|(name, user)| configure(context, name, user))
}

fn configure(context: &StageContext, name: &str, user: &User) -> Result<()> {
    match accounts::user(&context.tree_path()?, name)? {
        Some(existing) => change(context, name, user, &existing)?,
        None => add(context, name, user)?,
    }
    if user.force_password_reset {
        context
            .command("passwd")
            .arg("--root")
            .arg(context.tree())
            .args(["--expire", name])
            .run()?;
    }
    let keys: Vec<&str> = user
        .keys
        .iter()
        .flatten()
        .chain(&user.key)
        .map(String::as_str)
        .collect();
    if keys.is_empty() || keys == [""] {
        Ok(())
    } else {
        add_ssh_keys(context, name, &keys)
    }
}

fn add(context: &StageContext, name: &str, user: &User) -> Result<()> {
    let mut arguments = Vec::new();
    if let Some(uid) = &user.uid {
        arguments.extend(["--uid".to_owned(), uid.to_string(), "-o".to_owned()]);
    }
    arguments.extend(identity(user));
    match user.home.as_deref() {
        None => {}
        Some("") => arguments.push("--no-create-home".to_owned()),
        Some(home) => arguments.extend(["--home-dir", home, "--create-home"].map(str::to_owned)),
    }
    arguments.extend(login(user));
    context
        .command("useradd")
        .arg("--root")
        .arg(context.tree())
        .args(arguments)
        .arg(name)
        .run()
}

fn change(
    context: &StageContext,
    name: &str,
    user: &User,
    existing: &accounts::User,
) -> Result<()> {
    if user
        .uid
        .as_ref()
        .is_some_and(|uid| uid.to_string() != existing.uid)
    {
        context.log(format_args!(
            "Error: can't set uid of existing user '{name}'"
        ));
        return Err(ExitWith(1).into());
    }
    let mut arguments = identity(user);
    if let Some(home) = user.home.clone().filter(|home| !home.is_empty()) {
        arguments.extend(["--home".to_owned(), home]);
    }
    arguments.extend(login(user));
    if !arguments.is_empty() {
        context
            .command("usermod")
            .arg("--root")
            .arg(context.tree())
            .args(arguments)
            .arg(name)
            .run()?;
    }
    // `usermod` moves a home directory but does not make one.
    let home = entry(context, name)?.home;
    if home.is_empty() || context.tree_path()?.exists(&home)? {
        return Ok(());
    }
    context
        .chroot()?
        .command("mkhomedir_helper")
        .arg(name)
        .run()
}

/// What `useradd` and `usermod` call the same, before the home directory.
fn identity(user: &User) -> Vec<String> {
    let mut arguments = Vec::new();
    if let Some(gid) = &user.gid {
        arguments.extend(["--gid".to_owned(), gid.to_string()]);
    }
    if let Some(groups) = user.groups.as_ref().filter(|groups| !groups.is_empty()) {
        arguments.extend(["--groups".to_owned(), groups.join(",")]);
    }
    if let Some(description) = &user.description {
        arguments.extend(["--comment".to_owned(), description.clone()]);
    }
    arguments
}

/// What `useradd` and `usermod` call the same, after the home directory.
fn login(user: &User) -> Vec<String> {
    let mut arguments = Vec::new();
    if let Some(shell) = user.shell.clone().filter(|shell| !shell.is_empty()) {
        arguments.extend(["--shell".to_owned(), shell]);
    }
    if let Some(password) = &user.password {
        arguments.extend(["--password".to_owned(), password.clone()]);
    }
    if let Some(expiredate) = &user.expiredate {
        arguments.extend(["--expiredate".to_owned(), python_str(expiredate)]);
    }
    arguments
}

fn add_ssh_keys(context: &StageContext, name: &str, keys: &[&str]) -> Result<()> {
    let user = entry(context, name)?;
    let (uid, gid) = user.ids()?;
    let tree = context.tree_path()?;
    let directory = Path::new(&user.home).join(".ssh");
    let file = directory.join("authorized_keys");
    if !tree.exists(&directory)? {
        tree.create_dir(&directory, SSH_DIRECTORY_MODE)?;
        tree.chown(&directory, Some(uid), Some(gid))?;
    }
    tree.append(&file, format!("{}\n", keys.join("\n")))?;
    tree.chown(&file, Some(uid), Some(gid))?;
    tree.chmod(&file, KEYS_MODE)
}

fn entry(context: &StageContext, name: &str) -> Result<accounts::User> {
    let missing = || {
        StageError::new(
            "TypeError",
            format!("/etc/passwd of the tree has no user `{name}`"),
        )
    };
    Ok(accounts::user(&context.tree_path()?, name)?.ok_or_else(missing)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    /// Stands in for `useradd`: notes its arguments in the log and adds a line for the last one.
    const USERADD: &str = r#"tree=$2; for name; do :; done
echo "$name:x:$(id -u):$(id -g)::/home/$name:/bin/sh" >>"$tree/etc/passwd"; mkdir -p "$tree/home/$name""#;

    fn test(users: &serde_json::Value, passwd: &str) -> StageTest {
        StageTest::new(&STAGE, json!({"users": users})).file("etc/passwd", passwd)
    }

    #[test]
    fn a_new_user_is_added_with_every_option() {
        let users = json!({
            "anna": {"uid": 1000, "gid": 100, "groups": ["sudo", "adm"], "description": "Anna", "home": "/home/anna",
                     "shell": "/bin/bash", "password": "$6$x", "expiredate": 19000, "force_password_reset": true},
            "bert": {"home": "", "shell": "", "description": "", "groups": []},
            "carl": {},
        });
        let test = test(&users, "")
            .program("useradd", USERADD)
            .program("passwd", "true");
        assert_eq!(
            test.run().success().log,
            "$ useradd --root TREE --uid 1000 -o --gid 100 --groups sudo,adm --comment Anna --home-dir /home/anna \
             --create-home --shell /bin/bash --password '$6$x' --expiredate 19000 anna\n\
             $ passwd --root TREE --expire anna\n\
             $ useradd --root TREE --comment '' --no-create-home bert\n\
             $ useradd --root TREE carl\n"
        );
    }

    #[test]
    fn an_existing_user_is_changed() {
        let users = json!({
            "anna": {"uid": 1000, "gid": 100, "groups": ["sudo"], "description": "A", "home": "/srv/anna",
                     "shell": "/bin/bash", "password": "!", "expiredate": 1},
            "bert": {},
        });
        let test = test(
            &users,
            "anna:x:1000:1000::/srv/anna:/bin/sh\nbert:x:1001:1001:::/bin/sh\n",
        )
        .directory("srv/anna")
        .program("usermod", "true");
        assert_eq!(
            test.run().success().log,
            "$ usermod --root TREE --gid 100 --groups sudo --comment A --home /srv/anna --shell /bin/bash \
             --password ! --expiredate 1 anna\n"
                .replace("--password !", "--password '!'")
        );
    }

    #[test]
    fn a_missing_home_is_made_inside_the_tree() {
        osbuild_testing::needs![root];
        let test = test(
            &json!({"anna": {}}),
            "anna:x:1000:1000::/home/anna:/bin/sh\n",
        )
        .program("chroot", "mkdir -p \"$1/home/$3\"");
        let ran = test.run().success();
        assert!(
            ran.log.contains("$ chroot TREE mkhomedir_helper anna\n"),
            "{}",
            ran.log
        );
        assert!(test.path("home/anna").is_dir());
    }

    #[test]
    fn the_number_of_an_existing_user_stays() {
        let ran = test(
            &json!({"anna": {"uid": 5}}),
            "anna:x:1000:1000::/:/bin/sh\n",
        )
        .run();
        assert_eq!(ran.result.unwrap_err().downcast_ref(), Some(&ExitWith(1)));
        assert_eq!(ran.log, "Error: can't set uid of existing user 'anna'\n");
    }

    #[test]
    fn keys_are_added_to_the_end() {
        let users = json!({"anna": {"keys": ["ssh-ed25519 A", "ssh-rsa B"], "key": "ssh-rsa C"}});
        let test = test(&users, "").program("useradd", USERADD);
        test.run().success();
        let file = "home/anna/.ssh/authorized_keys";
        assert_eq!(
            fs_err::read_to_string(test.path(file)).unwrap(),
            "ssh-ed25519 A\nssh-rsa B\nssh-rsa C\n"
        );
        // The user is there now, so the second run changes it.
        let ran = test.run().success();
        assert_eq!(
            ran.tree.lines().skip(4).collect::<Vec<_>>(),
            [
                "home/anna/.ssh/ 0700",
                "home/anna/.ssh/authorized_keys 0600 \"ssh-ed25519 A\\nssh-rsa B\\nssh-rsa C\\n\
                 ssh-ed25519 A\\nssh-rsa B\\nssh-rsa C\\n\""
            ]
        );
    }

    #[test]
    fn a_name_that_useradd_refuses_fails_the_stage() {
        let test = test(&json!({"_": {}}), "").program("useradd", "echo invalid >&2; exit 3");
        assert_eq!(
            test.run().error(),
            "CalledProcessError: Command '['useradd', '--root', 'TREE', '_']' returned non-zero exit status 3."
        );
    }
}

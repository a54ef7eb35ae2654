//! Reads `groups` and `users`.

use std::collections::HashSet;

use super::identity_names::{is_account_name, is_plain_path};
use super::password::check_password;
use super::ssh_key::check_ssh_key;
use crate::node::{Node, NodeKind};
use crate::problem::{Problems, RecipeError};
use crate::recipe::{Group, Sudo, User};
use crate::section::{Section, Text, wrong_kind};

/// Highest user or group number; the one above means "none" to the kernel.
const MAXIMUM_ACCOUNT_NUMBER: i64 = u32::MAX as i64 - 1;

pub(super) fn groups(section: &mut Section<'_>, problems: &mut Problems) -> Vec<Group> {
    let mut seen = HashSet::new();
    section
        .list("groups", problems)
        .iter()
        .filter_map(|node| group(node, &mut seen, problems))
        .collect()
}

fn group(node: &Node, seen: &mut HashSet<String>, problems: &mut Problems) -> Option<Group> {
    if let NodeKind::Text(value) = &node.kind {
        let name = Text {
            value: value.clone(),
            place: node.place,
        };
        check_name(&name, "group", seen, problems);
        return Some(Group {
            name: name.value,
            gid: None,
            place: name.place,
        });
    }
    let mut section = Section::open(node, "groups", problems)?;
    let name = section.required_text("name", problems);
    let gid = account_number(&mut section, "gid", problems);
    section.finish(problems);
    let name = name?;
    check_name(&name, "group", seen, problems);
    Some(Group {
        name: name.value,
        gid,
        place: name.place,
    })
}

pub(super) fn users(section: &mut Section<'_>, problems: &mut Problems) -> Vec<User> {
    let mut seen = HashSet::new();
    section
        .list("users", problems)
        .iter()
        .filter_map(|node| user(node, &mut seen, problems))
        .collect()
}

fn user(node: &Node, seen: &mut HashSet<String>, problems: &mut Problems) -> Option<User> {
    let mut section = Section::open(node, "users", problems)?;
    let name = section.required_text("name", problems);
    let password = section.text("password", problems);
    if let Some(password) = &password {
        check_password(password, problems);
    }
    let ssh_keys = section.texts("ssh-keys", problems);
    for key in &ssh_keys {
        check_ssh_key(key, problems);
    }
    let sudo = sudo(&mut section, password.is_some(), problems);
    let groups = section.texts("groups", problems);
    for group in &groups {
        check_name(group, "group", &mut HashSet::new(), problems);
    }
    let user = User {
        name: name
            .as_ref()
            .map_or_else(String::new, |name| name.value.clone()),
        place: name.as_ref().map_or(section.place(), |name| name.place),
        uid: account_number(&mut section, "uid", problems),
        gid: account_number(&mut section, "gid", problems),
        description: description(&mut section, problems),
        home: path(&mut section, "home", problems),
        shell: path(&mut section, "shell", problems),
        password: password.map(|text| text.value),
        ssh_keys: ssh_keys
            .into_iter()
            .map(|key| key.value.trim().to_owned())
            .collect(),
        groups: groups.into_iter().map(|group| group.value).collect(),
        sudo,
    };
    section.finish(problems);
    let name = name?;
    check_name(&name, "user", seen, problems);
    Some(user)
}

fn account_number(
    section: &mut Section<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> Option<u32> {
    section
        .integer(key, 0..=MAXIMUM_ACCOUNT_NUMBER, problems)
        .and_then(|number| u32::try_from(number).ok())
}

/// `sudo` is true, false or `without-password`; a password must exist where one will be asked for.
fn sudo(section: &mut Section<'_>, has_password: bool, problems: &mut Problems) -> Sudo {
    let Some(node) = section.get("sudo") else {
        return Sudo::No;
    };
    match &node.kind {
        NodeKind::Boolean(false) => Sudo::No,
        NodeKind::Boolean(true) => {
            if !has_password {
                problems.add(
                    RecipeError::new(
                        node.place,
                        "`sudo` would ask for a password the user has not",
                    )
                    .hint("give the user a `password`, or write `sudo: without-password`"),
                );
            }
            Sudo::WithPassword
        }
        NodeKind::Text(word) if word == "without-password" => Sudo::WithoutPassword,
        other => {
            let wanted = "true, false or `without-password`";
            problems.add(wrong_kind("users.sudo", wanted, other, node.place));
            Sudo::No
        }
    }
}

fn description(section: &mut Section<'_>, problems: &mut Problems) -> Option<String> {
    let text = section.text("description", problems)?;
    if text
        .value
        .contains(|letter: char| letter == ':' || letter.is_control())
    {
        problems.add(RecipeError::new(
            text.place,
            "`users.description` must not contain `:`, line breaks or other control characters",
        ));
    }
    Some(text.value)
}

fn path(section: &mut Section<'_>, key: &'static str, problems: &mut Problems) -> Option<String> {
    let text = section.text(key, problems)?;
    if !is_plain_path(&text.value) || text.value.contains(':') {
        problems.add(RecipeError::new(
            text.place,
            format!("`users.{key}` must be an absolute path"),
        ));
    }
    Some(text.value)
}

fn check_name(name: &Text, kind: &str, seen: &mut HashSet<String>, problems: &mut Problems) {
    if !is_account_name(&name.value) {
        problems.add(
            RecipeError::new(name.place, format!("`{}` is not a {kind} name", name.value)).hint(
                "use up to 32 lower-case letters, digits, `_` and `-`, beginning with a letter",
            ),
        );
    }
    if !seen.insert(name.value.clone()) {
        problems.add(RecipeError::new(
            name.place,
            format!("{kind} `{}` is named twice", name.value),
        ));
    }
}

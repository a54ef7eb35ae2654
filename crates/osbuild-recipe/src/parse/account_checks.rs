//! What must hold between the groups and users of a recipe, and those that every system has: `groupadd` and `useradd`
//! would say it minutes later.

use std::collections::HashMap;

use crate::base_accounts::BaseAccounts;
use crate::problem::{Place, Problems, RecipeError};
use crate::recipe::{Group, User};

/// The first number of an account that no package makes (`FIRST_SYSTEM_GID` to `LAST_SYSTEM_GID` of Debian's `adduser`
/// lie below it).
const FIRST_ORDINARY_NUMBER: u32 = 1000;

/// Reports every contradiction at the account that makes it.
pub(super) fn check(
    groups: &[Group],
    users: &[User],
    base: &BaseAccounts,
    problems: &mut Problems,
) {
    check_base_groups(groups, base, problems);
    let numbered = groups
        .iter()
        .filter_map(|group| Some((group.gid?, &*group.name, group.place)));
    check_numbers("gid", numbered, problems);
    let numbered = users
        .iter()
        .filter_map(|user| Some((user.uid?, &*user.name, user.place)));
    check_numbers("uid", numbered, problems);
    for user in users {
        check_own_group(user, groups, base, problems);
        check_primary_group(user, groups, users, base, problems);
    }
}

fn check_base_groups(groups: &[Group], base: &BaseAccounts, problems: &mut Problems) {
    for group in groups {
        if base.has_group(&group.name) {
            problems.add(
                RecipeError::new(
                    group.place,
                    format!("group `{}` cannot be made: every system has it", group.name),
                )
                .hint("leave it out"),
            );
        } else if let Some(taken) = group.gid.and_then(|gid| base.group_with_number(gid)) {
            let message = format!(
                "group `{}` has the number of `{taken}`, which every system has",
                group.name
            );
            problems.add(RecipeError::new(group.place, message));
        }
    }
}

fn check_numbers<'a>(
    key: &str,
    accounts: impl Iterator<Item = (u32, &'a str, Place)>,
    problems: &mut Problems,
) {
    let mut seen = HashMap::new();
    for (number, name, place) in accounts {
        if let Some(first) = seen.insert(number, name) {
            let message = format!("`{first}` and `{name}` both have the `{key}` {number}");
            problems.add(RecipeError::new(place, message));
        }
    }
}

/// Without `gid`, a user gets a group of the same name.
fn check_own_group(user: &User, groups: &[Group], base: &BaseAccounts, problems: &mut Problems) {
    if user.gid.is_some() || base.has_user(&user.name) {
        return;
    }
    if let Some(number) = base.number_of_group(&user.name) {
        problems.add(
            RecipeError::new(
                user.place,
                format!(
                    "user `{}` cannot have a group of its own: every system has a group of that name",
                    user.name
                ),
            )
            .hint(format!(
                "choose another name, or make that group the user's own with `gid: {number}`"
            )),
        );
    } else if let Some(group) = groups.iter().find(|group| group.name == user.name) {
        let advice = match group.gid {
            Some(number) => format!("make that group the user's own with `gid: {number}`"),
            None => "leave it out of `groups`: it is made with the user".to_owned(),
        };
        let message = format!(
            "user `{0}` gets a group of its own, but `groups` has `{0}`, too",
            user.name
        );
        problems.add(RecipeError::new(user.place, message).hint(advice));
    }
}

/// The number of a user's group must be that of a group. Those of packages are not known here, nor what a group without
/// a number gets.
fn check_primary_group(
    user: &User,
    groups: &[Group],
    users: &[User],
    base: &BaseAccounts,
    problems: &mut Problems,
) {
    let Some(number) = user.gid.filter(|number| *number >= FIRST_ORDINARY_NUMBER) else {
        return;
    };
    let may_be_group = |group: &Group| group.gid.is_none_or(|gid| gid == number);
    // A group of a user's own gets the user's number where it is free.
    let may_be_own =
        |other: &User| other.gid.is_none() && other.uid.is_none_or(|uid| uid == number);
    if base.group_with_number(number).is_none()
        && !groups.iter().any(may_be_group)
        && !users.iter().any(may_be_own)
    {
        let name = &user.name;
        problems.add(
            RecipeError::new(
                user.place,
                format!("no group has the number {number}, which is to be the group of `{name}`"),
            )
            .hint(format!(
                "make one: `groups: [{{name: {name}, gid: {number}}}]`"
            )),
        );
    }
}

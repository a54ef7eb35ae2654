//! The accounts of Debian's package `base-passwd`, which every Debian and Ubuntu system has.

/// Users; they have a home and a shell already.
const USERS: [&str; 18] = [
    "root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp", "proxy",
    "www-data", "backup", "list", "irc", "_apt", "nobody",
];

/// Those that have no group of their name: `sync`'s is `nogroup`, and so are the other two's.
const USERS_WITHOUT_A_GROUP: [&str; 3] = ["sync", "_apt", "nobody"];

/// Groups without a user of the same name, with their numbers: `useradd` refuses to make such a user
/// with a group of its own.
const GROUPS_WITHOUT_A_USER: [(&str, u32); 23] = [
    ("adm", 4),
    ("tty", 5),
    ("disk", 6),
    ("kmem", 15),
    ("dialout", 20),
    ("fax", 21),
    ("voice", 22),
    ("cdrom", 24),
    ("floppy", 25),
    ("tape", 26),
    ("sudo", 27),
    ("audio", 29),
    ("dip", 30),
    ("operator", 37),
    ("src", 40),
    ("shadow", 42),
    ("utmp", 43),
    ("video", 44),
    ("sasl", 45),
    ("plugdev", 46),
    ("staff", 50),
    ("users", 100),
    ("nogroup", 65534),
];

/// Whether a user is there without being made.
pub(crate) fn is_user(name: &str) -> bool {
    USERS.contains(&name)
}

/// Whether a group is there without being made.
pub(crate) fn is_group(name: &str) -> bool {
    (is_user(name) && !USERS_WITHOUT_A_GROUP.contains(&name)) || number_of_group(name).is_some()
}

/// The number of a group that has no user of the same name.
pub(crate) fn number_of_group(name: &str) -> Option<u32> {
    let mut groups = GROUPS_WITHOUT_A_USER.iter();
    groups
        .find(|(group, _)| *group == name)
        .map(|(_, number)| *number)
}

/// The name of a group that has no user of the same name, by its number.
pub(crate) fn group_with_number(wanted: u32) -> Option<&'static str> {
    let mut groups = GROUPS_WITHOUT_A_USER.iter();
    groups
        .find(|(_, number)| *number == wanted)
        .map(|(group, _)| *group)
}

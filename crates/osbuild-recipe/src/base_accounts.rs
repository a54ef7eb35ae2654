//! The accounts of Debian's package `base-passwd`, which every Debian and Ubuntu system has.

/// Users; they have a home and a shell already.
const USERS: [&str; 18] = [
    "root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp", "proxy",
    "www-data", "backup", "list", "irc", "_apt", "nobody",
];

/// Groups without a user of the same name, with their numbers: `useradd` refuses to make such a user
/// with a group of its own.
pub(crate) const GROUPS_WITHOUT_A_USER: [(&str, u32); 22] = [
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
];

/// Whether a user is there without being made.
pub(crate) fn is_user(name: &str) -> bool {
    USERS.contains(&name)
}

//! The accounts that every system of a distribution has: of Debian's package `base-passwd`, and of Fedora's `setup`.

use crate::distribution::PackageKind;

/// Accounts that are there without being made.
pub(crate) struct BaseAccounts {
    /// Users; they have a home and a shell already.
    users: &'static [&'static str],
    /// Those that have no group of their name.
    users_without_a_group: &'static [&'static str],
    /// Groups without a user of the same name, with their numbers: `useradd` refuses to make such a user
    /// with a group of its own.
    groups_without_a_user: &'static [(&'static str, u32)],
}

const OF_DEBIAN: BaseAccounts = BaseAccounts {
    users: &[
        "root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp",
        "proxy", "www-data", "backup", "list", "irc", "_apt", "nobody",
    ],
    // `sync`'s is `nogroup`, and so are the other two's.
    users_without_a_group: &["sync", "_apt", "nobody"],
    groups_without_a_user: &[
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
    ],
};

const OF_FEDORA: BaseAccounts = BaseAccounts {
    users: &[
        "root", "bin", "daemon", "adm", "lp", "sync", "shutdown", "halt", "mail", "operator",
        "games", "ftp", "nobody",
    ],
    // They are in the groups of root and of others.
    users_without_a_group: &["sync", "shutdown", "halt", "operator"],
    groups_without_a_user: &[
        ("sys", 3),
        ("tty", 5),
        ("disk", 6),
        ("mem", 8),
        ("kmem", 9),
        ("wheel", 10),
        ("cdrom", 11),
        ("man", 15),
        ("dialout", 18),
        ("floppy", 19),
        ("tape", 33),
        ("video", 39),
        ("lock", 54),
        ("audio", 63),
        ("users", 100),
    ],
};

impl BaseAccounts {
    /// Those of distributions with this kind of packages.
    pub(crate) fn of(packages: PackageKind) -> &'static Self {
        match packages {
            PackageKind::Deb => &OF_DEBIAN,
            PackageKind::Rpm => &OF_FEDORA,
        }
    }

    /// Whether a user is there without being made.
    pub(crate) fn has_user(&self, name: &str) -> bool {
        self.users.contains(&name)
    }

    /// Whether a group is there without being made.
    pub(crate) fn has_group(&self, name: &str) -> bool {
        (self.has_user(name) && !self.users_without_a_group.contains(&name))
            || self.number_of_group(name).is_some()
    }

    /// The number of a group that has no user of the same name.
    pub(crate) fn number_of_group(&self, name: &str) -> Option<u32> {
        let mut groups = self.groups_without_a_user.iter();
        groups
            .find(|(group, _)| *group == name)
            .map(|(_, number)| *number)
    }

    /// The name of a group that has no user of the same name, by its number.
    pub(crate) fn group_with_number(&self, wanted: u32) -> Option<&'static str> {
        let mut groups = self.groups_without_a_user.iter();
        groups
            .find(|(_, number)| *number == wanted)
            .map(|(group, _)| *group)
    }
}

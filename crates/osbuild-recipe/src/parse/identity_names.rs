//! Which texts are acceptable names of files, users, packages, hosts and units.

use crate::distribution::PackageKind;

/// Longest name of a user or group that useradd accepts.
const MAXIMUM_ACCOUNT_NAME: usize = 32;
/// Longest host name Linux keeps (`HOST_NAME_MAX`).
const MAXIMUM_HOST_NAME: usize = 64;
/// Longest part of a host name between dots (RFC 1123).
const MAXIMUM_HOST_LABEL: usize = 63;

/// Whether a text is one plain file name.
pub(super) fn is_file_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(['.', '-'])
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+'))
}

/// Whether useradd and groupadd take a text as a name.
pub(super) fn is_account_name(text: &str) -> bool {
    text.len() <= MAXIMUM_ACCOUNT_NAME
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
}

/// Whether a text is a name of packages of this kind.
pub(super) fn is_package_name(text: &str, packages: PackageKind) -> bool {
    match packages {
        PackageKind::Deb => is_deb_name(text),
        PackageKind::Rpm => is_rpm_name(text),
    }
}

/// As Fedora's packaging guidelines have them.
fn is_rpm_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_'))
}

/// By Debian's policy, 5.6.1.
fn is_deb_name(text: &str) -> bool {
    text.len() >= 2
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
}

/// Whether a text is a host name: labels of letters, digits and inner hyphens.
pub(super) fn is_host_name(text: &str) -> bool {
    text.len() <= MAXIMUM_HOST_NAME
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= MAXIMUM_HOST_LABEL
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        })
}

/// Whether a text can name a unit of systemd, with or without its type.
pub(super) fn is_unit_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '\\' | '@'))
}

/// Whether a text is an absolute path that names one place: no `.`, `..`, empty part or trailing slash.
pub(super) fn is_plain_path(text: &str) -> bool {
    text == "/"
        || text.strip_prefix('/').is_some_and(|rest| {
            !text.contains(['\0', '\n'])
                && rest.split('/').all(|part| !matches!(part, "" | "." | ".."))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_what_is_none() {
        type Check = (
            fn(&str) -> bool,
            &'static [&'static str],
            &'static [&'static str],
        );
        let checks: [Check; 7] = [
            (
                is_file_name,
                &["a.qcow2", "x_1"],
                &["", ".x", "a/b", "-a", "a b"],
            ),
            (
                is_account_name,
                &["lena", "_x-1"],
                &["Lena", "1a", "", "a b", "é"],
            ),
            (
                is_deb_name,
                &["g++", "libc6", "0ad"],
                &["A", "x", "a_b", "curl=7", "libc6:arm64"],
            ),
            (
                is_rpm_name,
                &["R", "NetworkManager", "gcc-c++", "python3_x", "glibc.i686"],
                &["", "-x", "a b", "a=1", "@core", "a*"],
            ),
            (
                is_host_name,
                &["a", "web-1.example.org"],
                &["", "-a", "a..b", "a_b", "a-"],
            ),
            (
                is_unit_name,
                &["ssh", "getty@tty1.service"],
                &["", "a b", "a/b"],
            ),
            (
                is_plain_path,
                &["/", "/etc/x"],
                &["etc", "/a/", "/a//b", "/a/../b", "/./a"],
            ),
        ];
        for (check, good, bad) in checks {
            for text in good {
                assert!(check(text), "{text} was refused");
            }
            for text in bad {
                assert!(!check(text), "{text} was accepted");
            }
        }
    }
}

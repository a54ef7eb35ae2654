//! Checks public keys of ssh.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::problem::{Problems, RecipeError};
use crate::section::Text;

/// Kinds of keys that sshd accepts today, by how they begin.
const KEY_KINDS: [&str; 6] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-dss",
];

/// Refuses what is no line for `authorized_keys`.
pub(super) fn check_ssh_key(key: &Text, problems: &mut Problems) {
    if key.value.contains("PRIVATE KEY") {
        problems.add(
            RecipeError::new(key.place, "`users.ssh-keys` holds a private key")
                .hint("use the public key, from the file that ends in `.pub`"),
        );
    } else if key.value.trim().contains('\n') || !is_public_key(&key.value) {
        problems.add(
            RecipeError::new(
                key.place,
                "`users.ssh-keys` holds something that is no public key",
            )
            .hint("use one line of a `.pub` file, like `ssh-ed25519 AAAA… name@host`"),
        );
    }
}

/// Whether a line has a kind of key followed by key data of that very kind.
fn is_public_key(line: &str) -> bool {
    let mut words = line.split_whitespace();
    while let Some(word) = words.next() {
        if KEY_KINDS.iter().any(|kind| word.starts_with(kind)) {
            return words.next().is_some_and(|data| is_data_of(data, word));
        }
    }
    false
}

/// Key data begins with the length and the name of its kind (RFC 4253, 6.6).
fn is_data_of(data: &str, kind: &str) -> bool {
    let Ok(bytes) = STANDARD.decode(data) else {
        return false;
    };
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return false;
    };
    u32::from_be_bytes(*length) as usize == kind.len() && rest.starts_with(kind.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGdYCkBLQUsA/Xh3u2xV0nqvyvnyb7lVZ8kC3cyFKpJm";

    #[test]
    fn public_keys_are_told_from_other_lines() {
        let with_options = format!("no-pty,command=\"echo hi\" {KEY} me@host");
        for line in [KEY, &format!("{KEY} me@host"), &with_options] {
            assert!(is_public_key(line), "{line}");
        }
        for line in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            "ssh-rsa AAAAC3NzaC1lZDI1NTE5",
            "me",
        ] {
            assert!(!is_public_key(line), "{line}");
        }
    }
}

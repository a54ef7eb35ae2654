//! Tells password hashes from passwords.

use crate::problem::{Problems, RecipeError};
use crate::section::Text;

/// Advice to everyone who wrote a password as it is.
const HOW_TO_HASH: &str = "make a hash with `openssl passwd -6` and write it in single quotes";

/// Hash methods of crypt(5) by prefix, and the length of the last field where it is fixed.
const METHODS: [(&str, Option<usize>); 10] = [
    ("$y$", Some(43)),
    ("$gy$", Some(43)),
    ("$7$", Some(43)),
    ("$2b$", Some(53)),
    ("$2a$", Some(53)),
    ("$2y$", Some(53)),
    ("$6$", Some(86)),
    ("$5$", Some(43)),
    ("$sha1$", Some(28)),
    ("$1$", Some(22)),
];

/// Refuses what is no hash; the text itself is never repeated in a message.
pub(super) fn check_password(password: &Text, problems: &mut Problems) {
    let value = password.value.as_str();
    if matches!(value, "*" | "!" | "!!") {
        return;
    }
    let hash = value.strip_prefix('!').unwrap_or(value);
    let Some((prefix, length)) = METHODS.iter().find(|(prefix, _)| hash.starts_with(prefix)) else {
        problems.add(
            RecipeError::new(password.place, "`users.password` is not a password hash")
                .hint(HOW_TO_HASH),
        );
        return;
    };
    if !is_whole(&hash[prefix.len()..], *length) {
        problems.add(
            RecipeError::new(
                password.place,
                format!("`users.password` begins like a `{prefix}` hash but is damaged"),
            )
            .hint(
                "a shell replaces `$…` in double quotes; make the hash anew and use single quotes",
            ),
        );
    }
}

/// Whether the fields after the method are there: at least a salt and a hash, of crypt's alphabet.
fn is_whole(fields: &str, length: Option<usize>) -> bool {
    let is_hash_text = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '/'))
    };
    let Some((settings, hash)) = fields.rsplit_once('$') else {
        return false;
    };
    !settings.is_empty()
        && length.is_none_or(|length| hash.len() == length)
        && is_hash_text(hash)
        && !settings.contains([':', ' ', '\n'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Place;
    use std::path::Path;

    /// What `openssl passwd -6 -salt saltsalt secret` prints.
    const SHA512: &str = "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1";

    fn errors(value: &str) -> Vec<RecipeError> {
        let mut problems = Problems::default();
        let text = Text {
            value: value.to_owned(),
            place: Place { line: 1, column: 1 },
        };
        check_password(&text, &mut problems);
        match problems.conclude(Path::new("x"), Some(())) {
            Ok(()) => Vec::new(),
            Err(errors) => errors.errors,
        }
    }

    #[test]
    fn hashes_and_locks_are_accepted() {
        let yescrypt = format!("$y$j9T$abcdefgh${}", "a".repeat(43));
        let locked = format!("!{SHA512}");
        for value in [SHA512, &yescrypt, &locked, "*", "!"] {
            assert_eq!(errors(value), [], "{value}");
        }
    }

    #[test]
    fn a_plain_password_is_refused_with_advice_and_not_repeated() {
        for value in ["hunter2", "", "password12345", "$"] {
            let found = errors(value);
            assert_eq!(found.len(), 1, "{value}");
            assert_eq!(found[0].message, "`users.password` is not a password hash");
            assert_eq!(found[0].hint.as_deref(), Some(HOW_TO_HASH));
        }
    }

    #[test]
    fn a_hash_that_a_shell_ate_is_refused() {
        for value in ["$6$", "$6$saltsalt", "$6$saltsalt$short", &SHA512[..90]] {
            let found = errors(value);
            assert_eq!(found.len(), 1, "{value}");
            assert!(found[0].message.contains("damaged"), "{}", found[0].message);
        }
    }
}

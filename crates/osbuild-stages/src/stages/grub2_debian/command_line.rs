//! The kernel's command line as GRUB's menu has to have it.

use anyhow::{Result, bail};

/// What ends a word or a command, or begins a variable, to GRUB's script reader where it is not quoted.
const SPECIAL: [char; 8] = ['$', ';', '&', '|', '<', '>', '{', '}'];

/// Escapes what GRUB would take for a part of its script, as in `memmap=4G$4G`. Quotes and backslashes keep the meaning
/// that they have in GRUB's script.
///
/// # Errors
/// A line break or an open quote: what follows would be swallowed or become a command.
pub(super) fn escape(text: &str) -> Result<String> {
    let mut escaped = String::new();
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            _ if character.is_control() => bail!("`kernel_opts` has a line break: {text:?}"),
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if character == open => quote = None,
            (None | Some('"'), '\\') => {
                let Some(next) = characters.next().filter(|next| !next.is_control()) else {
                    bail!("`kernel_opts` has a backslash before nothing: {text:?}");
                };
                escaped.push(character);
                escaped.push(next);
                continue;
            }
            (None, _) if SPECIAL.contains(&character) => escaped.push('\\'),
            (Some('"'), '$') => escaped.push('\\'),
            _ => {}
        }
        escaped.push(character);
    }
    if quote.is_some() {
        bail!("`kernel_opts` has a quote that is not closed: {text:?}");
    }
    Ok(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_to_grub_reaches_the_kernel() {
        for (text, expected) in [
            ("console=ttyS0 quiet", "console=ttyS0 quiet"),
            ("memmap=4G$4G", r"memmap=4G\$4G"),
            (r"memmap=4G\$4G", r"memmap=4G\$4G"),
            ("a;halt", r"a\;halt"),
            ("x } { | & < >", r"x \} \{ \| \& \< \>"),
            ("dyndbg='file $a; +p'", "dyndbg='file $a; +p'"),
            ("dyndbg=\"file $a; +p\"", "dyndbg=\"file \\$a; +p\""),
        ] {
            assert_eq!(escape(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_would_break_the_menu_is_refused() {
        for text in [
            "a\nhalt",
            "a\rb",
            "a\0",
            "it's",
            "a=\"b",
            "a\\",
            "a\\\nhalt",
        ] {
            let error = escape(text).unwrap_err().to_string();
            assert!(error.starts_with("`kernel_opts` has a "), "{error}");
        }
    }
}

//! Reads `hostname`, `locale`, `timezone`, `keymap` and `services`.

use super::identity_names::{is_host_name, is_unit_name};
use super::timezone::check_timezone;
use crate::problem::{Problems, RecipeError};
use crate::recipe::{Keymap, Services};
use crate::section::{Section, Text};

pub(super) fn hostname(section: &mut Section<'_>, problems: &mut Problems) -> Option<String> {
    let text = section.text("hostname", problems)?;
    if !is_host_name(&text.value) {
        problems.add(
            RecipeError::new(text.place, format!("`{}` is not a host name", text.value))
                .hint("use letters, digits and `-`, in parts of at most 63 joined by dots"),
        );
    }
    Some(text.value)
}

pub(super) fn locale(section: &mut Section<'_>, problems: &mut Problems) -> Option<String> {
    let text = section.text("locale", problems)?;
    if !is_locale(&text.value) {
        let mut error = RecipeError::new(
            text.place,
            format!("`{}` is not a UTF-8 locale", text.value),
        );
        error = match text
            .value
            .split('.')
            .next()
            .filter(|name| is_language(name))
        {
            Some(name) => error.hint(format!("did you mean `{name}.UTF-8`?")),
            None => {
                error.hint("write language, country and encoding, like `en_GB.UTF-8`, or `C.UTF-8`")
            }
        };
        problems.add(error);
    }
    Some(text.value)
}

fn is_locale(text: &str) -> bool {
    text == "C.UTF-8" || text.strip_suffix(".UTF-8").is_some_and(is_language)
}

/// Whether a text is language and country, such as `en_GB`.
fn is_language(text: &str) -> bool {
    text.split_once('_').is_some_and(|(language, country)| {
        matches!(language.len(), 2 | 3)
            && language.chars().all(|c| c.is_ascii_lowercase())
            && country.len() == 2
            && country.chars().all(|c| c.is_ascii_uppercase())
    })
}

pub(super) fn timezone(section: &mut Section<'_>, problems: &mut Problems) -> Option<String> {
    let text = section.text("timezone", problems)?;
    check_timezone(&text, problems);
    Some(text.value)
}

/// `keymap` is an XKB layout, with a variant after the first hyphen: `de-nodeadkeys`.
pub(super) fn keymap(section: &mut Section<'_>, problems: &mut Problems) -> Option<Keymap> {
    let text = section.text("keymap", problems)?;
    let (layout, variant) = match text.value.split_once('-') {
        Some((layout, variant)) => (layout, Some(variant)),
        None => (text.value.as_str(), None),
    };
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
    };
    if !is_word(layout) || variant.is_some_and(|variant| !is_word(variant)) {
        problems.add(
            RecipeError::new(text.place, format!("`{}` is not a keymap", text.value))
                .hint("write an XKB layout and perhaps a variant, like `us` or `de-nodeadkeys`"),
        );
    }
    Some(Keymap {
        layout: layout.to_owned(),
        variant: variant.map(str::to_owned),
    })
}

pub(super) fn services(section: &mut Section<'_>, problems: &mut Problems) -> Services {
    let Some(mut section) = section.section("services", problems) else {
        return Services::default();
    };
    let enable = section.texts("enable", problems);
    let disable = section.texts("disable", problems);
    let mask = section.texts("mask", problems);
    let target = section.text("target", problems);
    section.finish(problems);
    let all = [&enable, &disable, &mask];
    for text in all.into_iter().flatten().chain(&target) {
        if !is_unit_name(&text.value) {
            problems.add(
                RecipeError::new(text.place, format!("`{}` is not a unit name", text.value))
                    .hint("write it as systemctl takes it, like `ssh` or `fstrim.timer`"),
            );
        }
    }
    for text in disable.iter().chain(&mask) {
        if enable.iter().any(|other| other.value == text.value) {
            problems.add(RecipeError::new(
                text.place,
                format!("`{}` is enabled as well", text.value),
            ));
        }
    }
    Services {
        enable: units(enable),
        disable: units(disable),
        mask: units(mask),
        target: target.map(|text| with_ending(text.value, ".target")),
    }
}

fn units(texts: Vec<Text>) -> Vec<String> {
    texts
        .into_iter()
        .map(|text| with_ending(text.value, ".service"))
        .collect()
}

/// Completes a unit name as systemctl does.
fn with_ending(name: String, ending: &str) -> String {
    const KINDS: [&str; 11] = [
        ".service",
        ".socket",
        ".device",
        ".mount",
        ".automount",
        ".swap",
        ".target",
        ".path",
        ".timer",
        ".slice",
        ".scope",
    ];
    if KINDS.iter().any(|kind| name.ends_with(kind)) {
        name
    } else {
        name + ending
    }
}

//! Which version of each package may be installed: apt's policy, see `apt_preferences(5)`.

use super::{Pin, PinTarget};
use crate::deb::{
    repository::IndexOrigin,
    universe::{PackageId, Universe, VersionId},
};

/// The candidate of every package, by its number.
pub(super) fn choose(universe: &Universe<'_>, pins: &[Pin]) -> Vec<Option<VersionId>> {
    let index_priorities: Vec<i32> = universe
        .indices()
        .iter()
        .map(|index| repository_priority(&index.origin, pins))
        .collect();
    universe
        .package_ids()
        .map(|id| choose_one(universe, id, pins, &index_priorities))
        .collect()
}

fn choose_one(
    universe: &Universe<'_>,
    id: PackageId,
    pins: &[Pin],
    index_priorities: &[i32],
) -> Option<VersionId> {
    let mut best: Option<(i32, VersionId)> = None;
    for &version in &universe.package(id).versions {
        let index = universe.version(version).index as usize;
        let priority = pins
            .iter()
            .find(|pin| pin.package != "*" && is_meant(universe, pin, id, version))
            .map_or(index_priorities[index], |pin| pin.priority);
        // Versions are newest first: an older one must be preferred, not only equal.
        if priority > 0 && best.is_none_or(|(highest, _)| priority > highest) {
            best = Some((priority, version));
        }
    }
    best.map(|(_, version)| version)
}

fn is_meant(universe: &Universe<'_>, pin: &Pin, id: PackageId, version: VersionId) -> bool {
    if !matches(&pin.package, universe.name(id)) {
        return false;
    }
    match &pin.target {
        PinTarget::Version(pattern) => matches(pattern, universe.version(version).number),
        _ => {
            let index = universe.version(version).index as usize;
            is_from(&pin.target, &universe.indices()[index].origin)
        }
    }
}

fn repository_priority(origin: &IndexOrigin, pins: &[Pin]) -> i32 {
    pins.iter()
        .find(|pin| pin.package == "*" && is_from(&pin.target, origin))
        .map_or(origin.pin_priority, |pin| pin.priority)
}

fn is_from(target: &PinTarget, origin: &IndexOrigin) -> bool {
    match target {
        PinTarget::Version(_) => false,
        PinTarget::Release(pattern) => {
            matches(pattern, &origin.suite) || matches(pattern, &origin.codename)
        }
        PinTarget::Origin(pattern) => matches(pattern, &origin.origin),
        PinTarget::Site(pattern) => matches(pattern, site(&origin.base_url)),
    }
}

fn site(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or("");
    let host = host.rsplit('@').next().unwrap_or("");
    host.split(':').next().unwrap_or("")
}

/// Compares with a pattern in which `*` is any text and `?` any character.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[from] => {
                at += 1;
                from += 1;
            }
            _ => {
                let Some((star_at, star_from)) = star else {
                    return false;
                };
                star = Some((star_at, star_from + 1));
                at = star_at + 1;
                from = star_from + 1;
            }
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn wildcards_match_like_a_shell_does() {
        for (pattern, text) in [
            ("a", "a"),
            ("*", ""),
            ("a*c", "abbc"),
            ("a?c", "abc"),
            ("1.*-1", "1.2-3-1"),
            ("*b*", "abc"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("a", "b"),
            ("a*c", "abd"),
            ("a?c", "ac"),
            ("", "a"),
            ("ab", "a"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}

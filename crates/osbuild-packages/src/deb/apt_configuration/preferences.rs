//! apt's preferences(5): stanzas of `Package`, `Pin`, `Pin-Priority`.

use anyhow::{Context as _, Result, bail};

use crate::deb::{
    control::{Stanza, stanzas},
    solve::{Pin, PinTarget},
};

/// Reads a preferences file.
pub(super) fn parse(text: &str) -> Result<Vec<Pin>> {
    let mut pins = Vec::new();
    for stanza in stanzas(text) {
        if stanza.fields().next().is_some() {
            pins.extend(parse_stanza(stanza)?);
        }
    }
    Ok(pins)
}

fn parse_stanza(stanza: Stanza<'_>) -> Result<Vec<Pin>> {
    let field = |name: &str| {
        stanza
            .get(name)
            .with_context(|| format!("the field `{name}` is missing"))
    };
    let pin = field("Pin")?;
    let priority = field("Pin-Priority")?
        .parse()
        .context("reading `Pin-Priority`")?;
    let packages = field("Package")?;
    let Some(target) = parse_target(pin)? else {
        tracing::warn!(
            pin,
            "ignoring a pin: only `version`, `origin` and `release` with one of a=, n=, o= are supported"
        );
        return Ok(Vec::new());
    };
    Ok(packages
        .split_ascii_whitespace()
        .map(|package| Pin {
            package: package.to_owned(),
            target: target.clone(),
            priority,
        })
        .collect())
}

fn parse_target(pin: &str) -> Result<Option<PinTarget>> {
    let Some((kind, value)) = pin.split_once([' ', '\t']) else {
        bail!("`Pin: {pin}` has no value")
    };
    let value = value.trim();
    Ok(match (kind, value.split_once('=')) {
        ("version", _) => Some(PinTarget::Version(value.to_owned())),
        ("origin", _) => Some(PinTarget::Site(value.trim_matches('"').to_owned())),
        ("release", None) => Some(PinTarget::Release(value.to_owned())),
        ("release", Some(_)) if value.contains(',') => None,
        ("release", Some(("a" | "n", name))) => Some(PinTarget::Release(name.to_owned())),
        ("release", Some(("o", name))) => Some(PinTarget::Origin(name.to_owned())),
        _ => None,
    })
}

//! The deb822 form of sources: stanzas of `Types`, `URIs`, `Suites`, `Components`, `Signed-By`.

use anyhow::{Context as _, Result, bail};

use super::{is_no, set_signed_by};
use crate::deb::{
    control::{Stanza, stanzas},
    repository::Repository,
};

/// Reads a `.sources` file.
pub(super) fn parse(text: &str) -> Result<Vec<Repository>> {
    let mut repositories = Vec::new();
    for (number, stanza) in stanzas(text).enumerate() {
        let parsed = parse_stanza(stanza).with_context(|| format!("stanza {}", number + 1))?;
        repositories.extend(parsed);
    }
    Ok(repositories)
}

fn parse_stanza(stanza: Stanza<'_>) -> Result<Vec<Repository>> {
    stanza.check()?;
    let is_empty = stanza.fields().next().is_none();
    if is_empty || stanza.get("Enabled").is_some_and(is_no) {
        return Ok(Vec::new());
    }
    if stanza.get("Types").is_none() {
        bail!("the field `Types` is missing");
    }
    if !stanza.words("Types").any(|kind| kind == "deb") {
        return Ok(Vec::new());
    }
    let uris: Vec<&str> = stanza.words("URIs").collect();
    let suites: Vec<&str> = stanza.words("Suites").collect();
    let components: Vec<&str> = stanza.words("Components").collect();
    if uris.is_empty() || suites.is_empty() {
        bail!(
            "the field `{}` is missing",
            if uris.is_empty() { "URIs" } else { "Suites" }
        );
    }
    let mut repositories = Vec::new();
    for uri in &uris {
        for suite in &suites {
            if components.is_empty() && !suite.ends_with('/') {
                bail!("the suite `{suite}` needs a component");
            }
            let mut repository = Repository::new(uri, suite, &components);
            repository.architectures = stanza.words("Architectures").map(str::to_owned).collect();
            if let Some(value) = stanza.get("Signed-By") {
                set_signed_by(&mut repository, value);
            }
            repository.check_valid_until = !stanza.get("Check-Valid-Until").is_some_and(is_no);
            repositories.push(repository);
        }
    }
    Ok(repositories)
}

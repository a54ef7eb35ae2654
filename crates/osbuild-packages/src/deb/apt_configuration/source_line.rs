//! The one-line form: `deb [arch=amd64 signed-by=/key.gpg] http://host/debian suite component…`.

use anyhow::{Context as _, Result, bail};

use super::{is_no, set_signed_by};
use crate::deb::repository::Repository;

/// Reads `sources.list`.
pub(super) fn parse(text: &str) -> Result<Vec<Repository>> {
    let mut repositories = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        let parsed = parse_line(line).with_context(|| format!("line {}: {line}", number + 1))?;
        repositories.extend(parsed);
    }
    Ok(repositories)
}

fn parse_line(line: &str) -> Result<Option<Repository>> {
    let Some(rest) = line
        .strip_prefix("deb")
        .filter(|rest| rest.starts_with([' ', '\t', '[']))
    else {
        let is_known = line.is_empty() || line.starts_with("deb-src");
        return if is_known {
            Ok(None)
        } else {
            bail!("a source begins with `deb` or `deb-src`")
        };
    };
    let rest = rest.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']').context("`[` is not closed")?,
        None => ("", rest),
    };
    let mut words = rest.split_ascii_whitespace();
    let (Some(uri), Some(suite)) = (words.next(), words.next()) else {
        bail!("a source has an address and a suite");
    };
    let components: Vec<&str> = words.collect();
    if components.is_empty() && !suite.ends_with('/') {
        bail!("a suite that does not end in `/` needs a component");
    }
    let mut repository = Repository::new(uri, suite, &components);
    for option in options.split_ascii_whitespace() {
        let (name, value) = option
            .split_once('=')
            .with_context(|| format!("`{option}` is not `name=value`"))?;
        match name {
            "arch" => repository.architectures = value.split(',').map(str::to_owned).collect(),
            "signed-by" => set_signed_by(&mut repository, value),
            "check-valid-until" => repository.check_valid_until = !is_no(value),
            "trusted" => tracing::warn!(uri, "ignoring `trusted`: signatures are always checked"),
            _ => tracing::debug!(uri, name, "ignoring an option of a source"),
        }
    }
    Ok(Some(repository))
}

//! Picks the fields that solving needs out of one stanza, in a single pass.

use std::borrow::Cow;

use anyhow::{Result, bail};

use super::{DependencyKind, Stanza};

/// The fields of one package that matter for solving.
#[derive(Debug, Default)]
pub(super) struct Facts<'text> {
    pub(super) name: Cow<'text, str>,
    pub(super) version: &'text str,
    pub(super) architecture: &'text str,
    pub(super) priority: &'text str,
    pub(super) provides: &'text str,
    pub(super) is_essential: bool,
    pub(super) is_important: bool,
    /// `Multi-Arch: allowed`: a dependency on `name:any` is satisfied too.
    pub(super) allows_any: bool,
    pre_depends: &'text str,
    depends: &'text str,
    conflicts: &'text str,
    breaks: &'text str,
    recommends: &'text str,
    suggests: &'text str,
    replaces: &'text str,
    enhances: &'text str,
}

impl<'text> Facts<'text> {
    pub(super) fn of(stanza: Stanza<'text>) -> Result<Self> {
        let mut facts = Self::default();
        for (name, value) in stanza.fields() {
            facts.take(name, value);
        }
        if facts.name.is_empty() {
            bail!(
                "a stanza has no `Package` field: {:?}",
                stanza.text().lines().next().unwrap_or("")
            );
        }
        Ok(facts)
    }

    fn take(&mut self, field: &str, value: &'text str) {
        match field {
            "Package" => self.name = lower_case(value),
            "Version" => self.version = value,
            "Architecture" => self.architecture = value,
            "Priority" => self.priority = value,
            "Provides" => self.provides = value,
            "Essential" => self.is_essential = is_yes(value),
            "Important" | "Protected" => self.is_important |= is_yes(value),
            "Multi-Arch" => self.allows_any = value == "allowed",
            "Pre-Depends" => self.pre_depends = value,
            "Depends" => self.depends = value,
            "Conflicts" => self.conflicts = value,
            "Breaks" => self.breaks = value,
            "Recommends" => self.recommends = value,
            "Suggests" => self.suggests = value,
            "Replaces" => self.replaces = value,
            "Enhances" => self.enhances = value,
            _ => {}
        }
    }

    /// The dependencies that are kept, in apt's order.
    pub(super) fn dependencies(&self) -> [(DependencyKind, &'text str); 6] {
        [
            (DependencyKind::PreDepends, self.pre_depends),
            (DependencyKind::Depends, self.depends),
            (DependencyKind::Conflicts, self.conflicts),
            (DependencyKind::Breaks, self.breaks),
            (DependencyKind::Recommends, self.recommends),
            (DependencyKind::Suggests, self.suggests),
        ]
    }

    /// The fields that choose nothing, but whose names count in apt's numbering.
    pub(super) fn only_named(&self) -> [&'text str; 2] {
        [self.replaces, self.enhances]
    }
}

/// dpkg reads package names without regard to case.
fn lower_case(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

fn is_yes(value: &str) -> bool {
    value.eq_ignore_ascii_case("yes") || value.eq_ignore_ascii_case("true") || value == "1"
}

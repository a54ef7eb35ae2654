//! A golden pair, as its file has it.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::tree::Tree;

/// What a case begins with if no other program makes the same of it.
const OURS_ALONE: &str = "Ours alone: ";

/// A golden pair.
#[derive(Debug)]
pub(crate) struct Case {
    text: String,
    /// Whether upstream's stage does something else, for the reason that is given.
    pub(crate) is_ours_alone: bool,
    /// Whether the stage does what only root may, such as mounting.
    pub(crate) needs_root: bool,
    /// What the stage ends with.
    pub(crate) status: u8,
    pub(crate) options: Value,
    pub(crate) before: Tree,
    pub(crate) programs: Vec<(String, String)>,
    /// As the file has it.
    pub(crate) difference: String,
}

impl Case {
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = fs_err::read_to_string(file)?;
        Self::parse(text).with_context(|| format!("reading {}", file.display()))
    }

    fn parse(text: String) -> Result<Self> {
        let (head, rest) = text
            .split_once("\noptions\n")
            .context("there are no `options`")?;
        ensure!(!head.trim().is_empty(), "it does not say what it shows");
        let mut case = Self {
            is_ours_alone: head.starts_with(OURS_ALONE),
            needs_root: false,
            status: 0,
            text: String::new(),
            options: Value::Null,
            before: Tree::default(),
            programs: Vec::new(),
            difference: String::new(),
        };
        for (name, body) in sections(&format!("options\n{rest}")) {
            match name.as_str() {
                "root" => case.needs_root = true,
                "status" => case.status = body.trim().parse()?,
                "options" => case.options = serde_json::from_str(&body)?,
                "before" => case.before = Tree::parse(&body)?,
                "programs" => case.programs = programs(&body)?,
                "difference" => case.difference = body,
                name => bail!("`{name}` is no section"),
            }
        }
        case.text = text;
        Ok(case)
    }

    /// The text of the file with another difference.
    pub(crate) fn with_difference(&self, difference: &str) -> String {
        let (before, _) = self
            .text
            .split_once("\ndifference\n")
            .unwrap_or((self.text.trim_end(), ""));
        format!("{before}\ndifference\n{difference}")
    }
}

/// Lines without an indent are names of sections.
fn sections(text: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        match sections.last_mut() {
            Some((_, body)) if line.starts_with(' ') => body.push_str(&format!("{line}\n")),
            _ => sections.push((line.to_owned(), String::new())),
        }
    }
    sections
}

fn programs(body: &str) -> Result<Vec<(String, String)>> {
    let mut programs: Vec<(String, String)> = Vec::new();
    for line in body.lines() {
        match line.trim_start().strip_prefix("| ") {
            None => programs.push((line.trim().to_owned(), String::new())),
            Some(code) => {
                let (_, script) = programs.last_mut().context("a script has no name")?;
                script.push_str(&format!("{code}\n"));
            }
        }
    }
    Ok(programs)
}

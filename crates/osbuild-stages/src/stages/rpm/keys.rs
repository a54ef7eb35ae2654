//! Keys and the signatures they are for.

use std::io::Write as _;

use anyhow::{Context, Result};
use osbuild_packages::rpm::package::Package;
use osbuild_stage_api::StageError;
use serde_json::Value;

use super::Options;
use super::programs::Programs;

/// What is said about a package that must be signed.
const CHECK: &str = "rpm.check_gpg";
/// Packages are checked by as many calls as they fill, each well below what the kernel takes for arguments.
const PACKAGES_PER_CALL: usize = 500;

/// Imports the keys that the options spell out.
pub(super) fn import(programs: &Programs<'_>, options: &Options) -> Result<()> {
    for key in &options.gpgkeys {
        let mut file = tempfile::NamedTempFile::with_prefix("gpgkey.").context("writing a key")?;
        file.write_all(key.as_bytes()).context("writing a key")?;
        let command = programs.rpmkeys().arg("--import").arg(file.path());
        if !options.rpmkeys.ignore_import_failures {
            command.run()?;
            continue;
        }
        let status = command.status()?;
        if let Some(count) = status.code().filter(|code| *code != 0) {
            // Its exit status is the number of keys that it does not understand.
            programs
                .context
                .log(format_args!("{count} keys were not imported; going on"));
        }
    }
    Ok(())
}

/// Imports keys that are files of the tree.
pub(super) fn import_from_tree(programs: &Programs<'_>, files: &[String]) -> Result<()> {
    for file in files {
        let path = programs.context.tree_path()?.real_path(file)?;
        programs.rpmkeys().arg("--import").arg(path).run()?;
        programs
            .context
            .log(format_args!("imported the keys of {file}"));
    }
    Ok(())
}

/// Checks the signatures of the packages that must have one.
pub(super) fn check_signatures(programs: &Programs<'_>) -> Result<()> {
    let input = programs.context.input("packages")?;
    let must_be_signed = |about: &Value| is_true(about.get(CHECK));
    let names: Vec<&str> = input
        .files()
        .filter(|(_, about)| must_be_signed(about))
        .map(|(name, _)| name)
        .collect();
    for name in &names {
        // rpm takes a package without any signature for one whose signatures are all good.
        let package = Package::open(&input.path().join(name))?;
        if !package.has_signature() {
            return Err(refusal(name, "it is not signed", &package.full_name()?));
        }
    }
    for names in names.chunks(PACKAGES_PER_CALL) {
        let command = programs.rpmkeys().arg("--checksig").args(names);
        let (status, answer) = command.current_dir(input.path()).read_status()?;
        if !status.success() {
            return Err(explain(programs, names, &String::from_utf8_lossy(&answer)));
        }
    }
    Ok(())
}

/// Names the first package that rpm has something against; it has a line for each.
fn explain(programs: &Programs<'_>, names: &[&str], answer: &str) -> anyhow::Error {
    let bad = answer.lines().find(|line| line.ends_with("NOT OK"));
    let found = bad.and_then(|line| {
        let name = names
            .iter()
            .find(|name| line.starts_with(&format!("{name}:")))?;
        Some((*name, line[name.len() + 1..].trim()))
    });
    let Some((name, what)) = found else {
        let text = format!("rpm refuses signatures: {}", answer.trim());
        return StageError::new("CalledProcessError", text).into();
    };
    let path = programs
        .context
        .input("packages")
        .map(|input| input.path().join(name));
    let full_name = path
        .and_then(|path| Package::open(&path))
        .and_then(|package| package.full_name());
    refusal(
        name,
        what,
        &full_name.unwrap_or_else(|_| "unknown".to_owned()),
    )
}

fn refusal(name: &str, what: &str, full_name: &str) -> anyhow::Error {
    let text = format!("the signature check of {name} ({full_name}) failed: {what}");
    StageError::new("CalledProcessError", text).into()
}

/// What Python takes for true.
fn is_true(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Bool(value)) => *value,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
    }
}

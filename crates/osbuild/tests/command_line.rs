//! What the program answers to command lines: standard output, standard error and exit code, all of each.
//!
//! The rows of `command_lines.json` were held against upstream's version 191 when they were recorded: standard output,
//! exit code and the line with `osbuild: error:` are the same, but for rows with a `difference`. To record them anew after
//! a change that is meant, run with `OSBUILD_RECORD=1`, and read what has changed.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of these tests are test code, too"
)]

use std::path::Path;
use std::process::{Command, Stdio};

use fs_err as fs;
use serde_json::{Value, json};

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/command_lines.json");

/// Runs the program in a folder with the files of the table; `< FILE` at the end is its standard input.
fn answer(files: &Value, line: &str) -> Value {
    let folder = tempfile::Builder::new()
        .prefix("osbuild-command-line-")
        .tempdir()
        .unwrap();
    for (name, content) in files.as_object().unwrap() {
        fs::write(folder.path().join(name), content.as_str().unwrap()).unwrap();
    }
    let (arguments, input) = match line.split_once(" < ") {
        Some((arguments, file)) => (arguments, folder.path().join(file)),
        None => (line, Path::new("/dev/null").to_owned()),
    };
    let words = arguments.split(' ').filter(|word| !word.is_empty());
    let output = Command::new(env!("CARGO_BIN_EXE_osbuild"))
        .args(words)
        .current_dir(folder.path())
        .env_remove("OSBUILD_LOG")
        .stdin(Stdio::from(fs::File::open(input).unwrap().into_parts().0))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).unwrap();
        text.replace(folder.path().to_str().unwrap(), "[folder]")
    };
    json!({
        "code": output.status.code(),
        "stdout": text(output.stdout),
        "stderr": text(output.stderr),
    })
}

#[test]
fn every_command_line_is_answered_as_recorded() {
    let mut table: Value = serde_json::from_str(&fs::read_to_string(TABLE).unwrap()).unwrap();
    let files = table["files"].clone();
    let is_recording = std::env::var_os("OSBUILD_RECORD").is_some();
    let rows = table["rows"].as_array_mut().unwrap();
    assert!(rows.len() >= 100, "the table has {} rows", rows.len());
    let mut wrong = Vec::new();
    for row in rows {
        let line = row["line"].as_str().unwrap().to_owned();
        let answer = answer(&files, &line);
        for (key, value) in answer.as_object().unwrap() {
            if row[key] != *value {
                wrong.push(format!(
                    "osbuild {line}: {key}\n  recorded: {}\n  now:      {value}",
                    row[key]
                ));
                row[key] = value.clone();
            }
        }
    }
    if is_recording {
        let text = serde_json::to_string_pretty(&table).unwrap();
        fs::write(TABLE, text + "\n").unwrap();
    }
    assert!(
        is_recording || wrong.is_empty(),
        "{} answers have changed:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

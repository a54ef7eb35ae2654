//! Does what `osbuild --libdir LIBDIR --inspect MANIFEST` does, and tells on standard error how long each step took.

#[path = "../tests/directory_index/mod.rs"]
mod directory_index;

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use osbuild_manifest::document::parse;
use osbuild_manifest::validate::{errors_value, validate};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, manifest] = arguments.as_slice() else {
        anyhow::bail!("usage: inspect LIBDIR MANIFEST");
    };
    let text = fs_err::read_to_string(manifest)?;
    let modules = directory_index::DirectoryIndex::new(Path::new(library));
    let start = Instant::now();
    let document = parse(&text).context("parsing the manifest")?;
    let (parsed, next) = (start.elapsed(), Instant::now());
    let errors = validate(&document, &modules);
    let (validated, next) = (next.elapsed(), Instant::now());
    let answer = if errors.is_empty() {
        let host = "org.osbuild.linux";
        osbuild_manifest::inspect::inspect(&osbuild_manifest::resolve::resolve(
            &document.value,
            &modules,
            host,
        )?)
    } else {
        errors_value(&errors)
    };
    let (resolved, next) = (next.elapsed(), Instant::now());
    let answer = answer.to_python_json();
    let written = next.elapsed();
    writeln!(std::io::stdout(), "{answer}")?;
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    writeln!(
        std::io::stderr(),
        "{} bytes: parse {:.1} ms, validate {:.1} ms, resolve {:.1} ms, write {:.1} ms, together {:.1} ms",
        text.len(),
        milliseconds(parsed),
        milliseconds(validated),
        milliseconds(resolved),
        milliseconds(written),
        milliseconds(start.elapsed()),
    )?;
    Ok(())
}

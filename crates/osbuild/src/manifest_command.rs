//! `osbuild MANIFEST`: upstream's command line.

use std::io::IsTerminal as _;
use std::num::NonZeroUsize;

use osbuild_engine::event::Observer;
use osbuild_engine::execute::ExportRequest;
use osbuild_engine::module_catalog::ModuleCatalog;
use osbuild_manifest::checkpoint::matching_stages;
use osbuild_manifest::inspect::inspect;
use osbuild_manifest::manifest::Manifest;
use osbuild_manifest::validate::{errors_text, errors_value, validate};
use osbuild_manifest::value::Value;

use crate::command_line::{ManifestArguments, MonitorName};
use crate::failure::{Failure, FailureKind, Failures};
use crate::manifest_document::{ManifestDocument, read_text};
use crate::mistaken_kind::recipe_as_manifest;
use crate::monitor::{LogMonitor, NullMonitor, OneAtATime, Paper};
use crate::report::{json_v2, stage_failure, text};
use crate::run_build::{BuildOptions, become_builder, export_destination, run_build};
use crate::tell;

/// Builds or inspects a manifest. The order of the checks decides which error wins, and is upstream's.
pub(crate) fn run(arguments: &ManifestArguments) -> Result<(), Failures> {
    let name = arguments.manifest.as_deref().unwrap_or("-");
    let manifest = ManifestDocument::parse(name, &read_text(name)?)?;
    let catalog = ModuleCatalog::built_in();
    if manifest.version().is_none() && manifest.document.value.as_object().is_some() {
        tell::report("Unsupported manifest format\n");
        return Err(Failures::already_told(FailureKind::Document));
    }
    check(&manifest, &catalog, arguments, name)?;
    let resolved = manifest.resolve(&catalog)?;
    check_exports(&resolved, &arguments.export)?;
    let checkpoints = matching_stages(&resolved, &arguments.checkpoint);
    if !arguments.checkpoint.is_empty() && checkpoints.is_empty() {
        tell::report("No checkpoints matched provided patterns!\nFailed\n");
        return Err(Failures::already_told(FailureKind::Build));
    }
    if arguments.inspect {
        tell::data(&format!("{}\n", inspect(&resolved).to_python_json()));
        return Ok(());
    }
    if !arguments.export.is_empty() && arguments.output_directory.is_none() {
        tell::report("Need --output-directory for --export\n");
        return Err(Failures::already_told(FailureKind::Build));
    }
    let options = BuildOptions {
        store: &arguments.store,
        exports: export_requests(arguments)?,
        checkpoints: checkpoints.clone(),
        stage_timeout: arguments.stage_timeout,
        // Upstream's callers read its log as one pipeline after another.
        jobs: NonZeroUsize::MIN,
    };
    if !options.exports.is_empty() {
        become_builder()?;
    }
    let is_log = monitor_name(arguments) == MonitorName::Log;
    if is_log {
        tell::report(&format!("starting {name}"));
    }
    let mut monitor = monitor(arguments);
    let built = run_build(&resolved, &catalog, &options, monitor.as_mut())?;
    if is_log {
        let end = if built.outcome.success() {
            "finished successfully"
        } else {
            "failed"
        };
        tell::report(&format!("manifest {name} {end}\n"));
    }
    if arguments.json {
        let document = json_v2::result_document(&resolved, &built.outcome);
        let line = Value::from_serde(&document).to_python_json();
        tell::data(&format!("{line}\n"));
    } else if !arguments.quiet && built.outcome.success() {
        let report = text::success_report(&resolved, &checkpoints, &built.store);
        tell::report(&report);
    }
    match stage_failure::failure_of(&resolved, built.outcome) {
        None => Ok(()),
        Some(failure) => {
            if !arguments.json && !arguments.quiet {
                let is_interrupt = failure.kind == FailureKind::Interrupted;
                tell::report(if is_interrupt {
                    "\nAborted\n"
                } else {
                    "Failed\n"
                });
            }
            Err(failure.into())
        }
    }
}

/// Validates; what is wrong goes to standard output in upstream's form.
fn check(
    manifest: &ManifestDocument,
    catalog: &ModuleCatalog,
    arguments: &ManifestArguments,
    name: &str,
) -> Result<(), Failures> {
    let errors = validate(&manifest.document, catalog);
    if errors.is_empty() {
        return Ok(());
    }
    if arguments.json || arguments.inspect {
        tell::data(&format!("{}\n", errors_value(&errors).to_python_json()));
        return Err(Failures::already_told(FailureKind::Document));
    }
    tell::report(&errors_text(&errors, name));
    if std::io::stderr().is_terminal() {
        return Err(manifest.failures(&errors));
    }
    Err(Failures::already_told(FailureKind::Document))
}

/// Upstream keeps exports as a set, each below the word that asked for it.
fn export_requests(arguments: &ManifestArguments) -> Result<Vec<ExportRequest>, Failure> {
    let Some(directory) = &arguments.output_directory else {
        return Ok(Vec::new());
    };
    let mut words: Vec<&String> = Vec::new();
    for word in &arguments.export {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
        .into_iter()
        .map(|word| {
            Ok(ExportRequest {
                pipeline: word.clone(),
                destination: export_destination(directory, word)?,
            })
        })
        .collect()
}

fn check_exports(manifest: &Manifest, exports: &[String]) -> Result<(), Failures> {
    let unknown: Vec<&String> = exports
        .iter()
        .filter(|word| manifest.find_pipeline(word).is_none())
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = manifest
        .pipelines
        .iter()
        .map(|pipeline| Value::from(pipeline.name.as_str()).to_python_repr())
        .collect();
    for word in unknown {
        tell::report(&format!(
            "Export {word} not found in [{}]\n",
            names.join(", ")
        ));
    }
    tell::report("Failed\n");
    Err(Failures::already_told(FailureKind::Build))
}

fn monitor_name(arguments: &ManifestArguments) -> MonitorName {
    let is_silent = arguments.quiet || arguments.json;
    let default = if is_silent {
        MonitorName::Null
    } else {
        MonitorName::Log
    };
    arguments.monitor.unwrap_or(default)
}

fn monitor(arguments: &ManifestArguments) -> Box<dyn Observer> {
    match monitor_name(arguments) {
        MonitorName::Null => Box::new(NullMonitor),
        MonitorName::Log => Box::new(OneAtATime::new(LogMonitor::new(Paper::stdout()))),
    }
}

/// Resolves a manifest for `osbuild build`, telling everything that is wrong with its place.
pub(crate) fn load_for_build(
    name: &str,
    text: &str,
    catalog: &ModuleCatalog,
) -> Result<Manifest, Failures> {
    let manifest = ManifestDocument::parse(name, text)?;
    if manifest.version().is_none() && manifest.document.value.as_object().is_some() {
        return Err(manifest.unknown_version().into());
    }
    if let Some(failure) = recipe_as_manifest(name, &manifest.document.value) {
        return Err(failure.into());
    }
    let errors = validate(&manifest.document, catalog);
    if !errors.is_empty() {
        return Err(manifest.failures(&errors));
    }
    Ok(manifest.resolve(catalog)?)
}

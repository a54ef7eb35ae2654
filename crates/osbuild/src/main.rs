//! The program: command line in, images out. The only crate that prints.

use std::process::ExitCode;

mod abbreviation;
mod build_command;
mod build_record;
mod cache_command;
mod command_line;
mod depsolve_command;
mod diff_command;
mod documentation_command;
mod explain_command;
mod failure;
mod image_info_command;
mod interrupts;
mod known_packages;
mod manifest_command;
mod manifest_document;
mod mistaken_kind;
mod module_service;
mod modules_command;
mod monitor;
mod printable;
mod recipe_commands;
mod report;
mod resume_command;
mod run_build;
mod seed_command_line;
mod shell_word;
mod store_place;
mod tell;
mod terminal_style;
mod usage_error;

fn main() -> ExitCode {
    // Process 1 of a sandbox, a module inside it, or the command line: decided by argv[0], before
    // anything else is looked at.
    osbuild_sandbox::init::main_if_requested();
    if let Some(code) = module_service::run_if_requested() {
        return code;
    }
    if let Some(code) = diff_command::run_if_requested() {
        return code;
    }
    if let Some(code) = image_info_command::run_if_requested() {
        return code;
    }
    if let Some(code) = depsolve_command::run_if_requested() {
        return code;
    }
    if let Some(code) = std::env::args_os()
        .next()
        .and_then(|name| osbuild_stages::run_module(&name))
    {
        return code;
    }
    tell::start_logging();
    match build_command::run_command_line() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failures) => {
            tell::failures(&failures);
            ExitCode::from(failures.exit_code())
        }
    }
}

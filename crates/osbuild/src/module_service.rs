//! This program as a module on the host: it was started from a library directory, by an engine that talks to it.

use std::process::ExitCode;

use osbuild_host_modules::service::ServiceCall;

use crate::tell;

/// Serves as the module that this program was started as; none if it was started as something else.
pub(crate) fn run_if_requested() -> Option<ExitCode> {
    let call = ServiceCall::detect(std::env::args_os())?;
    tell::start_logging();
    let served = call.serve(&|line| tell::report(&format!("{line}\n")));
    Some(match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell::note(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    })
}

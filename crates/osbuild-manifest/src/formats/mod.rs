//! The formats of manifests: what each demands, what it means, how it is shown.

mod checks;
mod fields;
pub(crate) mod version_1;
pub(crate) mod version_2;

use crate::document::PathElement;
use crate::module::ModuleIndex;
use crate::resolve::ResolveError;
use crate::runner::Runner;

/// Finds the runner of the host; it goes by the name of its file.
fn host_runner(
    modules: &dyn ModuleIndex,
    host: &str,
    path: &[PathElement],
) -> Result<Runner, ResolveError> {
    let runner = modules
        .runner(host)
        .map_err(|error| ResolveError::new(format!("{error:#}"), path))?;
    Ok(Runner {
        requested: runner.file_name.clone(),
        file_name: runner.file_name,
    })
}

//! Shells in the sandbox of a stage, for the user to look around.

use anyhow::{Context as _, Result};
use osbuild_manifest::manifest::Stage;
use osbuild_sandbox::build_root::BuildRootRequest;
use osbuild_sandbox::{CancelToken, build_root_spec, terminal_shell};

use crate::outcome::Ending;

/// The word that means every stage.
const EVERY_STAGE: &str = "*";

/// When a shell is opened, on the terminal of the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShellRequest {
    /// Before stages of this name or id; `*` for every stage.
    pub before: Option<String>,
    /// After a stage that failed, what it left still in place.
    pub opens_after_failure: bool,
}

impl ShellRequest {
    /// Tells whether any stage may open one: pipelines can then not run side by side.
    pub fn is_any(&self) -> bool {
        self.before.is_some() || self.opens_after_failure
    }

    pub(crate) fn is_before(&self, stage: &Stage) -> bool {
        self.before
            .as_deref()
            .is_some_and(|word| [EVERY_STAGE, &stage.name, stage.id.as_str()].contains(&word))
    }

    pub(crate) fn is_after(&self, ending: &Ending) -> bool {
        self.opens_after_failure
            && !matches!(ending, Ending::Exited { status: 0 } | Ending::Cancelled)
    }
}

/// Opens a shell in what a stage sees, and waits for its end.
pub(crate) fn open(stage: &Stage, request: &BuildRootRequest, cancel: &CancelToken) -> Result<()> {
    let spec = build_root_spec(request);
    terminal_shell::run(&spec, &stage.name, cancel)
        .with_context(|| format!("opening a shell for `{}`", stage.name))
}

#[cfg(test)]
mod tests {
    use osbuild_manifest::resolve::resolve;
    use osbuild_manifest::value::Value;

    use super::*;
    use crate::module_catalog::ModuleCatalog;

    #[test]
    fn a_stage_is_meant_by_its_name_its_id_or_a_star() {
        let text = r#"{"pipeline": {"stages": [{"name": "org.osbuild.noop"}]}}"#;
        let value = Value::from_json(text).unwrap();
        let manifest = resolve(&value, &ModuleCatalog::built_in(), "org.osbuild.linux").unwrap();
        let stage = &manifest.pipelines[0].stages[0];
        let is_before = |word: &str| {
            let before = Some(word.to_owned());
            ShellRequest {
                before,
                ..ShellRequest::default()
            }
            .is_before(stage)
        };
        let words = ["*", "org.osbuild.noop", stage.id.as_str()];
        assert_eq!(words.map(is_before), [true; 3]);
        // No pattern but the one.
        assert_eq!(["", "org.*", "noop", "tree"].map(is_before), [false; 4]);
        assert!(!ShellRequest::default().is_before(stage));
    }
}

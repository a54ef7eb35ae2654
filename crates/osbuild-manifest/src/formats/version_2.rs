//! A format.
use crate::manifest::Manifest;
use crate::module::ModuleIndex;
use crate::resolve::ResolveError;
use crate::validate::ValidationError;
use crate::value::Value;
pub(crate) fn validate(_manifest: &Value, _modules: &dyn ModuleIndex) -> Vec<ValidationError> {
    Vec::new()
}
pub(crate) fn resolve(
    _manifest: &Value,
    _modules: &dyn ModuleIndex,
    _host_runner: &str,
) -> Result<Manifest, ResolveError> {
    Err(ResolveError::new("not yet", &[]))
}
pub(crate) fn inspect(_manifest: &Manifest) -> Value {
    Value::Null
}

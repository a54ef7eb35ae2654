//! The socket `osbuild`: a stage says on it why it failed.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use osbuild_manifest::value::Value;

use crate::external::api_server::{ApiError, Endpoint};
use crate::stage_arguments::object;

/// What a stage said.
#[derive(Clone, Debug, Default)]
pub(crate) struct StageReport(Arc<Mutex<Report>>);

#[derive(Debug, Default)]
struct Report {
    error: Option<Value>,
    problems: Vec<String>,
}

impl StageReport {
    /// Gives the exception that counts, the last one, and what was sent that meant nothing.
    pub(crate) fn take(&self) -> (Option<Value>, Vec<String>) {
        let report = std::mem::take(&mut *self.lock());
        (report.error, report.problems)
    }

    /// Notes something that was sent and meant nothing.
    pub(crate) fn add_problem(&self, problem: String) {
        self.lock().problems.push(problem);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what a stage reports.
pub(crate) struct StageApi(pub(crate) StageReport);

impl Endpoint for StageApi {
    fn name(&self) -> &'static str {
        "osbuild"
    }

    fn request(
        &mut self,
        request: &Value,
        _: &mut Vec<OwnedFd>,
    ) -> Result<Option<Value>, ApiError> {
        let is_exception = request.get("method").and_then(Value::as_str) == Some("exception");
        // Anything else takes an exception back, as it does upstream.
        self.0.lock().error = if is_exception {
            let exception = request
                .get("exception")
                .ok_or_else(|| ApiError::missing("exception"))?;
            let error = object([("type", "exception".into()), ("data", exception.clone())]);
            Some(error.into())
        } else {
            None
        };
        Ok(None)
    }

    fn misuse(&mut self, problem: &str) {
        let name = self.name();
        self.0.add_problem(format!("socket `{name}`: {problem}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(requests: &[&str]) -> Option<String> {
        let report = StageReport::default();
        let mut api = StageApi(report.clone());
        for request in requests {
            let request = Value::from_json(request).unwrap();
            assert_eq!(api.request(&request, &mut Vec::new()), Ok(None));
        }
        report.take().0.map(|error| error.to_python_json())
    }

    #[test]
    fn the_last_exception_counts() {
        let exception = |kind: &str| {
            format!(
                r#"{{"method": "exception", "exception": {{"type": "{kind}", "value": "v", "traceback": ""}}}}"#
            )
        };
        assert_eq!(
            report(&[&exception("A"), &exception("B")]).unwrap(),
            r#"{"type": "exception", "data": {"type": "B", "value": "v", "traceback": ""}}"#
        );
        assert_eq!(report(&[&exception("A"), r#"{"method": "other"}"#]), None);
    }

    #[test]
    fn an_exception_that_is_none_is_refused() {
        let mut api = StageApi(StageReport::default());
        let request = Value::from_json(r#"{"method": "exception"}"#).unwrap();
        let refused = api.request(&request, &mut Vec::new());
        assert_eq!(refused, Err(ApiError::missing("exception")));
    }
}

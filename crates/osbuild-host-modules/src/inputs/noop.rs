//! `org.osbuild.noop`: nothing but what the manifest says.

use anyhow::Result;
use serde_json::json;

use crate::{InputModule, InputRequest, MappedInput};

/// The module.
#[derive(Debug)]
pub struct Noop;

impl InputModule for Noop {
    fn map(&self, request: &InputRequest<'_>) -> Result<MappedInput> {
        // Upstream's has a folder of a random name in it, so that the input is not empty.
        fs_err::create_dir(request.target.join("empty"))?;
        Ok(MappedInput {
            path: request.target.to_owned(),
            data: Some(json!({"refs": request.references})),
            guards: Vec::new(),
        })
    }
}

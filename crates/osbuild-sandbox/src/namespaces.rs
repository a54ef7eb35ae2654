//! Runs a sandbox in namespaces made by this program itself.

use anyhow::{Result, bail};

use crate::executor::{Finished, Limits};
use crate::spec::SandboxSpec;

pub(crate) fn run(
    _spec: &SandboxSpec,
    _limits: &Limits<'_>,
    _on_output: &mut dyn FnMut(&[u8]),
) -> Result<Finished> {
    bail!("being written")
}

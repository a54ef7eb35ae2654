//! How `mksquashfs` compresses.

use serde::Deserialize;

/// An algorithm and its options.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Compression {
    method: String,
    #[serde(default)]
    options: AlgorithmOptions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AlgorithmOptions {
    /// The machine whose programs are compressed better.
    bcj: Option<String>,
}

impl Compression {
    /// Returns the arguments of `mksquashfs`.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["-comp".to_owned(), self.method.clone()];
        if let Some(machine) = &self.options.bcj {
            arguments.extend(["-Xbcj".to_owned(), machine.clone()]);
        }
        arguments
    }
}

//! The log of every stage on disk, and the end of it in memory.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Result;
use fs_err as fs;

use crate::outcome::MAXIMUM_OUTPUT;

/// Runs whose logs are kept; older ones go when a new run starts.
const KEPT_RUNS: usize = 20;

/// Makes the folder for the logs of one run, `SECONDS-PID`, and removes those of long ago.
pub(crate) fn new_run_directory(logs: &Path) -> Result<PathBuf> {
    let seconds = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let directory = logs.join(format!("{seconds}-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    remove_old_runs(logs);
    Ok(directory)
}

/// Old logs are a convenience: when they can not be removed, the build goes on.
fn remove_old_runs(logs: &Path) {
    let Ok(entries) = fs::read_dir(logs) else {
        return;
    };
    let mut runs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    runs.sort();
    for old in runs.iter().rev().skip(KEPT_RUNS) {
        if let Err(error) = osbuild_store::remove_tree(old) {
            tracing::debug!("removing old logs: {error:#}");
        }
    }
}

/// Longest pipeline name that becomes a folder as it is; file systems allow 255 bytes.
const MAXIMUM_NAME: usize = 100;

/// Gives the name of a pipeline's folder: the pipeline's own where that is a plain word, as it is in almost every
/// manifest. Any text can be the name of a pipeline, and none of them may lead out of the folder of logs.
pub(crate) fn directory_name(pipeline: &str, number: usize) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_name = pipeline.starts_with(|c: char| c.is_ascii_alphanumeric());
    if is_name && pipeline.len() <= MAXIMUM_NAME && pipeline.chars().all(is_plain) {
        pipeline.to_owned()
    } else {
        format!("pipeline {}", number + 1)
    }
}

/// What a stage wrote: all of it in a file, the last [`MAXIMUM_OUTPUT`] bytes in memory.
pub(crate) struct StageLog {
    file: fs::File,
    path: PathBuf,
    tail: Vec<u8>,
    dropped: u64,
}

impl StageLog {
    /// Begins the log of the stage with this number (counted from 0) in the folder of a pipeline.
    pub(crate) fn create(pipeline_logs: &Path, number: usize, module: &str) -> Result<Self> {
        fs::create_dir_all(pipeline_logs)?;
        let path = pipeline_logs.join(format!("{:03}-{module}.log", number + 1));
        Ok(Self {
            file: fs::File::create(&path)?,
            path,
            tail: Vec::new(),
            dropped: 0,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes a piece of output. A log that can not be written (a full disk) does not end the stage:
    /// what is in memory still tells what happened.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        if let Err(error) = self.file.write_all(bytes) {
            tracing::debug!(%error, "writing a stage's log");
        }
        self.tail.extend_from_slice(bytes);
        // Twice the limit before cutting, so that a chatty stage moves each byte once on average.
        if self.tail.len() > 2 * MAXIMUM_OUTPUT {
            let excess = self.tail.len() - MAXIMUM_OUTPUT;
            self.tail.drain(..excess);
            self.dropped += excess as u64;
        }
    }

    /// Gives the end of the output as text, and how many bytes were before it. Bytes that are not UTF-8 become U+FFFD, the
    /// log keeps them.
    pub(crate) fn into_text(mut self) -> (String, u64) {
        if self.tail.len() > MAXIMUM_OUTPUT {
            let excess = self.tail.len() - MAXIMUM_OUTPUT;
            self.tail.drain(..excess);
            self.dropped += excess as u64;
        }
        (
            String::from_utf8_lossy(&self.tail).into_owned(),
            self.dropped,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_a_pipeline_leads_out_of_the_folder_of_logs() {
        for name in ["tree", "build-build", "image.v2", "x86_64"] {
            assert_eq!(directory_name(name, 4), name);
        }
        let long = "a".repeat(256);
        for name in [
            "",
            ".",
            "..",
            "../x",
            "/x",
            "a/b",
            "a\0",
            "a\nb",
            "\u{1b}[31m",
            &long,
        ] {
            assert_eq!(directory_name(name, 4), "pipeline 5", "{name:?}");
        }
    }

    #[test]
    fn a_log_keeps_all_on_disk_and_the_end_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = StageLog::create(folder.path(), 4, "org.osbuild.test").unwrap();
        let line = vec![b'x'; 1000];
        for _ in 0..3000 {
            log.write(&line);
        }
        log.write(b"\xffend\n");
        let path = log.path().to_owned();
        let (text, before) = log.into_text();
        assert_eq!(path.file_name().unwrap(), "005-org.osbuild.test.log");
        assert_eq!(fs::metadata(path).unwrap().len(), 3_000_005);
        assert_eq!(before, 3_000_005 - MAXIMUM_OUTPUT as u64);
        assert!(text.starts_with('x') && text.ends_with("x\u{fffd}end\n"));
    }
}

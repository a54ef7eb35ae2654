//! The monitor of `osbuild build` where there is no terminal: a line for each thing that was done.

use std::time::Instant;

use osbuild_engine::event::{Event, FetchProgress, Observer};
use osbuild_engine::outcome::{Ending, SourceOutcome, StageOutcome};
use osbuild_manifest::manifest::Manifest;

use super::Paper;
use crate::printable::printable;

/// Writes a line when something is done or goes wrong, and nothing while it goes on.
pub(crate) struct PlainMonitor {
    paper: Paper,
    fetch_start: Instant,
    progress: FetchProgress,
}

impl PlainMonitor {
    pub(crate) fn new(paper: Paper) -> Self {
        Self {
            paper,
            fetch_start: Instant::now(),
            progress: FetchProgress::default(),
        }
    }
}

impl Observer for PlainMonitor {
    fn event(&mut self, manifest: &Manifest, event: &Event) {
        match event {
            Event::SpaceIsShort { needed, free } => {
                self.paper
                    .write(&format!("{}\n", short_space(*needed, *free)));
            }
            Event::SourceStarted { .. } => {
                self.fetch_start = Instant::now();
                self.progress = FetchProgress::default();
            }
            Event::SourceLog {
                source,
                line,
                is_warning: true,
            } => {
                let name = &manifest.sources[*source].name;
                self.paper.write(&format!("{name}: {}\n", printable(line)));
            }
            Event::SourceProgress { progress, .. } => self.progress = *progress,
            Event::SourceFinished { source, outcome } => {
                let name = &manifest.sources[*source].name;
                let text = fetch_summary(
                    outcome,
                    self.progress.bytes_done,
                    self.fetch_start.elapsed().as_secs_f64(),
                );
                self.paper.write(&format!("{name}: {text}\n"));
            }
            Event::PipelineStarted {
                pipeline,
                reused_stages,
            } if *reused_stages > 0 => {
                let name = printable(&manifest.pipelines[*pipeline].name);
                self.paper
                    .write(&format!("{name}: {reused_stages} stages reused\n"));
            }
            Event::StageFinished {
                pipeline, outcome, ..
            } => {
                let name = printable(&manifest.pipelines[*pipeline].name);
                let verdict = verdict(outcome);
                self.paper.write(&format!(
                    "{name}: {} {:.2} s{verdict}\n",
                    outcome.name,
                    outcome.duration.as_secs_f64()
                ));
            }
            _ => {}
        }
    }
}

/// Says that a build will probably not fit, before it is begun.
pub(super) fn short_space(needed: u64, free: u64) -> String {
    format!(
        "warning: the store's disk is too small for this build: these stages took {} there before, and {} are free",
        human_size(needed),
        human_size(free)
    )
}

/// Says how a stage ended, if not well. One that another's failure ended did not fail itself.
pub(super) fn verdict(outcome: &StageOutcome) -> &'static str {
    match outcome.ending {
        _ if outcome.success => "",
        Ending::Cancelled => " ended",
        _ => " FAILED",
    }
}

/// Says what a source fetched.
pub(super) fn fetch_summary(outcome: &SourceOutcome, bytes: u64, seconds: f64) -> String {
    let files = match outcome.results.len() {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    };
    if !outcome.success {
        let missing = outcome
            .results
            .iter()
            .filter(|result| result.error.is_some());
        return format!("{} of {files} missing FAILED", missing.count());
    }
    if bytes == 0 {
        format!("{files} present")
    } else {
        format!("{files}, fetched {} in {seconds:.1} s", human_size(bytes))
    }
}

/// Writes a size for people: `3.4 MB`, powers of 1000.
pub(super) fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1000.0;
    let mut unit = 0;
    while size >= 999.95 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        let sizes = [0, 999, 1000, 999_949, 999_960, 3_400_000_000].map(human_size);
        assert_eq!(
            sizes,
            ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "3.4 GB"]
        );
    }
}

//! The monitor of `osbuild build` on a terminal: what runs now, for how long, and bytes fetched.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use osbuild_engine::event::{Event, FetchProgress, Observer};
use osbuild_engine::outcome::SourceOutcome;
use osbuild_manifest::manifest::Manifest;

use super::plain::{fetch_summary, human_size, short_space, verdict};
use crate::printable::printable;

/// How often the running times are drawn anew.
const TICK: Duration = Duration::from_millis(100);

/// Draws one moving line for each running pipeline or source below the lines of what is done.
pub(crate) struct LiveMonitor {
    bars: MultiProgress,
    pipelines: BTreeMap<usize, ProgressBar>,
    source: Option<(ProgressBar, Instant)>,
    progress: FetchProgress,
}

impl LiveMonitor {
    pub(crate) fn new() -> Self {
        Self {
            bars: MultiProgress::new(),
            pipelines: BTreeMap::new(),
            source: None,
            progress: FetchProgress::default(),
        }
    }

    fn new_bar(&self, name: &str) -> ProgressBar {
        let style = ProgressStyle::with_template("{spinner} {prefix:.bold} {wide_msg} {elapsed}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = self.bars.add(ProgressBar::new_spinner().with_style(style));
        bar.set_prefix(printable(name).into_owned());
        bar.enable_steady_tick(TICK);
        bar
    }

    /// Writes a line above the moving ones.
    fn say(&self, line: &str) {
        if let Err(error) = self.bars.println(printable(line)) {
            tracing::debug!(%error, "drawing progress");
        }
    }

    fn source_finished(&mut self, name: &str, outcome: &SourceOutcome) {
        let Some((bar, start)) = self.source.take() else {
            return;
        };
        bar.finish_and_clear();
        let text = fetch_summary(
            outcome,
            self.progress.bytes_done,
            start.elapsed().as_secs_f64(),
        );
        self.say(&format!("{name}: {text}"));
    }
}

impl Observer for LiveMonitor {
    fn event(&mut self, manifest: &Manifest, event: &Event) {
        match event {
            Event::SpaceIsShort { needed, free } => self.say(&short_space(*needed, *free)),
            Event::SourceStarted { source } => {
                self.progress = FetchProgress::default();
                let bar = self.new_bar(&manifest.sources[*source].name);
                self.source = Some((bar, Instant::now()));
            }
            Event::SourceLog {
                source,
                line,
                is_warning: true,
            } => self.say(&format!("{}: {line}", manifest.sources[*source].name)),
            Event::SourceProgress { progress, .. } => {
                self.progress = *progress;
                if let Some((bar, _)) = &self.source {
                    bar.set_message(fetch_message(progress));
                }
            }
            Event::SourceFinished { source, outcome } => {
                self.source_finished(&manifest.sources[*source].name, outcome);
            }
            Event::PipelineStarted {
                pipeline,
                reused_stages,
            } => {
                let name = &manifest.pipelines[*pipeline].name;
                if *reused_stages > 0 {
                    self.say(&format!("{name}: {reused_stages} stages reused"));
                }
                let bar = self.new_bar(name);
                self.pipelines.insert(*pipeline, bar);
            }
            Event::StageStarted { pipeline, stage } => {
                if let Some(bar) = self.pipelines.get(pipeline) {
                    let stages = &manifest.pipelines[*pipeline].stages;
                    bar.reset_elapsed();
                    bar.set_message(format!(
                        "{} ({} of {})",
                        stages[*stage].name,
                        stage + 1,
                        stages.len()
                    ));
                }
            }
            Event::StageFinished {
                pipeline, outcome, ..
            } => {
                let verdict = verdict(outcome);
                self.say(&format!(
                    "{}: {} {:.2} s{verdict}",
                    manifest.pipelines[*pipeline].name,
                    outcome.name,
                    outcome.duration.as_secs_f64()
                ));
            }
            Event::PipelineFinished { pipeline, .. } => {
                if let Some(bar) = self.pipelines.remove(pipeline) {
                    bar.finish_and_clear();
                }
            }
            Event::BuildStarted { .. }
            | Event::BuildFinished { .. }
            | Event::SourceLog { .. }
            | Event::StageOutput { .. }
            | Event::ServiceLog { .. } => {}
        }
    }
}

fn fetch_message(progress: &FetchProgress) -> String {
    format!(
        "{} of {} files, {} of {}",
        progress.files_done,
        progress.files_total,
        human_size(progress.bytes_done),
        human_size(progress.bytes_total)
    )
}

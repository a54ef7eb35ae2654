//! `LogMonitor`: the whole log, stage after stage, in upstream's form.

use osbuild_engine::event::{Event, Observer};
use osbuild_manifest::manifest::{Manifest, Pipeline, Stage};

use super::Paper;
use super::lossy_decoder::LossyDecoder;

/// Writes what upstream's monitor of the same name writes.
pub(crate) struct LogMonitor {
    paper: Paper,
    /// The manifest as the user called it, where its begin and end are told.
    path: Option<String>,
    decoder: LossyDecoder,
}

impl LogMonitor {
    pub(crate) fn new(paper: Paper) -> Self {
        Self {
            paper,
            path: None,
            decoder: LossyDecoder::default(),
        }
    }

    /// Tells begin and end of the build of this manifest, too.
    pub(crate) fn of_manifest(paper: Paper, path: &str) -> Self {
        Self {
            path: Some(path.to_owned()),
            ..Self::new(paper)
        }
    }

    fn build_started(&mut self) {
        if let Some(path) = &self.path {
            // Upstream writes no newline either.
            let text = format!("starting {}", self.paper.name(path));
            self.paper.write(&text);
        }
    }

    fn build_finished(&mut self, success: bool) {
        if let Some(path) = &self.path {
            let ending = super::ending(success);
            let text = format!("manifest {} {ending}\n", self.paper.name(path));
            self.paper.write(&text);
        }
    }

    fn pipeline_started(&mut self, pipeline: &Pipeline) {
        let id = pipeline.id().map_or("None", |id| id.as_str());
        let name = self.paper.name(&pipeline.name);
        self.paper.write_bold(&format!("Pipeline {name}: {id}"));
        let root = pipeline.build.as_ref().map_or("<host>", |id| id.as_str());
        let mut text = format!("\nBuild\n  root: {root}");
        text += &format!(
            "\n  runner: {} ({})",
            self.paper.name(&pipeline.runner.requested),
            pipeline.runner.file_name
        );
        if let Some(epoch) = pipeline.source_epoch {
            text += &format!("\n  source-epoch: {} [{epoch}]", c_time(epoch));
        }
        text.push('\n');
        self.paper.write(&text);
    }

    fn stage_started(&mut self, stage: &Stage) {
        self.decoder = LossyDecoder::default();
        self.paper
            .write_bold(&format!("{}: {}", stage.name, stage.id.as_str()));
        self.paper
            .write(&format!(" {}\n", stage.options.to_indented_python_json(2)));
    }

    fn source_started(&mut self, manifest: &Manifest, source: usize) {
        let source = &manifest.sources[source];
        self.paper
            .write_bold(&format!("Pipeline source {}: {}", source.name, source.id));
        self.paper.write("\nBuild\n  root: <host>\n");
    }
}

impl Observer for LogMonitor {
    fn event(&mut self, manifest: &Manifest, event: &Event) {
        match event {
            Event::SourceStarted { source } => self.source_started(manifest, *source),
            Event::SourceLog { source, line, .. } => {
                let name = &manifest.sources[*source].name;
                self.paper
                    .write(&format!("source/{name} ({name}): {line}\n"));
            }
            Event::ServiceLog { line, .. } => self.paper.write(&format!("{line}\n")),
            Event::PipelineStarted { pipeline, .. } => {
                self.pipeline_started(&manifest.pipelines[*pipeline]);
            }
            Event::StageStarted { pipeline, stage } => {
                self.stage_started(&manifest.pipelines[*pipeline].stages[*stage]);
            }
            Event::StageOutput { bytes, .. } => {
                let text = self.decoder.decode(bytes);
                self.paper.write(&text);
            }
            Event::StageFinished { outcome, .. } => {
                let rest = self.decoder.finish();
                self.paper.write(&format!(
                    "{rest}\n⏱  Duration: {:.2}s\n",
                    outcome.duration.as_secs_f64()
                ));
            }
            Event::BuildStarted { .. } => self.build_started(),
            Event::BuildFinished { success } => self.build_finished(*success),
            Event::SpaceIsShort { .. }
            | Event::SourceProgress { .. }
            | Event::SourceFinished { .. }
            | Event::PipelineFinished { .. } => {}
        }
    }
}

/// Formats a time as `strftime("%c")` does in the C locale, in UTC.
pub(super) fn c_time(epoch: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let days = epoch.div_euclid(86_400);
    let seconds = epoch.rem_euclid(86_400);
    let (year, month, day) = civil_from_days(days);
    format!(
        "{} {} {day:2} {:02}:{:02}:{:02} {year}",
        DAYS[days.rem_euclid(7) as usize],
        MONTHS[month - 1],
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Gives year, month (1 to 12) and day of the month of a day counted from 1970-01-01, in the
/// proleptic Gregorian calendar (the days-from-civil algorithm, turned round).
fn civil_from_days(days: i64) -> (i64, usize, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as usize, day)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::time::Duration;

    use osbuild_engine::module_catalog::ModuleCatalog;
    use osbuild_engine::outcome::{Ending, StageOutcome};
    use osbuild_manifest::resolve::resolve;
    use osbuild_manifest::value::Value;

    use super::*;
    use crate::monitor::test_paper::TestPaper;

    #[test]
    fn a_stage_is_logged_as_upstream_logs_it() {
        let text = r#"{"version": "2", "pipelines": [{"name": "tree", "source-epoch": 86400,
            "stages": [{"type": "org.osbuild.noop", "options": {"b": [1], "a": 1.0}}]}]}"#;
        let value = Value::from_json(text).unwrap();
        let manifest = resolve(&value, &ModuleCatalog::built_in(), "org.osbuild.linux").unwrap();
        let id = manifest.pipelines[0].stages[0].id.clone();
        let outcome = StageOutcome {
            stage: 0,
            id: id.clone(),
            name: "org.osbuild.noop".to_owned(),
            success: true,
            ending: Ending::Exited { status: 0 },
            output: String::new(),
            error: None,
            metadata: None,
            duration: Duration::from_millis(250),
            free_bytes: None,
            earlier_output: 0,
            log: PathBuf::new(),
        };
        let paper = TestPaper::default();
        let mut monitor = LogMonitor::new(Paper::plain(Box::new(paper.clone())));
        for event in [
            Event::PipelineStarted {
                pipeline: 0,
                reused_stages: 0,
            },
            Event::StageStarted {
                pipeline: 0,
                stage: 0,
            },
            Event::StageOutput {
                pipeline: 0,
                stage: 0,
                bytes: b"said\n".to_vec(),
            },
            Event::StageFinished {
                pipeline: 0,
                stage: 0,
                outcome: Arc::new(outcome),
            },
        ] {
            monitor.event(&manifest, &event);
        }
        let written = paper.text();
        assert_eq!(
            written,
            format!(
                "Pipeline tree: {id}\nBuild\n  root: <host>\n  runner: org.osbuild.linux (org.osbuild.linux)\n  \
                 source-epoch: Fri Jan  2 00:00:00 1970 [86400]\norg.osbuild.noop: {id} {{\n  \"b\": [\n    1\n  ],\n  \
                 \"a\": 1.0\n}}\nsaid\n\n⏱  Duration: 0.25s\n"
            )
        );
    }

    #[test]
    fn times_read_as_strftime_writes_them() {
        assert_eq!(c_time(86_400), "Fri Jan  2 00:00:00 1970");
        assert_eq!(c_time(951_827_696), "Tue Feb 29 12:34:56 2000");
        assert_eq!(c_time(-1), "Wed Dec 31 23:59:59 1969");
    }
}

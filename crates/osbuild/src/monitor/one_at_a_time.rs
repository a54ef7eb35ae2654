//! Puts the events of pipelines that run side by side into the order of one after another.

use std::collections::VecDeque;

use osbuild_engine::event::{Event, Observer};
use osbuild_manifest::manifest::Manifest;

/// Hands events on so that the monitor behind it sees one pipeline at a time: the first that started
/// is shown live, the events of the others wait until it has finished.
pub(crate) struct OneAtATime<M> {
    monitor: M,
    /// Pipelines that were begun and not yet shown to the end; the first is the one that is live.
    waiting: VecDeque<(usize, Vec<Event>)>,
}

impl<M: Observer> OneAtATime<M> {
    pub(crate) fn new(monitor: M) -> Self {
        Self {
            monitor,
            waiting: VecDeque::new(),
        }
    }

    /// Ends the live pipeline and shows what the next ones have gathered.
    fn show_next(&mut self, manifest: &Manifest) {
        self.waiting.pop_front();
        while let Some((_, events)) = self.waiting.front_mut() {
            let events = std::mem::take(events);
            let is_finished = matches!(events.last(), Some(Event::PipelineFinished { .. }));
            for event in &events {
                self.monitor.event(manifest, event);
            }
            if !is_finished {
                break;
            }
            self.waiting.pop_front();
        }
    }
}

impl<M: Observer> Observer for OneAtATime<M> {
    fn event(&mut self, manifest: &Manifest, event: &Event) {
        let Some(pipeline) = pipeline_of(event) else {
            self.monitor.event(manifest, event);
            return;
        };
        if let Event::PipelineStarted { .. } = event {
            self.waiting.push_back((pipeline, Vec::new()));
        }
        let is_live = self
            .waiting
            .front()
            .is_some_and(|(first, _)| *first == pipeline);
        if is_live {
            self.monitor.event(manifest, event);
            if let Event::PipelineFinished { .. } = event {
                self.show_next(manifest);
            }
        } else if let Some((_, events)) = self
            .waiting
            .iter_mut()
            .find(|(other, _)| *other == pipeline)
        {
            events.push(event.clone());
        }
    }
}

fn pipeline_of(event: &Event) -> Option<usize> {
    match event {
        Event::PipelineStarted { pipeline, .. }
        | Event::StageStarted { pipeline, .. }
        | Event::StageOutput { pipeline, .. }
        | Event::ServiceLog { pipeline, .. }
        | Event::StageFinished { pipeline, .. }
        | Event::PipelineFinished { pipeline, .. } => Some(*pipeline),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use osbuild_engine::module_catalog::ModuleCatalog;
    use osbuild_manifest::resolve::resolve;
    use osbuild_manifest::value::Value;

    use super::*;

    /// Notes what it is told, `1s0` for stage 0 of pipeline 1.
    #[derive(Default)]
    struct Notes(Vec<String>);

    impl Observer for Notes {
        fn event(&mut self, _manifest: &Manifest, event: &Event) {
            self.0.push(match event {
                Event::PipelineStarted { pipeline, .. } => format!("{pipeline}begin"),
                Event::StageStarted { pipeline, stage } => format!("{pipeline}s{stage}"),
                Event::PipelineFinished { pipeline, .. } => format!("{pipeline}end"),
                _ => "other".to_owned(),
            });
        }
    }

    fn begin(pipeline: usize) -> Event {
        Event::PipelineStarted {
            pipeline,
            reused_stages: 0,
        }
    }

    fn end(pipeline: usize) -> Event {
        Event::PipelineFinished {
            pipeline,
            success: true,
        }
    }

    fn stage(pipeline: usize, stage: usize) -> Event {
        Event::StageStarted { pipeline, stage }
    }

    #[test]
    fn pipelines_side_by_side_are_shown_one_after_another() {
        let empty = Value::from_json(r#"{"version": "2"}"#).unwrap();
        let catalog = ModuleCatalog::built_in();
        let manifest = resolve(&empty, &catalog, "org.osbuild.linux").unwrap();
        let mut ordered = OneAtATime::new(Notes::default());
        for event in [
            begin(0),
            begin(1),
            stage(1, 0),
            stage(0, 0),
            begin(2),
            end(1),
            stage(0, 1),
            stage(2, 0),
            end(0),
            stage(2, 1),
            end(2),
        ] {
            ordered.event(&manifest, &event);
        }
        let shown = ordered.monitor.0.join(" ");
        assert_eq!(
            shown,
            "0begin 0s0 0s1 0end 1begin 1s0 1end 2begin 2s0 2s1 2end"
        );
        assert!(ordered.waiting.is_empty());
    }
}

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
        | Event::StageFinished { pipeline, .. }
        | Event::PipelineFinished { pipeline, .. } => Some(*pipeline),
        _ => None,
    }
}

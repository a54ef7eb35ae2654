//! Runs the steps of a plan side by side, each as soon as those it needs are done.
//!
//! The calling thread coordinates: it alone starts workers, takes their messages and tells the
//! observer. Workers are scoped threads, one for each running pipeline.

use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use anyhow::Result;
use osbuild_sandbox::CancelToken;

use crate::event::Event;
use crate::outcome::PipelineOutcome;
use crate::plan::Step;

/// What a worker tells the coordinator.
enum Message {
    Event(Event),
    Done(usize, Result<PipelineOutcome>),
}

/// Where a worker sends its events.
#[derive(Clone)]
pub(crate) struct EventSender(Sender<Message>);

impl EventSender {
    /// Sends an event; the coordinator outlives every worker, so it always arrives.
    pub(crate) fn send(&self, event: Event) {
        if self.0.send(Message::Event(event)).is_err() {
            tracing::debug!("an event came after the end of the build");
        }
    }
}

/// Runs `steps`, at most `jobs` at a time. After the first failure nothing new is started, what runs
/// is cancelled, and every worker is waited for.
///
/// Gives the outcome of each step that was started, in the order in which they ended.
pub(crate) fn run(
    steps: &[Step],
    jobs: NonZeroUsize,
    cancel: &CancelToken,
    execute: &(dyn Fn(&Step, &EventSender) -> Result<PipelineOutcome> + Sync),
    on_event: &mut dyn FnMut(&Event),
) -> Vec<(usize, Result<PipelineOutcome>)> {
    let (sender, receiver) = channel();
    let sender = EventSender(sender);
    let mut state = Progress::new(steps.len());
    let mut outcomes = Vec::new();
    thread::scope(|scope| {
        loop {
            while state.running < jobs.get() && !cancel.is_cancelled() {
                let Some(next) = state.take_ready(steps) else {
                    break;
                };
                let sender = sender.clone();
                scope.spawn(move || {
                    let outcome = execute(&steps[next], &sender);
                    if sender.0.send(Message::Done(next, outcome)).is_err() {
                        tracing::debug!("a worker ended after the coordinator");
                    }
                });
            }
            if state.running == 0 {
                break;
            }
            let (index, outcome) = wait_for_one(&receiver, on_event);
            state.finish(index);
            if !outcome.as_ref().is_ok_and(|pipeline| pipeline.success) {
                cancel.cancel();
            }
            outcomes.push((index, outcome));
        }
    });
    outcomes
}

/// Hands events on until a worker is done.
fn wait_for_one(
    receiver: &Receiver<Message>,
    on_event: &mut dyn FnMut(&Event),
) -> (usize, Result<PipelineOutcome>) {
    loop {
        match receiver
            .recv()
            .expect("the coordinator holds a sender itself")
        {
            Message::Event(event) => on_event(&event),
            Message::Done(index, outcome) => return (index, outcome),
        }
    }
}

/// Which steps are waiting, running and done.
struct Progress {
    started: Vec<bool>,
    done: Vec<bool>,
    running: usize,
}

impl Progress {
    fn new(count: usize) -> Self {
        Self {
            started: vec![false; count],
            done: vec![false; count],
            running: 0,
        }
    }

    /// Takes the first step in plan order whose needs are met.
    fn take_ready(&mut self, steps: &[Step]) -> Option<usize> {
        let next = (0..steps.len()).find(|&index| {
            !self.started[index] && steps[index].after.iter().all(|&need| self.done[need])
        })?;
        self.started[next] = true;
        self.running += 1;
        Some(next)
    }

    fn finish(&mut self, index: usize) {
        self.done[index] = true;
        self.running -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn step(pipeline: usize, after: &[usize]) -> Step {
        Step {
            pipeline,
            first_stage: 0,
            after: after.to_vec(),
        }
    }

    fn outcome(pipeline: usize, success: bool) -> PipelineOutcome {
        PipelineOutcome {
            failed_tree: None,
            pipeline,
            stages: Vec::new(),
            success,
        }
    }

    #[test]
    fn steps_wait_for_their_needs() {
        let steps = [step(0, &[]), step(1, &[]), step(2, &[0, 1]), step(3, &[2])];
        let order = Mutex::new(Vec::new());
        run(
            &steps,
            NonZeroUsize::new(4).unwrap(),
            &CancelToken::new().unwrap(),
            &|step, _| {
                order.lock().unwrap().push(step.pipeline);
                Ok(outcome(step.pipeline, true))
            },
            &mut |_| {},
        );
        let order = order.into_inner().unwrap();
        let place = |pipeline| order.iter().position(|&other| other == pipeline).unwrap();
        assert_eq!(order.len(), 4);
        assert!(place(2) > place(0) && place(2) > place(1) && place(3) > place(2));
    }

    #[test]
    fn one_worker_keeps_the_order_of_the_plan() {
        let steps = [step(0, &[]), step(1, &[]), step(2, &[])];
        let order = Mutex::new(Vec::new());
        run(
            &steps,
            NonZeroUsize::MIN,
            &CancelToken::new().unwrap(),
            &|step, _| {
                order.lock().unwrap().push(step.pipeline);
                Ok(outcome(step.pipeline, true))
            },
            &mut |_| {},
        );
        assert_eq!(order.into_inner().unwrap(), [0, 1, 2]);
    }

    #[test]
    fn a_failure_starts_nothing_new_and_cancels_the_rest() {
        let steps = [step(0, &[]), step(1, &[]), step(2, &[0]), step(3, &[1])];
        let cancel = CancelToken::new().unwrap();
        let outcomes = run(
            &steps,
            NonZeroUsize::new(2).unwrap(),
            &cancel,
            &|step, _| {
                if step.pipeline == 0 {
                    return Ok(outcome(0, false));
                }
                while !cancel.is_cancelled() {
                    thread::yield_now();
                }
                Ok(outcome(step.pipeline, false))
            },
            &mut |_| {},
        );
        let started: Vec<_> = outcomes.iter().map(|(index, _)| *index).collect();
        assert_eq!(started, [0, 1]);
    }
}

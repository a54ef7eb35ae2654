//! Runs the steps of a plan side by side, each as soon as those it needs are done and its items are in the cache.
//!
//! The calling thread coordinates: it alone starts workers, takes their messages and tells the
//! observer. Workers are scoped threads, one for each running pipeline.

use std::collections::HashSet;
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
    Arrived(String),
    Done(usize, Result<PipelineOutcome>),
    /// Fetching ended; whether all is there.
    Supplied(bool),
}

/// What there is to run.
pub(crate) struct Work<'a> {
    /// The steps, each after those it needs.
    pub(crate) steps: &'a [Step],
    /// Indices of all steps; of those that could start, the first in this list does.
    pub(crate) order: &'a [usize],
    /// What is fetched meanwhile; none if all is there.
    pub(crate) supply: Option<Supply<'a>>,
}

/// The items that steps wait for.
pub(crate) struct Supply<'a> {
    /// The items of each step.
    pub(crate) wanted: Vec<HashSet<String>>,
    /// Fetches all of them, tells of each, and returns whether all are there. It ends soon after a cancellation.
    pub(crate) fetch: &'a (dyn Fn(&EventSender) -> bool + Sync),
}

/// Where a worker sends its events.
#[derive(Clone)]
pub(crate) struct EventSender(Sender<Message>);

impl EventSender {
    /// Sends an event; the coordinator outlives every worker, so it always arrives.
    pub(crate) fn send(&self, event: Event) {
        self.message(Message::Event(event));
    }

    /// Tells that an item is in the cache.
    pub(crate) fn arrived(&self, item: &str) {
        self.message(Message::Arrived(item.to_owned()));
    }

    fn message(&self, message: Message) {
        if self.0.send(message).is_err() {
            tracing::debug!("a message came after the end of the build");
        }
    }
}

/// Runs the steps of `work`, at most `jobs` at a time; fetching does not count. After the first failure nothing new is
/// started, what runs is cancelled, and every worker is waited for. `tidy` is called after each step that went well; what
/// comes next does not wait for it.
///
/// Gives the outcome of each step that was started, in the order in which they ended.
pub(crate) fn run(
    work: &Work<'_>,
    jobs: NonZeroUsize,
    cancel: &CancelToken,
    execute: &(dyn Fn(&Step, &EventSender) -> Result<PipelineOutcome> + Sync),
    tidy: &(dyn Fn(usize) + Sync),
    on_event: &mut dyn FnMut(&Event),
) -> Vec<(usize, Result<PipelineOutcome>)> {
    let (sender, receiver) = channel();
    let sender = EventSender(sender);
    let steps = work.steps;
    let mut state = Progress::new(work);
    let mut outcomes = Vec::new();
    thread::scope(|scope| {
        if let Some(supply) = &work.supply {
            let sender = sender.clone();
            scope.spawn(move || {
                let mut end = SupplyEnd { sender, all: false };
                end.all = (supply.fetch)(&end.sender);
            });
        }
        loop {
            while state.running < jobs.get() && !cancel.is_cancelled() {
                let Some(next) = state.take_ready(work) else {
                    break;
                };
                let sender = sender.clone();
                scope.spawn(move || {
                    let outcome = execute(&steps[next], &sender);
                    let is_well = outcome.as_ref().is_ok_and(|pipeline| pipeline.success);
                    sender.message(Message::Done(next, outcome));
                    if is_well {
                        tidy(next);
                    }
                });
            }
            if state.running == 0 && !state.is_fetching {
                break;
            }
            let mut is_well = true;
            match next_message(&receiver) {
                Message::Event(event) => on_event(&event),
                Message::Arrived(item) => state.arrived(&item),
                Message::Supplied(all) => {
                    state.supplied();
                    is_well = all;
                }
                Message::Done(index, outcome) => {
                    state.finish(index);
                    is_well = outcome.as_ref().is_ok_and(|pipeline| pipeline.success);
                    outcomes.push((index, outcome));
                }
            }
            if !is_well {
                cancel.cancel();
            }
        }
    });
    outcomes
}

/// Tells of the end of fetching when it is dropped, also by a panic.
struct SupplyEnd {
    sender: EventSender,
    all: bool,
}

impl Drop for SupplyEnd {
    fn drop(&mut self) {
        self.sender.message(Message::Supplied(self.all));
    }
}

fn next_message(receiver: &Receiver<Message>) -> Message {
    receiver
        .recv()
        .expect("the coordinator holds a sender itself")
}

/// Which steps are waiting, running and done.
struct Progress {
    started: Vec<bool>,
    done: Vec<bool>,
    running: usize,
    /// The items that each step still waits for.
    missing: Vec<HashSet<String>>,
    is_fetching: bool,
}

impl Progress {
    fn new(work: &Work<'_>) -> Self {
        let count = work.steps.len();
        let supply = work.supply.as_ref();
        Self {
            started: vec![false; count],
            done: vec![false; count],
            running: 0,
            missing: supply.map_or_else(
                || vec![HashSet::new(); count],
                |supply| supply.wanted.clone(),
            ),
            is_fetching: supply.is_some(),
        }
    }

    /// Takes the first step whose needs are met.
    fn take_ready(&mut self, work: &Work<'_>) -> Option<usize> {
        let is_ready = |index: usize| {
            !self.started[index]
                && self.missing[index].is_empty()
                && work.steps[index].after.iter().all(|&need| self.done[need])
        };
        let next = work.order.iter().copied().find(|&index| is_ready(index))?;
        self.started[next] = true;
        self.running += 1;
        Some(next)
    }

    fn arrived(&mut self, item: &str) {
        for missing in &mut self.missing {
            missing.remove(item);
        }
    }

    /// Nothing more will arrive: a step whose item no source has is started, too, and says so.
    fn supplied(&mut self) {
        self.is_fetching = false;
        self.missing.iter_mut().for_each(HashSet::clear);
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

    /// The work of at most four steps with nothing to fetch.
    fn in_plan_order(steps: &[Step]) -> Work<'_> {
        Work {
            steps,
            order: &[0, 1, 2, 3][..steps.len()],
            supply: None,
        }
    }

    fn items(names: &[&str]) -> HashSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_step_starts_when_its_own_items_are_there() {
        let steps = [step(0, &[]), step(1, &[])];
        let (first_ran, first_has_run) = channel();
        let first_has_run = Mutex::new(first_has_run);
        let is_all_there = std::sync::atomic::AtomicBool::new(false);
        let work = Work {
            steps: &steps,
            order: &[1, 0],
            supply: Some(Supply {
                wanted: vec![items(&["a"]), items(&["a", "b"])],
                fetch: &|sender| {
                    sender.arrived("a");
                    // The item of the second step is not fetched before the first step has run.
                    let ran: usize = first_has_run
                        .lock()
                        .unwrap()
                        .recv_timeout(std::time::Duration::from_secs(30))
                        .unwrap();
                    assert_eq!(ran, 0);
                    is_all_there.store(true, std::sync::atomic::Ordering::SeqCst);
                    sender.arrived("b");
                    true
                },
            }),
        };
        let outcomes = run(
            &work,
            NonZeroUsize::new(2).unwrap(),
            &CancelToken::new().unwrap(),
            &|step, _| {
                first_ran.send(step.pipeline).unwrap();
                let all = is_all_there.load(std::sync::atomic::Ordering::SeqCst);
                assert!(step.pipeline == 0 || all);
                Ok(outcome(step.pipeline, true))
            },
            &|_| {},
            &mut |_| {},
        );
        // That the second began after the first is asserted above; either may be the first to have ended.
        let mut ended: Vec<_> = outcomes.iter().map(|(index, _)| *index).collect();
        ended.sort_unstable();
        assert_eq!(ended, [0, 1]);
    }

    #[test]
    fn what_can_not_be_fetched_ends_the_build() {
        let steps = [step(0, &[]), step(1, &[])];
        let cancel = CancelToken::new().unwrap();
        let work = Work {
            steps: &steps,
            order: &[0, 1],
            supply: Some(Supply {
                wanted: vec![items(&[]), items(&["gone"])],
                fetch: &|_| false,
            }),
        };
        let outcomes = run(
            &work,
            NonZeroUsize::new(2).unwrap(),
            &cancel,
            &|step, _| {
                while !cancel.is_cancelled() {
                    thread::yield_now();
                }
                Ok(outcome(step.pipeline, false))
            },
            &|_| {},
            &mut |_| {},
        );
        let started: Vec<_> = outcomes.iter().map(|(index, _)| *index).collect();
        assert_eq!(started, [0]);
    }

    #[test]
    fn of_those_that_could_start_the_most_urgent_does() {
        let steps = [step(0, &[]), step(1, &[]), step(2, &[1])];
        let order = Mutex::new(Vec::new());
        let work = Work {
            order: &[1, 2, 0],
            ..in_plan_order(&steps)
        };
        run(
            &work,
            NonZeroUsize::MIN,
            &CancelToken::new().unwrap(),
            &|step, _| {
                order.lock().unwrap().push(step.pipeline);
                Ok(outcome(step.pipeline, true))
            },
            &|_| {},
            &mut |_| {},
        );
        assert_eq!(order.into_inner().unwrap(), [1, 2, 0]);
    }

    #[test]
    fn steps_wait_for_their_needs() {
        let steps = [step(0, &[]), step(1, &[]), step(2, &[0, 1]), step(3, &[2])];
        let order = Mutex::new(Vec::new());
        run(
            &in_plan_order(&steps),
            NonZeroUsize::new(4).unwrap(),
            &CancelToken::new().unwrap(),
            &|step, _| {
                order.lock().unwrap().push(step.pipeline);
                Ok(outcome(step.pipeline, true))
            },
            &|_| {},
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
            &in_plan_order(&steps),
            NonZeroUsize::MIN,
            &CancelToken::new().unwrap(),
            &|step, _| {
                order.lock().unwrap().push(step.pipeline);
                Ok(outcome(step.pipeline, true))
            },
            &|_| {},
            &mut |_| {},
        );
        assert_eq!(order.into_inner().unwrap(), [0, 1, 2]);
    }

    #[test]
    fn a_failure_starts_nothing_new_and_cancels_the_rest() {
        let steps = [step(0, &[]), step(1, &[]), step(2, &[0]), step(3, &[1])];
        let cancel = CancelToken::new().unwrap();
        let outcomes = run(
            &in_plan_order(&steps),
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
            &|_| {},
            &mut |_| {},
        );
        let started: Vec<_> = outcomes.iter().map(|(index, _)| *index).collect();
        assert_eq!(started, [0, 1]);
    }
}

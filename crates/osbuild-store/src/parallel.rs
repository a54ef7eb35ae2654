//! Works through jobs that bring up further jobs, as directories do, with several threads.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Error, Result, anyhow};

/// More threads than this do not make one disk faster.
const MAXIMUM_THREADS: usize = 8;

/// Calls `work` for the first jobs and for all that they bring up, in no order, and gives what each thread has gathered.
///
/// After the first failure nothing new is begun, and the failure is what comes of it all.
pub(crate) fn in_parallel<J: Send, S: Default + Send>(
    first: Vec<J>,
    work: &(dyn Fn(&mut S, J) -> Result<Vec<J>> + Sync),
) -> Result<Vec<S>> {
    let queue = Queue {
        jobs: Mutex::new(Jobs {
            pending: first,
            working: 0,
            failure: None,
        }),
        changed: Condvar::new(),
    };
    let threads =
        thread::available_parallelism().map_or(1, |count| count.get().min(MAXIMUM_THREADS));
    let gathered = thread::scope(|scope| {
        let others: Vec<_> = (1..threads)
            .map(|_| scope.spawn(|| queue.work(work)))
            .collect();
        let mut gathered = vec![queue.work(work)];
        for other in others {
            gathered.push(other.join().expect("a panic here is a bug"));
        }
        gathered
    });
    match queue.lock().failure.take() {
        Some(failure) => Err(failure),
        None => Ok(gathered),
    }
}

/// What all threads share.
struct Queue<J> {
    jobs: Mutex<Jobs<J>>,
    changed: Condvar,
}

struct Jobs<J> {
    /// Those that nobody has begun.
    pending: Vec<J>,
    /// Threads that are at one.
    working: usize,
    failure: Option<Error>,
}

impl<J> Queue<J> {
    fn work<S: Default>(&self, work: &(dyn Fn(&mut S, J) -> Result<Vec<J>> + Sync)) -> S {
        let mut gathered = S::default();
        while let Some(job) = self.take() {
            let working = Working(self);
            let result = work(&mut gathered, job);
            let mut jobs = self.lock();
            match result {
                Ok(more) => jobs.pending.extend(more),
                Err(error) => {
                    jobs.failure.get_or_insert(error);
                }
            }
            drop(jobs);
            drop(working);
        }
        gathered
    }

    /// Waits for a job; none when there will be no more.
    fn take(&self) -> Option<J> {
        let mut jobs = self.lock();
        loop {
            if jobs.failure.is_some() {
                return None;
            }
            if let Some(job) = jobs.pending.pop() {
                jobs.working += 1;
                return Some(job);
            }
            if jobs.working == 0 {
                return None;
            }
            jobs = self
                .changed
                .wait(jobs)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Jobs<J>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that is at a job. When it is through with it, the others look again, also when it panics: or they would wait
/// for ever.
struct Working<'a, J>(&'a Queue<J>);

impl<J> Drop for Working<'_, J> {
    fn drop(&mut self) {
        let mut jobs = self.0.lock();
        jobs.working -= 1;
        if thread::panicking() {
            jobs.failure.get_or_insert(anyhow!("a thread panicked"));
        }
        drop(jobs);
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_done_once_with_all_that_it_brings_up() {
        let done = in_parallel::<u32, Vec<u32>>(vec![1], &|done, number| {
            done.push(number);
            Ok([number * 2, number * 2 + 1]
                .into_iter()
                .filter(|next| *next < 1000)
                .collect())
        });
        let mut done: Vec<u32> = done.unwrap().concat();
        done.sort_unstable();
        assert_eq!(done, (1..1000).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_failure_ends_it() {
        let result = in_parallel::<u32, ()>(vec![0], &|(), number| {
            anyhow::ensure!(number < 5, "five");
            Ok(vec![number + 1])
        });
        assert_eq!(result.unwrap_err().to_string(), "five");
    }

    #[test]
    fn a_panic_of_one_thread_ends_all() {
        let result = std::panic::catch_unwind(|| {
            in_parallel::<u32, ()>(vec![0], &|(), number| {
                assert!(number < 50, "meant to be");
                Ok(vec![number + 1, number + 1])
            })
        });
        assert!(result.is_err());
    }
}

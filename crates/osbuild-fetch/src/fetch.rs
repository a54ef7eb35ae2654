//! The blocking entrances: a runtime for the time of the call, and the loop that watches over it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::{JoinError, JoinSet};
use tokio::time::MissedTickBehavior;

use crate::fetch_file::{FileFetch, Shared};
use crate::transfer::Counter;
use crate::{Algorithm, FetchError, FetchEvent, FetchOptions, FetchRequest, Fetched, Hasher};

/// How often progress is reported and cancellation looked for.
const TICK: Duration = Duration::from_millis(100);

/// More threads than this do not make any network faster.
const MAXIMUM_THREADS: usize = 4;

/// Brings all files into the cache directory, which must exist. Results are in the order of the requests.
///
/// Must not be called from async code: it blocks until all files are there or given up.
pub fn fetch_all(
    requests: &[FetchRequest],
    cache: &Path,
    options: &FetchOptions,
    cancel: &AtomicBool,
    on_event: &(dyn Fn(FetchEvent) + Sync),
) -> Vec<Result<Fetched, FetchError>> {
    let runtime = match runtime(Builder::new_multi_thread().worker_threads(worker_threads())) {
        Ok(runtime) => runtime,
        Err(reason) => {
            return requests
                .iter()
                .map(|request| Err(setup_error(request, &reason)))
                .collect();
        }
    };
    let (sender, events) = unbounded_channel();
    let shared = Arc::new(Shared::new(options, sender));
    runtime.block_on(async {
        Run::start(requests, cache, &shared)
            .watch(events, cancel, on_event)
            .await
    })
}

/// Brings one URL into memory, for metadata that is verified by other means; at most `limit` bytes, so that no server
/// decides how much memory is used.
pub fn fetch_bytes(url: &str, limit: u64, options: &FetchOptions) -> Result<Vec<u8>, FetchError> {
    fetch_bytes_until(url, limit, options, &AtomicBool::new(false))
}

/// Like [`fetch_bytes`], and ends soon after the flag is set.
pub fn fetch_bytes_until(
    url: &str,
    limit: u64,
    options: &FetchOptions,
    cancel: &AtomicBool,
) -> Result<Vec<u8>, FetchError> {
    let nothing = Hasher::new(Algorithm::Sha256).finish();
    fetch_request_bytes(&FetchRequest::new(url, nothing), limit, options, cancel)
}

/// Like [`fetch_bytes_until`], from the URLs of a request and with its certificates; its checksum is not looked at.
pub fn fetch_request_bytes(
    request: &FetchRequest,
    limit: u64,
    options: &FetchOptions,
    cancel: &AtomicBool,
) -> Result<Vec<u8>, FetchError> {
    let request = FetchRequest {
        size: Some(limit),
        ..request.clone()
    };
    let runtime = runtime(&mut Builder::new_current_thread())
        .map_err(|reason| setup_error(&request, &reason))?;
    let (events, _) = unbounded_channel();
    let shared = Shared::new(options, events);
    let fetch = FileFetch {
        shared: &shared,
        request: &request,
        index: 0,
        counter: &Counter::default(),
    };
    runtime.block_on(async {
        tokio::select! {
            result = fetch.fetch_to_memory() => result,
            () = cancelled(cancel) => Err(cancelled_error(&request)),
        }
    })
}

async fn cancelled(cancel: &AtomicBool) {
    while !cancel.load(Ordering::SeqCst) {
        tokio::time::sleep(TICK).await;
    }
}

/// Computing checksums takes most of the time of a transfer, so that one thread is not enough for a fast mirror.
fn worker_threads() -> usize {
    thread::available_parallelism().map_or(1, |count| count.get().min(MAXIMUM_THREADS))
}

fn runtime(builder: &mut Builder) -> Result<Runtime, String> {
    builder
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start transfers: {error}"))
}

fn shown_url(request: &FetchRequest) -> String {
    request
        .urls
        .first()
        .map_or_else(String::new, |url| crate::url::without_password(url))
}

fn setup_error(request: &FetchRequest, reason: &str) -> FetchError {
    FetchError::Setup {
        url: shown_url(request),
        reason: reason.to_owned(),
    }
}

fn cancelled_error(request: &FetchRequest) -> FetchError {
    FetchError::Cancelled {
        url: shown_url(request),
    }
}

/// The files of one call.
struct Run<'a> {
    requests: &'a [FetchRequest],
    counters: Arc<[Counter]>,
    tasks: JoinSet<(usize, Result<Fetched, FetchError>)>,
    results: Vec<Option<Result<Fetched, FetchError>>>,
}

impl<'a> Run<'a> {
    /// Spawns a task for each file; they wait for their turn by themselves.
    fn start(requests: &'a [FetchRequest], cache: &Path, shared: &Arc<Shared>) -> Self {
        let cache: Arc<Path> = Arc::from(cache);
        let counters: Arc<[Counter]> = requests.iter().map(|_| Counter::default()).collect();
        let mut tasks = JoinSet::new();
        for (index, request) in requests.iter().enumerate() {
            let (request, cache) = (request.clone(), Arc::clone(&cache));
            let (shared, counters) = (Arc::clone(shared), Arc::clone(&counters));
            tasks.spawn(async move {
                let fetch = FileFetch {
                    shared: &shared,
                    request: &request,
                    index,
                    counter: &counters[index],
                };
                (index, fetch.fetch_to_cache(&cache).await)
            });
        }
        Self {
            requests,
            counters,
            tasks,
            results: requests.iter().map(|_| None).collect(),
        }
    }

    /// Passes on events and collects results until every task has ended, or the caller gives up.
    async fn watch(
        mut self,
        mut events: UnboundedReceiver<FetchEvent>,
        cancel: &AtomicBool,
        on_event: &(dyn Fn(FetchEvent) + Sync),
    ) -> Vec<Result<Fetched, FetchError>> {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while !self.tasks.is_empty() && !cancel.load(Ordering::SeqCst) {
            tokio::select! {
                Some(event) = events.recv() => on_event(event),
                Some(joined) = self.tasks.join_next() => self.record(joined),
                _ = ticks.tick() => {}
            }
            self.report(on_event);
        }
        // What is cancelled removes its unfinished file before it counts as ended.
        self.tasks.shutdown().await;
        while let Ok(event) = events.try_recv() {
            on_event(event);
        }
        self.report(on_event);
        self.into_results()
    }

    fn record(&mut self, joined: Result<(usize, Result<Fetched, FetchError>), JoinError>) {
        match joined {
            Ok((index, result)) => self.results[index] = Some(result),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => tracing::debug!("a transfer was cancelled: {error}"),
            },
        }
    }

    fn into_results(self) -> Vec<Result<Fetched, FetchError>> {
        self.results
            .into_iter()
            .zip(self.requests)
            .map(|(result, request)| result.unwrap_or_else(|| Err(cancelled_error(request))))
            .collect()
    }

    fn report(&self, on_event: &(dyn Fn(FetchEvent) + Sync)) {
        let sizes: Option<Vec<u64>> = self.counters.iter().map(Counter::size).collect();
        on_event(FetchEvent::Progress {
            bytes_done: self.counters.iter().map(Counter::received).sum(),
            bytes_total: sizes.map(|sizes| sizes.iter().sum()),
            files_done: self.results.iter().flatten().count(),
            files_total: self.results.len(),
        });
    }
}

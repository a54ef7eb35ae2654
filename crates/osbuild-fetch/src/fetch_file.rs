//! One file: its lock, its mirrors, its tries.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::client::{ClientProfile, Clients};
use crate::disk_space::cache_error;
use crate::mirrors::{Blame, Mirrors};
use crate::partial_file::{Acquired, PartialFile, cached_size};
use crate::sink::{Memory, Sink};
use crate::standing::Standing;
use crate::transfer::{Counter, Failure, Transfer};
use crate::url::{file_path, host, without_password};
use crate::{FetchError, FetchEvent, FetchOptions, FetchRequest, Fetched};

/// Files that hold a lock and a descriptor for each that may transfer: enough that a busy host does
/// not keep the others idle, few enough for the usual limit of 1024 descriptors.
const ADMITTED_PER_JOB: usize = 4;

/// How many tries in a row may stall without a byte: a server that says nothing three times has nothing to say, and
/// each such try lasts for the whole patience.
const SILENT_TRIES: usize = 3;

/// How many silent tries in a row, over all files, end a host: so many for each file that it may be asked for at once.
/// Without this, hundreds of files would each wait for it in vain.
const SILENT_TRIES_OF_HOST: usize = SILENT_TRIES;

/// What all files of a run share.
pub(crate) struct Shared {
    pub(crate) options: FetchOptions,
    clients: Clients,
    admitted: Semaphore,
    jobs: Arc<Semaphore>,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
    /// For each host, tries in a row that it said nothing to.
    silent: Mutex<HashMap<String, usize>>,
    /// Who is asked first where several have the file.
    standing: Standing,
    events: UnboundedSender<FetchEvent>,
}

/// Permission for one transfer.
struct Turn {
    _host: OwnedSemaphorePermit,
    _job: OwnedSemaphorePermit,
}

impl Shared {
    pub(crate) fn new(options: &FetchOptions, events: UnboundedSender<FetchEvent>) -> Self {
        Self {
            clients: Clients::new(options),
            admitted: Semaphore::new(options.jobs.get() * ADMITTED_PER_JOB),
            jobs: Arc::new(Semaphore::new(options.jobs.get())),
            hosts: Mutex::default(),
            silent: Mutex::default(),
            standing: Standing::default(),
            events,
            options: options.clone(),
        }
    }

    /// Waits for the host first, so that files of a busy host take no job from the others.
    async fn turn(&self, url: &str) -> Turn {
        const OPEN: &str = "the semaphores are never closed";
        let semaphore = {
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(
                hosts
                    .entry(host(url))
                    .or_insert_with(|| Arc::new(Semaphore::new(self.options.per_host.get()))),
            )
        };
        Turn {
            _host: semaphore.acquire_owned().await.expect(OPEN),
            _job: Arc::clone(&self.jobs).acquire_owned().await.expect(OPEN),
        }
    }

    /// Notes whether a host had anything to say to a try.
    fn note(&self, host: String, was_silent: bool) {
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        if was_silent {
            *silent.entry(host).or_default() += 1;
        } else {
            silent.remove(&host);
        }
    }

    /// Whether a host has been silent for so long that it is not asked again.
    fn is_given_up(&self, host: &str) -> bool {
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = SILENT_TRIES_OF_HOST * self.options.per_host.get();
        silent.get(host).is_some_and(|tries| *tries >= limit)
    }

    fn emit(&self, event: FetchEvent) {
        if self.events.send(event).is_err() {
            tracing::trace!("nobody listens to fetch events any more");
        }
    }

    fn delay(&self, round: u32) -> Duration {
        self.options
            .first_delay
            .saturating_mul(1 << round.min(16))
            .min(self.options.longest_delay)
    }
}

/// One file of a run.
pub(crate) struct FileFetch<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) request: &'a FetchRequest,
    pub(crate) index: usize,
    pub(crate) counter: &'a Counter,
}

impl FileFetch<'_> {
    /// Brings the file into the cache directory.
    pub(crate) async fn fetch_to_cache(&self, directory: &Path) -> Result<Fetched, FetchError> {
        let path = self.target(directory)?;
        if let Some(size) = self.request.size {
            self.counter.set_size(size);
        }
        if let Some(bytes) = cached_size(&path) {
            return Ok(self.cached(path, bytes));
        }
        let _admitted = self.shared.admitted.acquire().await;
        let acquired =
            PartialFile::acquire(directory, &self.request.file_name, &self.request.checksum)
                .await
                .map_err(|source| cache_error(&path, source, &self.first_url(), None))?;
        let mut partial = match acquired {
            Acquired::Present { bytes } => return Ok(self.cached(path, bytes)),
            Acquired::Locked(partial) => partial,
        };
        let (bytes, url) = self.try_all(partial.as_mut(), Self::commit).await?;
        self.counter.set_received(bytes);
        self.counter.set_size(bytes);
        self.shared.emit(FetchEvent::Finished {
            index: self.index,
            url: Some(url),
        });
        Ok(Fetched {
            path,
            is_cached: false,
            bytes,
        })
    }

    /// Brings the file into memory; there is no checksum to check.
    pub(crate) async fn fetch_to_memory(&self) -> Result<Vec<u8>, FetchError> {
        let mut memory = Memory::default();
        self.try_all(&mut memory, |_, _, _| Ok(())).await?;
        Ok(memory.0)
    }

    fn cached(&self, path: PathBuf, bytes: u64) -> Fetched {
        self.counter.set_received(bytes);
        self.counter.set_size(bytes);
        self.shared.emit(FetchEvent::Finished {
            index: self.index,
            url: None,
        });
        Fetched {
            path,
            is_cached: true,
            bytes,
        }
    }

    fn first_url(&self) -> String {
        self.request
            .urls
            .first()
            .map_or_else(String::new, |url| without_password(url))
    }

    fn target(&self, directory: &Path) -> Result<PathBuf, FetchError> {
        let name = &self.request.file_name;
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
            return Err(FetchError::Setup {
                url: self.first_url(),
                reason: format!("`{name}` cannot be the name of a file in the cache"),
            });
        }
        Ok(directory.join(name))
    }

    fn commit(&self, partial: &mut PartialFile, url: &str) -> Result<(), FetchError> {
        let expected = &self.request.checksum;
        match partial.commit() {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(actual)) => Err(FetchError::ChecksumMismatch {
                url: url.to_owned(),
                expected: expected.clone(),
                actual,
            }),
            Err(source) => Err(cache_error(partial.path(), source, url, None)),
        }
    }

    /// Tries mirrors in turn until one try brings a file that `finish` accepts.
    async fn try_all<S: Sink>(
        &self,
        sink: &mut S,
        finish: impl Fn(&Self, &mut S, &str) -> Result<(), FetchError>,
    ) -> Result<(u64, String), FetchError> {
        let mut mirrors = Mirrors::new(&self.request.urls);
        let silent_tries = SILENT_TRIES.max(self.request.urls.len());
        let mut round = 0;
        let mut tries = 0;
        let mut silent = 0;
        loop {
            let Some((url, turn)) = self.best_turn(&mut mirrors).await else {
                return Err(FetchError::Setup {
                    url: String::new(),
                    reason: format!("there is no URL for `{}`", self.request.file_name),
                });
            };
            let shown = without_password(url);
            tries += 1;
            let length = sink.length();
            let outcome = self.try_once(url, &shown, sink, &finish).await;
            drop(turn);
            let was_silent = matches!(&outcome, Err(failure)
                if matches!(failure.error, FetchError::Stalled { .. }) && sink.length() == length);
            self.shared.note(host(url), was_silent);
            let failure = match outcome {
                Ok(()) => {
                    self.shared.standing.note_success(&host(url));
                    return Ok((sink.length(), shown));
                }
                Err(failure) => failure,
            };
            if is_final(&failure.error) {
                return Err(failure.error);
            }
            self.shared.standing.note_failure(host(url));
            let is_round_over = mirrors.blame(failure.blame);
            silent = if was_silent { silent + 1 } else { 0 };
            if mirrors.current().is_none()
                || tries >= self.shared.options.tries.get()
                || silent >= silent_tries
            {
                return Err(gave_up(failure.error, tries));
            }
            let delay = match failure.retry_after {
                Some(wanted) if is_round_over => wanted,
                _ if is_round_over => self.shared.delay(round),
                _ => Duration::ZERO,
            };
            round += u32::from(is_round_over);
            self.shared.emit(FetchEvent::Retrying {
                index: self.index,
                url: shown,
                reason: failure.error.to_string(),
                delay,
            });
            tokio::time::sleep(delay).await;
        }
    }

    /// Waits for a mirror: the first in the list of those that failed least since they last brought a file.
    async fn best_turn<'u>(&self, mirrors: &mut Mirrors<'u>) -> Option<(&'u str, Turn)> {
        let failures = |url: &str| self.shared.standing.failures(&host(url));
        loop {
            mirrors.order_by(failures);
            let url = mirrors.current()?;
            let turn = self.shared.turn(url).await;
            // While this file waited, others may have found out that the mirror is no good.
            mirrors.order_by(failures);
            if mirrors.current() == Some(url) {
                return Some((url, turn));
            }
        }
    }

    async fn try_once<S: Sink>(
        &self,
        url: &str,
        shown: &str,
        sink: &mut S,
        finish: &impl Fn(&Self, &mut S, &str) -> Result<(), FetchError>,
    ) -> Result<(), Failure> {
        if self.shared.is_given_up(&host(url)) {
            let patience = self.shared.options.speed_limit;
            let error = FetchError::Stalled {
                url: shown.to_owned(),
                received: sink.length(),
                bytes_per_second: patience.bytes_per_second,
                seconds: patience.patience.as_secs(),
            };
            return Err(Failure::new(error, Blame::Mirror));
        }
        let went_on = sink.length() > 0;
        self.transfer(url, shown, sink).await?;
        let Err(error) = finish(self, sink, shown) else {
            return Ok(());
        };
        if matches!(error, FetchError::ChecksumMismatch { .. }) {
            sink.reset().map_err(|failure| {
                let error = crate::disk_space::write_error(failure, shown, None);
                Failure::new(error, Blame::Nobody)
            })?;
            self.counter.set_received(0);
        }
        // Pieces of two versions, or what a killed fetcher left, are no fault of this mirror.
        let blame = if went_on {
            Blame::Nobody
        } else {
            Blame::Perhaps
        };
        Err(Failure::new(error, blame))
    }

    async fn transfer(&self, url: &str, shown: &str, sink: &mut dyn Sink) -> Result<(), Failure> {
        if url.starts_with("file:") {
            let path = file_path(url).ok_or_else(|| {
                let error = FetchError::Url {
                    url: shown.to_owned(),
                    reason: "it names no file of this machine".to_owned(),
                };
                Failure::new(error, Blame::Mirror)
            })?;
            return crate::local_file::copy(&path, shown, self.counter, sink).await;
        }
        if !url.starts_with("http:") && !url.starts_with("https:") {
            let error = FetchError::Url {
                url: shown.to_owned(),
                reason: "only http, https and file URLs can be fetched".to_owned(),
            };
            return Err(Failure::new(error, Blame::Mirror));
        }
        let profile = ClientProfile::of(self.request);
        let client = self.shared.clients.get(&profile, url).map_err(|error| {
            let error = FetchError::Setup {
                url: shown.to_owned(),
                reason: format!("{error:#}"),
            };
            Failure::new(error, Blame::Mirror)
        })?;
        let transfer = Transfer {
            client: &client,
            url,
            shown,
            headers: &self.request.headers,
            expected_size: self.request.size,
            speed_limit: self.shared.options.speed_limit,
            connect_timeout: self.shared.options.connect_timeout,
            counter: self.counter,
        };
        transfer.run(sink).await
    }
}

/// Whether no mirror can help.
fn is_final(error: &FetchError) -> bool {
    matches!(
        error,
        FetchError::DiskFull { .. } | FetchError::Cache { .. } | FetchError::Setup { .. }
    )
}

fn gave_up(error: FetchError, tries: usize) -> FetchError {
    if tries == 1 {
        return error;
    }
    FetchError::GaveUp {
        tries,
        last: Box::new(error),
    }
}

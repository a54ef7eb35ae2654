//! One try at one URL.

use std::error::Error as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_RANGE, RANGE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};

use crate::disk_space::write_error;
use crate::mirrors::Blame;
use crate::sink::Sink;
use crate::speed_watch::SpeedWatch;
use crate::{FetchError, SpeedLimit};

/// The longest wait a server may ask of us.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(1);

/// How far one file is, for whoever shows progress.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    received: AtomicU64,
    /// The size plus one; zero while it is unknown.
    size: AtomicU64,
}

impl Counter {
    pub(crate) fn set_received(&self, bytes: u64) {
        self.received.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn set_size(&self, bytes: u64) {
        self.size.store(bytes.saturating_add(1), Ordering::Relaxed);
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(crate) fn size(&self) -> Option<u64> {
        self.size.load(Ordering::Relaxed).checked_sub(1)
    }
}

/// A failed try.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: FetchError,
    pub(crate) blame: Blame,
    /// When the server wants to be asked again.
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    pub(crate) fn new(error: FetchError, blame: Blame) -> Self {
        Self {
            error,
            blame,
            retry_after: None,
        }
    }
}

/// What to ask for and how to watch it come.
pub(crate) struct Transfer<'a> {
    pub(crate) client: &'a Client,
    /// The URL to ask for.
    pub(crate) url: &'a str,
    /// The URL as errors show it, without a password.
    pub(crate) shown: &'a str,
    pub(crate) headers: &'a [(String, String)],
    pub(crate) expected_size: Option<u64>,
    pub(crate) speed_limit: SpeedLimit,
    pub(crate) connect_timeout: Duration,
    pub(crate) counter: &'a Counter,
}

impl Transfer<'_> {
    /// Brings the rest of the file into the sink.
    pub(crate) async fn run(&self, sink: &mut dyn Sink) -> Result<(), Failure> {
        let response = self.ask(sink.length()).await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT
                if sink.length() > 0 && content_start(&response) == Some(sink.length()) => {}
            // What is there may be the whole file, left by a fetcher that was killed.
            StatusCode::RANGE_NOT_SATISFIABLE if sink.length() > 0 && sink.is_complete() => {
                return Ok(());
            }
            StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT
                if sink.length() > 0 =>
            {
                let received = sink.length();
                self.reset(sink)?;
                let reason = "the server cannot go on where it ended".to_owned();
                return Err(self.broken(received, reason));
            }
            StatusCode::OK => self.reset(sink)?,
            status => return Err(self.refused(&response, status)),
        }
        self.receive(response, sink).await
    }

    async fn ask(&self, offset: u64) -> Result<Response, Failure> {
        let mut request = self.client.get(self.url);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
        }
        let patience = self.connect_timeout + self.speed_limit.patience;
        match tokio::time::timeout(patience, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.request_failure(&error)),
            Err(_) => Err(self.stalled(offset, patience)),
        }
    }

    async fn receive(&self, mut response: Response, sink: &mut dyn Sink) -> Result<(), Failure> {
        let size = response
            .content_length()
            .map(|rest| rest.saturating_add(sink.length()));
        if let Some(size) = size {
            self.counter.set_size(size);
            self.check_size(size)?;
            let rest = size - sink.length();
            sink.check_room(self.shown, rest)
                .map_err(|error| Failure::new(error, Blame::Nobody))?;
        }
        let mut watch = SpeedWatch::new(self.speed_limit, Instant::now());
        loop {
            let mut arrived = 0;
            match tokio::time::timeout(watch.interval(), response.chunk()).await {
                Ok(Ok(Some(bytes))) => {
                    arrived = bytes.len() as u64;
                    self.check_size(sink.length() + arrived)?;
                    let more = size.map(|size| size.saturating_sub(sink.length()));
                    sink.append(&bytes).map_err(|failure| {
                        Failure::new(write_error(failure, self.shown, more), Blame::Nobody)
                    })?;
                    self.counter.set_received(sink.length());
                }
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(error)) => return Err(self.broken(sink.length(), reason(&error))),
                // Nothing came for a while; the watch says whether that was too long.
                Err(_) => {}
            }
            if watch.is_stalled(arrived, Instant::now()) {
                return Err(self.stalled(sink.length(), self.speed_limit.patience));
            }
        }
    }

    /// Ends a transfer that cannot have the right checksum, before it fills the disk.
    fn check_size(&self, size: u64) -> Result<(), Failure> {
        match self.expected_size {
            Some(expected) if size > expected => {
                let reason = format!("it is {size} bytes long or longer, not {expected}");
                let error = FetchError::Broken {
                    url: self.shown.to_owned(),
                    received: expected,
                    reason,
                };
                Err(Failure::new(error, Blame::Perhaps))
            }
            _ => Ok(()),
        }
    }

    fn reset(&self, sink: &mut dyn Sink) -> Result<(), Failure> {
        self.counter.set_received(0);
        sink.reset()
            .map_err(|failure| Failure::new(write_error(failure, self.shown, None), Blame::Nobody))
    }

    fn broken(&self, received: u64, reason: String) -> Failure {
        let error = FetchError::Broken {
            url: self.shown.to_owned(),
            received,
            reason,
        };
        Failure::new(error, Blame::Nobody)
    }

    fn stalled(&self, received: u64, waited: Duration) -> Failure {
        let error = FetchError::Stalled {
            url: self.shown.to_owned(),
            received,
            bytes_per_second: self.speed_limit.bytes_per_second,
            seconds: waited.as_secs(),
        };
        Failure::new(error, Blame::Nobody)
    }

    fn refused(&self, response: &Response, status: StatusCode) -> Failure {
        let was_redirected = self.was_redirected(response);
        let url = if was_redirected {
            crate::url::without_password(response.url().as_str())
        } else {
            self.shown.to_owned()
        };
        let error = FetchError::Status {
            url,
            status: status.as_u16(),
        };
        let is_passing = status.is_server_error()
            || matches!(
                status,
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
            );
        let blame = match (is_passing, was_redirected) {
            (true, _) => Blame::Nobody,
            // A redirecting service may choose a better mirror next time.
            (false, true) => Blame::Perhaps,
            (false, false) => Blame::Mirror,
        };
        Failure {
            error,
            blame,
            retry_after: retry_after(response),
        }
    }

    /// Whether the answer is of another URL; reqwest leaves user and password out of it.
    fn was_redirected(&self, response: &Response) -> bool {
        use reqwest::Url;
        let place = |url: &Url| {
            (
                url.origin(),
                url.path().to_owned(),
                url.query().map(str::to_owned),
            )
        };
        Url::parse(self.url).is_ok_and(|asked| place(&asked) != place(response.url()))
    }

    fn request_failure(&self, error: &reqwest::Error) -> Failure {
        let url = self.shown.to_owned();
        let reason = reason(error);
        if error.is_builder() {
            return Failure::new(FetchError::Url { url, reason }, Blame::Mirror);
        }
        if error.is_redirect() {
            return Failure::new(FetchError::Redirects { url }, Blame::Perhaps);
        }
        if error.is_connect() {
            let blame = blame_of(&reason);
            return Failure::new(FetchError::Connect { url, reason }, blame);
        }
        let blame = blame_of(&reason);
        Failure {
            blame,
            ..self.broken(0, reason)
        }
    }
}

/// Whether trying again can help. The causes' types belong to libraries below reqwest, so their texts must do; one that is
/// not recognised is tried again, which is never wrong, only slow.
fn blame_of(reason: &str) -> Blame {
    if reason.contains("no records found") || reason.contains("received fatal alert") {
        // The name server knows of no such host; or the server does not want us, without our certificate for one.
        Blame::Perhaps
    } else if reason.contains("invalid peer certificate") {
        Blame::Mirror
    } else {
        Blame::Nobody
    }
}

/// The chain of causes in one line, without the URL that reqwest puts in front.
fn reason(error: &reqwest::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // `client error (Connect)` says no more than the error's kind does.
        if !text.starts_with("client error (") && !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        source = cause.source();
    }
    if parts.is_empty() {
        return error.to_string();
    }
    parts.join(": ")
}

/// The first byte of a `206` answer, from `Content-Range: bytes FIRST-LAST/SIZE`.
fn content_start(response: &Response) -> Option<u64> {
    let value = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (first, _) = value.strip_prefix("bytes ")?.split_once('-')?;
    first.parse().ok()
}

/// The seconds of `Retry-After`; dates are not worth a parser, the usual delay does.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    let seconds = value.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

//! How to fetch.

use std::num::NonZeroUsize;
use std::time::Duration;

/// How many files come at once, how patient to be, and by which way to go out.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// Transfers at one time.
    pub jobs: NonZeroUsize,
    /// Transfers at one time from one host.
    pub per_host: NonZeroUsize,
    /// How often a file is tried, over all its mirrors.
    pub tries: NonZeroUsize,
    /// The wait after the first failed try; it doubles with each further one.
    pub first_delay: Duration,
    /// The longest wait between two tries.
    pub longest_delay: Duration,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// The speed below which a transfer is given up as stalled.
    pub speed_limit: SpeedLimit,
    /// The way out.
    pub proxy: Proxy,
    /// The `User-Agent` header.
    pub user_agent: String,
}

impl Default for FetchOptions {
    fn default() -> Self {
        const AT_LEAST_ONE: &str = "a constant above zero";
        Self {
            jobs: NonZeroUsize::new(16).expect(AT_LEAST_ONE),
            // Browsers and apt's pipelining show that mirrors put up with this many.
            per_host: NonZeroUsize::new(8).expect(AT_LEAST_ONE),
            // Upstream's NR_RETRYS.
            tries: NonZeroUsize::new(10).expect(AT_LEAST_ONE),
            first_delay: Duration::from_millis(200),
            longest_delay: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(30),
            speed_limit: SpeedLimit::default(),
            proxy: Proxy::Environment,
            user_agent: user_agent(),
        }
    }
}

/// A transfer is stalled once it stays below a speed for a time (curl's `speed-limit`, `speed-time`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpeedLimit {
    /// The least bytes per second.
    pub bytes_per_second: u64,
    /// How long a transfer may be slower than that.
    pub patience: Duration,
}

impl Default for SpeedLimit {
    fn default() -> Self {
        Self {
            bytes_per_second: 1000,
            patience: Duration::from_secs(30),
        }
    }
}

/// The proxy to go through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Proxy {
    /// What `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` say.
    #[default]
    Environment,
    /// This one for everything but the hosts in `no_proxy`; without a scheme it is an HTTP proxy.
    Url(String),
    /// None, whatever the environment says.
    Direct,
}

/// The user agent upstream osbuild shows to servers; some of them count it.
pub fn user_agent() -> String {
    format!(
        "osbuild (Linux.{}; https://osbuild.org/)",
        std::env::consts::ARCH
    )
}

//! Notices that a transfer crawls, the way curl's `speed-limit` and `speed-time` do.

use std::time::{Duration, Instant};

use crate::SpeedLimit;

/// Measures the speed of one transfer in short intervals.
pub(crate) struct SpeedWatch {
    limit: SpeedLimit,
    interval: Duration,
    interval_start: Instant,
    interval_bytes: u64,
    slow_since: Instant,
}

impl SpeedWatch {
    pub(crate) fn new(limit: SpeedLimit, now: Instant) -> Self {
        Self {
            limit,
            interval: (limit.patience / 4).min(Duration::from_secs(1)),
            interval_start: now,
            interval_bytes: 0,
            slow_since: now,
        }
    }

    /// The longest a caller may wait before looking again.
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// Counts bytes and tells whether the transfer was too slow for too long.
    pub(crate) fn is_stalled(&mut self, bytes: u64, now: Instant) -> bool {
        self.interval_bytes += bytes;
        let elapsed = now.duration_since(self.interval_start);
        if elapsed < self.interval {
            return false;
        }
        let least = self.limit.bytes_per_second as f64 * elapsed.as_secs_f64();
        if self.interval_bytes as f64 >= least {
            self.slow_since = now;
        }
        self.interval_start = now;
        self.interval_bytes = 0;
        now.duration_since(self.slow_since) >= self.limit.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds so many bytes each second; tells in which second the transfer counts as stalled.
    fn stalls_after(bytes: &[u64]) -> Option<usize> {
        let start = Instant::now();
        let mut watch = SpeedWatch::new(SpeedLimit::default(), start);
        bytes.iter().zip(1..).position(|(&bytes, second)| {
            watch.is_stalled(bytes, start + Duration::from_secs(second))
        })
    }

    #[test]
    fn only_lasting_slowness_is_a_stall() {
        assert_eq!(stalls_after(&[0; 40]), Some(29));
        assert_eq!(stalls_after(&[999; 40]), Some(29));
        assert_eq!(stalls_after(&[1000; 40]), None);
        let mut hiccup = [0; 40];
        hiccup[20] = 5000;
        assert_eq!(stalls_after(&hiccup), None);
    }
}

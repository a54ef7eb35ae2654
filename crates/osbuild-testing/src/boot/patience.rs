//! How long to wait for a machine: longer where the host is busy, never for ever.

use std::time::{Duration, Instant};

/// A quiet machine without KVM boots in 20 s, and a first boot may check its disk.
const QUIET: Duration = Duration::from_mins(4);
/// Beyond this the host is not busy but broken.
const FACTOR_MAX: f64 = 6.0;
/// Seconds to wait in place of all this.
const VARIABLE: &str = "OSBUILD_BOOT_PATIENCE";

/// Returns when to give up on a machine started now.
pub(crate) fn deadline() -> Instant {
    Instant::now() + patience()
}

fn patience() -> Duration {
    let given = std::env::var(VARIABLE)
        .ok()
        .and_then(|text| text.parse().ok());
    given.map_or_else(
        || QUIET.mul_f64(factor(load(), processors())),
        Duration::from_secs,
    )
}

/// A machine that shares the host with `load` others gets its share of the time.
fn factor(load: f64, processors: f64) -> f64 {
    (1.0 + load / processors).clamp(1.0, FACTOR_MAX)
}

fn load() -> f64 {
    let text = fs_err::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0.0)
}

fn processors() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_host_gets_more_time_within_bounds() {
        for (load, processors, expected) in [
            (0.0, 2.0, 1.0),
            (2.0, 2.0, 2.0),
            (1.0, 4.0, 1.25),
            (100.0, 2.0, 6.0),
        ] {
            assert!(
                (factor(load, processors) - expected).abs() < 1e-9,
                "{load} {processors}"
            );
        }
    }
}

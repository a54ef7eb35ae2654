//! The time that a stage writes into files.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use osbuild_stage_api::StageContext;

use crate::shared::calendar::civil;

/// Of a day, in seconds.
const DAY: i64 = 86400;
/// As the C library abbreviates them, the first for the first day of 1970.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Returns the moment that the pipeline wants as its time, else the present.
///
/// The engine tells it in the stage's metadata and in `SOURCE_DATE_EPOCH`; an engine of upstream may tell one of them.
pub(crate) fn now(context: &StageContext) -> SystemTime {
    let from_environment = || std::env::var("SOURCE_DATE_EPOCH").ok()?.parse().ok();
    let epoch: Option<i64> = context.source_epoch().or_else(from_environment);
    match epoch.map(u64::try_from) {
        Some(Ok(seconds)) => UNIX_EPOCH + Duration::from_secs(seconds),
        _ => SystemTime::now(),
    }
}

/// Spells a time, in UTC, as `ctime(3)` does.
pub(crate) fn ctime(time: SystemTime) -> String {
    let Parts {
        days,
        year,
        month,
        day,
        hour,
        minute,
        second,
    } = parts(time);
    let weekday = WEEKDAYS[usize::try_from(days % 7).unwrap_or_default()];
    let month = MONTHS[usize::try_from(month - 1).unwrap_or_default()];
    format!("{weekday} {month} {day:2} {hour:02}:{minute:02}:{second:02} {year}")
}

/// Spells a time, in UTC, as the year, month, day, hour and minute in one word.
pub(crate) fn minute_stamp(time: SystemTime) -> String {
    let parts = parts(time);
    format!(
        "{:04}{:02}{:02}{:02}{:02}",
        parts.year, parts.month, parts.day, parts.hour, parts.minute
    )
}

struct Parts {
    /// Since 1970.
    days: i64,
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

fn parts(time: SystemTime) -> Parts {
    // A clock before 1970 is not set.
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    let (days, second) = (seconds / DAY, seconds % DAY);
    let (year, month, day) = civil(days);
    Parts {
        days,
        year,
        month,
        day,
        hour: second / 3600,
        minute: second % 3600 / 60,
        second: second % 60,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spelled_as_the_c_library_does() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(ctime(at(1_554_721_380)), "Mon Apr  8 11:03:00 2019");
        assert_eq!(ctime(at(951_827_696)), "Tue Feb 29 12:34:56 2000");
        assert_eq!(minute_stamp(at(951_827_696)), "200002291234");
    }
}

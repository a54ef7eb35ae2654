//! The dates of release files: `Sat, 11 Jul 2026 10:16:37 UTC`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const SECONDS_PER_DAY: u64 = 86_400;

/// Reads a date in the form of RFC 5322; only UTC is allowed, as the repository format demands.
pub fn parse(text: &str) -> Result<SystemTime> {
    parse_parts(text)
        .with_context(|| format!("`{text}` is not a date such as `Sat, 11 Jul 2026 10:16:37 UTC`"))
}

fn parse_parts(text: &str) -> Result<SystemTime> {
    let rest = text.split_once(',').map_or(text, |(_, rest)| rest);
    let words: Vec<&str> = rest.split_ascii_whitespace().collect();
    let [day, month, year, time, zone] = words[..] else {
        bail!("expected five parts")
    };
    if !matches!(zone, "UTC" | "GMT" | "Z" | "+0000" | "-0000") {
        bail!("the time zone is not UTC");
    }
    let month = MONTHS
        .iter()
        .position(|&name| name == month)
        .context("unknown month")? as u64
        + 1;
    let (day, year): (u64, u64) = (day.parse()?, year.parse()?);
    let clock: Vec<u64> = time.split(':').map(str::parse).collect::<Result<_, _>>()?;
    let [hours, minutes, seconds] = clock[..] else {
        bail!("expected hours, minutes and seconds")
    };
    if !(1970..=9999).contains(&year)
        || !(1..=31).contains(&day)
        || hours > 23
        || minutes > 59
        || seconds > 60
    {
        bail!("out of range");
    }
    let total = days_since_epoch(year, month, day) * SECONDS_PER_DAY
        + hours * 3600
        + minutes * 60
        + seconds;
    Ok(UNIX_EPOCH + Duration::from_secs(total))
}

/// Writes a time in the form that release files use, without the day of the week.
pub(super) fn format(time: SystemTime) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (year, month, day) = civil_date(seconds / SECONDS_PER_DAY);
    let clock = seconds % SECONDS_PER_DAY;
    let month = MONTHS[month as usize - 1];
    format!(
        "{day} {month} {year} {:02}:{:02}:{:02} UTC",
        clock / 3600,
        clock / 60 % 60,
        clock % 60
    )
}

/// Counts days in years that begin in March, so that a leap day comes last.
fn days_since_epoch(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - DAYS_BEFORE_EPOCH
}

/// Days from 1 March of the year 0 to 1 January 1970.
const DAYS_BEFORE_EPOCH: u64 = 719_468;

fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_BEFORE_EPOCH;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_dates() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 UTC", 0),
            ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799),
            ("Sat, 11 Jul 2026 10:16:37 UTC", 1_783_764_997),
            ("31 Dec 2099 00:00:00 +0000", 4_102_358_400),
        ] {
            assert_eq!(
                parse(text).unwrap(),
                UNIX_EPOCH + Duration::from_secs(seconds),
                "{text}"
            );
        }
        assert_eq!(
            format(parse("Sat, 11 Jul 2026 10:16:37 UTC").unwrap()),
            "11 Jul 2026 10:16:37 UTC"
        );
        assert_eq!(
            format(parse("29 Feb 2000 23:59:59 UTC").unwrap()),
            "29 Feb 2000 23:59:59 UTC"
        );
    }

    #[test]
    fn other_forms_are_errors() {
        for text in [
            "",
            "yesterday",
            "Sat, 11 Jul 2026 10:16:37 +0200",
            "Sat, 11 July 2026 10:16:37 UTC",
            "1 Jan 2026 25:00:00 UTC",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

//! Times as FAT keeps them: two seconds fine, from 1980 to 2107; UTC here.

use crate::shared::calendar::civil;

/// A time in a directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) date: u16,
    pub(crate) time: u16,
}

const DAY: i64 = 86400;
/// 1980-01-01 and the last moment of 2107.
const FIRST: i64 = 315_532_800;
const LAST: i64 = 4_354_819_199;

impl Stamp {
    /// The nearest time that FAT knows.
    pub(crate) fn at(seconds: i64) -> Self {
        let seconds = seconds.clamp(FIRST, LAST);
        let (days, second) = (seconds / DAY, seconds % DAY);
        let (year, month, day) = civil(days);
        Self {
            date: (((year - 1980) << 9) | (month << 5) | day) as u16,
            time: (((second / 3600) << 11) | ((second % 3600 / 60) << 5) | (second % 60 / 2))
                as u16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, (1980, 1, 1, 0, 0, 0)),
            (951_827_697, (2000, 2, 29, 12, 34, 56)),
            (1_600_000_000, (2020, 9, 13, 12, 26, 40)),
            (1_735_689_599, (2024, 12, 31, 23, 59, 58)),
            (i64::MAX, (2107, 12, 31, 23, 59, 58)),
        ] {
            let Stamp { date, time } = Stamp::at(seconds);
            let found = (
                1980 + (date >> 9),
                (date >> 5) & 15,
                date & 31,
                time >> 11,
                (time >> 5) & 63,
                (time & 31) * 2,
            );
            assert_eq!(found, expected);
        }
    }
}

//! Whole numbers of any size.

use std::cmp::Ordering;
use std::fmt;

/// A whole number of any size, as Python has them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Integer(Magnitude);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Magnitude {
    Small(i64),
    /// Decimal digits, with a sign if negative; beyond 64 bits, so that every number has one form.
    Large(Box<str>),
}

impl Integer {
    /// Reads a JSON number that has neither fraction nor exponent.
    pub(crate) fn from_json_digits(digits: &str) -> Self {
        digits.parse().map_or_else(
            |_| Self(Magnitude::Large(digits.into())),
            |value: i64| Self::from(value),
        )
    }

    /// Gives the number, if 64 bits hold it.
    pub fn as_i64(&self) -> Option<i64> {
        match self.0 {
            Magnitude::Small(value) => Some(value),
            Magnitude::Large(_) => None,
        }
    }

    /// Tells whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.as_i64() == Some(0)
    }

    /// Gives the nearest float, which is infinite for very large numbers.
    pub fn to_f64(&self) -> f64 {
        match &self.0 {
            Magnitude::Small(value) => *value as f64,
            Magnitude::Large(digits) => digits.parse().expect("decimal digits are a float"),
        }
    }

    pub(super) fn to_serde(&self) -> serde_json::Value {
        match &self.0 {
            Magnitude::Small(value) => serde_json::Value::from(*value),
            Magnitude::Large(digits) => digits.parse::<u64>().map_or_else(
                |_| serde_json::Value::from(self.to_f64()),
                serde_json::Value::from,
            ),
        }
    }

    /// Compares with a float by value, without rounding; `None` for NaN.
    pub fn compare_with_float(&self, float: f64) -> Option<Ordering> {
        if float.is_nan() {
            return None;
        }
        if float.is_infinite() {
            return Some(if float > 0.0 {
                Ordering::Less
            } else {
                Ordering::Greater
            });
        }
        // `{:.0}` shows every digit of a float without exponent, so the whole part is exact.
        let whole = Self::from_json_digits(&format!("{:.0}", float.trunc()));
        let fraction = float - float.trunc();
        Some(
            self.cmp(&whole)
                .then(0.0.partial_cmp(&fraction).unwrap_or(Ordering::Equal)),
        )
    }
}

impl PartialOrd for Integer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Integer {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Magnitude::Small(left), Magnitude::Small(right)) => left.cmp(right),
            (Magnitude::Small(_), Magnitude::Large(right)) => {
                if right.starts_with('-') {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
            (Magnitude::Large(left), Magnitude::Small(_)) => {
                if left.starts_with('-') {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (Magnitude::Large(left), Magnitude::Large(right)) => compare_digits(left, right),
        }
    }
}

fn compare_digits(left: &str, right: &str) -> Ordering {
    let by_size =
        |left: &str, right: &str| left.len().cmp(&right.len()).then_with(|| left.cmp(right));
    match (left.strip_prefix('-'), right.strip_prefix('-')) {
        (None, None) => by_size(left, right),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some(left), Some(right)) => by_size(right, left),
    }
}

impl From<i64> for Integer {
    fn from(value: i64) -> Self {
        Self(Magnitude::Small(value))
    }
}

impl From<u64> for Integer {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or_else(
            |_| Self(Magnitude::Large(value.to_string().into())),
            Self::from,
        )
    }
}

impl fmt::Display for Integer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Magnitude::Small(value) => write!(formatter, "{value}"),
            Magnitude::Large(digits) => formatter.write_str(digits),
        }
    }
}

impl fmt::Debug for Integer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(digits: &str) -> Integer {
        Integer::from_json_digits(digits)
    }

    #[test]
    fn order_does_not_depend_on_size() {
        let order = [
            "-99999999999999999999",
            "-99999999999999999998",
            "-1",
            "0",
            "7",
            "99999999999999999998",
            "100000000000000000000",
        ];
        let mut sorted: Vec<Integer> = order.iter().rev().map(|digits| integer(digits)).collect();
        sorted.sort();
        assert_eq!(
            sorted.iter().map(ToString::to_string).collect::<Vec<_>>(),
            order
        );
    }

    #[test]
    fn minus_zero_is_zero() {
        assert_eq!(integer("-0").to_string(), "0");
    }

    #[test]
    fn comparison_with_floats_does_not_round() {
        for (digits, float, expected) in [
            ("1", 1.0, Ordering::Equal),
            ("1", 1.5, Ordering::Less),
            ("-1", -1.5, Ordering::Greater),
            ("0", -0.0, Ordering::Equal),
            ("0", -0.5, Ordering::Greater),
            (
                "9007199254740993",
                9_007_199_254_740_992.0,
                Ordering::Greater,
            ),
            ("100000000000000000000", 1e20, Ordering::Equal),
            ("100000000000000000001", 1e20, Ordering::Greater),
            ("5", f64::INFINITY, Ordering::Less),
            ("5", f64::NEG_INFINITY, Ordering::Greater),
        ] {
            assert_eq!(
                integer(digits).compare_with_float(float),
                Some(expected),
                "{digits} and {float}"
            );
        }
        assert_eq!(integer("1").compare_with_float(f64::NAN), None);
    }
}

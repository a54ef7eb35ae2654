//! Limits and multiples, by value.

use std::cmp::Ordering;

use crate::value::Value;

/// Tells whether a number is below a limit, or at it if the limit itself is excluded. NaN never is.
pub(super) fn is_below(value: &Value, limit: &Value, excluded: bool) -> bool {
    match value.compare_numbers(limit) {
        Some(Ordering::Less) => true,
        Some(Ordering::Equal) => excluded,
        Some(Ordering::Greater) | None => false,
    }
}

/// Tells whether a number is a multiple of a factor above zero, with python-jsonschema's rounding.
pub(super) fn is_multiple(value: &Value, factor: &Value) -> bool {
    match (value, factor) {
        (Value::Int(value), Value::Int(factor)) => match (value.as_i64(), factor.as_i64()) {
            (Some(value), Some(factor)) => value % factor == 0,
            (None, Some(factor)) => remainder(&value.to_string(), factor) == 0,
            // The factor is larger than 64 bits.
            (Some(value), None) => value == 0,
            (None, None) => value == factor,
        },
        (Value::Float(value), Value::Int(factor)) => value % factor.to_f64() == 0.0,
        (Value::Int(value), Value::Float(factor)) => is_whole(value.to_f64() / factor),
        (Value::Float(value), Value::Float(factor)) => is_whole(value / factor),
        _ => true,
    }
}

fn is_whole(quotient: f64) -> bool {
    quotient.is_finite() && quotient.fract() == 0.0
}

fn remainder(digits: &str, factor: i64) -> i128 {
    digits
        .bytes()
        .filter(u8::is_ascii_digit)
        .fold(0, |rest, digit| {
            (rest * 10 + i128::from(digit - b'0')) % i128::from(factor)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiples() {
        for (value, factor, expected) in [
            ("6", "3", true),
            ("7", "3", false),
            ("100000000000000000001", "3", false),
            ("100000000000000000002", "3", true),
            ("0", "100000000000000000001", true),
            ("1.5", "0.5", true),
            ("1.4", "0.5", false),
            ("4.0", "2", true),
            ("NaN", "2", false),
            ("1e308", "1e-308", false),
        ] {
            let [value_, factor_] = [value, factor].map(|text| Value::from_json(text).unwrap());
            assert_eq!(
                is_multiple(&value_, &factor_),
                expected,
                "{value} and {factor}"
            );
        }
    }
}

//! Equality and order by value, as JSON Schema wants them.

use std::cmp::Ordering;

use super::Value;

impl Value {
    /// Tells whether two values are the same to JSON Schema: `1` and `1.0` are, `1` and `true` are not.
    pub fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Array(left), Self::Array(right)) => {
                left.len() == right.len()
                    && left
                        .iter()
                        .zip(right)
                        .all(|(left, right)| left.same_as(right))
            }
            (Self::Object(left), Self::Object(right)) => {
                left.len() == right.len()
                    && left.iter().all(|(key, value)| {
                        right
                            .get_text(key)
                            .is_some_and(|other| value.same_as(other))
                    })
            }
            (Self::Int(_) | Self::Float(_), Self::Int(_) | Self::Float(_)) => {
                self.compare_numbers(other) == Some(Ordering::Equal)
            }
            _ => self == other,
        }
    }

    /// Compares two numbers by value; `None` if one is no number, or NaN.
    pub fn compare_numbers(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => Some(left.cmp(right)),
            (Self::Int(left), Self::Float(right)) => left.compare_with_float(*right),
            (Self::Float(left), Self::Int(right)) => {
                right.compare_with_float(*left).map(Ordering::reverse)
            }
            (Self::Float(left), Self::Float(right)) => left.partial_cmp(right),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_by_value_and_truth_values_stay_apart() {
        for (left, right, same) in [
            ("1", "1.0", true),
            ("1", "true", false),
            ("0", "false", false),
            ("[1, {\"a\": 2}]", "[1.0, {\"a\": 2.0}]", true),
            ("{\"a\": 1, \"b\": 2}", "{\"b\": 2, \"a\": 1}", true),
            ("{\"a\": 1}", "{\"b\": 1}", false),
            ("100000000000000000000", "1e20", true),
            ("NaN", "NaN", false),
            ("\"1\"", "1", false),
            ("null", "null", true),
        ] {
            let [left_value, right_value] =
                [left, right].map(|text| Value::from_json(text).unwrap());
            assert_eq!(left_value.same_as(&right_value), same, "{left} and {right}");
        }
    }
}

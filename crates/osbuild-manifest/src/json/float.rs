//! Floats as Python's `repr` shows them.

use std::fmt::Write as _;

/// Decimal exponents from here on, and below [`SMALLEST_POSITIONAL`], are written with an exponent.
const FIRST_SCIENTIFIC: i32 = 16;
const SMALLEST_POSITIONAL: i32 = -4;

/// Appends a float as `repr` and `json.dumps` do, but for NaN and infinities, whose names differ.
pub(super) fn push_finite(output: &mut String, float: f64) {
    if float.is_sign_negative() {
        output.push('-');
    }
    if float == 0.0 {
        output.push_str("0.0");
        return;
    }
    let (digits, exponent) = shortest_digits(float.abs());
    if (SMALLEST_POSITIONAL..FIRST_SCIENTIFIC).contains(&exponent) {
        push_positional(output, &digits, exponent);
    } else {
        push_scientific(output, &digits, exponent);
    }
}

/// Gives the fewest digits that read back as the same float, and the decimal exponent of the first of them.
///
/// The standard library's digits are not always the closest ones (of two shortest, Python takes the nearer).
fn shortest_digits(float: f64) -> (String, i32) {
    let mut buffer = zmij::Buffer::new();
    let shown = buffer.format_finite(float);
    let (mantissa, exponent) = shown.split_once('e').unwrap_or((shown, "0"));
    let exponent: i32 = exponent.parse().expect("an exponent is a number");
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let leading_zeros = all.len() - all.trim_start_matches('0').len();
    let digits = all.trim_matches('0').to_owned();
    (
        digits,
        exponent + whole.len() as i32 - 1 - leading_zeros as i32,
    )
}

fn push_positional(output: &mut String, digits: &str, exponent: i32) {
    let Ok(point) = usize::try_from(exponent + 1) else {
        output.push_str("0.");
        output.extend(std::iter::repeat_n(
            '0',
            exponent.unsigned_abs() as usize - 1,
        ));
        output.push_str(digits);
        return;
    };
    if point == 0 {
        output.push_str("0.");
        output.push_str(digits);
    } else if digits.len() <= point {
        output.push_str(digits);
        output.extend(std::iter::repeat_n('0', point - digits.len()));
        output.push_str(".0");
    } else {
        output.push_str(&digits[..point]);
        output.push('.');
        output.push_str(&digits[point..]);
    }
}

fn push_scientific(output: &mut String, digits: &str, exponent: i32) {
    let (first, rest) = digits.split_at(1);
    output.push_str(first);
    if !rest.is_empty() {
        output.push('.');
        output.push_str(rest);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    write!(output, "e{sign}{:02}", exponent.unsigned_abs())
        .expect("writing to a string never fails");
}

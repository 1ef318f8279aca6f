//! Reads the time of an action: `2024-08-06 17:40:34.5`, `2024-08-06T17:40:34Z`,
//! or the same with an offset such as `+01:00`.
//!
//! Only differences matter, so a stamp without an offset is taken as if in
//! universal time; leap seconds do not exist here.

/// Milliseconds since 1970; `None` where the text is no stamp.
pub(super) fn milliseconds(text: &str) -> Option<f64> {
    let (date, rest) = (text.get(..10)?, text.get(10..)?);
    let rest = rest.strip_prefix(['T', ' '])?;
    let (year, month, day) = (
        number(date.get(..4)?, 9999)?,
        number(date.get(5..7)?, 12)?,
        number(date.get(8..)?, 31)?,
    );
    if date.get(4..5)? != "-" || date.get(7..8)? != "-" || month == 0 || day == 0 {
        return None;
    }
    let (time, offset) = match rest.find(['Z', '+', '-']) {
        None => (rest, 0),
        Some(at) => (rest.get(..at)?, minutes_of(rest.get(at..)?)?),
    };
    let mut parts = time.trim_end().splitn(3, ':');
    let hours = number(parts.next()?, 23)?;
    let minutes = number(parts.next()?, 59)?;
    let seconds = parts.next().unwrap_or("0");
    let is_decimal = |c: char| c.is_ascii_digit() || c == '.';
    if seconds.is_empty() || !seconds.chars().all(is_decimal) {
        return None;
    }
    let seconds: f64 = seconds.parse().ok().filter(|s| *s < 60.0)?;
    let minutes = (days(year, month, day) * 24 + hours) * 60 + minutes - offset;
    Some((minutes as f64 * 60.0 + seconds) * 1000.0)
}

fn number(text: &str, largest: i64) -> Option<i64> {
    let is_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|n| *n <= largest)?;
    is_digits.then_some(number)
}

/// The minutes of `Z`, `+01:00`, `-0530` or `+02`.
fn minutes_of(offset: &str) -> Option<i64> {
    let (sign, rest) = match offset.split_at_checked(1)? {
        ("Z", "") => return Some(0),
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let digits: String = rest.chars().filter(|c| *c != ':').collect();
    let hours = number(digits.get(..2)?, 23)?;
    let minutes = match digits.get(2..)? {
        "" => 0,
        minutes => number(minutes, 59)?,
    };
    Some(sign * (hours * 60 + minutes))
}

/// Days since 1970 of a date of the Gregorian calendar. Years are counted from
/// March, so that the day that comes and goes is the last of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let of_years = 365 * year + year / 4 - year / 100 + year / 400;
    of_years + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_milliseconds_since_1970() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0.0),
            ("1970-01-01 00:00:01.5", 1500.0),
            ("2000-03-01 00:00:00", 951_868_800_000.0),
            ("2024-08-06 17:40:34", 1_722_966_034_000.0),
            ("2024-08-06T19:40:34+02:00", 1_722_966_034_000.0),
            ("2024-08-06T12:10:34-0530", 1_722_966_034_000.0),
        ] {
            assert_eq!(milliseconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_stamp_is_none() {
        for text in [
            "",
            "2024-08-06",
            "17:40:34",
            "2024-13-06 17:40:34",
            "2024-08-06 25:40:34",
            "2024-08-06 17:40:61",
            "2024/08/06 17:40:34",
            "2024-08-06 17:40:34+99",
            "2024-08-06 17:40:inf",
            "ä024-08-06 17:40:34",
        ] {
            assert_eq!(milliseconds(text), None, "{text}");
        }
    }
}

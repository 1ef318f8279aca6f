//! Dates as templates ask for them with `strftime_now`: the codes of C's
//! `strftime` that chat templates use, in UTC and English.
//!
//! It deliberately knows no locale and no time zone: a prompt is not to depend
//! on the machine that wrote it.

use std::fmt::Write;

use minijinja::Error;

use super::python::refused;

const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

const MONTHS: [(&str, u64); 12] = [
    ("January", 31),
    ("February", 28),
    ("March", 31),
    ("April", 30),
    ("May", 31),
    ("June", 30),
    ("July", 31),
    ("August", 31),
    ("September", 30),
    ("October", 31),
    ("November", 30),
    ("December", 31),
];

/// A date by a format of C's `strftime`, as far as templates use it.
pub(super) fn strftime(format: &str, seconds: u64) -> Result<String, Error> {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day, of_year) = civil(days);
    let (name, _) = MONTHS[month];
    // The first day of 1970 was a Thursday.
    let weekday = DAYS[(days as usize + 3) % 7];
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let twelve = (hour + 11) % 12 + 1;
    let month = month as u64 + 1;
    let mut out = String::new();
    let mut rest = format.chars();
    while let Some(character) = rest.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let mut code = rest.next();
        let bare = code == Some('-');
        if bare {
            code = rest.next();
        }
        let (number, width) = match code {
            Some('Y') => (year, 1),
            Some('y') => (year % 100, 2),
            Some('m') => (month, 2),
            Some('d') => (day, 2),
            Some('j') => (of_year, 3),
            Some('H') => (hour, 2),
            Some('I') => (twelve, 2),
            Some('M') => (minute, 2),
            Some('S') => (second, 2),
            other => {
                out.push_str(match other {
                    Some('B') => name,
                    Some('b') => &name[..3],
                    Some('A') => weekday,
                    Some('a') => &weekday[..3],
                    Some('p') if hour < 12 => "AM",
                    Some('p') => "PM",
                    Some('%') => "%",
                    _ => {
                        let code = other.map(String::from).unwrap_or_default();
                        return Err(refused(format!("strftime_now: %{code} is not known")));
                    }
                });
                continue;
            }
        };
        let width = if bare { 1 } else { width };
        // A String takes whatever is written.
        let _ = write!(out, "{number:0width$}");
    }
    Ok(out)
}

/// Year, month from 0, day from 1, and day of the year from 1.
fn civil(days: u64) -> (u64, usize, u64, u64) {
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut day) = (1970, days);
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let of_year = day + 1;
    let mut month = 0;
    while month < 11 {
        let length = MONTHS[month].1 + u64::from(month == 1 && leap(year));
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    (year, month, day + 1, of_year)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_by_the_format() {
        let format = "%A %a %d %-d %B %b %m %-m %Y %y %j %H:%M:%S %I%p 100%%";
        for (seconds, expected) in [
            (
                0,
                "Thursday Thu 01 1 January Jan 01 1 1970 70 001 00:00:00 12AM 100%",
            ),
            (
                951_782_399,
                "Monday Mon 28 28 February Feb 02 2 2000 00 059 23:59:59 11PM 100%",
            ),
            (
                951_782_400,
                "Tuesday Tue 29 29 February Feb 02 2 2000 00 060 00:00:00 12AM 100%",
            ),
            (
                1_704_067_199,
                "Sunday Sun 31 31 December Dec 12 12 2023 23 365 23:59:59 11PM 100%",
            ),
            (
                1_735_646_400,
                "Tuesday Tue 31 31 December Dec 12 12 2024 24 366 12:00:00 12PM 100%",
            ),
            (
                4_107_542_400,
                "Monday Mon 01 1 March Mar 03 3 2100 00 060 00:00:00 12AM 100%",
            ),
        ] {
            assert_eq!(strftime(format, seconds).unwrap(), expected);
        }
        for unknown in ["%", "%-", "%Q", "%é"] {
            assert!(strftime(unknown, 0).unwrap_err().to_string().contains('%'));
        }
    }
}

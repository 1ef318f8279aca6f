//! A bounded reader of numbers, exact in decimal.
//!
//! Grammar, on text that has been through [`crate::answers::normal`]:
//!
//! - `[+-] digits [. digits] [e [+-] digits]`, or with `.digits` alone; the
//!   whole part may have commas between groups of three (`1,000`); white space
//!   may follow the sign. At most 36 digits, and a power of ten to +-200;
//! - English cardinal numbers from `zero` to nine hundred ninety-nine
//!   thousand nine hundred ninety-nine, with or without hyphens and `and`, after
//!   `minus` or `negative` or nothing.
//!
//! Anything else is not a number here. Nothing is evaluated: there are no
//! operators, so `9**9**9` is a word like any other. Values are kept in decimal,
//! over a denominator, because binary ones would make 0.1 + 0.2 of 0.3, and
//! would take whole numbers past 2^53 for their neighbours. [`crate::answers::value`]
//! puts fractions, percentages and powers of ten together out of these.
//!
//! Deliberately not done: repeating decimals, a comma as decimal point, and
//! arithmetic beyond what one spelling of one number needs.

/// More digits than this might not fit the mantissa.
const MAX_DIGITS: usize = 36;
/// Larger powers of ten might not fit the `f64` of a distance.
const MAX_POWER: i32 = 200;
/// No number of the grammar is longer, so a long text is dismissed at once.
const MAX_BYTES: usize = 128;

const BELOW_TWENTY: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 8] = [
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];

/// A rational number: `mantissa` x 10^`power` / `denominator`.
///
/// # Example
///
/// ```text
/// 2.50   mantissa 250, power -2, denominator 1
/// 5/12   mantissa 5, power 0, denominator 12
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number {
    mantissa: i128,
    power: i32,
    /// At least 1.
    denominator: i128,
}

impl Number {
    /// Reads all of `text`.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let first = text.bytes().next()?;
        if text.len() > MAX_BYTES {
            None
        } else if first.is_ascii_lowercase() {
            words(text)
        } else {
            digits(text)
        }
    }

    /// `mantissa` x 10^`power`.
    pub(crate) const fn decimal(mantissa: i128, power: i32) -> Self {
        Self {
            mantissa,
            power,
            denominator: 1,
        }
    }

    /// The number with its sign turned.
    pub(crate) fn negated(self) -> Self {
        Self {
            mantissa: -self.mantissa,
            ..self
        }
    }

    /// The number times 10^`power`, within the powers that a number may have.
    pub(crate) fn scaled(self, power: i32) -> Option<Self> {
        let power = self.power.checked_add(power)?;
        (power.abs() <= 2 * MAX_POWER).then_some(Self { power, ..self })
    }

    /// The product, where it fits.
    pub(crate) fn times(self, other: Self) -> Option<Self> {
        Self::reduced(
            self.mantissa.checked_mul(other.mantissa)?,
            self.power + other.power,
            self.denominator.checked_mul(other.denominator)?,
        )
    }

    /// The quotient, where it fits; none by 0.
    pub(crate) fn over(self, other: Self) -> Option<Self> {
        let sign = other.mantissa.signum();
        Self::reduced(
            self.mantissa.checked_mul(sign * other.denominator)?,
            self.power - other.power,
            self.denominator.checked_mul(sign * other.mantissa)?,
        )
    }

    /// A whole number and a proper fraction, as in `1 1/2`.
    pub(crate) fn and_fraction(self, over: Self, under: Self) -> Option<Self> {
        let (whole, over, under) = (self.whole()?, over.whole()?, under.whole()?);
        if over >= under {
            return None;
        }
        let mantissa = whole.checked_mul(under)?.checked_add(over)?;
        Self::reduced(mantissa, 0, under)
    }

    /// The value of a number that is written without point, power or bar.
    pub(crate) fn whole(self) -> Option<i128> {
        (self.power == 0 && self.denominator == 1).then_some(self.mantissa)
    }

    /// The number itself, where it is whole, not negative and small enough.
    pub(crate) fn count(self) -> Option<u32> {
        (self.denominator == 1 && self.power >= 0).then_some(())?;
        u32::try_from(self.at(0)?).ok()
    }

    /// Whether it is 0.
    pub(crate) fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// Whether it is written without a bar.
    pub(crate) fn is_decimal(self) -> bool {
        self.denominator == 1
    }

    fn reduced(mantissa: i128, power: i32, denominator: i128) -> Option<Self> {
        // The one value whose sign cannot be turned goes too.
        if denominator <= 0 || mantissa == i128::MIN {
            return None;
        }
        // A divisor of a positive i128 is one.
        let divisor = gcd(mantissa.unsigned_abs(), denominator.unsigned_abs()) as i128;
        Self {
            mantissa: mantissa / divisor,
            power: 0,
            denominator: denominator / divisor,
        }
        .scaled(power)
    }

    /// The distance to another number: exact where both fit one scale and one
    /// denominator, as decimals do unless they differ by a factor of 100 or
    /// more. It is 0 for the same number only.
    pub(crate) fn distance(self, other: Self) -> f64 {
        let power = self.power.min(other.power);
        let distance = match self.minus(other, power) {
            Some((0, _)) => return 0.0,
            Some((difference, denominator)) => quotient(difference, denominator, power),
            None => (self.approximate() - other.approximate()).abs(),
        };
        // What no f64 tells apart is apart nevertheless.
        distance.max(f64::MIN_POSITIVE)
    }

    /// The size of the difference in units of 10^`power`, over a denominator.
    fn minus(self, other: Self, power: i32) -> Option<(u128, u128)> {
        let left = self.at(power)?.checked_mul(other.denominator)?;
        let right = other.at(power)?.checked_mul(self.denominator)?;
        let denominator = self.denominator.checked_mul(other.denominator)?;
        let difference = left.checked_sub(right)?;
        Some((difference.unsigned_abs(), denominator.unsigned_abs()))
    }

    /// The mantissa for a smaller power of ten, if it fits.
    fn at(self, power: i32) -> Option<i128> {
        if self.mantissa == 0 {
            return Some(0);
        }
        let factor = 10_i128.checked_pow(self.power.abs_diff(power))?;
        self.mantissa.checked_mul(factor)
    }

    fn approximate(self) -> f64 {
        let size = nearest(self.mantissa.unsigned_abs(), self.power);
        size * self.mantissa.signum() as f64 / self.denominator as f64
    }
}

/// The `f64` nearest to `value` / `denominator` x 10^`power`, or next to it
/// where the quotient has no end in decimal.
fn quotient(value: u128, denominator: u128, power: i32) -> f64 {
    let divisor = gcd(value, denominator);
    let (value, denominator) = (value / divisor, denominator / divisor);
    for places in 0..=18_i32 {
        let scale = 10_u128.pow(places.unsigned_abs());
        if scale % denominator == 0
            && let Some(value) = value.checked_mul(scale / denominator)
        {
            return nearest(value, power - places);
        }
    }
    nearest(value, power) / denominator as f64
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

/// The `f64` nearest to `value` x 10^`power`: the standard library's reader of
/// decimals rounds once, where arithmetic with a power of ten would round twice
/// and make of 1 x 10^-1 something else than the 0.1 of a TOML file.
fn nearest(value: u128, power: i32) -> f64 {
    let nearest = format!("{value}e{power}").parse();
    // Digits, `e` and an integer always parse; no tolerance reaches infinity.
    nearest.unwrap_or(f64::INFINITY)
}

fn digits(text: &str) -> Option<Number> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text.strip_prefix('+').unwrap_or(text).trim_start()),
    };
    let (text, written_power) = match text.split_once('e') {
        Some((text, power)) => (text, power_of_ten(power)?),
        None => (text, 0),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.contains(',') && !grouped(whole) {
        return None;
    }
    let mut mantissa: i128 = 0;
    let mut count = 0;
    for byte in whole
        .bytes()
        .filter(|byte| *byte != b',')
        .chain(fraction.bytes())
    {
        count += 1;
        if !byte.is_ascii_digit() || count > MAX_DIGITS {
            return None;
        }
        mantissa = mantissa * 10 + i128::from(byte - b'0');
    }
    let mantissa = if negative { -mantissa } else { mantissa };
    // At most 36 digits of fraction: the cast is exact.
    let power = written_power - fraction.len() as i32;
    (count > 0).then(|| Number::decimal(mantissa, power))
}

fn power_of_ten(text: &str) -> Option<i32> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Too many digits for an i32 are too large a power as well.
    let power: i32 = text.parse().ok()?;
    (power.unsigned_abs() <= MAX_POWER.unsigned_abs()).then_some(power)
}

/// Whether commas stand between groups of three digits, the first of one to
/// three and not with a 0 before: `0,200` may be 0.2.
fn grouped(whole: &str) -> bool {
    let mut groups = whole.split(',');
    let first = groups.next().unwrap_or("");
    is_first_group(first) && groups.all(|group| group.len() == 3)
}

/// Whether groups of three digits can follow these.
pub(crate) fn is_first_group(digits: &str) -> bool {
    (1..=3).contains(&digits.len()) && !digits.starts_with('0')
}

fn words(text: &str) -> Option<Number> {
    let unsigned = text
        .strip_prefix("minus ")
        .or_else(|| text.strip_prefix("negative "));
    let words: Vec<&str> = unsigned.unwrap_or(text).split([' ', '-']).collect();
    let value = match words[..] {
        ["zero"] => 0,
        _ => below_million(&words)?,
    };
    let value = if unsigned.is_some() { -value } else { value };
    Some(Number::decimal(value, 0))
}

/// 1 to 999 999.
fn below_million(words: &[&str]) -> Option<i128> {
    let Some(at) = words.iter().position(|word| *word == "thousand") else {
        return below_thousand(words);
    };
    let thousands = below_thousand(&words[..at])? * 1000;
    match &words[at + 1..] {
        [] => Some(thousands),
        ["and", rest @ ..] | rest => Some(thousands + below_thousand(rest)?),
    }
}

/// 1 to 999.
fn below_thousand(words: &[&str]) -> Option<i128> {
    match words {
        [digit, "hundred"] => Some(unit(digit)? * 100),
        [digit, "hundred", "and", rest @ ..] | [digit, "hundred", rest @ ..] => {
            Some(unit(digit)? * 100 + below_hundred(rest)?)
        }
        rest => below_hundred(rest),
    }
}

/// 1 to 99.
fn below_hundred(words: &[&str]) -> Option<i128> {
    match words {
        [word] => index(&BELOW_TWENTY, word)
            .filter(|value| *value > 0)
            .or_else(|| ten(word)),
        [tens, digit] => Some(ten(tens)? + unit(digit)?),
        _ => None,
    }
}

/// 1 to 9.
fn unit(word: &str) -> Option<i128> {
    index(&BELOW_TWENTY[..10], word).filter(|value| *value > 0)
}

/// 20, 30 and so on to 90.
fn ten(word: &str) -> Option<i128> {
    index(&TENS, word).map(|index| (index + 2) * 10)
}

fn index(words: &[&str], word: &str) -> Option<i128> {
    let index = words.iter().position(|known| *known == word)?;
    i128::try_from(index).ok()
}

#[cfg(test)]
mod tests;

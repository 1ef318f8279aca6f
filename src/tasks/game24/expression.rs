//! Reads an expression of whole numbers, +, -, *, / and brackets, and says
//! what it comes to, exactly.
//!
//! Also read: x, the signs for times, divided and minus, LaTeX's `\times`,
//! `\cdot` and `\div`, and `= 24` after the expression (any other
//! result is refused). Not read: powers, roots, a sign before a number. A text of more than [`LONGEST`] bytes is dismissed
//! unread, which bounds the depth of its brackets too.

/// More than anybody needs for four numbers.
const LONGEST: usize = 256;

/// A fraction, its denominator not zero. It is not kept in lowest terms: four
/// numbers of a puzzle cannot make it outgrow its bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fraction {
    over: i64,
    under: i64,
}

impl Fraction {
    pub(super) fn whole(number: u32) -> Self {
        Self {
            over: i64::from(number),
            under: 1,
        }
    }

    /// The result, `None` where there is none or it grows beyond all bounds.
    pub(super) fn apply(self, sign: char, other: Self) -> Option<Self> {
        let left = self.over.checked_mul(other.under)?;
        let right = other.over.checked_mul(self.under)?;
        let under = self.under.checked_mul(other.under)?;
        let (over, under) = match sign {
            '+' => (left.checked_add(right)?, under),
            '-' => (left.checked_sub(right)?, under),
            '*' => (self.over.checked_mul(other.over)?, under),
            '/' => (left, right),
            _ => return None,
        };
        (under != 0).then_some(Self { over, under })
    }

    pub(super) fn is(self, number: i64) -> bool {
        self.under.checked_mul(number) == Some(self.over)
    }
}

/// What an expression comes to, and the numbers it is made of.
pub(super) struct Expression {
    pub(super) value: Fraction,
    pub(super) used: Vec<u32>,
}

impl Expression {
    /// Reads all of a line; `None` where it is anything but an expression.
    pub(super) fn read(line: &str) -> Option<Self> {
        if line.len() > LONGEST {
            return None;
        }
        let line = plain(line);
        let (left, result) = match line.split_once('=') {
            Some((left, result)) => (left, Some(result)),
            None => (line.as_str(), None),
        };
        let mut reader = Reader {
            rest: left,
            used: Vec::new(),
        };
        let value = reader.sum()?;
        let stated = result.is_none_or(|result| {
            let number = result.trim().parse::<u32>();
            number.is_ok_and(|number| value.is(i64::from(number)))
        });
        (reader.rest.trim().is_empty() && stated).then_some(Self {
            value,
            used: reader.used,
        })
    }
}

/// The line in the four signs and round brackets, without what wraps a formula.
fn plain(line: &str) -> String {
    let mut line = line.to_owned();
    for (from, to) in [
        ("\\times", "*"),
        ("\\cdot", "*"),
        ("\\div", "/"),
        ("\\left", ""),
        ("\\right", ""),
        ("\\(", ""),
        ("\\)", ""),
        ("\\[", ""),
        ("\\]", ""),
    ] {
        line = line.replace(from, to);
    }
    let line = line.trim().trim_matches(['$', '`', '.', '*', ' ']);
    line.chars()
        .map(|c| match c {
            '\u{d7}' | '\u{b7}' | 'x' | 'X' => '*',
            '\u{f7}' => '/',
            '\u{2212}' | '\u{2013}' => '-',
            '[' => '(',
            ']' => ')',
            other => other,
        })
        .collect()
}

struct Reader<'a> {
    rest: &'a str,
    used: Vec<u32>,
}

impl Reader<'_> {
    /// Takes the next sign where it is one of `signs`.
    fn sign(&mut self, signs: [char; 2]) -> Option<char> {
        let rest = self.rest.trim_start();
        let sign = signs.into_iter().find(|sign| rest.starts_with(*sign))?;
        self.rest = rest.strip_prefix(sign)?;
        Some(sign)
    }

    fn sum(&mut self) -> Option<Fraction> {
        let mut value = self.product()?;
        while let Some(sign) = self.sign(['+', '-']) {
            value = value.apply(sign, self.product()?)?;
        }
        Some(value)
    }

    fn product(&mut self) -> Option<Fraction> {
        let mut value = self.atom()?;
        while let Some(sign) = self.sign(['*', '/']) {
            value = value.apply(sign, self.atom()?)?;
        }
        Some(value)
    }

    fn atom(&mut self) -> Option<Fraction> {
        self.rest = self.rest.trim_start();
        if let Some(rest) = self.rest.strip_prefix('(') {
            self.rest = rest;
            let value = self.sum()?;
            self.rest = self.rest.trim_start().strip_prefix(')')?;
            return Some(value);
        }
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        let number = digits.parse().ok()?;
        self.rest = rest;
        self.used.push(number);
        Some(Fraction::whole(number))
    }
}

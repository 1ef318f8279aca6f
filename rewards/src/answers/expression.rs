//! Reads an expression of whole numbers, +, -, *, / and brackets, and says
//! what it comes to, exactly.
//!
//! Also read: x, the signs for times, divided and minus, LaTeX's `\times`,
//! `\cdot` and `\div`, and `= 24` after the expression (any other result than its
//! own is refused). Not read: powers, roots, a sign before a number. A text of more
//! than [`LONGEST`] bytes is dismissed unread, which bounds the depth of its
//! brackets too.

/// More than anybody needs for eight numbers.
const LONGEST: usize = 256;

/// A fraction in lowest terms, its denominator above zero.
///
/// ```
/// use rewards::answers::Fraction;
///
/// let third = Fraction::whole(8).apply('/', Fraction::whole(3)).unwrap();
/// let rest = Fraction::whole(3).apply('-', third).unwrap();
/// assert!(Fraction::whole(8).apply('/', rest).unwrap().is(24));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraction {
    over: i128,
    under: i128,
}

impl Fraction {
    /// A whole number.
    pub fn whole(number: u32) -> Self {
        Self {
            over: i128::from(number),
            under: 1,
        }
    }

    /// What `sign` (`+`, `-`, `*` or `/`) makes of the two; `None` for another
    /// sign, for a division by zero, and where the result grows beyond 128 bits.
    pub fn apply(self, sign: char, other: Self) -> Option<Self> {
        let left = self.over.checked_mul(other.under)?;
        let right = other.over.checked_mul(self.under)?;
        let under = self.under.checked_mul(other.under)?;
        match sign {
            '+' => Self::lowest(left.checked_add(right)?, under),
            '-' => Self::lowest(left.checked_sub(right)?, under),
            '*' => Self::lowest(self.over.checked_mul(other.over)?, under),
            '/' => Self::lowest(left, right),
            _ => None,
        }
    }

    /// Whether it is this whole number.
    pub fn is(self, number: i64) -> bool {
        self.under == 1 && self.over == i128::from(number)
    }

    fn lowest(over: i128, under: i128) -> Option<Self> {
        let (mut common, mut rest) = (over, under);
        while rest != 0 {
            (common, rest) = (rest, common.checked_rem(rest)?);
        }
        // Of the denominator's sign, so that the result's denominator is positive.
        let common = if (common < 0) == (under < 0) {
            common
        } else {
            common.checked_neg()?
        };
        Some(Self {
            over: over.checked_div(common)?,
            under: under.checked_div(common).filter(|under| *under != 0)?,
        })
    }
}

/// What an expression comes to, and what it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    /// What it comes to.
    pub value: Fraction,
    /// The numbers, in their order.
    pub used: Vec<u32>,
    /// The signs between them, in the order in which they are read: of `+`, `-`,
    /// `*` and `/`.
    pub signs: Vec<char>,
}

impl Expression {
    /// Reads all of a line; `None` where it is anything but an expression, divides
    /// by zero, or states a result that is not its own.
    pub fn read(line: &str) -> Option<Self> {
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
            signs: Vec::new(),
        };
        let value = reader.sum()?;
        let stated = result.is_none_or(|result| {
            let number = result.trim().parse::<i64>();
            number.is_ok_and(|number| value.is(number))
        });
        (reader.rest.trim().is_empty() && stated).then_some(Self {
            value,
            used: reader.used,
            signs: reader.signs,
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
    signs: Vec<char>,
}

impl Reader<'_> {
    /// Takes the next sign where it is one of `signs`.
    fn sign(&mut self, signs: [char; 2]) -> Option<char> {
        let rest = self.rest.trim_start();
        let sign = signs.into_iter().find(|sign| rest.starts_with(*sign))?;
        self.rest = rest.strip_prefix(sign)?;
        self.signs.push(sign);
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

//! What an answer says, read from its normal form (see [`crate::answers::normal`]).
//!
//! A [`Value`] is the structure of what is written: a number, a number with a
//! unit, a list, a set, or an operation on such. Two are the same if they are
//! built alike, and their numbers are equal. The structure keeps what LaTeX,
//! Unicode and plain spelling have in common, and drops what they have not:
//! `\frac{\sqrt3}{2}` and `√3/2` are one value. The rules stand in
//! [`crate::correct`].
//!
//! Numbers are put together only where a single number is spelled: a sign, a
//! bar between two of them (`3/4`), a whole one before a fraction (`1 1/2`), a
//! percent sign, a power of ten. Nothing else is worked out, so `2^{10^{10}}`
//! is a power of a power and costs nothing.
//!
//! Bounds: text of [`MAX_BYTES`] at most, brackets 32 deep, 64 elements. What is
//! larger, or does not fit the grammar, has no value and is compared as text.
//!
//! Deliberately not done: computer algebra. `x + 1` is not `1 + x`.

mod parser;
mod symbols;
#[cfg(test)]
mod tests;
mod unit;

use crate::answers::number::Number;
use crate::answers::scaling::scales;
use unit::Unit;

/// No answer worth reading is longer; a longer one is text.
const MAX_BYTES: usize = 1024;

/// What an answer says.
///
/// # Example
///
/// ```text
/// 3/4          Number(3/4)
/// 5 km         Quantity(5, kilometre)
/// x = -1       Equation { variable: x, relation: '=', value: -1 }
/// (0, 1]       List('(', ']', [0, 1])
/// 2\sqrt{3}    Operation(Product, [2, Operation(Root, [2, 3])])
/// ```
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A number.
    Number(Number),
    /// A number of some unit.
    Quantity(Number, Unit),
    /// A letter, a word or a command.
    Name {
        /// As it is written, without the backslash.
        text: String,
        /// Whether it is set as text, so that it is no product of variables.
        upright: bool,
    },
    /// What a variable is, or is in.
    Equation {
        /// The variable.
        variable: Box<Value>,
        /// `=` or `∈`.
        relation: char,
        /// The other side.
        value: Box<Value>,
    },
    /// Elements in order, between these brackets; spaces for none.
    List(char, char, Vec<Value>),
    /// Elements in any order.
    Set(Vec<Value>),
    /// Anything else, by its structure.
    Operation(Operation, Vec<Value>),
}

/// How the parts of a [`Value::Operation`] stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Sum,
    Product,
    Quotient,
    Power,
    /// The degree comes first.
    Root,
    Negative,
    Factorial,
    Percent,
    Subscript,
    /// A sign before one thing (`±`, `∪`).
    Sign(char),
    /// A relation between two things.
    Relation(char),
}

impl Value {
    /// Reads a normal form.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if text.len() > MAX_BYTES || is_date(text) || is_repeating(text) {
            return None;
        }
        match Number::read(text) {
            Some(number) => Some(Self::Number(number)),
            None => parser::parse(text),
        }
    }

    /// Whether `self` says what `wanted` says. Numbers may be `tolerance` apart
    /// where they stand alone or in a list, in the unit of `wanted`.
    pub(crate) fn same(&self, wanted: &Self, tolerance: f64) -> bool {
        let near = |a: Number, b: Number| a.distance(b) <= tolerance;
        match (self, wanted) {
            (Self::Number(a), Self::Number(b)) => near(*a, *b),
            (Self::Quantity(a, unit), Self::Number(b))
            | (Self::Number(a), Self::Quantity(b, unit)) => unit.sure && near(*a, *b),
            (Self::Quantity(a, unit), Self::Quantity(b, wanted)) => {
                wanted.count(*a, unit).is_some_and(|a| near(a, *b))
            }
            (
                Self::Equation {
                    variable,
                    relation,
                    value,
                },
                Self::Equation {
                    variable: v,
                    relation: r,
                    value: wanted,
                },
            ) => relation == r && variable.same(v, 0.0) && value.same(wanted, tolerance),
            (Self::Equation { value, .. }, wanted) => value.same(wanted, tolerance),
            (value, Self::Equation { value: wanted, .. }) => value.same(wanted, tolerance),
            (Self::List(open, close, items), Self::List(o, c, wanted)) => {
                (open, close) == (o, c) && all_same(items, wanted, tolerance)
            }
            (Self::Set(items), Self::Set(wanted)) => {
                let within = |some: &[Self], all: &[Self]| {
                    some.iter()
                        .all(|a| all.iter().any(|b| a.same(b, tolerance)))
                };
                within(items, wanted) && within(wanted, items)
            }
            (Self::Name { text, .. }, Self::Name { text: wanted, .. }) => text == wanted,
            (Self::Operation(Operation::Product, parts), Self::Number(number)) => {
                counted(parts).is_some_and(|count| near(count, *number))
            }
            (Self::Number(number), Self::Operation(Operation::Product, parts)) => {
                counted(parts).is_some_and(|count| near(*number, count))
            }
            (Self::Operation(kind, parts), Self::Operation(k, wanted)) => {
                kind == k && all_same(parts, wanted, 0.0)
            }
            _ => false,
        }
    }

    fn name(text: &str) -> Self {
        Self::Name {
            text: text.to_owned(),
            upright: false,
        }
    }

    /// The same with the sign turned, by spelling: a number or the first factor
    /// or the numerator takes the sign, unless it is 0, which would lose it.
    fn negated(self) -> Self {
        match self {
            Self::Number(number) => Self::Number(number.negated()),
            Self::Quantity(number, unit) => Self::Quantity(number.negated(), unit),
            Self::Operation(Operation::Negative, mut parts) if parts.len() == 1 => parts.remove(0),
            Self::Operation(Operation::Product, mut factors) if matches!(factors.first(), Some(Self::Number(first)) if !first.is_zero()) =>
            {
                let first = factors.remove(0).negated();
                factors.insert(0, first);
                Self::Operation(Operation::Product, factors)
            }
            Self::Operation(Operation::Quotient, mut parts) if parts.len() == 2 => {
                let over = parts.remove(0).negated();
                Self::Operation(Operation::Quotient, vec![over, parts.remove(0)])
            }
            other => Self::Operation(Operation::Negative, vec![other]),
        }
    }

    fn times(self, factor: Self) -> Self {
        match self {
            Self::Operation(Operation::Product, mut factors) => {
                factors.push(factor);
                Self::Operation(Operation::Product, factors)
            }
            first => Self::Operation(Operation::Product, vec![first, factor]),
        }
    }

    /// A fraction of two decimals is a number, any other a quotient.
    fn over(self, under: Self) -> Self {
        if let (Self::Number(a), Self::Number(b)) = (&self, &under)
            && a.is_decimal()
            && b.is_decimal()
            && let Some(quotient) = a.over(*b)
        {
            return Self::Number(quotient);
        }
        Self::Operation(Operation::Quotient, vec![self, under])
    }

    /// The same with a unit or a percent sign beside a number understood.
    fn settled(self) -> Self {
        if let Self::Operation(Operation::Product, factors) = &self
            && let [Self::Number(number), Self::Name { text, .. }] = &factors[..]
            && text == "percent"
            && let Some(share) = number.scaled(-2)
        {
            return Self::Number(share);
        }
        match unit::quantity(&self) {
            Some((count, unit)) => Self::Quantity(count, unit),
            None => self,
        }
    }

    /// Whether a value can be what an equation is solved for: one letter, with
    /// a subscript or digits or not, a Greek one by name, or a list of
    /// letters in alphabetical order.
    fn is_variable(&self) -> bool {
        const GREEK: [&str; 10] = [
            "alpha", "beta", "gamma", "delta", "theta", "lambda", "mu", "sigma", "phi", "omega",
        ];
        match self {
            Self::Name { text, .. } => {
                let letters = text.trim_end_matches(|c: char| c.is_ascii_digit());
                letters.chars().count() == 1 || GREEK.contains(&text.as_str())
            }
            Self::Operation(Operation::Subscript, parts) => {
                parts.first().is_some_and(Self::is_variable)
            }
            // In the order in which values are given without their variables.
            Self::List(_, _, items) => {
                let names = |item: &Self| match item {
                    Self::Name { text, .. } if text.chars().count() == 1 => Some(text.clone()),
                    _ => None,
                };
                let names: Option<Vec<String>> = items.iter().map(names).collect();
                names.is_some_and(|names| names.is_sorted_by(|a, b| a < b))
            }
            _ => false,
        }
    }
}

/// Whether a second slash stands between numbers: `3/5/2024` is a date, or two
/// fractions.
fn is_date(text: &str) -> bool {
    let number = |part: &str| {
        let part = part.trim();
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let parts: Vec<&str> = text.split('/').collect();
    let ends = |part: &&str| part.trim_end().ends_with(|c: char| c.is_ascii_digit());
    let begins = |part: &&str| part.trim_start().starts_with(|c: char| c.is_ascii_digit());
    parts
        .windows(3)
        .any(|parts| ends(&parts[0]) && number(parts[1]) && begins(&parts[2]))
}

/// Whether a decimal is followed by what may repeat: `0.(3)`.
fn is_repeating(text: &str) -> bool {
    let parts = text.split('.').skip(1);
    parts.into_iter().any(|part| {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        ["(", "\\overline", "\\bar", "\\dot"]
            .iter()
            .any(|sign| rest.trim_start().starts_with(sign))
    })
}

/// How many things there are, where a number of things is all that `parts` are:
/// `5 apples`. A plural that scales or takes part in a calculation is no thing.
fn counted(parts: &[Value]) -> Option<Number> {
    match parts {
        [Value::Number(count), Value::Name { text, .. }] => {
            let is_plural = text.len() > 3
                && text.ends_with('s')
                && !text.ends_with("ss")
                && text.bytes().all(|byte| byte.is_ascii_lowercase());
            (is_plural && !scales(text)).then_some(*count)
        }
        _ => None,
    }
}

fn all_same(items: &[Value], wanted: &[Value], tolerance: f64) -> bool {
    items.len() == wanted.len()
        && (items.iter().zip(wanted)).all(|(item, wanted)| item.same(wanted, tolerance))
}

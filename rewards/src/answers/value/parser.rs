//! The grammar of values, by recursive descent.
//!
//! ```text
//! list     = relation { "," relation }
//! relation = sum [ ("=" | "<" | "∈" | ...) sum ]
//! sum      = [ "+" | "-" | "±" ] product { ("+" | "-" | "±" | "∪" | ...) product }
//! product  = power { [ "*" | "/" ] power }
//! power    = base { "^" exponent | "_" argument | "!" | "%" | "°" }
//! base     = number | word | command | "(" list ")" | "{" relation "}" | "√" base
//! ```
//!
//! What can be read in two ways is not read: `1/2x`, `2^3^4`, `\sqrt12`, two
//! numbers side by side. Each byte is looked at a bounded number of times.
//!
//! What it deliberately does not do: matrices, absolute values, set builders,
//! sentences. A function before its argument is read as a product, which tells
//! `\sin(xy)` from `\sin(x)y` all the same.

mod base;
mod literal;

use super::symbols::{after_room, command, named, sign};
use super::{Operation, Value};
use crate::answers::number::Number;
use literal::superscripts;

/// Brackets within brackets, at most.
const MAX_DEPTH: usize = 32;
/// Elements of a list, terms of a sum and factors of a product, at most.
const MAX_ITEMS: usize = 64;

const SUMS: &str = "+-±∓∪∩∖";
const RELATIONS: &str = "=<>≤≥≠≈∈:";

/// The value of all of `text`, a normal form.
pub(super) fn parse(text: &str) -> Option<Value> {
    let mut parser = Parser {
        rest: text,
        depth: 0,
        in_brackets: false,
        upright: false,
        // A single sign is money, a pair encloses mathematics.
        dollars: text.matches('$').count() == 1,
    };
    // A number's neighbourhood is not the number.
    if text.starts_with('~') {
        return None;
    }
    let mut items = parser.items()?;
    parser.room();
    if !parser.rest.is_empty() {
        return None;
    }
    match items.len() {
        1 => items.pop(),
        _ => Some(Value::List(' ', ' ', items)),
    }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
    /// Whether a comma separates whatever stands around it.
    in_brackets: bool,
    upright: bool,
    dollars: bool,
}

impl Parser<'_> {
    /// Skips room; whether there was any.
    fn room(&mut self) -> bool {
        let before = self.rest.len();
        self.rest = after_room(self.rest);
        while !self.dollars && self.rest.starts_with('$') {
            self.rest = after_room(&self.rest[1..]);
        }
        self.rest.len() < before
    }

    fn eat(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Takes the sign that comes next if it is one of `signs`.
    fn sign(&mut self, signs: &str) -> Option<char> {
        self.room();
        let (sign, rest) = sign(self.rest).filter(|(sign, _)| signs.contains(*sign))?;
        self.rest = rest;
        Some(sign)
    }

    fn next(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn items(&mut self) -> Option<Vec<Value>> {
        let mut items = vec![self.relation()?];
        loop {
            self.room();
            if !self.eat(",") {
                return Some(items);
            }
            items.push(self.relation()?);
            if items.len() > MAX_ITEMS {
                return None;
            }
        }
    }

    fn relation(&mut self) -> Option<Value> {
        let left = self.sum()?.settled();
        let Some(relation) = self.sign(RELATIONS) else {
            return Some(left);
        };
        let right = self.sum()?.settled();
        let equation = |variable, value| Value::Equation {
            variable: Box::new(variable),
            relation,
            value: Box::new(value),
        };
        let mut value = if matches!(relation, '=' | '∈') && left.is_variable() {
            equation(left, right)
        } else if relation == '=' && right.is_variable() {
            equation(right, left)
        } else {
            Value::Operation(Operation::Relation(relation), vec![left, right])
        };
        // One more side is as many as answers have: 0 < x < 1.
        if let Some(relation) = self.sign(RELATIONS) {
            let right = self.sum()?.settled();
            value = Value::Operation(Operation::Relation(relation), vec![value, right]);
        }
        Some(value)
    }

    fn sum(&mut self) -> Option<Value> {
        let sign = self.sign("+-±∓");
        let mut first = signed(sign, self.product()?);
        let mut terms = Vec::new();
        while let Some(sign) = self.sign(SUMS) {
            if terms.is_empty() {
                terms.push(std::mem::replace(&mut first, Value::Set(Vec::new())));
            }
            terms.push(signed(Some(sign), self.product()?));
            if terms.len() > MAX_ITEMS {
                return None;
            }
        }
        if terms.is_empty() {
            return Some(first);
        }
        Some(Value::Operation(Operation::Sum, terms))
    }

    fn product(&mut self) -> Option<Value> {
        let mut value = self.power()?;
        let mut slashed = false;
        for _ in 0..MAX_ITEMS {
            let room = self.room();
            match self.sign("*/") {
                Some('*') => {
                    value = match (&value, self.power_of_ten()) {
                        (Value::Number(number), Some(power)) if number.is_decimal() => {
                            Value::Number(number.scaled(power)?)
                        }
                        (_, Some(power)) => value.times(ten_to(power)),
                        (_, None) => value.times(self.power()?),
                    };
                    slashed = false;
                }
                Some(_) => {
                    value = value.over(self.power()?);
                    slashed = true;
                }
                None if !self.begins_factor() => return Some(value),
                None => {
                    if let Value::Number(number) = &value
                        && number.is_decimal()
                        && let Some(power) = self.letter_times_ten()
                    {
                        value = Value::Number(number.scaled(power)?);
                        continue;
                    }
                    // 1/2x may be half of x or the inverse of 2x.
                    if slashed && !(room && self.begins_word()) && !self.begins_text() {
                        return None;
                    }
                    let bracket = self.rest.starts_with(['(', '[']);
                    let factor = self.power()?;
                    if !bracket && matches!((&value, &factor), (Value::Number(_), Value::Number(_)))
                    {
                        return None;
                    }
                    value = value.times(factor);
                }
            }
        }
        None
    }

    /// Whether what comes next can be multiplied with what came before without
    /// a sign between; a number cannot.
    fn begins_factor(&self) -> bool {
        let Some(next) = self.next() else {
            return false;
        };
        match next {
            '(' | '[' | '{' | '√' => true,
            '\\' => {
                sign(self.rest).is_none()
                    && (command(self.rest).is_some() || self.rest.starts_with("\\{"))
            }
            _ => next.is_alphabetic() || named(next).is_some(),
        }
    }

    /// Whether a word of two letters or more comes next.
    fn begins_word(&self) -> bool {
        let letters = self.rest.chars().take_while(|c| c.is_alphabetic());
        letters.take(2).count() == 2
    }

    fn begins_text(&self) -> bool {
        command(self.rest).is_some_and(|(name, _)| is_upright(name))
    }

    fn power(&mut self) -> Option<Value> {
        self.room();
        if let Some(power) = self.power_of_ten() {
            return number_ten_to(power);
        }
        let upright = self.begins_text();
        let mut value = self.base()?;
        let mut raised = false;
        for _ in 0..MAX_ITEMS {
            let before = self.rest;
            self.room();
            if let Some((digits, rest)) = superscripts(self.rest) {
                if std::mem::replace(&mut raised, true) {
                    return None;
                }
                self.rest = rest;
                let exponent = Number::read(&digits)?;
                value = to_the(value, Value::Number(exponent), upright);
            } else if self.degrees() {
                value = value.times(Value::name("degree"));
            } else if self.sign("^").is_some() {
                if std::mem::replace(&mut raised, true) {
                    return None;
                }
                let exponent = self.exponent()?;
                value = to_the(value, exponent, upright);
            } else if self.eat("_") {
                let index = self.exponent()?;
                value = Value::Operation(Operation::Subscript, vec![value, index]);
            } else if self.rest.starts_with('!') && !self.rest.starts_with("!=") {
                self.eat("!");
                value = Value::Operation(Operation::Factorial, vec![value]);
            } else if self.eat("%") || self.eat("\\%") {
                value = match value {
                    Value::Number(number) => Value::Number(number.scaled(-2)?),
                    other => Value::Operation(Operation::Percent, vec![other]),
                };
            } else if let Some(unit) = self.currency() {
                value = value.times(Value::name(unit));
            } else {
                self.rest = before;
                return Some(value);
            }
        }
        None
    }

    /// Takes the sign of degrees.
    fn degrees(&mut self) -> bool {
        let signs = ["°", "^\\circ", "^{\\circ}", "^ \\circ", "\\degree"];
        signs.into_iter().any(|sign| self.eat(sign))
    }

    /// An exponent or an index.
    fn exponent(&mut self) -> Option<Value> {
        self.room();
        let negative = self.eat("-");
        let next = self.next()?;
        let value = match next {
            '0'..='9' => {
                let end = self.rest.find(|c: char| !c.is_ascii_digit());
                let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                if rest.starts_with('.') {
                    return None;
                }
                self.rest = rest;
                Value::Number(Number::read(digits)?)
            }
            '(' => self.bracketed()?,
            _ => self.argument()?,
        };
        Some(if negative { value.negated() } else { value })
    }

    /// What a command of LaTeX takes for its argument: a group, or one sign.
    fn argument(&mut self) -> Option<Value> {
        self.room();
        let next = self.next()?;
        match next {
            '{' => {
                self.eat("{");
                let outside = std::mem::replace(&mut self.in_brackets, false);
                let value = self.nested(Self::relation)?;
                self.in_brackets = outside;
                self.room();
                self.eat("}").then_some(value)
            }
            '0'..='9' => {
                let (digit, rest) = self.rest.split_at(1);
                self.rest = rest;
                Some(Value::Number(Number::read(digit)?))
            }
            '\\' => self.base(),
            _ if next.is_alphabetic() => {
                let (letter, rest) = self.rest.split_at(next.len_utf8());
                // x^ab is x^a b to LaTeX, and x^{ab} to who wrote it.
                if rest.starts_with(char::is_alphanumeric) {
                    return None;
                }
                self.rest = rest;
                Some(Value::name(named(next).unwrap_or(letter)))
            }
            _ => None,
        }
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let value = read(self)?;
        self.depth -= 1;
        Some(value)
    }
}

fn is_upright(name: &str) -> bool {
    matches!(
        name,
        "text" | "textrm" | "textbf" | "mathrm" | "mbox" | "operatorname"
    )
}

/// A power. An exponent after `\text{m/s}` is one of the last word alone, for
/// text shows no brackets.
fn to_the(value: Value, exponent: Value, upright: bool) -> Value {
    match value {
        Value::Operation(kind @ (Operation::Product | Operation::Quotient), mut parts)
            if upright =>
        {
            if let Some(last) = parts.pop() {
                parts.push(to_the(last, exponent, upright));
            }
            Value::Operation(kind, parts)
        }
        value => Value::Operation(Operation::Power, vec![value, exponent]),
    }
}

fn signed(sign: Option<char>, value: Value) -> Value {
    match sign {
        None | Some('+') => value,
        Some('-') => value.negated(),
        Some(sign) => Value::Operation(Operation::Sign(sign), vec![value]),
    }
}

fn number_ten_to(power: i32) -> Option<Value> {
    Number::decimal(1, 0).scaled(power).map(Value::Number)
}

fn ten_to(power: i32) -> Value {
    let ten = Value::Number(Number::decimal(10, 0));
    let exponent = Value::Number(Number::decimal(i128::from(power), 0));
    number_ten_to(power).unwrap_or(Value::Operation(Operation::Power, vec![ten, exponent]))
}

//! What a value is made of: names, brackets and commands, for the grammar of
//! values.
//!
//! Deliberately not done: commands with a meaning of their own other than
//! fractions, roots, boxes and text; any other is a name.

use super::super::symbols::{command, named, sign, vulgar};
use super::super::{Operation, Value};
use super::{Parser, is_upright};
use crate::answers::number::Number;

impl Parser<'_> {
    /// Takes the sign of a currency, and names it.
    pub(super) fn currency(&mut self) -> Option<&'static str> {
        let signs = [("\\$", "dollar"), ("€", "euro"), ("£", "sterling")];
        let unit = signs.into_iter().find(|(sign, _)| self.eat(sign));
        let unit = unit.map(|(_, unit)| unit);
        unit.or_else(|| (self.dollars && self.eat("$")).then_some("dollar"))
    }

    pub(super) fn base(&mut self) -> Option<Value> {
        self.room();
        let next = self.next()?;
        match next {
            '0'..='9' | '.' => self.number(),
            '(' | '[' => self.bracketed(),
            '{' => {
                self.eat("{");
                self.braced("}")
            }
            '√' => {
                self.eat("√");
                self.root_of_plain()
            }
            '\\' if self.rest.starts_with("\\{") => {
                self.eat("\\{");
                self.set("\\}")
            }
            '$' | '€' | '£' => self.money(),
            '\\' if self.rest.starts_with("\\$") => self.money(),
            '\\' => self.nested(Self::command),
            _ => {
                if let Some((over, under)) = vulgar(next) {
                    self.rest = &self.rest[next.len_utf8()..];
                    let over = Number::decimal(over, 0);
                    return over.over(Number::decimal(under, 0)).map(Value::Number);
                }
                if let Some(name) = named(next) {
                    self.rest = &self.rest[next.len_utf8()..];
                    return Some(empty_set(Value::name(name)));
                }
                self.word()
            }
        }
    }

    /// `$5`, `$-5`: the sign of the currency comes before the number.
    fn money(&mut self) -> Option<Value> {
        let unit = self.currency()?;
        let negative = self.sign("-").is_some();
        self.room();
        let number = self.number()?;
        let number = if negative { number.negated() } else { number };
        Some(number.times(Value::name(unit)))
    }

    pub(super) fn bracketed(&mut self) -> Option<Value> {
        let open = if self.eat("(") { '(' } else { '[' };
        self.eat("[");
        let outside = std::mem::replace(&mut self.in_brackets, true);
        let mut items = self.nested(Self::items)?;
        self.in_brackets = outside;
        self.room();
        let close = if self.eat(")") {
            ')'
        } else if self.eat("]") {
            ']'
        } else {
            return None;
        };
        match (items.len(), open, close) {
            // Within a list, square brackets make a list of what they enclose.
            (1, '[', ']') if outside => Some(Value::List(open, close, items)),
            (1, '(', ')') | (1, '[', ']') => items.pop(),
            (1, ..) => None,
            _ => Some(Value::List(open, close, items)),
        }
    }

    /// Braces without a backslash enclose an argument, or a plain set.
    fn braced(&mut self, close: &str) -> Option<Value> {
        let outside = std::mem::replace(&mut self.in_brackets, true);
        let mut items = self.nested(Self::items)?;
        self.in_brackets = outside;
        self.room();
        if !self.eat(close) {
            return None;
        }
        match items.len() {
            1 if !outside => items.pop(),
            // Sets of sets would take exponential time to compare.
            _ if items.iter().any(has_set) => None,
            _ => Some(Value::Set(items)),
        }
    }

    fn set(&mut self, close: &str) -> Option<Value> {
        self.room();
        if self.eat(close) {
            return Some(Value::Set(Vec::new()));
        }
        let outside = std::mem::replace(&mut self.in_brackets, true);
        let items = self.nested(Self::items)?;
        self.in_brackets = outside;
        self.room();
        (self.eat(close) && !items.iter().any(has_set)).then_some(Value::Set(items))
    }

    fn command(&mut self) -> Option<Value> {
        let (name, rest) = command(self.rest)?;
        if sign(self.rest).is_some() {
            return None;
        }
        self.rest = rest;
        match name {
            "frac" | "dfrac" | "tfrac" | "cfrac" => {
                let over = self.argument()?;
                let under = self.argument()?;
                Some(over.over(under))
            }
            "sqrt" => {
                self.room();
                let degree = if self.eat("[") {
                    let degree = self.nested(Self::relation)?;
                    self.room();
                    if !self.eat("]") {
                        return None;
                    }
                    degree
                } else {
                    Value::Number(Number::decimal(2, 0))
                };
                let of = self.argument()?;
                // \sqrt12 is √1 2 to LaTeX, and √12 to who wrote it.
                if self.rest.starts_with(|c: char| c.is_ascii_digit()) {
                    return None;
                }
                Some(Value::Operation(Operation::Root, vec![degree, of]))
            }
            "boxed" | "fbox" | "mathbf" | "mathit" | "boldsymbol" => self.argument(),
            name if is_upright(name) => {
                let outside = std::mem::replace(&mut self.upright, true);
                let value = self.argument()?;
                self.upright = outside;
                Some(value)
            }
            "varnothing" => Some(Value::Set(Vec::new())),
            name => Some(empty_set(Value::name(name))),
        }
    }

    /// What `√` or `sqrt` without braces is of: a bracket or a whole literal.
    fn root_of_plain(&mut self) -> Option<Value> {
        self.room();
        let of = match self.next()? {
            '(' => self.bracketed()?,
            '0'..='9' => self.literal()?,
            _ => self.argument()?,
        };
        let two = Value::Number(Number::decimal(2, 0));
        Some(Value::Operation(Operation::Root, vec![two, of]))
    }

    fn word(&mut self) -> Option<Value> {
        let end = self.rest.find(|c: char| !c.is_alphabetic());
        let letters = end.unwrap_or(self.rest.len());
        if letters == 0 {
            return None;
        }
        if &self.rest[..letters] == "sqrt" {
            self.rest = &self.rest[letters..];
            return self.root_of_plain();
        }
        // x1 is a name; the superscript of x² is none of it.
        let rest = self.rest[letters..].trim_start_matches(|c: char| c.is_ascii_digit());
        let word = &self.rest[..self.rest.len() - rest.len()];
        self.rest = rest;
        let mut letters = word.chars();
        let text = match (letters.next().and_then(named), letters.next()) {
            (Some(name), None) => name,
            _ if word == "infinity" => "infty",
            _ => word,
        };
        Some(Value::Name {
            text: text.to_owned(),
            upright: self.upright,
        })
    }
}

fn empty_set(value: Value) -> Value {
    match &value {
        Value::Name { text, .. } if text == "emptyset" => Value::Set(Vec::new()),
        _ => value,
    }
}

fn has_set(value: &Value) -> bool {
    match value {
        Value::Set(_) => true,
        Value::List(_, _, items) | Value::Operation(_, items) => items.iter().any(has_set),
        Value::Equation {
            variable, value, ..
        } => has_set(variable) || has_set(value),
        _ => false,
    }
}

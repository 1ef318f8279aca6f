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
//! What it deliberately does not do: matrices, absolute values, functions of
//! more than one letter's spelling, anything with a verb.

use super::symbols::{after_room, command, named, sign, superscript, vulgar};
use super::{Operation, Value};
use crate::number::Number;

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
        in_set: false,
        upright: false,
        // A single sign is money, a pair encloses mathematics.
        dollars: text.matches('$').count() == 1,
    };
    // About a number is not the number.
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
    in_set: bool,
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

    /// Takes `x 10^5` after a number, where `x` is for times.
    fn letter_times_ten(&mut self) -> Option<i32> {
        let before = self.rest;
        let power = if self.eat("x") {
            self.power_of_ten()
        } else {
            None
        };
        if power.is_none() {
            self.rest = before;
        }
        power
    }

    /// Takes `10^5`, and says 5.
    fn power_of_ten(&mut self) -> Option<i32> {
        let before = self.rest;
        self.room();
        let power = if self.eat("10") {
            self.whole_exponent()
        } else {
            None
        };
        if power.is_none() {
            self.rest = before;
        }
        power
    }

    /// Takes the exponent that comes next if it is a whole number as written.
    fn whole_exponent(&mut self) -> Option<i32> {
        let mut text = after_room(self.rest);
        if let Some((digits, rest)) = superscripts(text) {
            self.rest = rest;
            return digits.parse().ok();
        }
        let ('^', rest) = sign(text)? else {
            return None;
        };
        text = rest.trim_start();
        let close = [("{", "}"), ("(", ")"), ("", "")]
            .into_iter()
            .find_map(|(open, close)| {
                text = text.strip_prefix(open)?;
                Some(close)
            })?;
        text = text.trim_start();
        let negative = text.starts_with('-');
        text = text.strip_prefix(['-', '+']).unwrap_or(text).trim_start();
        let end = text.find(|c: char| !c.is_ascii_digit());
        let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
        let power: i32 = digits.parse().ok()?;
        let rest = rest.trim_start().strip_prefix(close)?;
        // A tower, or 10^2.5.
        if rest.starts_with(['^', '.', '!']) || superscripts(rest).is_some() {
            return None;
        }
        self.rest = rest;
        Some(if negative { -power } else { power })
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

    /// Takes the sign of a currency, and names it.
    fn currency(&mut self) -> Option<&'static str> {
        let signs = [("\\$", "dollar"), ("€", "euro"), ("£", "sterling")];
        let unit = signs.into_iter().find(|(sign, _)| self.eat(sign));
        let unit = unit.map(|(_, unit)| unit);
        unit.or_else(|| (self.dollars && self.eat("$")).then_some("dollar"))
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

    fn base(&mut self) -> Option<Value> {
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
                    return Some(Value::name(name)).map(empty_set);
                }
                self.word()
            }
        }
    }

    /// `$5`: the sign comes before the number.
    fn money(&mut self) -> Option<Value> {
        let unit = self.currency()?;
        self.room();
        let number = self.number()?;
        Some(number.times(Value::name(unit)))
    }

    fn bracketed(&mut self) -> Option<Value> {
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
            1 => items.pop(),
            // Sets of sets would take exponential time to compare.
            _ if self.in_set || items.iter().any(has_set) => None,
            _ => Some(Value::Set(items)),
        }
    }

    fn set(&mut self, close: &str) -> Option<Value> {
        self.room();
        if self.eat(close) {
            return Some(Value::Set(Vec::new()));
        }
        if std::mem::replace(&mut self.in_set, true) {
            return None;
        }
        let outside = std::mem::replace(&mut self.in_brackets, true);
        let items = self.nested(Self::items)?;
        self.in_brackets = outside;
        self.in_set = false;
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
            '{' => self.argument()?,
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

    /// A literal, and the fraction that makes it a mixed number, if any.
    fn number(&mut self) -> Option<Value> {
        let literal = self.literal()?;
        let Value::Number(number) = literal else {
            return None;
        };
        if number.whole().is_none() {
            return Some(literal);
        }
        let before = self.rest;
        match self.fraction() {
            Some((over, under)) => match number.and_fraction(over, under) {
                Some(mixed) => return Some(Value::Number(mixed)),
                None => self.rest = before,
            },
            None => self.rest = before,
        }
        Some(literal)
    }

    /// Takes a fraction of whole literals that can belong to a mixed number.
    fn fraction(&mut self) -> Option<(Number, Number)> {
        let room = self.room();
        let next = self.next()?;
        if let Some((over, under)) = vulgar(next) {
            self.rest = &self.rest[next.len_utf8()..];
            return Some((Number::decimal(over, 0), Number::decimal(under, 0)));
        }
        if let Some((name, rest)) = command(self.rest) {
            if !matches!(name, "frac" | "dfrac" | "tfrac" | "cfrac") {
                return None;
            }
            self.rest = rest;
            return Some((self.digits_argument()?, self.digits_argument()?));
        }
        if !room {
            return None;
        }
        let over = self.digits()?;
        self.sign("/")?;
        self.room();
        let under = self.digits()?;
        Some((over, under))
    }

    /// `{12}`, or one digit.
    fn digits_argument(&mut self) -> Option<Number> {
        self.room();
        if self.eat("{") {
            self.room();
            let digits = self.digits()?;
            self.room();
            return self.eat("}").then_some(digits);
        }
        let digit = self.rest.get(..1)?;
        self.rest = &self.rest[1..];
        Number::read(digit).filter(|_| digit.starts_with(|c: char| c.is_ascii_digit()))
    }

    /// A run of digits that nothing continues.
    fn digits(&mut self) -> Option<Number> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit());
        let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        if digits.is_empty() || rest.starts_with(['.', ',', '^', '!']) {
            return None;
        }
        self.rest = rest;
        Number::read(digits)
    }

    /// A number as it is written, without sign.
    fn literal(&mut self) -> Option<Value> {
        let mut digits = String::new();
        self.take_digits(&mut digits);
        if (1..=3).contains(&digits.len()) {
            while self.group(&mut digits) {}
        }
        if self.rest.starts_with('.') {
            self.eat(".");
            digits.push('.');
            self.take_digits(&mut digits);
        }
        // An exponent, unless the letter begins a word.
        if let Some(rest) = self.rest.strip_prefix('e') {
            let unsigned = rest.strip_prefix(['+', '-']).unwrap_or(rest);
            let end = unsigned.find(|c: char| !c.is_ascii_digit());
            let after = unsigned.split_at(end.unwrap_or(unsigned.len())).1;
            if after.len() < unsigned.len() && !after.starts_with(|c: char| c.is_alphanumeric()) {
                digits.push_str(&self.rest[..self.rest.len() - after.len()]);
                self.rest = after;
            }
        }
        // 1.2.3 is no number, and 1.2\overline{3} is another one than 1.2.
        let continued = |(name, _)| matches!(name, "overline" | "bar" | "dot" | "ldots" | "dots");
        if self.rest.starts_with('.') || command(after_room(self.rest)).is_some_and(continued) {
            return None;
        }
        Number::read(&digits).map(Value::Number)
    }

    fn take_digits(&mut self, digits: &mut String) {
        let end = self.rest.find(|c: char| !c.is_ascii_digit());
        let (run, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        digits.push_str(run);
        self.rest = rest;
    }

    /// Takes a separator of thousands with its three digits.
    fn group(&mut self, digits: &mut String) -> bool {
        let separators = ["{,}", ",\\!", "\\,", "\u{2009}", "\u{202F}"];
        let separated = separators
            .into_iter()
            .find_map(|separator| self.rest.strip_prefix(separator));
        let plain = || self.rest.strip_prefix(',').filter(|_| self.commas_group());
        let Some(rest) = separated.or_else(plain) else {
            return false;
        };
        let run = rest.bytes().take_while(u8::is_ascii_digit).count();
        if run != 3 {
            return false;
        }
        let (group, rest) = rest.split_at(3);
        digits.push_str(group);
        self.rest = rest;
        true
    }

    /// Whether all groups that commas make from here on have three digits, so
    /// that `1,234,5` is a list of three.
    fn commas_group(&self) -> bool {
        let end = self
            .rest
            .find(|c: char| c != ',' && !c.is_ascii_digit())
            .unwrap_or(self.rest.len());
        let run = self.rest[..end].trim_end_matches(',');
        !self.in_brackets && run.split(',').skip(1).all(|group| group.len() == 3)
    }
}

/// The superscript number that `text` begins with, and what follows.
fn superscripts(text: &str) -> Option<(String, &str)> {
    superscript(text.chars().next()?)?;
    let digits: String = text.chars().map_while(superscript).collect();
    let rest = text.trim_start_matches(|c| superscript(c).is_some());
    Some((digits, rest))
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

fn empty_set(value: Value) -> Value {
    match &value {
        Value::Name { text, .. } if text == "emptyset" => Value::Set(Vec::new()),
        _ => value,
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

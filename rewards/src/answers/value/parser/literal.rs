//! Numbers as they are written, for the grammar of values.
//!
//! A literal is digits with separators of thousands, a point and an exponent; a
//! whole one may have a fraction after it (`1 1/2`), and a decimal a power of ten
//! (`3 x 10^5`). All of these are looked for without recursion, because what
//! does not fit is read again as something else.
//!
//! Deliberately not done: decimal commas, repeating decimals.

use super::super::Value;
use super::super::symbols::{after_room, command, sign, superscript, vulgar};
use super::Parser;
use crate::answers::number::{Number, is_first_group};

impl Parser<'_> {
    /// A literal, and the fraction that makes it a mixed number, if any.
    pub(super) fn number(&mut self) -> Option<Value> {
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
    pub(super) fn literal(&mut self) -> Option<Value> {
        let mut digits = String::new();
        self.take_digits(&mut digits);
        if is_first_group(&digits) {
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
        let separators = ["{,}", ",\\!", "\\,", "\\ ", "~"];
        let separated = separators
            .into_iter()
            .find_map(|separator| self.rest.strip_prefix(separator));
        let plain = || self.rest.strip_prefix(',').filter(|_| self.commas_group());
        let spaced = || self.rest.strip_prefix(' ').filter(|_| self.spaces_group());
        let Some(rest) = separated.or_else(plain).or_else(spaced) else {
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

    /// Whether all groups that spaces make from here on have three digits and no
    /// fraction follows, so that `1 200/300` is no 1200 over 300.
    fn spaces_group(&self) -> bool {
        let end = self
            .rest
            .find(|c: char| c != ' ' && !c.is_ascii_digit())
            .unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at(end);
        let all_three = run.trim().split(' ').all(|group| group.len() == 3);
        all_three && sign(rest).is_none_or(|(sign, _)| sign != '/')
    }

    /// Takes `x 10^5` after a number, where `x` is for times.
    pub(super) fn letter_times_ten(&mut self) -> Option<i32> {
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
    pub(super) fn power_of_ten(&mut self) -> Option<i32> {
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
}

/// The superscript number that `text` begins with, and what follows.
pub(super) fn superscripts(text: &str) -> Option<(String, &str)> {
    superscript(text.chars().next()?)?;
    let digits: String = text.chars().map_while(superscript).collect();
    let rest = text.trim_start_matches(|c| superscript(c).is_some());
    Some((digits, rest))
}

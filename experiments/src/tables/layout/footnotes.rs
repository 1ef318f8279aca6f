//! The letters that mark what is undefined, and the reasons behind them.

use crate::comparison::Estimate;

use super::{Cell, Quantity, format};

/// Letters the footnotes of one table, one letter a reason.
#[derive(Default)]
pub(super) struct Footnotes(pub(super) Vec<(String, String)>);

impl Footnotes {
    pub(super) fn estimate(&mut self, estimate: &Estimate, quantity: Quantity) -> Cell {
        let text = format::estimate(estimate, quantity);
        let complete = text != format::UNDEFINED && format::interval(estimate).is_some();
        let mark = (!complete).then(|| self.mark(estimate.why_undefined.as_deref()));
        Cell {
            text,
            mark,
            n: Some(estimate.n),
            shade: None,
        }
    }

    pub(super) fn mark(&mut self, reason: Option<&str>) -> String {
        let reason = reason.unwrap_or("no reason was recorded");
        if let Some((letter, _)) = self.0.iter().find(|(_, known)| known == reason) {
            return letter.clone();
        }
        let letter = letter(self.0.len());
        self.0.push((letter.clone(), reason.to_owned()));
        letter
    }
}

/// a, b, … z, aa, ab, …
fn letter(index: usize) -> String {
    let last = char::from(b'a' + (index % 26) as u8);
    match index / 26 {
        0 => last.to_string(),
        more => letter(more - 1) + &last.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_letter_a_reason() {
        let mut notes = Footnotes::default();
        assert_eq!(notes.mark(Some("few items")), "a");
        assert_eq!(notes.mark(Some("no variance")), "b");
        assert_eq!(notes.mark(Some("few items")), "a");
        assert_eq!(notes.0.len(), 2);
        assert_eq!(letter(25), "z");
        assert_eq!(letter(26), "aa");
    }
}

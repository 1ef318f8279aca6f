//! When a completion has ended: an end token, or a stop string in its text.

use anyhow::Result;

use super::Finish;
use crate::model::Text;

/// Tokens beyond the longest stop string that are decoded with it: a text's
/// first tokens may decode otherwise without their neighbours.
const MARGIN: usize = 8;

/// What ends a completion.
pub(super) struct Stops<'a> {
    text: &'a Text,
    strings: &'a [String],
    /// Tokens that certainly hold the longest string: one byte each.
    reach: usize,
}

impl<'a> Stops<'a> {
    pub(super) fn new(text: &'a Text, strings: &'a [String]) -> Self {
        let longest = strings.iter().map(String::len).max().unwrap_or(0);
        Self {
            text,
            strings,
            reach: longest + MARGIN,
        }
    }

    /// Why the completion ends after its last token, if it does.
    pub(super) fn after(&self, tokens: &[i64]) -> Result<Option<Finish>> {
        if tokens
            .last()
            .is_some_and(|token| self.text.ends.contains(token))
        {
            return Ok(Some(Finish::End));
        }
        if self.strings.is_empty() {
            return Ok(None);
        }
        let first = tokens.len().saturating_sub(self.reach);
        let text = self.text.decode(&tokens[first..])?;
        let written = self.strings.iter().any(|string| text.contains(string));
        Ok(written.then_some(Finish::Stop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_token_and_a_stop_string_end_a_completion() {
        let text = Text::lab(&[]).unwrap();
        let strings = ["true A".to_owned()];
        let stops = Stops::new(&text, &strings);
        let ids = |words: &str| {
            let mut ids = text.encode_completion(words).unwrap();
            ids.pop();
            ids
        };
        assert_eq!(stops.after(&ids("B true")).unwrap(), None);
        assert_eq!(stops.after(&ids("B true A")).unwrap(), Some(Finish::Stop));
        assert_eq!(stops.after(&[4, 5, text.end]).unwrap(), Some(Finish::End));
        assert_eq!(stops.after(&[text.end, 5]).unwrap(), None);
    }
}

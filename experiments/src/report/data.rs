//! The items as JSON inside the page.
//!
//! Text from models stands here and nowhere in the page's markup. The script
//! puts it in place as text, so that no completion is ever parsed as HTML.

use std::fmt::Write as _;

use serde::Serialize;

use crate::comparison::{Comparison, ItemCompletions};
use crate::figures::palette::Palette;

#[derive(Serialize)]
struct Data<'a> {
    arms: Vec<Arm<'a>>,
    items: &'a [ItemCompletions],
}

#[derive(Serialize)]
struct Arm<'a> {
    name: &'a str,
    color: String,
}

/// The data block, safe between `<script>` tags.
pub(super) fn json(comparison: &Comparison, items: &[ItemCompletions]) -> String {
    let colors = Palette::of(comparison);
    let mut names: Vec<&str> = comparison.arms.iter().map(|a| a.name.as_str()).collect();
    for name in items.iter().flat_map(|item| item.arms.keys()) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let arms = names.into_iter().map(|name| Arm {
        name,
        color: colors.hex(name),
    });
    let data = Data {
        arms: arms.collect(),
        items,
    };
    // Strings, numbers and maps with string keys: serde_json has no cause to fail on them.
    escape(
        &serde_json::to_string(&data).unwrap_or_else(|_| "{\"arms\":[],\"items\":[]}".to_owned()),
    )
}

/// Outside strings JSON has none of these characters, and inside them the
/// escape means the same; so no text can end the script element or start one.
fn escape(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn reads_back_what_it_holds() {
        let items = fixture::items();
        let text = json(&fixture::comparison(), &items);
        assert!(!text.contains(['<', '>', '&']));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let read: Vec<ItemCompletions> = serde_json::from_value(value["items"].clone()).unwrap();
        assert_eq!(read, items);
        assert_eq!(value["arms"][3]["color"], "#0072B2");
    }
}

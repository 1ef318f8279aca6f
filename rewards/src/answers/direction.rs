//! The one compass direction that a text names.

/// What is named where two places are one: there is no direction to name.
pub const NOWHERE: &str = "same";

/// The one direction that a text names, in lower case and as one word
/// (`southwest`), or [`NOWHERE`]; `None` where it names none or several.
///
/// `southwest`, `south west`, `South-West` and `The gym is south-west of the
/// school.` name one direction. A text with the word `same` and no direction names
/// [`NOWHERE`].
///
/// ```
/// use rewards::answers::direction;
///
/// assert_eq!(direction("It lies South-West."), Some("southwest".to_owned()));
/// assert_eq!(direction("south of the bank and west of it"), None);
/// ```
pub fn direction(text: &str) -> Option<String> {
    let text = text.to_lowercase();
    let mut named: Vec<String> = Vec::new();
    let mut joins = false;
    for word in text
        .split(|c: char| !c.is_ascii_alphabetic())
        .filter(|word| !word.is_empty())
    {
        let is_main = matches!(word, "north" | "south");
        let is_side = matches!(word, "east" | "west");
        let is_none = word == NOWHERE;
        let is_whole = matches!(word, "northeast" | "northwest" | "southeast" | "southwest");
        match named.last_mut() {
            Some(last) if is_side && joins => last.push_str(word),
            _ if is_main || is_side || is_whole || is_none => named.push(word.to_owned()),
            _ => {}
        }
        joins = is_main;
    }
    named.dedup();
    match named.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    }
}

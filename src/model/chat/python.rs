//! What templates expect of Python: methods, `raise_exception`, today's date,
//! and JSON as `json.dumps` writes it.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::value::{Kwargs, Tuple, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;
use serde_json::Value as Json;

use super::dates::strftime;

/// Deepest nesting of a value that is written as JSON.
const MAX_DEPTH: usize = 128;

/// Longest text between the values of JSON, in bytes.
const MAX_SEPARATOR: usize = 64;

/// Adds what transformers adds to Jinja.
pub(super) fn set_up(environment: &mut Environment<'static>) {
    environment.set_unknown_method_callback(method);
    environment.remove_global("debug");
    environment.add_filter("tojson", to_json);
    environment.add_filter("trim", |text: String, characters: Option<String>| {
        strip(&text, characters.as_deref(), true, true).to_owned()
    });
    environment.add_test("iterable", is_iterable);
    environment.add_test("sequence", is_iterable);
    environment.add_function("raise_exception", |message: &Value| {
        Err::<Value, _>(refused(message.to_string()))
    });
    environment.add_function("strftime_now", |format: &str| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        strftime(format, now.unwrap_or_default().as_secs())
    });
}

/// Of the values there are, those with items are those with a length.
fn is_iterable(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Undefined
            | ValueKind::String
            | ValueKind::Seq
            | ValueKind::Map
            | ValueKind::Iterable
    )
}

/// Methods of Python: those of strings that the engine's collection of them
/// lacks or, for white space, has otherwise; then the collection. What a method
/// makes is paid for first: the engine charges when it is there.
fn method(
    state: &mut State<'_, '_>,
    value: &Value,
    name: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let Some(text) = value.as_str() else {
        return unknown_method_callback(state, value, name, args);
    };
    let text_of = |value: &Value| value.as_str().map(str::to_owned);
    let first = args.first().and_then(text_of);
    let pieces = |(head, between, tail): (&str, &str, &str)| {
        Value::from(Tuple::from([head, between, tail].map(Value::from)))
    };
    state.consume_fuel(made(text, name, first.as_deref(), args)? / 64)?;
    Ok(match (name, first.as_deref(), args.len()) {
        ("strip", _, 0) => strip(text, None, true, true).into(),
        ("lstrip", _, 0) => strip(text, None, true, false).into(),
        ("rstrip", _, 0) => strip(text, None, false, true).into(),
        ("split", _, 0) => words(text),
        ("removeprefix", Some(prefix), 1) => text.strip_prefix(prefix).unwrap_or(text).into(),
        ("removesuffix", Some(suffix), 1) => text.strip_suffix(suffix).unwrap_or(text).into(),
        ("partition", Some(by), 1) if !by.is_empty() => pieces(match text.split_once(by) {
            Some((head, tail)) => (head, by, tail),
            None => (text, "", ""),
        }),
        ("rpartition", Some(by), 1) if !by.is_empty() => pieces(match text.rsplit_once(by) {
            Some((head, tail)) => (head, by, tail),
            None => ("", "", text),
        }),
        ("rsplit", Some(by), 1 | 2) if !by.is_empty() => {
            let most = args.get(1).and_then(Value::as_usize);
            let most = most.unwrap_or(usize::MAX).saturating_add(1);
            let mut parts: Vec<&str> = text.rsplitn(most, by).collect();
            parts.reverse();
            parts.into_iter().collect()
        }
        _ => return unknown_method_callback(state, value, name, args),
    })
}

/// Bytes, about, that a method of a text makes where that can be many.
fn made(text: &str, name: &str, first: Option<&str>, args: &[Value]) -> Result<u64, Error> {
    const PIECE: usize = 64;
    let times = |count: usize, size: usize| count.saturating_mul(size) as u64;
    Ok(match (name, first) {
        ("replace", Some(old)) => {
            let new = args.get(1).and_then(Value::as_str).unwrap_or_default();
            times(text.matches(old).count(), new.len())
        }
        ("split" | "rsplit", Some(by)) => times(text.matches(by).count(), PIECE),
        ("split" | "splitlines", _) => times(text.len(), PIECE),
        ("join", _) => times(args.first().and_then(Value::len).unwrap_or(0), text.len()),
        ("format", _) => {
            let wide = |digits: &str| digits.len() > 4;
            if text.split(|c: char| !c.is_ascii_digit()).any(wide) {
                return Err(refused("format: a width of more than four digits"));
            }
            0
        }
        _ => 0,
    })
}

/// What Python's `isspace` says; four separators of ASCII are none to Unicode.
fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\x1c'..='\x1f').contains(&character)
}

/// A text without the characters, or white space, at its ends.
fn strip<'a>(text: &'a str, characters: Option<&str>, left: bool, right: bool) -> &'a str {
    let goes = |character| match characters {
        Some(characters) => characters.contains(character),
        None => is_space(character),
    };
    let text = if left {
        text.trim_start_matches(goes)
    } else {
        text
    };
    if right {
        text.trim_end_matches(goes)
    } else {
        text
    }
}

fn words(text: &str) -> Value {
    let words = text.split(is_space).filter(|word| !word.is_empty());
    words.collect()
}

pub(super) fn refused(what: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

/// A JSON value as a template sees it.
pub(super) fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(truth) => Value::from(*truth),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(&**text),
        Json::Array(values) => values.iter().map(value).collect(),
        Json::Object(object) => {
            Value::from_pairs(object.iter().map(|(name, json)| (&**name, value(json))))
        }
    }
}

/// The settings of `json.dumps` that templates use.
struct Style {
    ensure_ascii: bool,
    /// White space of one level; `None` keeps everything in one line.
    indent: Option<String>,
    between_items: String,
    after_key: String,
    sort_keys: bool,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the engine hands named arguments over by value"
)]
fn to_json(state: &mut State<'_, '_>, value: &Value, settings: Kwargs) -> Result<String, Error> {
    let indent = match settings.get::<Option<Value>>("indent")? {
        None => None,
        Some(text) if text.as_str().is_some() => Some(text.to_string()),
        Some(number) => Some(" ".repeat(i64::try_from(number)?.clamp(0, 64) as usize)),
    };
    let separators: Option<Vec<String>> = settings.get("separators")?;
    let (between_items, after_key) = match separators.as_deref() {
        Some([items, key]) => (items.clone(), key.clone()),
        Some(_) => return Err(refused("tojson: separators are two strings")),
        None if indent.is_some() => (",".to_owned(), ": ".to_owned()),
        None => (", ".to_owned(), ": ".to_owned()),
    };
    let flag = |name| Ok::<bool, Error>(settings.get::<Option<bool>>(name)?.unwrap_or(false));
    let style = Style {
        ensure_ascii: flag("ensure_ascii")?,
        indent,
        between_items,
        after_key,
        sort_keys: flag("sort_keys")?,
    };
    settings.assert_all_used()?;
    if [
        style.indent.as_deref().unwrap_or_default(),
        &style.between_items,
        &style.after_key,
    ]
    .iter()
    .any(|text| text.len() > MAX_SEPARATOR)
    {
        return Err(refused("tojson: a separator or an indent is too long"));
    }
    let mut out = String::new();
    style.write(state, &mut out, value, 0)?;
    Ok(out)
}

impl Style {
    fn write(
        &self,
        state: &State<'_, '_>,
        out: &mut String,
        value: &Value,
        depth: usize,
    ) -> Result<(), Error> {
        // A small value can stand for much text where it holds itself many times.
        state.consume_fuel(4 + value.as_str().map_or(0, |text| text.len() as u64 / 16))?;
        if depth > MAX_DEPTH {
            return Err(refused("tojson: the value is nested too deeply"));
        }
        match value.kind() {
            ValueKind::String => self.text(out, value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.checked().collect::<Result<_, _>>()?;
                self.enclose(out, ['[', ']'], items, depth, |out, item| {
                    self.write(state, out, &item, depth + 1)
                })?;
            }
            ValueKind::Map => {
                let mut pairs = Vec::new();
                for key in value.try_iter()?.checked() {
                    let key = key?;
                    pairs.push((scalar(&key)?, value.get_item(&key)?));
                }
                if self.sort_keys {
                    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
                }
                self.enclose(out, ['{', '}'], pairs, depth, |out, (key, item)| {
                    self.text(out, &key);
                    out.push_str(&self.after_key);
                    self.write(state, out, &item, depth + 1)
                })?;
            }
            _ => out.push_str(&scalar(value)?),
        }
        Ok(())
    }

    /// Items between brackets, on lines of their own where there is an indent.
    fn enclose<T>(
        &self,
        out: &mut String,
        [open, close]: [char; 2],
        items: Vec<T>,
        depth: usize,
        mut write: impl FnMut(&mut String, T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let line = |out: &mut String, depth: usize| {
            if let Some(indent) = &self.indent {
                out.push('\n');
                out.extend(std::iter::repeat_n(&**indent, depth));
            }
        };
        out.push(open);
        let empty = items.is_empty();
        for (place, item) in items.into_iter().enumerate() {
            if place > 0 {
                out.push_str(&self.between_items);
            }
            line(out, depth + 1);
            write(out, item)?;
        }
        if !empty {
            line(out, depth);
        }
        out.push(close);
        Ok(())
    }

    fn text(&self, out: &mut String, text: &str) {
        out.push('"');
        for character in text.chars() {
            match character {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                other if other < ' ' || (self.ensure_ascii && other > '~') => {
                    for unit in other.encode_utf16(&mut [0; 2]) {
                        // A String takes whatever is written.
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                }
                other => out.push(other),
            }
        }
        out.push('"');
    }
}

/// JSON of what holds no other value; also the text of a key.
fn scalar(value: &Value) -> Result<String, Error> {
    Ok(match value.kind() {
        ValueKind::None => "null".to_owned(),
        ValueKind::Bool => if value.is_true() { "true" } else { "false" }.to_owned(),
        ValueKind::Number if value.is_integer() => value.to_string(),
        ValueKind::Number => float(f64::try_from(value.clone())?),
        ValueKind::String => value.to_string(),
        other => return Err(refused(format!("tojson: {other} is not a value of JSON"))),
    })
}

/// A float as Python writes it: 0.1, 1e-05, 1e+16.
fn float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_owned();
    }
    // Rust changes to the scientific form at the same sizes.
    let text = format!("{number:?}");
    match text.split_once('e') {
        None => text,
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(small) => format!("{digits}e-{small:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        for (number, expected) in [
            (0.1, "0.1"),
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.25e100, "1.25e+100"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(float(number), expected);
        }
    }
}

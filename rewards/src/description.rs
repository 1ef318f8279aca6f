//! What there is to say of a reward: its own documentation, read back.
//!
//! The text of a built-in reward is the head of its source file, and its
//! parameters are the fields of the type that its table is read into, with the
//! comments on them. So what `qinglan rewards describe` prints cannot differ
//! from the code.
//!
//! What it deliberately does not do: lay out or colour.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

/// A reward's documentation.
///
/// # Example
///
/// ```
/// let registry = rewards::Registry::builtin();
/// let overlong = registry.describe("overlong")?;
/// assert!(overlong.summary().starts_with("A soft punishment"));
/// assert_eq!(overlong.parameters[0].key, "max_tokens");
/// # Ok::<(), rewards::RewardError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// What it is worth, why and since when: Markdown.
    pub text: String,
    /// The keys of its table, the weight aside.
    pub parameters: Vec<Parameter>,
}

/// A key of a reward's table.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// The key.
    pub key: String,
    /// What may stand there: `number`, `integer`, `string`, the words to choose
    /// from, and so on.
    pub kind: String,
    /// What stands for it where it is left out, as a definition has it; `None`
    /// where it must be given or there is nothing that stands for it.
    pub default: Option<String>,
    /// Whether it must be given.
    pub required: bool,
    /// What it does.
    pub about: String,
}

impl Description {
    /// Of `about`, which is text or a source file whose head is meant, and the
    /// parameters `P`.
    pub(crate) fn new<P: JsonSchema>(about: &str) -> Self {
        let schema = SchemaGenerator::default().into_root_schema_for::<P>();
        let schema = schema.to_value();
        let fields = schema.get("properties").and_then(Value::as_object);
        let parameters = fields.into_iter().flatten().map(|(key, field)| Parameter {
            key: key.clone(),
            kind: kind(field, &schema),
            default: field.get("default").map(shown),
            required: list(&schema, "required").any(|required| required == key),
            about: plain(text(field, "description")).replace('\n', " "),
        });
        Self {
            text: head(about),
            parameters: parameters.collect(),
        }
    }

    /// The first sentence of the text.
    pub fn summary(&self) -> String {
        let paragraph = self.text.split("\n\n").next().unwrap_or_default();
        let line = paragraph.replace('\n', " ");
        match line.split_once(". ") {
            Some((sentence, _)) => format!("{sentence}."),
            None => line,
        }
    }
}

/// The `//!` comment of a source file, or the text itself where it has none.
fn head(about: &str) -> String {
    let lines: Vec<&str> = about
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    if lines.is_empty() {
        return about.trim().to_owned();
    }
    plain(&lines.join("\n"))
}

/// Without what is for rustdoc: escapes of brackets, and the brackets and targets
/// of links to code. Code spans stay as they are.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(tick) = rest.find('`') {
        let (before, from) = rest.split_at(tick);
        let Some(length) = from.get(1..).and_then(|inside| inside.find('`')) else {
            break;
        };
        let (span, after) = from.split_at(length + 2);
        let linked = before.strip_suffix('[').zip(after.strip_prefix(']'));
        let (before, after) = match linked {
            Some((before, after)) => (before, without_target(after)),
            None => (before, after),
        };
        out.push_str(&unescaped(before));
        out.push_str(span);
        rest = after;
    }
    out.push_str(&unescaped(rest));
    out
}

/// What follows a link, from behind its target on, as in `](mod@format)`.
fn without_target(after: &str) -> &str {
    let target = after
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'));
    target.map_or(after, |(_, rest)| rest)
}

fn unescaped(text: &str) -> String {
    text.replace("\\[", "[").replace("\\]", "]")
}

/// A value as a definition has it, a table on one line.
fn shown(value: &Value) -> String {
    let list = |entries: Vec<String>| entries.join(", ");
    match value {
        Value::Object(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| format!("{key} = {}", shown(value)));
            format!("{{ {} }}", list(entries.collect()))
        }
        Value::Array(items) => format!("[{}]", list(items.iter().map(shown).collect())),
        other => other.to_string(),
    }
}

/// The values a field may have, in a word or two.
fn kind(field: &Value, schema: &Value) -> String {
    if let Some(target) = text(field, "$ref").strip_prefix("#/$defs/") {
        return match schema.get("$defs").and_then(|defs| defs.get(target)) {
            Some(target) => kind(target, schema),
            None => "table".to_owned(),
        };
    }
    for key in ["anyOf", "oneOf"] {
        let kinds: Vec<String> = (field
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten())
        .map(|one| kind(one, schema))
        .filter(|kind| kind != "null")
        .collect();
        if !kinds.is_empty() {
            return kinds.join(" or ");
        }
    }
    if let Some(constant) = field.get("const") {
        return constant.to_string();
    }
    let words: Vec<String> = list(field, "enum")
        .map(|word| format!("\"{word}\""))
        .collect();
    if !words.is_empty() {
        return words.join(" or ");
    }
    let kind = match field.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        // An optional value is of a type or of none.
        Some(Value::Array(kinds)) => kinds
            .iter()
            .filter_map(Value::as_str)
            .find(|kind| *kind != "null")
            .unwrap_or("value"),
        _ => "value",
    };
    match (kind, field.get("items")) {
        ("array", Some(items)) => format!("list of {}", self::kind(items, schema)),
        ("object", _) => "table".to_owned(),
        (kind, _) => kind.to_owned(),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    let list = value.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use crate::Registry;

    #[test]
    fn every_builtin_says_its_formula_range_and_source() {
        let registry = Registry::builtin();
        for name in registry.names() {
            let description = registry.describe(name).expect("registered");
            for word in ["Range:", "Source", "deliberately"] {
                assert!(description.text.contains(word), "{name} lacks {word}");
            }
            assert!(description.summary().ends_with('.'), "{name}");
            for parameter in &description.parameters {
                assert!(!parameter.about.is_empty(), "{name}.{}", parameter.key);
            }
        }
    }

    #[test]
    fn parameters_carry_their_type_and_default() {
        let registry = Registry::builtin();
        let correct = registry.describe("correct").expect("registered");
        let tolerance = &correct.parameters[0];
        assert_eq!(tolerance.key, "tolerance");
        assert_eq!(tolerance.kind, "number");
        assert_eq!(tolerance.default.as_deref(), Some("0.0"));
        let cost = registry.describe("length_cost").expect("registered");
        let kind = &cost.parameters[0];
        assert_eq!(kind.kind, r#""linear" or "cosine" or "target""#);
        assert_eq!(kind.default.as_deref(), Some(r#""linear""#));
    }

    #[test]
    fn code_keeps_its_letters_and_links_lose_their_brackets() {
        let text = "after `(` or `[` or nothing, before `]`; see [`Extraction::answer`], \
                    [`format`](mod@format) and \\[0, 1\\], `\\[x\\]`, `**`.";
        assert_eq!(
            super::plain(text),
            "after `(` or `[` or nothing, before `]`; see `Extraction::answer`, \
             `format` and [0, 1], `\\[x\\]`, `**`."
        );
        let correct = Registry::builtin();
        let correct = correct.describe("correct").expect("registered");
        assert!(correct.text.contains("after `(` or `[` or nothing"));
    }

    #[test]
    fn a_table_is_shown_as_a_definition_has_it() {
        let registry = Registry::builtin();
        let command = registry.describe("command").expect("registered");
        let mut parameters = command.parameters.iter();
        let workers = parameters.find(|one| one.key == "workers");
        let default = workers.and_then(|one| one.default.as_deref());
        assert!(default.is_some_and(|text| text.contains("count = 2, ") && text.starts_with("{ ")));
    }
}

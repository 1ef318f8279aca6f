//! Chat templates: a conversation becomes the text that a model was tuned on.
//!
//! A template is Jinja, set up as transformers sets it up: blocks trimmed,
//! break and continue, Python's methods of strings, lists and dictionaries,
//! `raise_exception`, `strftime_now`, `tojson` as Python's `json.dumps`, and
//! `{% generation %}` around what the assistant wrote. Templates come with
//! models from strangers: they reach nothing but the conversation, and the steps
//! and the text of a rendering are bounded. Not bounded is what one step does
//! with a list made to hold itself a million times over: printing one hangs, as
//! it does in Python, and printing a namespace that holds itself ends the
//! process.
//!
//! Deliberately absent: messages that are not text (images, calls of tools),
//! and templates of other names than the default one. `strftime_now` gives the
//! date of Greenwich, as no crate here knows the local one.

mod dates;
mod left_out;
mod message;
mod python;
mod tags;

use std::ops::Range;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result, anyhow, bail, ensure};
use experiments::{panics, text};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, State, UndefinedBehavior, Value};
use serde_json::{Map, Value as Json};

pub use message::Message;

use super::tokenizer::{self, SpecialTokens};

/// What one rendering may spend, one for each step of the template and for each
/// 64 bytes of text it makes.
const FUEL: u64 = 2_000_000;

/// Longest template that is compiled; published ones have up to 20 thousand bytes.
const MAX_SOURCE: usize = 1 << 16;

/// Bytes of stack for the engine. It recurses on what a template nests or
/// chains, and on the values a template nests: four times what the worst of
/// [`MAX_SOURCE`] and [`FUEL`] took in a build without optimisation.
const STACK: usize = 256 << 20;

/// Name of the one template in its environment; errors leave it out.
const NAME: &str = "chat";

/// Under this name the marks of generated text reach [`generation`]; it is no
/// identifier, so no template can read or set it.
const MARKS: &str = "generation marks";

/// A compiled chat template and the special tokens it writes.
///
/// ```
/// use qinglan::model::chat::{ChatTemplate, Message};
/// use qinglan::model::tokenizer::SpecialTokens;
///
/// let source = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}\
///               {% if add_generation_prompt %}<assistant>{% endif %}";
/// let template = ChatTemplate::new(source, SpecialTokens::default())?;
/// let question = Message { role: "user".into(), content: "What is 17 + 25?".into() };
/// let prompt = template.render(&[question], true, &serde_json::Map::new())?;
/// assert_eq!(prompt, "<user>What is 17 + 25?<assistant>");
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    special: SpecialTokens,
    source: String,
    marks_generation: bool,
    /// What the template is told in every rendering.
    told: Map<String, Json>,
}

impl ChatTemplate {
    /// Compiles a template.
    pub fn new(source: &str, special: SpecialTokens) -> Result<Self> {
        ensure!(
            source.len() <= MAX_SOURCE,
            "the chat template has {} bytes, at most {MAX_SOURCE} are read",
            source.len()
        );
        let (source, marks_generation) = tags::as_filters(source);
        let mut environment = Environment::new();
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()?,
        );
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_fuel(Some(FUEL));
        python::set_up(&mut environment);
        environment.add_filter(tags::FILTER, generation);
        apart(|| {
            environment
                .add_template_owned(NAME, source.clone())
                .map_err(|error| explain(&error))
        })?;
        Ok(Self {
            environment,
            special,
            source,
            marks_generation,
            told: Map::new(),
        })
    }

    /// The template of a model folder: `chat_template.jinja`, else the
    /// `chat_template` of `tokenizer_config.json`; `None` where there is neither.
    pub fn from_folder(folder: &Path) -> Result<Option<Self>> {
        let config = tokenizer::read_config(folder)?;
        let file = folder.join("chat_template.jinja");
        let (source, of) = if file.exists() {
            let source =
                text::string(&file).with_context(|| format!("reading {}", file.display()))?;
            (source, file)
        } else {
            let of = folder.join(tokenizer::CONFIG);
            match default_template(config.get("chat_template"))
                .with_context(|| format!("{}: chat_template", of.display()))?
            {
                Some(source) => (source, of),
                None => return Ok(None),
            }
        };
        let special = SpecialTokens::from_folder(folder)?;
        let template = Self::new(&source, special).with_context(|| of.display().to_string())?;
        Ok(Some(template))
    }

    /// The same, told in every rendering what else it reads, such as
    /// `enable_thinking`.
    #[must_use]
    pub fn telling(self, told: Map<String, Json>) -> Self {
        Self { told, ..self }
    }

    /// What it is told and never reads, by name.
    pub fn unread(&self) -> Result<Vec<&str>> {
        if self.told.is_empty() {
            return Ok(Vec::new());
        }
        let read = apart(|| {
            let template = self.environment.get_template(NAME);
            let template = template.map_err(|error| explain(&error))?;
            Ok(template.undeclared_variables(false))
        })?;
        let told = self.told.keys().map(String::as_str);
        Ok(told.filter(|name| !read.contains(*name)).collect())
    }

    /// Whether the template says which text the assistant wrote.
    pub fn marks_generation(&self) -> bool {
        self.marks_generation
    }

    /// The text of a conversation; with `add_generation_prompt` it ends where
    /// the assistant begins to write. `extra` is what else the template reads,
    /// such as `enable_thinking` or `tools`.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        extra: &Map<String, Json>,
    ) -> Result<String> {
        self.render_with(messages, add_generation_prompt, extra, None)
    }

    /// The same, and the bytes of it that the assistant wrote, by the
    /// `{% generation %}` blocks of the template.
    pub fn render_with_spans(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        extra: &Map<String, Json>,
    ) -> Result<(String, Vec<Range<usize>>)> {
        ensure!(
            self.marks_generation,
            "the chat template has no {{% generation %}} blocks, which say what the assistant wrote; \
             put them around it in the template"
        );
        let plain = self.render(messages, add_generation_prompt, extra)?;
        let marks = unused_characters([&*plain, &*self.source])
            .context("the conversation uses every private character there is")?;
        let marked = self.render_with(messages, add_generation_prompt, extra, Some(marks))?;
        let (text, spans) = take_marks(&marked, marks)
            .filter(|(text, _)| *text == plain)
            .context(
                "the chat template works on what is between {% generation %} and \
                 {% endgeneration %} after the fact, so its place is not known",
            )?;
        Ok((text, spans))
    }

    fn render_with(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        extra: &Map<String, Json>,
        marks: Option<(char, char)>,
    ) -> Result<String> {
        ensure!(
            !messages.is_empty(),
            "a conversation without messages has no text"
        );
        apart(|| {
            let context = self.context(messages, add_generation_prompt, extra, marks);
            self.environment
                .get_template(NAME)
                .and_then(|template| template.render(context))
                .map_err(|error| explain(&error))
        })
    }

    fn context(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        extra: &Map<String, Json>,
        marks: Option<(char, char)>,
    ) -> Value {
        let messages: Value = messages
            .iter()
            .map(|message| {
                Value::from_pairs([
                    ("role", Value::from(&*message.role)),
                    ("content", Value::from(&*message.content)),
                ])
            })
            .collect();
        // transformers gives these two always; what comes later replaces them.
        let mut context = vec![("tools", Value::from(())), ("documents", Value::from(()))];
        let special = self.special.named();
        context.extend(special.map(|(name, token)| (name, Value::from(token))));
        let extra = self.told.iter().chain(extra);
        context.extend(extra.map(|(name, value)| (&**name, python::value(value))));
        context.push(("messages", messages));
        context.push(("add_generation_prompt", add_generation_prompt.into()));
        if let Some((open, close)) = marks {
            context.push((MARKS, [open, close].into_iter().collect()));
        }
        Value::from_pairs(context)
    }
}

/// Runs the engine where a template of a stranger can neither exhaust the
/// stack nor end the process by a panic.
fn apart<T: Send>(engine: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, || panics::caught(engine))
            .context("no memory for the stack of the template engine")?
            .join()
            .ok()
            .flatten()
            .context("chat template: the template engine cannot run it")?
    })
}

/// What a `{% generation %}` block is filtered by: its content, between marks
/// where somebody asked for them.
fn generation(state: &mut State<'_, '_>, content: Value) -> Result<Value, minijinja::Error> {
    let Some(marks) = state.lookup(MARKS) else {
        return Ok(content);
    };
    let (open, close) = (marks.get_item_by_index(0)?, marks.get_item_by_index(1)?);
    Ok(Value::from(format!("{open}{content}{close}")))
}

/// Two private-use characters that are in none of the texts.
fn unused_characters(texts: [&str; 2]) -> Option<(char, char)> {
    let mut unused = ('\u{e000}'..='\u{f8ff}')
        .filter(|&character| !texts.iter().any(|text| text.contains(character)));
    Some((unused.next()?, unused.next()?))
}

/// The text without its marks, and what was between them; `None` where they do
/// not pair.
fn take_marks(marked: &str, (open, close): (char, char)) -> Option<(String, Vec<Range<usize>>)> {
    let mut text = String::with_capacity(marked.len());
    let mut opened = Vec::new();
    let mut spans = Vec::new();
    for character in marked.chars() {
        if character == open {
            opened.push(text.len());
        } else if character == close {
            spans.push(opened.pop()?..text.len());
        } else {
            text.push(character);
        }
    }
    spans.sort_unstable_by_key(|span| (span.start, span.end));
    opened.is_empty().then_some((text, spans))
}

/// One sentence with the template's line.
fn explain(error: &minijinja::Error) -> anyhow::Error {
    let what = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => {
            "it does not end, or makes more text than a conversation has".to_owned()
        }
        (_, Some(detail)) => detail.to_owned(),
        (kind, None) => kind.to_string(),
    };
    match error.line() {
        Some(line) => anyhow!("chat template, line {line}: {what}"),
        None => anyhow!("chat template: {what}"),
    }
}

/// A template alone, or the one named "default" of a list.
fn default_template(value: Option<&Json>) -> Result<Option<String>> {
    let named = match value {
        None | Some(Json::Null) => return Ok(None),
        Some(Json::String(source)) => return Ok(Some(source.clone())),
        Some(Json::Array(named)) => named,
        Some(_) => bail!("neither a template nor a list of named templates"),
    };
    let mut names = Vec::new();
    for entry in named {
        let (Some(name), Some(source)) = (
            entry.get("name").and_then(Json::as_str),
            entry.get("template").and_then(Json::as_str),
        ) else {
            bail!("a template in the list has no name, or no template");
        };
        if name == "default" {
            return Ok(Some(source.to_owned()));
        }
        names.push(name);
    }
    bail!(
        "none of the templates is named \"default\"; there are: {}",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests;

//! What one line of the definition says it is.
//!
//! Formula: the value of `expr`, an expression of the Rhai language, for each
//! completion by itself:
//!
//! `reward.script.expr = "if correct { 1.0 - 0.001 * tokens } else { 0.0 }"`
//!
//! A number is the score, `true` is 1 and `false` is 0, and `()` says that the
//! reward does not apply. Anything else is an error that names the completion,
//! and so is a failure of the expression. Range: whatever the expression has; it
//! must be finite.
//!
//! | variable | is |
//! |---|---|
//! | `correct` | whether the answer is right, by the reward `correct`; `()` without an expected answer |
//! | `formatted` | whether the form is right, by the reward `format` |
//! | `tokens`, `reasoning_tokens` | tokens generated, and those of the reasoning |
//! | `max_tokens` | the limit on generated tokens |
//! | `truncated` | whether that limit cut the completion off |
//! | `prompt`, `completion` | the texts |
//! | `reasoning`, `answer` | the completion's parts; empty where there is none |
//! | `expected` | the expected answer, or `()` |
//! | `task`, `problem` | the names of the task and of the problem |
//! | `human_cost` | the mean of ln(milliseconds) that people took, or `()` |
//! | `columns` | further columns of the problem's row, such as `columns.level` |
//!
//! They cannot be assigned to. Their numbers are all floating-point, and `/`
//! never rounds: `1 / 2` is 0.5. A column that is not there is an error; ask with
//! `"level" in columns`. Beside arithmetic and comparison there are `min`, `max`,
//! `abs`, `sqrt`, `exp`, `ln`, `floor`, what Rhai has for text, arrays and maps,
//! `let`, loops, and functions, which see what they are handed.
//!
//! An expression may take 100 000 operations, text of 16 MiB, arrays and maps of
//! 100 000 entries, 16 calls within calls and 64 levels of nesting; past that it
//! is an error, never a value. The same completion gets the same score at any
//! time: there is no clock, chance, file or network, and nothing is printed.
//!
//! Source: the language is Rhai (rhai.rs); departure: its integers divide to
//! integers. What is worth what is the definition's own.
//!
//! What it deliberately does not do: see the other completions of a batch, which
//! is for a reward in Rust; or check functions before they are called, so that a
//! misspelt one in a branch fails only when a completion gets there. Misspelt
//! variables are found at once.

mod engine;
#[cfg(test)]
mod tests;

use rhai::{AST, Dynamic, Engine, Scope};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::correct::{self, Correct};
use crate::format::{self, Format};
use crate::{Extraction, Reward, RewardError, Score, Scored, Scores};

/// The name in the registry.
pub const NAME: &str = "script";

/// Parameters of [`Script`].
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// The expression.
    pub expr: String,
    /// Parameters of the reward `correct` for the variable `correct`; default:
    /// that reward's own.
    pub correct: Option<correct::Parameters>,
}

/// The value of an expression.
pub struct Script {
    engine: Engine,
    code: AST,
    /// Those of [`Variable::ALL`] that occur in the code.
    used: Vec<Variable>,
    correct: Correct,
}

/// What an expression may ask about a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    Correct,
    Formatted,
    Tokens,
    ReasoningTokens,
    MaxTokens,
    Truncated,
    Prompt,
    Completion,
    Reasoning,
    Answer,
    Expected,
    Task,
    Problem,
    HumanCost,
    Columns,
}

impl Variable {
    const ALL: [(&str, Self); 15] = [
        ("correct", Self::Correct),
        ("formatted", Self::Formatted),
        ("tokens", Self::Tokens),
        ("reasoning_tokens", Self::ReasoningTokens),
        ("max_tokens", Self::MaxTokens),
        ("truncated", Self::Truncated),
        ("prompt", Self::Prompt),
        ("completion", Self::Completion),
        ("reasoning", Self::Reasoning),
        ("answer", Self::Answer),
        ("expected", Self::Expected),
        ("task", Self::Task),
        ("problem", Self::Problem),
        ("human_cost", Self::HumanCost),
        ("columns", Self::Columns),
    ];

    /// Its name in an expression.
    fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

impl Script {
    /// The expression with these parameters, compiled.
    pub fn new(parameters: &Parameters) -> Result<Self, RewardError> {
        let wrong = |message| RewardError::Parameters {
            reward: NAME.to_owned(),
            message,
        };
        let engine = engine::new();
        let (code, used) = engine::compile(&engine, &parameters.expr).map_err(wrong)?;
        if parameters.correct.is_some() && !used.contains(&Variable::Correct) {
            return Err(wrong(
                "`correct` has parameters, but the expression does not ask for it: \
                 leave them out"
                    .to_owned(),
            ));
        }
        let correct = Correct::new(&parameters.correct.clone().unwrap_or_default());
        Ok(Self {
            engine,
            code,
            used,
            correct: correct.map_err(|error| error.of(NAME))?,
        })
    }

    /// What a reward gives each completion, if the variable it stands for is
    /// used.
    fn ask(
        &self,
        variable: Variable,
        reward: &dyn Reward,
        batch: &[Scored<'_>],
    ) -> Result<Vec<Score>, RewardError> {
        if self.used.contains(&variable) {
            Ok(reward.score(batch)?.each)
        } else {
            Ok(Vec::new())
        }
    }
}

impl Reward for Script {
    fn name(&self) -> &'static str {
        NAME
    }

    fn score(&self, batch: &[Scored<'_>]) -> Result<Scores, RewardError> {
        let correct = self.ask(Variable::Correct, &self.correct, batch)?;
        let format = Format::new(&format::Parameters::default());
        let formatted = self.ask(Variable::Formatted, &format, batch)?;
        let judge = |(index, item): (usize, &Scored<'_>)| {
            let mut scope = Scope::new();
            for variable in &self.used {
                let value = match variable {
                    Variable::Correct => judged(correct.get(index)),
                    Variable::Formatted => judged(formatted.get(index)),
                    other => value(*other, item),
                };
                scope.push_constant_dynamic(variable.name(), value);
            }
            let value = engine::evaluate(&self.engine, &self.code, &mut scope);
            value.map_err(|message| RewardError::Item {
                reward: NAME.to_owned(),
                index,
                problem: item.problem.to_owned(),
                message: format!("{message}{}", absent(&self.used, item)),
            })
        };
        batch.iter().enumerate().map(judge).collect()
    }

    fn independent(&self) -> bool {
        true
    }
}

/// Which of the variables are `()` for a completion, and why: the likely cause of
/// a failure.
fn absent(used: &[Variable], item: &Scored<'_>) -> String {
    let absent = used.iter().filter_map(|variable| {
        let why = match variable {
            Variable::Correct | Variable::Expected if item.expected.is_none() => {
                "no expected answer is known"
            }
            Variable::HumanCost if item.human_cost.is_none() => "nobody was timed on the problem",
            _ => return None,
        };
        Some(format!("; `{}` is (): {why}", variable.name()))
    });
    absent.collect()
}

/// A score of 1 or 0 as a truth value.
fn judged(score: Option<&Score>) -> Dynamic {
    let value = score.and_then(|score| score.value);
    value.map_or(Dynamic::UNIT, |value| Dynamic::from(value > 0.5))
}

/// What a variable is for a completion, those aside that rewards decide.
fn value(variable: Variable, item: &Scored<'_>) -> Dynamic {
    let number = |count: usize| Dynamic::from(count as f64);
    let text = |text: &str| Dynamic::from(text.to_owned());
    match variable {
        Variable::Correct | Variable::Formatted => Dynamic::UNIT,
        Variable::Tokens => number(item.completion_tokens),
        Variable::ReasoningTokens => number(item.reasoning_tokens),
        Variable::MaxTokens => number(item.max_new_tokens),
        Variable::Truncated => Dynamic::from(item.truncated),
        Variable::Prompt => text(item.prompt),
        Variable::Completion => text(item.completion),
        Variable::Reasoning => text(Extraction::new(item.prompt, item.completion).reasoning),
        Variable::Answer => text(Extraction::new(item.prompt, item.completion).answer()),
        Variable::Expected => item.expected.map_or(Dynamic::UNIT, text),
        Variable::Task => text(item.task),
        Variable::Problem => text(item.problem),
        Variable::HumanCost => item.human_cost.map_or(Dynamic::UNIT, Dynamic::from),
        Variable::Columns => Dynamic::from(map(item.columns.into_iter().flatten())),
    }
}

fn map<'a>(entries: impl Iterator<Item = (&'a String, &'a Value)>) -> rhai::Map {
    entries
        .map(|(key, value)| (key.as_str().into(), column(value)))
        .collect()
}

/// A column's value in the language, null being `()`.
fn column(value: &Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(value) => Dynamic::from(*value),
        Value::Number(number) => number.as_f64().map_or(Dynamic::UNIT, Dynamic::from),
        Value::String(text) => Dynamic::from(text.clone()),
        Value::Array(items) => Dynamic::from(items.iter().map(column).collect::<rhai::Array>()),
        Value::Object(entries) => Dynamic::from(map(entries.iter())),
    }
}

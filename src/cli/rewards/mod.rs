//! `qinglan rewards`: which rewards there are, what they are, and what they say
//! of completions that are there.

mod check;
mod findings;
mod given;
mod kept;
mod show;

use ::rewards::Registry;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use crate::error::as_user_error;

/// Arguments of `qinglan rewards`.
#[derive(Args)]
pub(super) struct Rewards {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The rewards that a definition may name, each with what it is worth.
    List,
    /// What a reward is, its formula and range, and the keys of its table.
    Describe(Describe),
    /// Score given completions with the rewards of a definition: distributions,
    /// time, what goes with length, and where two rewards disagree.
    Check(check::Check),
}

/// Arguments of `qinglan rewards describe`.
#[derive(Args)]
struct Describe {
    /// A reward, as `qinglan rewards list` names it.
    name: String,
}

impl Rewards {
    pub(super) fn execute(self, registry: &Registry) -> Result<()> {
        match self.what {
            What::List => as_user_error(list(registry)),
            What::Describe(describe) => as_user_error(describe.execute(registry)),
            What::Check(check) => check.execute(registry),
        }
    }
}

fn list(registry: &Registry) -> Result<()> {
    let rows = registry.names().map(|name| {
        let summary = registry.describe(name)?.summary();
        Ok(vec![name.to_owned(), summary])
    });
    let rows = rows.collect::<Result<Vec<_>>>()?;
    print!("{}", show::grid(&["reward", "what it is worth"], &[], rows));
    Ok(())
}

impl Describe {
    fn execute(&self, registry: &Registry) -> Result<()> {
        let description = registry.describe(&self.name)?;
        println!("{}\n", self.name);
        println!("{}\n", description.text.trim_end());
        if description.parameters.is_empty() {
            println!("It has no parameters besides its weight.");
            return Ok(());
        }
        let rows = description.parameters.iter().map(|parameter| {
            let default = match (&parameter.default, parameter.required) {
                (_, true) => "must be given".to_owned(),
                (Some(default), _) if default != "null" => default.clone(),
                _ => "none".to_owned(),
            };
            vec![
                parameter.key.clone(),
                parameter.kind.clone(),
                default,
                parameter.about.clone(),
            ]
        });
        let header = ["parameter", "type", "default", "what it does"];
        print!("{}", show::grid(&header, &[], rows.collect()));
        Ok(())
    }
}

/// Names a file in front of whatever went wrong in it.
fn at<T>(path: &std::path::Path, result: Result<T>) -> Result<T> {
    result.with_context(|| path.display().to_string())
}

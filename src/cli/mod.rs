//! The command line: one verb a file.
//!
//! Results go to standard output, everything else to standard error. Exit
//! codes: 0 done, 1 a failure, 2 the user's input, 130 Ctrl-C. Where standard
//! output takes no more, the result has not arrived whole: that is a failure of
//! every command, lists included (`| head`). Where standard error takes no more,
//! messages are lost, and that is all.

mod bench;
mod compare;
mod config;
mod conformance;
mod doctor;
mod evaluate;
mod model;
mod norms;
mod plan;
mod report;
mod rewards;
mod run;
mod runs;
mod sample;
mod serve;
mod store;
mod sweep;
mod watch;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use ::rewards::Registry;
use clap::{Parser, Subcommand};

use crate::error::{UserError, is_users};
use crate::messages::{Warnings, say};

/// What imitation and what reinforcement do to the same language model.
#[derive(Parser)]
#[command(name = "qinglan", version, max_term_width = 90)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run an experiment: train its arms, evaluate them, compare them.
    Run(run::Run),
    /// Run one definition with many seeds and settings, here or on Slurm.
    Sweep(sweep::Sweep),
    /// Ask models, a server, or recordings how they answer what people were timed on.
    Evaluate(evaluate::Evaluate),
    /// Tell from a pilot how many seeds, items and samples a definition's questions need.
    Plan(plan::Plan),
    /// Write a definition from another trainer's settings.
    Config(config::Config),
    /// Print the comparison of finished runs.
    Compare(compare::Compare),
    /// Write tables, figures and report of a finished run again.
    Report(report::Report),
    /// List and describe rewards, and try them on completions.
    Rewards(rewards::Rewards),
    /// List, show, compare or remove run directories.
    Runs(runs::Runs),
    /// List, verify or remove what trainings left in the store for other runs.
    Store(store::StoreCommand),
    /// Watch a run in the terminal while it goes on.
    Watch(watch::Watch),
    /// Show a run in the browser while it goes on.
    Serve(serve::Serve),
    /// Sample completions from a model.
    Sample(sample::Sample),
    /// Inspect, import or export a checkpoint.
    Model(model::Models),
    /// List, describe, check or import people's times.
    Norms(norms::NormsVerb),
    /// Hold the lab to what others' code computes; exit code 1 where it differs.
    Conformance(conformance::Conformance),
    /// Measure how fast this machine samples and trains.
    Bench(bench::Bench),
    /// Tell what this machine offers, and why there is no CUDA where there is none.
    Doctor,
}

/// How a verb ended.
enum Ending {
    Done,
    Interrupted,
    /// A comparison came out beyond its tolerance.
    Differs,
    /// With that exit code; another process has said why.
    Told(u8),
}

/// Parses the command line, runs the verb, and says how it ended. Definitions
/// may name the built-in rewards.
pub fn main() -> ExitCode {
    main_with(Registry::builtin())
}

/// The same with the rewards of `registry`: what a crate calls that adds its
/// own to [`Registry::builtin`]. `examples/own-reward` is the worked example.
pub fn main_with(registry: Registry) -> ExitCode {
    end_where_output_fails();
    outlive_the_limit_of_files();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let lost = error.print().is_err() && !error.use_stderr();
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            return ExitCode::from(if lost { 1 } else { code });
        }
    };
    // Of several ranks of a run the first speaks for all, but each of its errors.
    let follows = matches!(&arguments.verb, Verb::Run(_)) && run::Run::follows();
    let filter = tracing_subscriber::EnvFilter::try_from_env("QINGLAN_LOG").unwrap_or_else(|_| {
        tracing_subscriber::EnvFilter::new(if follows { "error" } else { "warn" })
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Warnings)
        .with_ansi(color_on(&std::io::stderr()))
        .without_time()
        .with_target(false)
        .init();
    torch_ext::cpu::keep_memory();
    let level = torch_ext::cpu::Level::check().map_err(|error| UserError(error).into());
    let outcome = level.and_then(|()| match arguments.verb {
        Verb::Run(run) => run.execute(registry),
        Verb::Sweep(sweep) => sweep.execute(&registry),
        Verb::Evaluate(evaluate) => evaluate.execute(),
        Verb::Plan(plan) => plan.execute(&registry).map(|()| Ending::Done),
        Verb::Config(config) => config.execute().map(|()| Ending::Done),
        Verb::Compare(compare) => compare.execute().map(|()| Ending::Done),
        Verb::Report(report) => report.execute().map(|()| Ending::Done),
        Verb::Rewards(rewards) => rewards.execute(&registry).map(|()| Ending::Done),
        Verb::Runs(runs) => runs.execute().map(|()| Ending::Done),
        Verb::Store(store) => store.execute().map(|()| Ending::Done),
        Verb::Watch(watch) => watch.execute().map(|()| Ending::Done),
        Verb::Serve(serve) => serve.execute().map(|()| Ending::Done),
        Verb::Sample(sample) => sample.execute().map(|()| Ending::Done),
        Verb::Model(model) => model.execute().map(|()| Ending::Done),
        Verb::Norms(norms) => norms.execute().map(|()| Ending::Done),
        Verb::Conformance(conformance) => conformance.execute(),
        Verb::Bench(bench) => bench.execute().map(|()| Ending::Done),
        Verb::Doctor => {
            doctor::execute();
            Ok(Ending::Done)
        }
    });
    match outcome {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Differs) => ExitCode::from(1),
        Ok(Ending::Told(code)) => ExitCode::from(code),
        Ok(Ending::Interrupted) => {
            say!("stopped; go on with the same command and --resume");
            ExitCode::from(130)
        }
        Err(error) => {
            say!("error: {error:#}");
            ExitCode::from(if is_users(&error) { 2 } else { 1 })
        }
    }
}

/// Ends with one line where standard output takes no more: `println!` knows no
/// other way to say so than a panic.
fn end_where_output_fails() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload().downcast_ref::<String>();
        let why = said.and_then(|said| said.strip_prefix("failed printing to stdout: "));
        if let Some(why) = why {
            say!("error: standard output takes no more: {why}");
            std::process::exit(1);
        }
        usual(panic);
    }));
}

/// Lets a write that would make a file larger than `ulimit -f` allows fail like
/// any other: the signal that it sends would end the process without a word.
fn outlive_the_limit_of_files() {
    // Refused only for signals that nobody may handle, of which this is none.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
}

/// Whether to colour what goes to a stream.
fn color_on(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

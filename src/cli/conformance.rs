//! `qinglan conformance`: hold the lab to what others' code computes.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use comfy_table::{CellAlignment, Table, presets};
use experiments::conformance as alignment;

use super::Ending;
use crate::conformance::lockstep::{self, Held};
use crate::conformance::logits::{self, Comparison};
use crate::device::DeviceChoice;
use crate::error::{UserError, as_user_error};

/// Arguments of `qinglan conformance`.
#[derive(Args)]
pub(super) struct Conformance {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Hold decoder, tokenizer, chat template, gradients and greedy decoding to
    /// what transformers computes.
    Logits(Logits),
    /// Hold the losses of the GRPO family and their gradients to TRL's.
    Losses(Losses),
    /// Hold whole trainings to TRL's, update by update.
    Lockstep(Lockstep),
    /// Hold every figure of the evaluator that draws nothing to numpy's and scipy's.
    Alignment(Alignment),
    /// Compare every figure of arms with several trainings with numpy's and scipy's.
    Statistics(Statistics),
}

/// Arguments of `qinglan conformance statistics`.
#[derive(Args)]
struct Statistics {
    /// A folder with traces.jsonl, models.json, expected.json, items.csv and trials.csv.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Arguments of `qinglan conformance alignment`.
#[derive(Args)]
struct Alignment {
    /// A folder with traces.jsonl, models.json and expected.json.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// People's times; otherwise the folder human two above the given one, or
    /// ../shared/human. Where it holds `devarda2025_figure/points.csv`, the
    /// published correlations are held too.
    #[arg(long, value_name = "DIR")]
    norms: Option<PathBuf>,
}

/// Arguments of `qinglan conformance lockstep`.
#[derive(Args)]
struct Lockstep {
    /// A folder of cases, or one case: case.json and final.safetensors.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The model that the cases start from, or the folder that holds it as
    /// qwen2; otherwise qwen2 among the cases, or models/qwen2 beside their folder.
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
}

/// Arguments of `qinglan conformance losses`.
#[derive(Args)]
struct Losses {
    /// A file of cases: inputs, loss and derivatives, float64.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Arguments of `qinglan conformance logits`.
#[derive(Args)]
struct Logits {
    /// Model folders with an expected.json, or folders of such folders.
    #[arg(required = true, value_name = "DIR")]
    models: Vec<PathBuf>,
    /// The expected.json, where it lies elsewhere: for a GGUF file, say.
    #[arg(long, value_name = "FILE")]
    expected: Option<PathBuf>,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "cpu")]
    device: DeviceChoice,
}

impl Conformance {
    pub(super) fn execute(self) -> Result<Ending> {
        match self.what {
            What::Logits(logits) => logits.execute(),
            What::Losses(losses) => losses.execute(),
            What::Lockstep(lockstep) => lockstep.execute(),
            What::Alignment(alignment) => alignment.execute(),
            What::Statistics(statistics) => statistics.execute(),
        }
    }
}

impl Losses {
    fn execute(self) -> Result<Ending> {
        let cases = as_user_error(
            algorithms::conformance::losses(&self.file).map_err(anyhow::Error::from),
        )?;
        let mut table = blank(&[
            "loss type",
            "cases",
            "largest, loss",
            "largest, gradient",
            "",
        ]);
        for (loss_type, worst) in algorithms::conformance::worst_by_loss(&cases) {
            table.add_row([
                loss_type.to_owned(),
                worst.cases.to_string(),
                format!("{:.1e}", worst.loss),
                format!("{:.1e}", worst.gradient),
                verdict(worst.failed == 0),
            ]);
        }
        println!("{table}");
        let differing: Vec<_> = cases.iter().filter(|case| !case.holds()).collect();
        for case in &differing {
            println!("  {}: {:.1e}, {:.1e}", case.name, case.loss, case.gradient);
        }
        println!("allowed: {:.0e}", algorithms::conformance::TOLERANCE);
        Ok(if differing.is_empty() {
            Ending::Done
        } else {
            Ending::Differs
        })
    }
}

impl Lockstep {
    fn execute(self) -> Result<Ending> {
        let cases = as_user_error(lockstep::cases(&self.folder))?;
        let model = as_user_error(lockstep::model(&self.folder, self.models.as_deref()))?;
        let (mut held, mut refused) = (Vec::new(), Vec::new());
        for case in cases {
            match lockstep::hold(&case, &model) {
                Ok(outcome) => held.push((name_of(&case), outcome)),
                Err(error) => refused.push(format!("{error:#}")),
            }
        }
        if !held.is_empty() {
            println!("{}", lockstep_table(&held));
            let first = |held: &Held| {
                held.kinds()
                    .map(|(what, worst)| (what, worst.first.clone()))
            };
            for (name, held) in &held {
                for (what, first) in first(held) {
                    if let Some(first) = first {
                        println!("  {name}: {what}, {first}");
                    }
                }
            }
            let compared = |kind: usize| -> usize {
                held.iter()
                    .map(|(_, held)| held.kinds()[kind].1.compared)
                    .sum()
            };
            println!(
                "compared: {} losses, {} gradient norms, {} learning rates, {} weights, and {} at rest",
                compared(0),
                compared(1),
                compared(2),
                compared(3),
                compared(4)
            );
            println!(
                "allowed: loss and gradient norm {:.0e} or {:.0e} of the value, learning rate {:.0e}, weights {:.0e}",
                lockstep::ABSOLUTE,
                lockstep::RELATIVE,
                lockstep::LEARNING_RATE,
                lockstep::WEIGHT
            );
            println!(
                "at rest: weights whose gradients stayed below {:.1e} of the whole gradient's norm, which is rounding; told, not held to",
                lockstep::AT_REST
            );
        }
        if !refused.is_empty() {
            bail!(UserError(refused.join("\n")));
        }
        Ok(if held.iter().all(|(_, held)| held.holds()) {
            Ending::Done
        } else {
            Ending::Differs
        })
    }
}

impl Alignment {
    fn execute(self) -> Result<Ending> {
        let beside = self.folder.join("../../human");
        let norms = self
            .norms
            .or_else(|| beside.is_dir().then_some(beside))
            .unwrap_or_else(|| PathBuf::from("../shared/human"));
        if !norms.is_dir() {
            bail!(UserError(format!(
                "no human times at {}; name their folder with --norms",
                norms.display()
            )));
        }
        let held = alignment::alignment(&self.folder, &norms);
        let mut found = as_user_error(held.map_err(anyhow::Error::from))?;
        let points = norms.join("devarda2025_figure").join("points.csv");
        let published = points.is_file();
        if published {
            let held = alignment::published::devarda(&points);
            found.extend(as_user_error(held.map_err(anyhow::Error::from))?);
        }
        let ending = show_figures(&found);
        if !published {
            println!("published points skipped: none at {}", points.display());
        }
        Ok(ending)
    }
}

impl Statistics {
    fn execute(self) -> Result<Ending> {
        let held = alignment::statistics(&self.folder);
        let found = as_user_error(held.map_err(anyhow::Error::from))?;
        Ok(show_figures(&found))
    }
}

/// Prints the figures by group, and those that differ.
fn show_figures(found: &[alignment::Deviation]) -> Ending {
    let mut table = blank(&["figure", "compared", "largest deviation", "allowed", ""]);
    for group in alignment::groups(found) {
        table.add_row([
            group.group,
            group.held.to_string(),
            format!("{:.1e}", group.worst),
            format!("{:.0e}", group.tolerance),
            verdict(group.differing == 0),
        ]);
    }
    println!("{table}");
    let differing: Vec<_> = found.iter().filter(|figure| !figure.holds()).collect();
    let shown = |value: Option<f64>| value.map_or("undefined".into(), |v: f64| v.to_string());
    for figure in differing.iter().take(SHOWN) {
        println!(
            "  {}: {} expected, {} computed",
            figure.figure,
            shown(figure.expected),
            shown(figure.got)
        );
    }
    if differing.len() > SHOWN {
        println!("  and {} more", differing.len() - SHOWN);
    }
    if differing.is_empty() {
        Ending::Done
    } else {
        Ending::Differs
    }
}

/// Figures that are named where many differ.
const SHOWN: usize = 20;

/// The last part of a case's path.
fn name_of(case: &Path) -> String {
    let name = case.file_name().unwrap_or(case.as_os_str());
    name.to_string_lossy().into_owned()
}

/// One line a case, with the largest deviation of each kind.
fn lockstep_table(held: &[(String, Held)]) -> Table {
    let mut table = blank(&[
        "case",
        "updates",
        "loss",
        "gradient norm",
        "learning rate",
        "weights",
        "at rest",
        "",
    ]);
    for (name, held) in held {
        let mut row = vec![name.clone(), held.loss.compared.to_string()];
        row.extend(
            held.kinds()
                .map(|(_, worst)| format!("{:.1e}", worst.largest)),
        );
        row.push(verdict(held.holds()));
        table.add_row(row);
    }
    table
}

impl Logits {
    fn execute(self) -> Result<Ending> {
        let device = as_user_error(self.device.resolve())?;
        let models = as_user_error(self.models())?;
        let mut hold = true;
        for model in models {
            let expected = match &self.expected {
                Some(expected) => expected.clone(),
                None => model.join("expected.json"),
            };
            let reference = as_user_error(logits::Reference::open(&model, &expected, device))?;
            let comparisons = reference.compare()?;
            println!("{}", model.display());
            println!("{}", table(&comparisons));
            for comparison in comparisons.iter().filter(|c| !c.holds()) {
                hold = false;
                let place = comparison.first.as_deref().unwrap_or("nowhere");
                println!("  {}: first at {place}", comparison.what);
            }
        }
        Ok(if hold { Ending::Done } else { Ending::Differs })
    }

    /// The folders meant: each given one, or those in it that hold a model.
    fn models(&self) -> Result<Vec<PathBuf>> {
        let mut models = Vec::new();
        for given in &self.models {
            if self.expected.is_some() || is_model(given) {
                models.push(given.clone());
                continue;
            }
            let mut inside: Vec<PathBuf> = match std::fs::read_dir(given) {
                Ok(entries) => entries
                    .filter_map(|entry| Some(entry.ok()?.path()))
                    .collect(),
                Err(error) => bail!("reading {}: {error}", given.display()),
            };
            inside.retain(|path| is_model(path));
            inside.sort();
            if inside.is_empty() {
                bail!(
                    "{} holds no expected.json, and no folder in it does",
                    given.display()
                );
            }
            models.extend(inside);
        }
        Ok(models)
    }
}

fn is_model(path: &Path) -> bool {
    path.join("expected.json").exists()
}

fn table(comparisons: &[Comparison]) -> Table {
    let mut table = blank(&["", "compared", "largest deviation", "allowed", ""]);
    for comparison in comparisons {
        table.add_row([
            comparison.what.to_owned(),
            comparison.compared.to_string(),
            format!("{:.1e}", comparison.largest),
            format!("{:.0e}", comparison.tolerance),
            verdict(comparison.holds()),
        ]);
    }
    table
}

/// A table without lines whose middle columns hold numbers.
fn blank(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(header);
    let middle = header.len().saturating_sub(2);
    for column in table.column_iter_mut().skip(1).take(middle) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn verdict(holds: bool) -> String {
    if holds { "holds" } else { "DIFFERS" }.to_owned()
}

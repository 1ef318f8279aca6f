//! The alignment figures of single models, as the paper reports them.
//!
//! A rank correlation may be that of broken ties (`ties`), told as a group of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::{ConformanceError, Deviation, Held, LOOSE_TOLERANCE, TOLERANCE, load, look, ties};
use crate::alignment::accuracy::Grades;
use crate::alignment::cost::{self, Counting, CutOff, ItemMeans, ModelItems, task_tokens};
use crate::alignment::design::{Design, TaskDesign};
use crate::alignment::fingerprint::{Agreement, Costs, HUMAN};
use crate::alignment::within_task::{Pairs, model_alignment};
use crate::alignment::{allocation, effort, iei};
use crate::manifest::ArmCard;
use crate::norms::Norms;
use crate::record;
use crate::statistics::Undefined;
use crate::statistics::regression::ols;

/// What the figures of one model are computed from.
struct Models<'a> {
    items: &'a cost::Items,
    tasks: Vec<String>,
    norms: Norms,
}

impl Models<'_> {
    fn get(&self, name: &str) -> &ModelItems {
        static EMPTY: ModelItems = ModelItems {
            seed: None,
            teacher: None,
            tasks: BTreeMap::new(),
        };
        self.items
            .models
            .get(name)
            .and_then(|seeds| seeds.first())
            .unwrap_or(&EMPTY)
    }

    fn mean_r(&self, name: &str) -> (Result<f64, Undefined>, Result<f64, Undefined>) {
        let model = self.get(name);
        let of = |task: &String| Pairs::of(task, model.task(task), &self.norms).pearson();
        model_alignment(&self.tasks.iter().map(of).collect::<Vec<_>>())
    }

    /// Item means of tokens by task.
    fn tokens(&self, name: &str) -> Vec<Vec<f64>> {
        let model = self.get(name);
        let of = |task: &String| model.task(task).values().filter_map(|i| i.tokens).collect();
        self.tasks.iter().map(of).collect()
    }

    /// Items that two models have, with their task.
    fn shared(&self, name: &str, other: &str) -> Vec<(&str, &str, &ItemMeans, &ItemMeans)> {
        let (first, second) = (self.get(name), self.get(other));
        let on = |task| {
            let of = first.task(task).iter();
            of.filter_map(move |(id, item)| {
                Some((task, id.as_str(), item, second.task(task).get(id)?))
            })
        };
        self.tasks.iter().map(String::as_str).flat_map(on).collect()
    }
}

/// Holds a rank correlation, where it has to be with ties as the reference broke them.
fn hold_ranks(
    held: &mut Held,
    models: &Models<'_>,
    (name, task): (&str, &str),
    got: Result<f64, Undefined>,
) {
    let path = ["models", name, "within", task, "spearman"];
    let expected = look(&held.reference, &path).and_then(Value::as_f64);
    let apart = expected
        .zip(got.as_ref().ok())
        .filter(|(expected, got)| (expected - *got).abs() > TOLERANCE);
    if let Some((expected, _)) = apart {
        let pairs = Pairs::of(task, models.get(name).task(task), &models.norms);
        if let Some(broken) = ties::nearest(&pairs.cost, &pairs.human, expected)
            && (broken - expected).abs() <= TOLERANCE
        {
            let figure = path[1..].join("/");
            return held.hold_as(
                "spearman, a tie broken",
                figure,
                &path,
                TOLERANCE,
                Ok(broken),
            );
        }
    }
    held.hold(&path, TOLERANCE, got);
}

fn hold_model(held: &mut Held, models: &Models<'_>, name: &str) {
    let model = models.get(name);
    for task in &models.tasks {
        let within = Pairs::of(task, model.task(task), &models.norms);
        let at = |figure| ["models", name, "within", task, figure];
        held.hold(&at("n"), 0.0, Ok(within.cost.len() as f64));
        held.hold(&at("pearson"), TOLERANCE, within.pearson());
        hold_ranks(held, models, (name, task), within.spearman());
        held.hold(&at("partial"), LOOSE_TOLERANCE, within.partial());
        let of_task = |figure| ["models", name, figure, task];
        let mut grades = Grades::new(0);
        let items = || model.task(task).values();
        items().for_each(|item| grades.add(item, None));
        held.hold(&of_task("accuracy"), TOLERANCE, grades.plain());
        held.hold(
            &of_task("mean_tokens"),
            TOLERANCE,
            task_tokens(model.task(task)).ok_or_else(|| Undefined::Because("absent".into())),
        );
        held.hold(&of_task("iei"), TOLERANCE, iei::iei(items()));
    }
    let (plain, fisher) = models.mean_r(name);
    held.hold(&["models", name, "mean_r"], TOLERANCE, plain);
    held.hold(&["models", name, "fisher_mean_r"], TOLERANCE, fisher);
    let items = models
        .tasks
        .iter()
        .flat_map(|task| model.task(task).values());
    let differences = allocation::differences(items);
    held.hold(
        &["models", name, "allocation_items"],
        0.0,
        Ok(differences.len() as f64),
    );
    held.hold(
        &["models", name, "allocation_d"],
        TOLERANCE,
        allocation::cohens_d(&differences),
    );
}

fn hold_pairs(held: &mut Held, models: &Models<'_>, card: &ArmCard) {
    let name = card.name.as_str();
    let difference = |other: &str| Ok(models.mean_r(name).0? - models.mean_r(other).0?);
    if let Some(teacher) = &card.teacher {
        held.hold(&["pairs", name, "collapse"], TOLERANCE, difference(teacher));
        let reference = models.tokens(teacher);
        let of = |name: &str| effort::relative(&models.tokens(name), &reference).concat();
        let (student, teacher) = (of(name), of(teacher));
        held.hold(
            &["pairs", name, "relative_effort"],
            TOLERANCE,
            effort::mean_effort(&student),
        );
        held.hold(
            &["pairs", name, "kl"],
            LOOSE_TOLERANCE,
            effort::divergence(&student, &teacher),
        );
    }
    if let Some(base) = &card.base {
        held.hold(&["pairs", name, "transfer"], TOLERANCE, difference(base));
        let items = models.shared(name, base);
        let tokens = items
            .iter()
            .filter_map(|(_, _, own, of_base)| Some((of_base.tokens?, own.tokens?)));
        let (x, y): (Vec<f64>, Vec<f64>) = tokens.unzip();
        held.hold_line(&["pairs", name, "inflation"], &ols(&x, &y));
        let of = |name: &str, task| iei::iei(models.get(name).task(task).values()).ok();
        let tasks = models.tasks.iter();
        let indices = tasks.filter_map(|task| Some((of(base, task)?, of(name, task)?)));
        let (x, y): (Vec<f64>, Vec<f64>) = indices.unzip();
        held.hold_line(&["pairs", name, "iei_inflation"], &ols(&x, &y));
        let ratios = items.iter().filter_map(|(task, id, own, of_base)| {
            let (own, of_base) = (own.tokens?, of_base.tokens?);
            let human = models.norms.human_cost(task, id)?;
            (own > 0.0 && of_base > 0.0).then(|| (human, (own / of_base).ln()))
        });
        let (x, y): (Vec<f64>, Vec<f64>) = ratios.unzip();
        held.hold_line(&["pairs", name, "heterogeneity"], &ols(&x, &y));
    }
}

fn hold_similarity(held: &mut Held, models: &Models<'_>, cards: &[ArmCard]) {
    let of_models: Vec<&ModelItems> = cards.iter().map(|card| models.get(&card.name)).collect();
    let design = Design::new(&models.tasks, &models.norms, of_models.iter().copied());
    let costs = |cost: &dyn Fn(&str, &str) -> Option<f64>| -> Costs {
        let on = |task: &TaskDesign<'_>| task.ids.iter().map(|id| cost(task.name, id)).collect();
        design.tasks.iter().map(on).collect()
    };
    let mut sides: Vec<Costs> = (of_models.iter())
        .map(|model| costs(&|task, id| model.task(task).get(id)?.cost))
        .collect();
    sides.push(costs(&|task, id| models.norms.human_cost(task, id)));
    let shared: Vec<Vec<usize>> = (design.tasks.iter().enumerate())
        .map(|(at, task)| {
            let everywhere = |item: &usize| sides.iter().all(|side| side[at][*item].is_some());
            (0..task.ids.len()).filter(everywhere).collect()
        })
        .collect();
    let items: usize = shared.iter().map(Vec::len).sum();
    held.hold(&["rsa", "items"], 0.0, Ok(items as f64));
    let names: Vec<String> = look(&held.reference, &["rsa", "names"])
        .and_then(|names| serde_json::from_value(names.clone()).ok())
        .unwrap_or_default();
    let place = |name: &String| match names.iter().position(|known| known == name) {
        Some(at) => at.to_string(),
        None => "absent".to_owned(),
    };
    let known: Vec<String> = (cards.iter().map(|card| card.name.clone()))
        .chain([HUMAN.to_owned()])
        .collect();
    for (name, side) in known.iter().zip(&sides) {
        for (other, beside) in known.iter().zip(&sides) {
            let got = Agreement::new(&design, &shared, side, beside).get(None);
            let path = ["rsa", "matrix", &place(name), &place(other)];
            let figure = format!("rsa {name} with {other}");
            held.hold_as("rsa", figure, &path, TOLERANCE, got);
        }
    }
}

/// Holds every deterministic alignment figure to the reference in `dir`, with the
/// norms of `norms_dir`.
pub fn alignment(dir: &Path, norms_dir: &Path) -> Result<Vec<Deviation>, ConformanceError> {
    let reference: Value = load(&dir.join("expected.json"))?;
    let cards: Vec<ArmCard> = load(&dir.join("models.json"))?;
    let tasks: Vec<String> =
        serde_json::from_value(reference["tasks"].clone()).map_err(|error| {
            ConformanceError::Reference {
                path: dir.join("expected.json"),
                detail: format!("`tasks`: {error}"),
            }
        })?;
    // The published figures leave out what was cut off.
    let counting = Counting {
        cut_off: CutOff::Drop,
        ..Counting::default()
    };
    let items = cost::items(&record::read(&dir.join("traces.jsonl"))?, counting);
    let norms = Norms::read(norms_dir, &tasks)?;
    let models = Models {
        items: &items,
        tasks,
        norms,
    };
    let mut held = Held {
        reference,
        found: Vec::new(),
        seen: BTreeSet::new(),
    };
    for card in &cards {
        hold_model(&mut held, &models, &card.name);
    }
    for card in &cards {
        hold_pairs(&mut held, &models, card);
    }
    hold_similarity(&mut held, &models, &cards);
    held.rest();
    Ok(held.found)
}

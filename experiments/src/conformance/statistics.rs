//! The figures of arms with several trainings: reliability, elasticity, contrasts with their
//! variance by source, inflation, similarity across halves, trivial predictors, people's row.
//!
//! The folder's norms (`items.csv` with clusters and covariates, `trials.csv`) lie beside its
//! records. Deviations are relative here: a variance of 1e-5 must hold to nine digits too.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::{ConformanceError, Deviation, Held, TOLERANCE, load, look};
use crate::alignment::allocation;
use crate::alignment::cost::{self, Counting, Items};
use crate::alignment::design::{Design, TaskDesign};
use crate::alignment::fingerprint::{Agreement, Costs};
use crate::alignment::inflation;
use crate::alignment::predictors::Span;
use crate::alignment::training::{Training, UNLIMITED};
use crate::alignment::within_task::{CURVE, Pairs};
use crate::comparison::contrasts::contrast;
use crate::comparison::trained::Trained;
use crate::comparison::{Contrast, Measure, Verdict};
use crate::manifest::ArmCard;
use crate::norms::Norms;
use crate::record;
use crate::statistics::{Undefined, correlation, mean};

/// What the figures are made from.
struct Made<'a> {
    design: &'a Design<'a>,
    norms: &'a Norms,
    trained: &'a Trained<'a, 'a>,
}

impl Held {
    /// A figure whose deviation is relative to the reference.
    fn relative(&mut self, group: &str, path: &[&str], got: Result<f64, Undefined>) {
        self.hold_as(group, path.join("/"), path, TOLERANCE, got);
        if let Some(found) = self.found.last_mut()
            && let Some(expected) = found.expected.filter(|expected| expected.abs() > 0.0)
        {
            found.deviation /= expected.abs();
        }
    }

    /// Words that must be the same.
    fn words(&mut self, group: &str, path: &[&str], got: &str) {
        let same = look(&self.reference, path).and_then(Value::as_str) == Some(got);
        self.found.push(Deviation {
            group: group.to_owned(),
            figure: path.join("/"),
            expected: None,
            got: None,
            deviation: if same { 0.0 } else { f64::INFINITY },
            tolerance: 0.0,
        });
    }
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// Every arm's figures by training and task.
fn hold_arms(held: &mut Held, made: &Made<'_>) {
    for (name, trainings) in &made.trained.arms {
        for training in trainings {
            let seed = training
                .model
                .seed
                .map_or("none".to_owned(), |seed| seed.to_string());
            for task in &made.design.tasks {
                let at = |figure| ["arms", name, &seed, task.name, figure];
                let pairs = Pairs::of(task.name, training.model.task(task.name), made.norms);
                held.relative("reliability", &at("reliability"), pairs.reliability());
                held.relative("r", &at("r"), pairs.pearson());
                held.relative(
                    "r at unlimited samples",
                    &at("r_unlimited"),
                    pairs.unlimited(),
                );
                held.relative("elasticity", &at("elasticity"), pairs.elasticity());
                let curve = pairs.curve();
                for (place, k) in CURVE.iter().enumerate() {
                    let k = k.to_string();
                    let path = ["arms", name, &seed, task.name, "curve", &k];
                    held.relative("r(k)", &path, curve.clone().map(|curve| curve[place]));
                }
            }
        }
    }
}

/// Every contrast, with its variance by source, its intervals, tests and verdict.
fn hold_contrasts(held: &mut Held, made: &Made<'_>) {
    let asked = held.reference["contrasts"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    for (place, asked) in asked.iter().enumerate() {
        let place = place.to_string();
        let at = |figure| ["contrasts", &place, figure];
        let measure = match text(asked, "measure").as_str() {
            "elasticity" => Measure::Elasticity,
            "r_unlimited" => Measure::AlignmentUnlimited,
            _ => Measure::Alignment,
        };
        let (arm, against) = (text(asked, "a"), text(asked, "b"));
        if !(made.trained.arms.contains_key(arm.as_str())
            && made.trained.arms.contains_key(against.as_str()))
        {
            continue;
        }
        let tasks: Vec<usize> = (0..made.design.tasks.len()).collect();
        let smallest = asked["sesoi"].as_f64();
        let found = contrast(
            made.design,
            made.trained,
            [&arm, &against],
            measure,
            &tasks,
            smallest,
        );
        if let Some(trainings) = asked.get("undefined").and_then(Value::as_array) {
            held.found.push(Deviation {
                group: "undefined contrasts".to_owned(),
                figure: format!("{arm} - {against} {measure:?}"),
                expected: None,
                got: found.difference.value,
                deviation: if found.difference.value.is_none() {
                    0.0
                } else {
                    f64::INFINITY
                },
                tolerance: 0.0,
            });
            for (nth, training) in trainings.iter().enumerate() {
                let nth = nth.to_string();
                let path = ["contrasts", &place, "undefined", &nth, "0"];
                held.relative(
                    "too unreliable",
                    &path,
                    unreliable(made, [&arm, &against], training),
                );
            }
            continue;
        }
        hold_contrast(held, &at, &found);
    }
}

/// The seed of a training, where its r at unlimited samples is undefined on a task.
fn unreliable(made: &Made<'_>, arms: [&str; 2], training: &Value) -> Result<f64, Undefined> {
    let (seed, task) = (training[0].as_u64(), training[1].as_str());
    let task = made
        .design
        .tasks
        .iter()
        .position(|found| Some(found.name) == task);
    let mut trainings = arms
        .iter()
        .filter_map(|arm| made.trained.arms.get(*arm))
        .flatten();
    let found = task.is_some_and(|task| {
        trainings.any(|t| t.model.seed == seed && t.whole(task, UNLIMITED).is_err())
    });
    match seed.filter(|_| found) {
        Some(seed) => Ok(seed as f64),
        None => Err(Undefined::Because("it is reliable enough".into())),
    }
}

fn hold_contrast<'p>(held: &mut Held, at: &dyn Fn(&'p str) -> [&'p str; 3], found: &Contrast) {
    let difference = &found.difference;
    let components = found.components.unwrap_or_default();
    let why = || Undefined::Because(difference.why_undefined.clone().unwrap_or_default());
    for (figure, value) in [
        ("sesoi", found.smallest_effect),
        ("estimate", difference.value),
        ("var_training", Some(components.training)),
        ("var_training_b", Some(components.training_against)),
        ("var_items", Some(components.items)),
        ("var_interaction", Some(components.interaction)),
        ("se", difference.se),
        ("df", difference.df),
        ("p", found.p),
        ("p_equivalence", found.p_equivalence),
    ] {
        held.relative(
            &format!("contrast, {figure}"),
            &at(figure),
            value.ok_or_else(why),
        );
    }
    for (figure, ends) in [
        ("ci95", [difference.low, difference.high]),
        ("ci90", [found.low90, found.high90]),
    ] {
        for (end, value) in ["0", "1"].into_iter().zip(ends) {
            let [list, place, _] = at(figure);
            let path = [list, place, figure, end];
            held.relative(&format!("contrast, {figure}"), &path, value.ok_or_else(why));
        }
    }
    let verdict = match found.verdict {
        Verdict::Below => "below",
        Verdict::Above => "above",
        Verdict::Equivalent => "equivalent",
        Verdict::Unresolved => "unresolved",
        Verdict::Undefined => "undefined",
    };
    held.words("contrast, verdict", &at("verdict"), verdict);
}

/// Values of all items, centred within task.
fn columns<const N: usize>(
    made: &Made<'_>,
    of: &dyn Fn(usize, usize) -> Option<[f64; N]>,
) -> [Vec<f64>; N] {
    let on = |(task, design): (usize, &TaskDesign<'_>)| {
        let items = (0..design.ids.len()).filter_map(|item| Some((task, of(task, item)?)));
        items.collect::<Vec<_>>()
    };
    let tasks = made.design.tasks.iter().enumerate();
    inflation::centred(&tasks.flat_map(on).collect::<Vec<_>>())
}

/// Slopes of each arm's tokens on the base's.
fn hold_inflation(held: &mut Held, made: &Made<'_>) {
    let arms: Vec<String> = keys(&held.reference["inflation"]);
    for name in &arms {
        let (Some(arm), Some(bases)) = (
            made.trained.arms.get(name.as_str()),
            made.trained.arms.get("base"),
        ) else {
            continue;
        };
        for training in arm {
            let Some(base) = bases.iter().find(|b| b.model.seed == training.model.seed) else {
                continue;
            };
            let seed = training
                .model
                .seed
                .map_or("none".to_owned(), |seed| seed.to_string());
            let at = |figure| ["inflation", name, &seed, figure];
            let own = |task: usize, item: usize| training.cells[task][item]?.tokens;
            let slope = inflation::least_squares(
                &columns(made, &|t, i| Some([own(t, i)?, base.cells[t][i]?.tokens?])),
                "the base's tokens",
            );
            held.relative(
                "inflation, least squares",
                &at("slope_least_squares"),
                slope,
            );
            if name != "base" {
                let slope = inflation::by_instruments(&columns(made, &|t, i| {
                    let [even, odd] = base.cells[t][i]?.token_halves;
                    Some([own(t, i)?, even?, odd?])
                }));
                held.relative("inflation, instruments", &at("slope_instrument"), slope);
            }
            let ratios = columns(made, &|t, i| {
                let (own, other) = (training.cells[t][i]?.tokens?, base.cells[t][i]?.tokens?);
                let human = made.design.tasks[t].human[i]?;
                (own > 0.0 && other > 0.0).then(|| [(own / other).ln(), human])
            });
            let slope = inflation::least_squares(&ratios, "human cost");
            held.relative("heterogeneity", &at("heterogeneity"), slope);
        }
    }
}

fn keys(value: &Value) -> Vec<String> {
    value
        .as_object()
        .map(|map| map.keys().cloned().collect())
        .unwrap_or_default()
}

fn hold_similarity(held: &mut Held, made: &Made<'_>) {
    let design = made.design;
    let every: Vec<Vec<usize>> = design
        .tasks
        .iter()
        .map(|t| (0..t.ids.len()).collect())
        .collect();
    let costs = |of: &dyn Fn(usize, usize) -> Option<f64>| -> Costs {
        let on = |at: usize| {
            (0..design.tasks[at].ids.len())
                .map(|item| of(at, item))
                .collect()
        };
        (0..design.tasks.len()).map(on).collect()
    };
    let half = |training: &Training<'_>, half: usize| {
        costs(&|at, item| training.cells[at][item]?.cost_halves[half])
    };
    let people = costs(&|at, item| design.tasks[at].human[item]);
    let cc = |a: &Costs, b: &Costs| Agreement::new(design, &every, a, b).get(None);
    for pair in keys(&held.reference["similarity"]) {
        let Some((name, other)) = pair.split_once('~') else {
            continue;
        };
        let Some(arm) = made.trained.arms.get(name) else {
            continue;
        };
        for (place, training) in arm.iter().enumerate() {
            let place = place.to_string();
            let at = |figure| ["similarity", &pair, &place, figure];
            let seed = training.model.seed.unwrap_or_default() as f64;
            held.relative("similarity, seed", &at("seed"), Ok(seed));
            let (even, odd) = (half(training, 0), half(training, 1));
            let both = |one: Result<f64, Undefined>, two: Result<f64, Undefined>| {
                Ok(f64::midpoint(one?, two?))
            };
            if other == "people" {
                let observed = both(cc(&even, &people), cc(&odd, &people));
                held.relative("similarity with people", &at("observed"), observed);
                continue;
            }
            let same = |t: &&Training<'_>| t.model.seed == training.model.seed;
            let Some(beside) = made
                .trained
                .arms
                .get(other)
                .and_then(|o| o.iter().find(same))
            else {
                continue;
            };
            let (even_b, odd_b) = (half(beside, 0), half(beside, 1));
            let across = both(cc(&even, &odd_b), cc(&odd, &even_b));
            let own = [cc(&even, &odd), cc(&even_b, &odd_b)];
            held.relative(
                "similarity across halves",
                &at("across_halves"),
                across.clone(),
            );
            for (side, own) in ["0", "1"].into_iter().zip(&own) {
                let path = ["similarity", &pair, &place, "half_reliability", side];
                held.relative("reliability of halves", &path, own.clone());
            }
            let corrected = across.and_then(|across| {
                let [a, b] = own;
                let (a, b) = (a?, b?);
                if a.min(b) <= 0.0 {
                    return Err(Undefined::Because("the halves do not agree".into()));
                }
                Ok(across / (a * b).sqrt())
            });
            held.relative("similarity, corrected", &at("corrected"), corrected);
        }
    }
}

fn hold_trivial(held: &mut Held, made: &Made<'_>) {
    for (place, task) in made.design.tasks.iter().enumerate() {
        let timed: Vec<usize> = (0..task.ids.len())
            .filter(|&i| task.human[i].is_some())
            .collect();
        let human: Vec<f64> = timed.iter().filter_map(|&i| task.human[i]).collect();
        let names: BTreeSet<&String> = task
            .norms
            .iter()
            .flatten()
            .flat_map(|item| item.covariates.keys())
            .collect();
        let column = |name: &String| -> Vec<f64> {
            let of = |&item: &usize| task.norms[item]?.covariates.get(name).copied();
            timed.iter().filter_map(of).collect()
        };
        let columns: Vec<Vec<f64>> = names.iter().map(|name| column(name)).collect();
        for (name, column) in names.iter().zip(&columns) {
            let key = format!("x_{name}");
            let r = correlation::pearson(column, &human);
            held.relative("trivial predictors", &["trivial", task.name, &key], r);
        }
        let prompt = |&item: &usize| {
            let all = made
                .trained
                .arms
                .values()
                .flatten()
                .filter_map(|t| t.cells[place][item]);
            mean(&all.map(|cell| cell.prompt_tokens.ln()).collect::<Vec<_>>())
        };
        let prompts: Vec<f64> = timed.iter().filter_map(prompt).collect();
        let path = ["trivial", task.name, "ln_prompt_tokens"];
        held.relative(
            "trivial predictors",
            &path,
            correlation::pearson(&prompts, &human),
        );
        let span = Span::of(&columns);
        let path = ["trivial", task.name, "fitted"];
        held.relative("trivial predictors, fitted", &path, span.multiple_r(&human));
        for (name, trainings) in &made.trained.arms {
            for training in trainings {
                let seed = training
                    .model
                    .seed
                    .map_or("none".to_owned(), |s| s.to_string());
                let cost = |&item: &usize| training.cells[place][item]?.cost;
                let costs: Vec<f64> = timed.iter().filter_map(cost).collect();
                let path = ["trivial", task.name, "beyond", name, &seed];
                held.relative("r beyond covariates", &path, span.partial(&costs, &human));
            }
        }
    }
}

fn hold_people(held: &mut Held, made: &Made<'_>) {
    for task in &made.design.tasks {
        let differences: Vec<f64> = (made.norms.wrong_minus_right(task.name).into_iter())
            .flat_map(|of_items| of_items.values().copied())
            .collect();
        let at = |figure| ["people", task.name, figure];
        held.relative("people, items", &at("items"), Ok(differences.len() as f64));
        let d = allocation::cohens_d(&differences);
        held.relative("people, allocation", &at("allocation_d"), d);
    }
}

/// Compares every figure of arms with several trainings with the reference in `dir`.
pub fn statistics(dir: &Path) -> Result<Vec<Deviation>, ConformanceError> {
    let mut reference: Value = load(&dir.join("expected.json"))?;
    for section in [
        "arms",
        "contrasts",
        "inflation",
        "similarity",
        "trivial",
        "people",
    ] {
        let entries = match &reference[section] {
            Value::Array(list) => list.len(),
            Value::Object(map) => map.len(),
            _ => 0,
        };
        if entries == 0 {
            return Err(ConformanceError::Reference {
                path: dir.join("expected.json"),
                detail: format!(
                    "`{section}` is absent or empty, so nothing would be compared there"
                ),
            });
        }
    }
    if let Some(map) = reference.as_object_mut() {
        // How the records were made: settings, no figures.
        for setting in ["cap", "samples", "strata"] {
            map.remove(setting);
        }
    }
    let cards: Vec<ArmCard> = load(&dir.join("models.json"))?;
    let traces = record::read(&dir.join("traces.jsonl"))?;
    let tasks: Vec<String> = traces
        .iter()
        .map(|trace| trace.task.clone())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let items: Items = cost::items(&traces, Counting::default());
    let norms = Norms::read(dir, &tasks)?;
    let named = cards.iter().filter_map(|card| items.models.get(&card.name));
    let design = Design::new(&tasks, &norms, named.flatten());
    let trained: Trained<'_, '_> = (cards.iter())
        .filter_map(|card| {
            let models = items.models.get(&card.name)?.iter();
            Some((
                card.name.as_str(),
                models.map(|model| Training::new(&design, model)).collect(),
            ))
        })
        .collect();
    let made = Made {
        design: &design,
        norms: &norms,
        trained: &trained,
    };
    let mut held = Held {
        reference,
        found: Vec::new(),
        seen: BTreeSet::new(),
    };
    hold_arms(&mut held, &made);
    hold_contrasts(&mut held, &made);
    hold_inflation(&mut held, &made);
    hold_similarity(&mut held, &made);
    hold_trivial(&mut held, &made);
    hold_people(&mut held, &made);
    held.rest();
    Ok(held.found)
}

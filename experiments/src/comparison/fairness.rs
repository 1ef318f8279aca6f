//! Whether the arms were compared fairly: each condition, whether it holds, and
//! for which arms it does not.
//!
//! The pairing conditions make a difference between two arms the training's and
//! nobody else's; a contrast of two arms that fail one is marked in its table.
//! The others say how far an arm's own figures can be believed. Nothing here
//! changes a figure, and what no run recorded holds neither way.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::build::Input;
use super::contrasts::base_of;
use super::notes::{ALIKE_SHARE, TRUNCATED_SHARE, pairing, training};
use super::trained::Trained;
use super::{ArmFigures, chains, teachers};
use crate::alignment::cost::{Items, ModelItems};
use crate::manifest::{ArmCard, Role};

/// A condition of a fair comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// The arms of a seed started from the same weights.
    BaseWeights,
    /// The arms of a seed that train on problems met them in the same order.
    ProblemOrder,
    /// Every arm answered the same items.
    Items,
    /// Every arm was asked in the same words.
    Prompts,
    /// The same cap on new tokens.
    TokenCap,
    /// The same number of samples of every item, at the same temperature.
    Samples,
    /// The trained arms have the same training seeds.
    Seeds,
    /// Where there are several teachers, each has its students and each student its teacher.
    Teachers,
    /// Files that several runs read under one name had one content.
    Inputs,
    /// Everything that was to be compared could be read.
    Complete,
    /// The runs were made by the same version on the same kind of machine.
    Environment,
    /// There is more than one training seed.
    SeveralSeeds,
    /// Few answers were cut off at the token cap.
    Truncation,
    /// Most groups of completions held a comparison.
    Advantages,
    /// Every training moved its weights.
    WeightsMoved,
}

impl Condition {
    /// Whether contrasts rest on it; these are what `--strict` asks for.
    pub fn is_pairing(self) -> bool {
        self <= Self::Complete
    }
}

/// A condition and what was found of it.
///
/// Worked example: `{condition: ProblemOrder, holds: Some(false), arms: ["grpo", "rloo"], found:
/// "grpo, rloo of seed 2 met their problems in different orders"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fairness {
    /// The condition.
    pub condition: Condition,
    /// Whether it holds; `None` where no record tells.
    pub holds: Option<bool>,
    /// What was found, without a full stop.
    pub found: String,
    /// The arms for which it does not hold.
    pub arms: Vec<String>,
    /// The runs whose arms it does not hold for beside those of other runs; among
    /// themselves it may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<String>,
}

impl Fairness {
    /// Whether it fails for an arm's own figures.
    pub fn concerns(&self, arm: &str) -> bool {
        let named = self.arms.iter().any(|name| name == arm);
        named || self.runs.iter().any(|run| is_of(arm, run))
    }

    /// Whether it fails between two arms.
    pub fn parts(&self, [arm, against]: [&str; 2]) -> bool {
        let named = |name: &str| self.arms.iter().any(|arm| arm == name);
        let within = match self.condition {
            // What one arm lacks is missing from every pair with it.
            Condition::Items | Condition::Samples | Condition::Seeds => {
                named(arm) || named(against)
            }
            _ => named(arm) && named(against),
        };
        let apart = |run: &String| is_of(arm, run) != is_of(against, run);
        within || self.runs.iter().any(apart)
    }
}

/// Whether an arm is of a run: it is then named `RUN/ARM`.
fn is_of(arm: &str, run: &str) -> bool {
    arm.strip_prefix(run)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// What whoever read the runs found wrong with a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The condition.
    pub condition: Condition,
    /// What is wrong, without a full stop.
    pub found: String,
    /// The arms concerned.
    pub arms: Vec<String>,
    /// The runs concerned, as [`Fairness::runs`] has them.
    pub runs: Vec<String>,
}

impl Flaw {
    /// A flaw of some arms.
    pub fn of(condition: Condition, arms: Vec<String>, found: String) -> Self {
        Self {
            condition,
            found,
            arms,
            runs: Vec::new(),
        }
    }
}

/// What was looked at of one condition.
struct Looked {
    /// What holds where nothing is wrong; `None` where nothing tells.
    sound: Option<String>,
    flaws: Vec<Flaw>,
}

impl Looked {
    fn judge(self, condition: Condition, given: &[Flaw]) -> Fairness {
        let given = given.iter().filter(|flaw| flaw.condition == condition);
        let flaws: Vec<Flaw> = self.flaws.into_iter().chain(given.cloned()).collect();
        let arms: BTreeSet<&String> = flaws.iter().flat_map(|flaw| &flaw.arms).collect();
        let runs: BTreeSet<&String> = flaws.iter().flat_map(|flaw| &flaw.runs).collect();
        let found: Vec<&str> = flaws.iter().map(|flaw| flaw.found.as_str()).collect();
        match (flaws.is_empty(), self.sound) {
            (false, _) => Fairness {
                condition,
                holds: Some(false),
                found: found.join("; "),
                arms: arms.into_iter().cloned().collect(),
                runs: runs.into_iter().cloned().collect(),
            },
            (true, sound) => Fairness {
                condition,
                holds: sound.is_some().then_some(true),
                found: sound.unwrap_or_else(|| "not recorded".to_owned()),
                arms: Vec::new(),
                runs: Vec::new(),
            },
        }
    }
}

/// Every condition that applies, the pairing conditions first.
pub(super) fn fairness(
    input: &Input<'_>,
    items: &Items,
    arms: &[ArmFigures],
    trained: &Trained<'_, '_>,
) -> Vec<Fairness> {
    use Condition as C;
    let looked = [
        (C::BaseWeights, base_weights(input)),
        (C::ProblemOrder, problem_order(input)),
        (C::Items, same_items(input, items)),
        (C::Prompts, prompts(input, items)),
        (C::TokenCap, token_cap(input)),
        (C::Samples, samples(input, items)),
        (C::Seeds, seeds(input, items)),
        (C::SeveralSeeds, several_seeds(items)),
        (C::Truncation, truncation(arms)),
        (C::Advantages, advantages(input)),
        (C::WeightsMoved, weights_moved(input)),
    ];
    let mut all: Vec<Fairness> = looked
        .into_iter()
        .map(|(condition, looked)| looked.judge(condition, input.flaws))
        .collect();
    if let Some(sound) = teachers::sound(trained) {
        let looked = Looked {
            sound: Some(sound),
            flaws: teachers::flaws(trained),
        };
        all.push(looked.judge(C::Teachers, input.flaws));
    }
    // Of these only the reader of the runs knows.
    for condition in [C::Inputs, C::Complete, C::Environment] {
        if input.flaws.iter().any(|flaw| flaw.condition == condition) {
            let nothing = Looked {
                sound: None,
                flaws: Vec::new(),
            };
            all.push(nothing.judge(condition, input.flaws));
        }
    }
    all.sort_by_key(|found| found.condition);
    all
}

fn learned<'a>(input: &Input<'a>) -> impl Iterator<Item = &'a ArmCard> + use<'a> {
    let of_role = |arm: &&ArmCard| matches!(arm.role, Role::Student | Role::Rl);
    input.arms.iter().filter(of_role)
}

fn base_weights(input: &Input<'_>) -> Looked {
    let runs = learned(input)
        .flat_map(|arm| input.arm_runs.iter().filter(|run| run.arm == arm.name))
        .count();
    Looked {
        sound: (runs > 0)
            .then(|| format!("{runs} training(s), each from the weights of its seed's base")),
        flaws: pairing::weight_flaws(input)
            .into_iter()
            .chain(chains::flaws(input.arm_runs))
            .collect(),
    }
}

fn problem_order(input: &Input<'_>) -> Looked {
    let ordered = |run: &&crate::manifest::ArmRun| {
        run.problem_order.is_some() && learned(input).any(|arm| arm.name == run.arm)
    };
    let arms: BTreeSet<&str> = input
        .arm_runs
        .iter()
        .filter(ordered)
        .map(|run| run.arm.as_str())
        .collect();
    Looked {
        sound: (!arms.is_empty())
            .then(|| format!("one order a seed for {}", Vec::from_iter(arms).join(", "))),
        flaws: pairing::order_flaws(input),
    }
}

/// The models of an arm, with its name.
fn of_arms<'a>(
    input: &'a Input<'_>,
    items: &'a Items,
) -> impl Iterator<Item = (&'a str, &'a [ModelItems])> {
    let models = |arm: &'a ArmCard| (arm.name.as_str(), items.models[&arm.name].as_slice());
    input.arms.iter().map(models)
}

fn flaw(condition: Condition, arms: Vec<String>, found: impl FnOnce(&str) -> String) -> Vec<Flaw> {
    if arms.is_empty() {
        return Vec::new();
    }
    let found = found(&super::notes::named(&arms));
    vec![Flaw::of(condition, arms, found)]
}

fn same_items(input: &Input<'_>, items: &Items) -> Looked {
    let mut all: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let ids = |model: &'_ ModelItems, task: &str| -> Vec<String> {
        model.task(task).keys().cloned().collect()
    };
    for (_, models) in of_arms(input, items) {
        for task in input.tasks {
            let of_task = models.iter().flat_map(|model| model.task(task).keys());
            all.entry(task)
                .or_default()
                .extend(of_task.map(String::as_str));
        }
    }
    let lacking = |models: &[ModelItems]| {
        models.iter().any(|model| {
            let tasks = all.iter();
            tasks
                .into_iter()
                .any(|(task, known)| ids(model, task).len() < known.len())
        })
    };
    let arms: Vec<String> = of_arms(input, items)
        .filter(|(_, models)| lacking(models))
        .map(|(name, _)| name.to_owned())
        .collect();
    let count: usize = all.values().map(BTreeSet::len).sum();
    Looked {
        sound: Some(format!("all arms answered the same {count} items")),
        flaws: flaw(Condition::Items, arms, |names| {
            format!("of {count} items, some lack an answer of {names}")
        }),
    }
}

/// Arms of one base read a prompt as equally many tokens where they are asked in
/// the same words through the same template; the words themselves are in no record.
fn prompts(input: &Input<'_>, items: &Items) -> Looked {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for arm in learned(input) {
        if let Some(base) = base_of(arm, input.arms) {
            groups
                .entry(base)
                .or_insert_with(|| vec![base])
                .push(&arm.name);
        }
    }
    let mut other: BTreeSet<String> = BTreeSet::new();
    let mut told = false;
    for arms in groups.values() {
        let mut known: BTreeMap<(&str, &str), (f64, &str)> = BTreeMap::new();
        for &arm in arms {
            for model in items.models.get(arm).into_iter().flatten() {
                for (task, of_task) in &model.tasks {
                    for (id, item) in of_task {
                        told |= item.prompt_tokens > 0.0;
                        let (tokens, first) =
                            *known.entry((task, id)).or_insert((item.prompt_tokens, arm));
                        if (tokens - item.prompt_tokens).abs() > 1e-9 {
                            other.extend([arm.to_owned(), first.to_owned()]);
                        }
                    }
                }
            }
        }
    }
    Looked {
        sound: told.then(|| "arms of one base read each prompt as equally many tokens".to_owned()),
        flaws: flaw(Condition::Prompts, other.into_iter().collect(), |names| {
            format!("{names} read the same items as prompts of other lengths")
        }),
    }
}

fn token_cap(input: &Input<'_>) -> Looked {
    let cap = input.evaluation.max_new_tokens;
    Looked {
        sound: (cap > 0).then(|| format!("{cap} new tokens for all arms")),
        flaws: Vec::new(),
    }
}

fn samples(input: &Input<'_>, items: &Items) -> Looked {
    let wanted = input.evaluation.samples as usize;
    let other = |models: &[ModelItems]| {
        let tasks = models.iter().flat_map(|model| model.tasks.values());
        tasks
            .flat_map(|task| task.values())
            .any(|item| item.samples != wanted)
    };
    let arms: Vec<String> = of_arms(input, items)
        .filter(|(_, models)| other(models))
        .map(|(name, _)| name.to_owned())
        .collect();
    let temperature = input.evaluation.temperature;
    let plural = if wanted == 1 { "" } else { "s" };
    Looked {
        sound: Some(if input.evaluation.max_new_tokens == 0 {
            format!("{wanted} sample{plural} of every item")
        } else {
            format!("{wanted} sample{plural} of every item at temperature {temperature}")
        }),
        flaws: flaw(Condition::Samples, arms, |names| {
            format!("some items of {names} have another number of samples than {wanted}")
        }),
    }
}

/// Each arm beside those of its base; in a comparison of several runs, those of
/// one run.
fn seeds(input: &Input<'_>, items: &Items) -> Looked {
    let have = |arm: &ArmCard| -> BTreeSet<u64> {
        let models = items.models[&arm.name].iter();
        models.filter_map(|model| model.seed).collect()
    };
    let words = |seeds: &mut dyn Iterator<Item = &u64>| {
        seeds.map(u64::to_string).collect::<Vec<_>>().join(", ")
    };
    let of_base = |arm: &ArmCard| -> BTreeSet<u64> {
        let base = base_of(arm, input.arms);
        let beside = learned(input).filter(|other| base_of(other, input.arms) == base);
        beside
            .flat_map(have)
            .chain(input.seeds.iter().copied())
            .collect()
    };
    let flaws = learned(input).filter_map(|arm| {
        let (have, all) = (have(arm), of_base(arm));
        let missing = words(&mut all.difference(&have));
        // A model recorded elsewhere has none at all.
        (!missing.is_empty() && !have.is_empty()).then(|| {
            let found = format!("{} lacks seed {missing}", arm.name);
            Flaw::of(Condition::Seeds, vec![arm.name.clone()], found)
        })
    });
    let all: BTreeSet<BTreeSet<u64>> = learned(input).map(of_base).collect();
    let sound = match Vec::from_iter(&all).as_slice() {
        [] => None,
        [one] if one.is_empty() => None,
        [one] => Some(format!(
            "every trained arm has seed(s) {}",
            words(&mut one.iter())
        )),
        _ => Some("the trained arms of one base have the same seeds".to_owned()),
    };
    Looked {
        sound,
        flaws: flaws.collect(),
    }
}

fn several_seeds(items: &Items) -> Looked {
    let most = items.most_seeds();
    let found = "one: the intervals speak of items, not of another training";
    let one = Flaw::of(Condition::SeveralSeeds, Vec::new(), found.to_owned());
    Looked {
        sound: Some(format!("{most}")),
        flaws: if most > 1 { Vec::new() } else { vec![one] },
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// The flaws of arms whose share is above a bound, and the largest share.
fn shares(
    condition: Condition,
    of: &[(String, f64)],
    bound: f64,
    words: fn(&str, &str) -> String,
) -> Looked {
    let largest = of.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let above = of.iter().filter(|(_, share)| *share > bound);
    Looked {
        sound: largest.map(|(name, share)| {
            if *share > 0.0 {
                format!("at most {} ({name})", percent(*share))
            } else {
                "none".to_owned()
            }
        }),
        flaws: above
            .map(|(name, share)| {
                let found = words(name, &percent(*share));
                Flaw::of(condition, vec![name.clone()], found)
            })
            .collect(),
    }
}

fn truncation(arms: &[ArmFigures]) -> Looked {
    let share = |arm: &ArmFigures| {
        let share = arm.truncated as f64 / arm.samples.max(1) as f64;
        (arm.name.clone(), share)
    };
    let of: Vec<_> = arms.iter().map(share).collect();
    shares(
        Condition::Truncation,
        &of,
        TRUNCATED_SHARE,
        |name, share| format!("{share} of {name}'s answers"),
    )
}

fn advantages(input: &Input<'_>) -> Looked {
    let of: Vec<(String, f64)> = input
        .arms
        .iter()
        .filter_map(|arm| Some((arm.name.clone(), training::alike(input, &arm.name)?)))
        .collect();
    shares(Condition::Advantages, &of, ALIKE_SHARE, |name, share| {
        format!("{share} of {name}'s groups")
    })
}

fn weights_moved(input: &Input<'_>) -> Looked {
    let unmoved = training::unmoved_arms(input);
    let runs = learned(input)
        .flat_map(|arm| input.arm_runs.iter().filter(|run| run.arm == arm.name))
        .count();
    Looked {
        sound: (runs > 0).then(|| format!("in {runs} training(s)")),
        flaws: unmoved
            .into_iter()
            .map(|(arm, seed)| {
                let found = format!("{arm} of seed {seed} learned nothing");
                Flaw::of(Condition::WeightsMoved, vec![arm], found)
            })
            .collect(),
    }
}

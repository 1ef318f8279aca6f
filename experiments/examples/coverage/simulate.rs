//! One simulated experiment: items, seeds and samples are drawn, and judged by the code that
//! judges every comparison.

use std::collections::BTreeMap;

use experiments::alignment::contrast::OfArm;
use experiments::alignment::cost::{ItemMeans, ModelItems, TaskItems};
use experiments::alignment::design::Design;
use experiments::alignment::training::{Training, place};
use experiments::comparison::contrasts::contrast;
use experiments::comparison::trained::Trained;
use experiments::comparison::{Contrast, Estimate, Measure, Verdict};
use experiments::norms::{NormItem, Norms};
use experiments::statistics::draws;
use experiments::statistics::{mean, sample_variance};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::law::{ABILITY_VARIANCE, Figures, HUMAN_SD, Law, Sampling, Shift, quantile};
use crate::scenario::{Clusters, Scenario};

/// The measures, in the order of [`Figures`].
pub(crate) const MEASURES: [Measure; 5] = [
    Measure::Elasticity,
    Measure::AlignmentUnlimited,
    Measure::Alignment,
    Measure::Accuracy,
    Measure::Tokens,
];

/// The arm that is subtracted, one that is like it but for its noise, and one beyond it by the
/// smallest effect of interest in every measure.
const ARMS: [&str; 3] = ["against", "alike", "beyond"];

/// Share of what the items do beyond human cost that all arms, one arm, and one training have.
const SHARED: [f64; 3] = [0.5, 0.25, 0.25];

/// What is true in a scenario.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World {
    laws: [Law; 3],
    sampling: Sampling,
    sd: Shift,
    /// Each arm's expected figures.
    expected: [Figures; 3],
}

impl World {
    /// The base of the quickstart, in round numbers: elasticity .37, r at unlimited samples .55,
    /// reliability .75 at four samples, four answers of five right, about 150 tokens.
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let sd = Shift::sd(scenario.seed_sd);
        let (slope, r) = (0.37, 0.55f64);
        let signal = slope * HUMAN_SD / r;
        let base = Law {
            level: 5.0,
            slope,
            rest: signal * (1.0 - r * r).sqrt(),
            noise: signal * (4.0 / 3.0f64).sqrt(),
            ability: quantile(0.8) * 1.8f64.sqrt(),
        };
        let cap = if scenario.cut_off > 0.0 {
            base.level + signal.hypot(base.noise) * quantile(1.0 - scenario.cut_off)
        } else {
            f64::INFINITY
        };
        let sampling = Sampling {
            samples: scenario.samples,
            cap,
        };
        let of_base = base.expected(sampling, sd);
        let mut wanted = of_base;
        for (at, measure) in MEASURES.into_iter().enumerate() {
            wanted[at] += match measure {
                Measure::Tokens => measure.smallest_effect() * of_base[at],
                _ => measure.smallest_effect(),
            };
        }
        let noisy = |law: Law| Law {
            noise: scenario.noise * law.noise,
            ..law
        };
        let laws = [base, noisy(base), noisy(base.solved(wanted, sampling, sd))];
        Self {
            laws,
            sampling,
            sd,
            expected: laws.map(|law| law.expected(sampling, sd)),
        }
    }

    /// True difference of arm `arm` and the first in a measure.
    pub(crate) fn difference(&self, arm: usize, at: usize) -> f64 {
        self.expected[arm][at] - self.expected[0][at]
    }

    /// Smallest effect of interest in a measure.
    pub(crate) fn smallest(&self, at: usize) -> f64 {
        match MEASURES[at] {
            Measure::Tokens => Measure::Tokens.smallest_effect() * self.expected[0][at],
            other => other.smallest_effect(),
        }
    }
}

/// What was found of one figure whose truth is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) error: f64,
    pub(crate) covers: bool,
    pub(crate) se: f64,
    pub(crate) df: f64,
    pub(crate) width: f64,
    /// p at or below .05.
    pub(crate) differs: bool,
    pub(crate) equivalent: bool,
}

impl Found {
    fn of(estimate: &Estimate, truth: f64) -> Option<Self> {
        let (low, high) = (estimate.low?, estimate.high?);
        Some(Self {
            error: estimate.value? - truth,
            covers: low <= truth && truth <= high,
            se: estimate.se?,
            df: estimate.df?,
            width: high - low,
            differs: false,
            equivalent: false,
        })
    }

    fn of_contrast(contrast: &Contrast, truth: f64) -> Option<Self> {
        Some(Self {
            differs: contrast.p? <= 0.05,
            equivalent: contrast.verdict == Verdict::Equivalent,
            ..Self::of(&contrast.difference, truth)?
        })
    }
}

/// One simulation in one measure; `None` where there was no interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// The like arm minus the first.
    pub(crate) alike: Option<Found>,
    /// The arm beyond minus the first.
    pub(crate) beyond: Option<Found>,
    /// The like arm alone.
    pub(crate) own: Option<Found>,
}

/// Normal numbers by Box and Muller 1958, from one stream.
struct Normals {
    rng: ChaCha8Rng,
    kept: Option<f64>,
}

impl Normals {
    fn next(&mut self) -> f64 {
        if let Some(kept) = self.kept.take() {
            return kept;
        }
        let mut uniform = || ((self.rng.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        let (radius, angle) = (
            (-2.0 * uniform().ln()).sqrt(),
            std::f64::consts::TAU * uniform(),
        );
        self.kept = Some(radius * angle.sin());
        radius * angle.cos()
    }

    /// A value for each item of each task, of SD 1; items of one cluster share half the variance.
    fn of_items(&mut self, places: &[Vec<Option<usize>>], clusters: usize) -> Vec<Vec<f64>> {
        let shared: Vec<f64> = (0..clusters).map(|_| self.next()).collect();
        let mut value = |cluster: &Option<usize>| match cluster {
            Some(cluster) => (shared[*cluster] + self.next()) / std::f64::consts::SQRT_2,
            None => self.next(),
        };
        (places.iter())
            .map(|task| task.iter().map(&mut value).collect())
            .collect()
    }
}

/// Each item's cluster, by task, and how many clusters there are.
fn clusters(scenario: &Scenario) -> (Vec<Vec<Option<usize>>>, usize) {
    let of = |task: usize, item: usize| match scenario.clusters {
        Clusters::None => None,
        Clusters::Fours => Some((task * scenario.items + item) / 4),
        Clusters::AcrossTasks => (task < 2).then_some(item),
    };
    let places: Vec<Vec<Option<usize>>> = (0..scenario.tasks)
        .map(|task| (0..scenario.items).map(|item| of(task, item)).collect())
        .collect();
    let most = places.iter().flatten().flatten().max();
    let count = most.map_or(0, |most| most + 1);
    (places, count)
}

/// The samples of one item, as the evaluator's means of records have them.
fn item(normals: &mut Normals, law: &Law, sampling: Sampling, cost: f64, probit: f64) -> ItemMeans {
    let (mut costs, mut tokens) = (Vec::new(), Vec::new());
    let mut found = ItemMeans {
        prompt_tokens: 10.0,
        samples: sampling.samples as usize,
        counted: sampling.samples as usize,
        ..ItemMeans::default()
    };
    for _ in 0..sampling.samples {
        let drawn = cost + law.noise * normals.next();
        let right = probit + normals.next() > 0.0;
        if drawn >= sampling.cap {
            found.truncated += 1;
        } else {
            found.graded += 1;
            found.right += usize::from(right);
        }
        costs.push(drawn.min(sampling.cap));
        tokens.push(drawn.min(sampling.cap).exp_m1());
    }
    found.cost = mean(&costs);
    found.cost_variance = sample_variance(&costs);
    found.tokens = mean(&tokens);
    found
}

fn norms(scenario: &Scenario, places: &[Vec<Option<usize>>], human: &[Vec<f64>]) -> Norms {
    let mut items = Vec::new();
    for task in 0..scenario.tasks {
        for item in 0..scenario.items {
            items.push(NormItem {
                task: format!("task {task}"),
                item_id: format!("item {item:03}"),
                mean_log_rt: Some(7.0 + HUMAN_SD * human[task][item]),
                cluster: places[task][item].map(|cluster| format!("cluster {cluster}")),
                ..NormItem::default()
            });
        }
    }
    Norms::new(items, "simulated".into())
}

/// One simulated experiment, in every measure.
pub(crate) fn simulate(scenario: &Scenario, world: &World, number: u64) -> [Outcome; 5] {
    let purpose = format!("{}: {}", scenario.family, scenario.name);
    let mut normals = Normals {
        rng: draws::stream(number, &purpose, 0),
        kept: None,
    };
    let (places, count) = clusters(scenario);
    let human = normals.of_items(&places, count);
    let shared = normals.of_items(&places, count);
    let hard = normals.of_items(&places, count);
    let norms = norms(scenario, &places, &human);
    let mut models: Vec<Vec<ModelItems>> = Vec::new();
    // Each arm's figures that its trainings would have with unlimited items.
    let mut own: Vec<Vec<Figures>> = Vec::new();
    for (arm, law) in world.laws.iter().enumerate() {
        let of_arm = normals.of_items(&places, count);
        let (mut trainings, mut figures) = (Vec::new(), Vec::new());
        let (seeds, first) = match scenario.teachers.filter(|_| arm == 0) {
            Some(teachers) => (teachers, 100),
            None => (scenario.seeds, 0),
        };
        for seed in 0..seeds {
            let law = law.shifted(Shift {
                slope: world.sd.slope * normals.next(),
                level: world.sd.level * normals.next(),
                ability: world.sd.ability * normals.next(),
            });
            let of_training = normals.of_items(&places, count);
            let luck = normals.of_items(&places, count);
            let mut tasks = BTreeMap::new();
            for task in 0..scenario.tasks {
                let mut items = TaskItems::new();
                for at in 0..scenario.items {
                    let beyond = SHARED[0].sqrt() * shared[task][at]
                        + SHARED[1].sqrt() * of_arm[task][at]
                        + SHARED[2].sqrt() * of_training[task][at];
                    let cost =
                        law.level + law.slope * HUMAN_SD * human[task][at] + law.rest * beyond;
                    let probit = law.ability
                        + ABILITY_VARIANCE[0].sqrt() * hard[task][at]
                        + ABILITY_VARIANCE[1].sqrt() * luck[task][at];
                    let means = item(&mut normals, &law, world.sampling, cost, probit);
                    items.insert(format!("item {at:03}"), means);
                }
                tasks.insert(format!("task {task}"), items);
            }
            figures.push(law.figures(world.sampling));
            trainings.push(ModelItems {
                seed: Some(first + seed as u64),
                teacher: None,
                tasks,
            });
        }
        models.push(trainings);
        own.push(figures);
    }
    judge(scenario, world, &norms, &models, &own)
}

fn judge(
    scenario: &Scenario,
    world: &World,
    norms: &Norms,
    models: &[Vec<ModelItems>],
    own: &[Vec<Figures>],
) -> [Outcome; 5] {
    let tasks: Vec<String> = (0..scenario.tasks).map(|t| format!("task {t}")).collect();
    let design = Design::new(&tasks, norms, models.iter().flatten());
    let trained: Trained<'_, '_> = (ARMS.into_iter().zip(models))
        .map(|(arm, models)| {
            let trainings = models.iter().map(|model| Training::new(&design, model));
            (arm, trainings.collect())
        })
        .collect();
    let all: Vec<usize> = (0..tasks.len()).collect();
    std::array::from_fn(|at| {
        // A single training is all that its figure is of; else the figure is of such trainings.
        let truth = |arm: usize| match own[arm].as_slice() {
            [only] => only[at],
            _ => world.expected[arm][at],
        };
        let measure = MEASURES[at];
        let against = |arm: usize| {
            let found = contrast(&design, &trained, [ARMS[arm], ARMS[0]], measure, &all, None);
            Found::of_contrast(&found, truth(arm) - truth(0))
        };
        let alone = OfArm::new(&design, trained.of(ARMS[1])).figure(&all, place(measure));
        Outcome {
            alike: against(1),
            beyond: against(2),
            own: Found::of(&Estimate::of(alone.as_ref(), 0), truth(1)),
        }
    })
}

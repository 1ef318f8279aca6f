//! Bootstrap draws of one arm: the layout's four measures, and two that only the
//! arm table shows.

use crate::alignment::contrast::Resampling;
use crate::alignment::cost::ModelItems;
use crate::alignment::layout::{Columns, Layout, Profile, over_seeds, over_tasks};
use crate::norms::Norms;
use crate::statistics::bootstrap::{Drawn, Resample, bootstrap, is_whole};
use crate::statistics::weighted::{Moments, Ties};
use crate::statistics::{correlation, mean};

/// Places in the arrays of a draw: the four measures of the layout, then two of
/// the arm table's own.
pub(super) const ALIGNMENT: usize = 0;
pub(super) const ACCURACY: usize = 1;
pub(super) const BALANCED: usize = 2;
pub(super) const TOKENS: usize = 3;
pub(super) const SPEARMAN: usize = 4;
pub(super) const PARTIAL: usize = 5;
pub(super) const FIGURES: usize = 6;

/// What each figure fits to the items of a task: a correlation three, the covariate
/// one more, a mean one. Ranks count as a mean: a resample's tied ranks spread
/// its draws by themselves.
pub(super) const PARAMETERS: [usize; FIGURES] = [3, 1, 1, 1, 1, 4];

pub(super) type Figures = [Option<f64>; FIGURES];

/// The aligned items of one seed and task, prepared for ranks and the partial correlation.
struct Ranked {
    items: Vec<usize>,
    cost: Ties,
    human: Ties,
    /// ln(prompt tokens), standardised; `None` where a prompt has none, empty where they do not vary.
    prompt: Option<Vec<f64>>,
}

impl Ranked {
    fn new(
        layout: &Layout,
        task: usize,
        columns: &Columns,
        name: &str,
        model: &ModelItems,
    ) -> Self {
        let cells = &columns[task];
        let items: Vec<usize> = (0..cells.len())
            .filter(|&i| cells[i].aligned > 0.0)
            .collect();
        let of = |value: &dyn Fn(usize) -> f64| -> Vec<f64> {
            items.iter().map(|&i| value(i)).collect()
        };
        let (cost, human) = (of(&|i| cells[i].cost), of(&|i| layout.human(task)[i]));
        let of_model = model.task(name);
        let tokens = of(&|i| of_model[&layout.ids(task)[i]].prompt_tokens);
        let prompt = tokens.iter().all(|&t| t > 0.0).then(|| {
            let ln: Vec<f64> = tokens.iter().map(|t| t.ln()).collect();
            let centre = mean(&ln).unwrap_or_default();
            let spread = ln.iter().map(|v| (v - centre).abs()).fold(0.0, f64::max);
            if spread > 1e-12 {
                ln.iter().map(|v| (v - centre) / spread).collect()
            } else {
                Vec::new()
            }
        });
        Self {
            cost: Ties::of(&cost),
            human: Ties::of(&human),
            items,
            prompt,
        }
    }

    fn spearman(&self, weights: &[f64]) -> Option<f64> {
        let weights: Vec<f64> = self.items.iter().map(|&i| weights[i]).collect();
        let n: f64 = weights.iter().sum();
        let (mut x, mut y) = (vec![0.0; weights.len()], vec![0.0; weights.len()]);
        self.cost.ranks(&weights, &mut x);
        self.human.ranks(&weights, &mut y);
        let mut pairs = Moments::default();
        for ((w, x), y) in weights.iter().zip(&x).zip(&y) {
            pairs.add(*w, x / n - 0.5, y / n - 0.5);
        }
        pairs.pearson()
    }

    fn partial(
        &self,
        weights: &[f64],
        plain: Option<f64>,
        cost: &Columns,
        task: usize,
        human: &[f64],
    ) -> Option<f64> {
        let prompt = self.prompt.as_ref()?;
        if prompt.is_empty() {
            return plain;
        }
        let (mut xz, mut yz) = (Moments::default(), Moments::default());
        let cells = cost[task].as_slice();
        for (&i, z) in self.items.iter().zip(prompt) {
            xz.add(weights[i], cells[i].cost, *z);
            yz.add(weights[i], human[i], *z);
        }
        let (xy, xz, yz) = (plain?, xz.pearson()?, yz.pearson()?);
        let left = (1.0 - xz * xz) * (1.0 - yz * yz);
        (left > 1e-18).then(|| ((xy - xz * yz) / left.sqrt()).clamp(-1.0, 1.0))
    }
}

/// All seeds of an arm, laid out.
pub(super) struct Arm {
    pub(super) layout: Layout,
    columns: Vec<Columns>,
    ranked: Vec<Vec<Ranked>>,
}

impl Arm {
    pub(super) fn new(models: &[ModelItems], tasks: &[String], norms: &Norms) -> Self {
        let layout = Layout::new(tasks, norms, &models.iter().collect::<Vec<_>>());
        let columns: Vec<Columns> = models.iter().map(|model| layout.columns(model)).collect();
        let ranked = models
            .iter()
            .zip(&columns)
            .map(|(model, columns)| {
                let of_task =
                    |(at, name): (usize, &String)| Ranked::new(&layout, at, columns, name, model);
                tasks.iter().enumerate().map(of_task).collect()
            })
            .collect();
        Self {
            layout,
            columns,
            ranked,
        }
    }

    fn figures(&self, seed: usize, task: usize, weights: &[f64]) -> Figures {
        let columns = &self.columns[seed];
        let cells = columns[task].as_slice();
        let [alignment, accuracy, balanced, tokens] =
            self.layout.measures(task, |i| weights[i], |i| &cells[i]);
        let ranked = &self.ranked[seed][task];
        let partial = ranked.partial(weights, alignment, columns, task, self.layout.human(task));
        [
            alignment,
            accuracy,
            balanced,
            tokens,
            ranked.spearman(weights),
            partial,
        ]
    }

    /// The figures of a draw, beside the sample's own where these are known.
    fn profile(&self, draw: &Resample, point: Option<&Profile<FIGURES>>) -> Profile<FIGURES> {
        let of_seed = |seed: usize| {
            let drawn = draw.seeds[seed] > 0.0;
            let of_task = |(task, weights): (usize, &Vec<f64>)| match point {
                _ if !drawn => [None; FIGURES],
                Some(point) if is_whole(weights) => point[seed][task],
                _ => self.figures(seed, task, weights),
            };
            draw.items.iter().enumerate().map(of_task).collect()
        };
        (0..self.columns.len()).map(of_seed).collect()
    }
}

/// One draw of an arm: its tasks' figures, their means, and the Fisher-z mean.
pub(super) struct Draw {
    pub(super) tasks: Vec<Figures>,
    pub(super) overall: Figures,
    pub(super) fisher: Option<f64>,
}

/// All draws of an arm.
pub(super) fn draws(arm: &Arm, resampling: Resampling) -> Drawn<Draw> {
    let (sizes, seeds) = (arm.layout.sizes(), arm.columns.len());
    let once = Resample::identity(seeds, &sizes);
    let point = arm.profile(&once, None);
    let point_tasks = over_seeds(&point, &once.seeds, &point);
    bootstrap(
        resampling.draws,
        resampling.seed,
        "bootstrap",
        seeds,
        &sizes,
        |draw| {
            let tasks = over_seeds(&arm.profile(draw, Some(&point)), &draw.seeds, &point);
            let overall = over_tasks(&tasks, &point_tasks);
            let defined: Option<Vec<f64>> = tasks
                .iter()
                .zip(&point_tasks)
                .filter(|(_, point)| point[ALIGNMENT].is_some())
                .map(|(task, _)| task[ALIGNMENT])
                .collect();
            let fisher = defined.and_then(|r| correlation::fisher_mean(&r).ok());
            Draw {
                tasks,
                overall,
                fisher,
            }
        },
    )
}

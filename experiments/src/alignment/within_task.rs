//! Alignment of one training on one task: correlations, elasticity and reliability, as
//! METHODOLOGY.md defines them under these names.

use super::cost::{ItemMeans, TaskItems};
use crate::norms::Norms;
use crate::statistics::{Undefined, correlation, mean};

/// Smallest reliability at which a correlation is corrected for noise.
pub const LEAST_RELIABILITY: f64 = 0.1;

/// Where the reliability is held when items are left out, so that one bad replicate does not
/// undo an interval.
const HELD_RELIABILITY: f64 = 0.01;

/// Numbers of samples at which r(k) is shown.
pub const CURVE: [u32; 6] = [1, 2, 4, 8, 16, 64];

/// Costs of a model and of people on the items that have both, in one order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pairs {
    /// Model cost.
    pub cost: Vec<f64>,
    /// Human cost.
    pub human: Vec<f64>,
    /// Mean prompt tokens.
    prompt: Vec<f64>,
    /// Variance between samples and how many there are.
    samples: Vec<(Option<f64>, usize)>,
}

impl Pairs {
    /// Takes an item in, where both sides have a cost.
    pub fn push(&mut self, item: &ItemMeans, human: Option<f64>) {
        if let (Some(cost), Some(human)) = (item.cost, human) {
            self.cost.push(cost);
            self.human.push(human);
            self.prompt.push(item.prompt_tokens);
            self.samples.push((item.cost_variance, item.counted));
        }
    }

    /// All items of a task.
    pub fn of(task: &str, items: &TaskItems, norms: &Norms) -> Self {
        let mut pairs = Self::default();
        for (id, item) in items {
            pairs.push(item, norms.human_cost(task, id));
        }
        pairs
    }

    /// Pearson's r: the alignment as it was observed.
    pub fn pearson(&self) -> Result<f64, Undefined> {
        named(correlation::pearson(&self.cost, &self.human))
    }

    /// Spearman's r of the same.
    pub fn spearman(&self) -> Result<f64, Undefined> {
        named(correlation::spearman(&self.cost, &self.human))
    }

    /// Pearson's r given ln(prompt tokens); the plain one where these do not vary.
    pub fn partial(&self) -> Result<f64, Undefined> {
        if self.prompt.iter().any(|&tokens| tokens <= 0.0) {
            return Err(Undefined::Because(
                "a prompt of 0 tokens has no logarithm".into(),
            ));
        }
        let ln: Vec<f64> = self.prompt.iter().map(|tokens| tokens.ln()).collect();
        named(correlation::partial(&self.cost, &self.human, &ln))
    }

    /// Cov(cost, human cost) / Var(human cost): by how many per cent spending rises where people
    /// take one per cent longer. A model that never thinks has an elasticity of 0.
    pub fn elasticity(&self) -> Result<f64, Undefined> {
        correlation::slope(&self.human, &self.cost)
            .map_err(|why| why.naming("human cost", "model cost"))
    }

    /// Variance between samples of an item's mean cost, mean over items: what is left of sampling
    /// noise. An item of one sample is taken to vary between samples as the others do.
    fn noise(&self) -> Result<f64, Undefined> {
        let known: Vec<f64> = self.samples.iter().filter_map(|(v, _)| *v).collect();
        if known.len() < correlation::FEWEST {
            return Err(Undefined::Because(
                "one sample an item: nothing tells noise from differences between items".into(),
            ));
        }
        let usual = mean(&known).unwrap_or_default();
        let of_item = |&(variance, count): &(Option<f64>, usize)| {
            variance.unwrap_or(usual) / count.max(1) as f64
        };
        let all: Vec<f64> = self.samples.iter().map(of_item).collect();
        Ok(mean(&all).unwrap_or_default())
    }

    /// Share of the variance of the item means that is not sampling noise: 1 - `mean(s_i^2` / `k_i`) /
    /// Var(m). Below 0 where noise alone would make the means differ more than they do.
    pub fn reliability(&self) -> Result<f64, Undefined> {
        let spread = correlation::variance(&self.cost, "model cost")?;
        Ok(1.0 - self.noise()? / spread)
    }

    /// r / sqrt(reliability): what r would be with unlimited samples (Spearman 1904).
    ///
    /// Undefined below a reliability of .1.
    pub fn unlimited(&self) -> Result<f64, Undefined> {
        let (r, reliability) = (self.pearson()?, self.reliability()?);
        if reliability < LEAST_RELIABILITY {
            return Err(Undefined::Because(format!(
                "reliability {reliability:.2} is below {LEAST_RELIABILITY}: the samples are too few to tell items apart"
            )));
        }
        Ok(r / reliability.sqrt())
    }

    /// The same with items left out, where the reliability is held instead of refused.
    pub fn unlimited_replicate(&self) -> Option<f64> {
        let (r, reliability) = (self.pearson().ok()?, self.reliability().ok()?);
        Some(r / reliability.max(HELD_RELIABILITY).sqrt())
    }

    /// r as it would be observed with k samples an item, for each k of [`CURVE`]: with b the
    /// reliability at one's own samples and w the variance of a single sample over that of the
    /// means, r sqrt(1 / (b + w / k)).
    ///
    /// Undefined where no reliability is above 0.
    pub fn curve(&self) -> Result<[f64; CURVE.len()], Undefined> {
        let (r, reliability) = (self.pearson()?, self.reliability()?);
        if reliability <= 0.0 {
            return Err(Undefined::Because("the reliability is not above 0".into()));
        }
        let spread = correlation::variance(&self.cost, "model cost")?;
        let known: Vec<f64> = self.samples.iter().filter_map(|(v, _)| *v).collect();
        let single = mean(&known).unwrap_or_default() / spread;
        Ok(CURVE.map(|k| r / (reliability + single / f64::from(k)).sqrt()))
    }
}

fn named(r: Result<f64, Undefined>) -> Result<f64, Undefined> {
    r.map_err(|why| why.naming("model cost", "human cost"))
}

/// Alignment of a model over tasks: the plain mean of its defined r, and the Fisher-z mean of the same.
pub fn model_alignment(
    of_tasks: &[Result<f64, Undefined>],
) -> (Result<f64, Undefined>, Result<f64, Undefined>) {
    let defined: Vec<f64> = of_tasks
        .iter()
        .filter_map(|r| r.as_ref().ok().copied())
        .collect();
    let none = || {
        let mut reasons: Vec<String> = of_tasks
            .iter()
            .filter_map(|r| r.as_ref().err().map(ToString::to_string))
            .collect();
        reasons.dedup();
        Undefined::Because(format!("undefined on every task: {}", reasons.join("; ")))
    };
    let plain = mean(&defined).ok_or_else(none);
    let fisher = if defined.is_empty() {
        Err(none())
    } else {
        correlation::fisher_mean(&defined)
    };
    (plain, fisher)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(items: &[(f64, f64, f64, usize)]) -> Pairs {
        let mut pairs = Pairs::default();
        for &(cost, human, variance, counted) in items {
            let item = ItemMeans {
                cost: Some(cost),
                cost_variance: (counted > 1).then_some(variance),
                counted,
                prompt_tokens: 6.0,
                ..ItemMeans::default()
            };
            pairs.push(&item, Some(human));
        }
        pairs
    }

    #[test]
    fn alignment_by_hand() {
        // Costs 1, 2, 3 against 1, 2, 4: x = -1, 0, 1, y = -4/3, -1/3, 5/3: 3 / sqrt(2 * 42/9).
        let found = pairs(&[(1.0, 1.0, 0.2, 4), (2.0, 2.0, 0.4, 4), (3.0, 4.0, 0.6, 4)]);
        let r = 0.981_980_506_061_965_7;
        assert!((found.pearson().expect("defined") - r).abs() < 1e-12);
        assert!((found.spearman().expect("defined") - 1.0).abs() < 1e-12);
        // The prompts are equally long.
        assert_eq!(found.partial(), found.pearson());
        // 3 / (42/9).
        assert!((found.elasticity().expect("defined") - 3.0 / (42.0 / 9.0)).abs() < 1e-12);
        // Noise .4 / 4 of a variance of 1.
        assert!((found.reliability().expect("defined") - 0.9).abs() < 1e-12);
        assert!((found.unlimited().expect("defined") - r / 0.9f64.sqrt()).abs() < 1e-12);
        let curve = found.curve().expect("defined");
        // At its own four samples the curve is what was observed; one sample adds .4 of noise.
        assert!((curve[2] - r).abs() < 1e-12 && (curve[0] - r / 1.3f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_model_that_never_thinks_has_an_elasticity_of_zero_and_no_correlation() {
        let found = pairs(&[(0.0, 1.0, 0.0, 2), (0.0, 2.0, 0.0, 2), (0.0, 4.0, 0.0, 2)]);
        assert_eq!(found.pearson(), Err(Undefined::NoVariance("model cost")));
        assert_eq!(found.elasticity(), Ok(0.0));
        assert!(found.reliability().is_err() && found.unlimited().is_err());
        let (plain, fisher) = model_alignment(&[found.pearson()]);
        assert_eq!(
            plain.expect_err("undefined").to_string(),
            "undefined on every task: no variance in model cost"
        );
        assert!(fisher.is_err());
    }

    #[test]
    fn people_who_do_not_differ_leave_no_elasticity() {
        let found = pairs(&[(0.0, 7.0, 0.1, 2), (1.0, 7.0, 0.1, 2), (2.0, 7.0, 0.1, 2)]);
        let why = Err(Undefined::NoVariance("human cost"));
        assert_eq!((found.elasticity(), found.pearson()), (why.clone(), why));
    }

    #[test]
    fn one_sample_an_item_has_no_reliability_and_too_little_of_it_no_correction() {
        let single = pairs(&[(1.0, 1.0, 0.0, 1), (2.0, 2.0, 0.0, 1), (3.0, 4.0, 0.0, 1)]);
        let why = single.reliability().expect_err("one sample").to_string();
        assert!(why.starts_with("one sample an item"), "{why}");
        let noisy = pairs(&[(1.0, 1.0, 3.8, 4), (2.0, 2.0, 3.8, 4), (3.0, 4.0, 3.8, 4)]);
        let why = noisy.unlimited().expect_err("noise").to_string();
        assert!(why.starts_with("reliability 0.05 is below 0.1"), "{why}");
        assert!(noisy.unlimited_replicate().is_some());
    }

    #[test]
    fn the_mean_is_over_defined_tasks() {
        let (plain, fisher) =
            model_alignment(&[Ok(0.0), Err(Undefined::NoVariance("model cost")), Ok(0.8)]);
        assert!((plain.expect("defined") - 0.4).abs() < 1e-15);
        assert!((fisher.expect("defined") - 0.5).abs() < 1e-12);
    }
}

//! The same comparison in another order.

use super::{ArmFigures, Comparison, Measure};

impl Comparison {
    /// Puts the arms, and the contrasts of arms, in order of a measure: the
    /// largest first, what is undefined last, equals as they were. The measures of
    /// a contrast stay together, and no figure changes.
    pub fn sort_by(&mut self, measure: Measure) {
        let value = |arm: &ArmFigures| match measure {
            Measure::Elasticity => arm.elasticity.value,
            Measure::AlignmentUnlimited => arm.alignment_unlimited.value,
            Measure::Alignment => arm.alignment.value,
            Measure::Accuracy => arm.accuracy.value,
            Measure::BalancedAccuracy => arm.balanced_accuracy.value,
            Measure::Tokens => arm.tokens.value,
        };
        self.arms.sort_by(|a, b| largest_first(value(a), value(b)));
        let of_pair: Vec<(String, String, Option<f64>)> = self
            .contrasts
            .iter()
            .filter(|contrast| contrast.measure == measure)
            .map(|c| (c.arm.clone(), c.against.clone(), c.difference.value))
            .collect();
        let difference = |arm: &str, against: &str| {
            let mut pairs = of_pair.iter();
            pairs.find(|pair| pair.0 == arm && pair.1 == against)?.2
        };
        self.contrasts.sort_by(|a, b| {
            largest_first(
                difference(&a.arm, &a.against),
                difference(&b.arm, &b.against),
            )
        });
    }
}

fn largest_first(a: Option<f64>, b: Option<f64>) -> std::cmp::Ordering {
    match (a, b) {
        (Some(a), Some(b)) => b.total_cmp(&a),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_largest_comes_first_and_the_undefined_last() {
        let mut comparison = fixture::comparison();
        comparison.sort_by(Measure::Elasticity);
        let names: Vec<&str> = comparison.arms.iter().map(|a| a.name.as_str()).collect();
        assert_eq!(names, ["teacher", "grpo", "sft", "base"]);
        let pairs: Vec<String> = comparison
            .contrasts
            .iter()
            .map(|c| format!("{} - {}", c.arm, c.against))
            .collect();
        assert_eq!(
            pairs,
            [
                "grpo - sft",
                "grpo - sft",
                "sft - teacher",
                "grpo - base",
                "sft - base",
                "sft - base"
            ]
        );
    }
}

//! Settings that contradict nothing, but seldom mean what they look like.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use algorithms::{Grpo, ImportanceSamplingLevel, LossType};

use crate::config::{AlgorithmSettings, StageSettings};

/// Gives the warnings of TRL's `GRPOTrainer` for an arm or the teacher, each once in a
/// process: a definition is checked more often than it is written.
pub(super) fn warn_as_trl_does(place: &str, stage: &StageSettings) {
    static GIVEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let Some(AlgorithmSettings::Grpo(grpo)) = &stage.algorithm else {
        return;
    };
    if let Some(warning) = warning(grpo) {
        let warning = format!("{place}.algorithm.grpo: {warning}");
        let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        if given.insert(warning.clone()) {
            tracing::warn!("{warning}");
        }
    }
}

/// What TRL 1.16 warns of in these settings.
fn warning(grpo: &Grpo) -> Option<String> {
    let is_sequence = grpo.importance_sampling_level == ImportanceSamplingLevel::Sequence;
    let name = grpo.loss_type.name();
    match grpo.loss_type {
        LossType::Bnpo | LossType::DrGrpo | LossType::Dapo | LossType::Cispo if is_sequence => {
            Some(format!(
                "with importance_sampling_level = \"sequence\", loss_type = \"{name}\" sums over tokens, so a completion weighs as much as it is long; GSPO's paper has loss_type = \"grpo\""
            ))
        }
        LossType::Luspo if !is_sequence => Some(
            "loss_type = \"luspo\" has importance_sampling_level = \"sequence\" in its paper"
                .to_owned(),
        ),
        LossType::Vespo if is_sequence => Some(
            "loss_type = \"vespo\" takes the ratio of the completion by itself; leave importance_sampling_level at \"token\""
                .to_owned(),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warned(loss_type: LossType, importance_sampling_level: ImportanceSamplingLevel) -> bool {
        let grpo = Grpo {
            loss_type,
            importance_sampling_level,
            ..Grpo::default()
        };
        warning(&grpo).is_some_and(|warning| warning.contains(loss_type.name()))
    }

    #[test]
    fn the_levels_that_trl_warns_of_are_warned_of() {
        use ImportanceSamplingLevel::{Sequence, Token};
        use LossType::{Bnpo, Cispo, Dapo, DrGrpo, Grpo, Luspo, Sapo, Vespo};
        for loss_type in [Bnpo, DrGrpo, Dapo, Cispo, Vespo] {
            assert!(warned(loss_type, Sequence), "{loss_type:?}");
            assert!(!warned(loss_type, Token), "{loss_type:?}");
        }
        assert!(warned(Luspo, Token) && !warned(Luspo, Sequence));
        for loss_type in [Grpo, Sapo] {
            assert!(!warned(loss_type, Sequence), "{loss_type:?}");
        }
    }
}

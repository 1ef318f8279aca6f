//! Two ways of learning in turn: whose turn an update is, by a share that may change.

/// A number that goes in a straight line from one value to another and stays there.
///
/// Worked example: `{from: 1, to: 0, steps: 4}` is 1, 0.75, 0.5, 0.25, 0, 0, ...
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ramp {
    pub(crate) from: f64,
    pub(crate) to: f64,
    /// Updates after which it has arrived.
    pub(crate) steps: u64,
}

impl Ramp {
    pub(crate) fn constant(value: f64) -> Self {
        Self {
            from: value,
            to: value,
            steps: 0,
        }
    }

    pub(crate) fn at(self, step: u64) -> f64 {
        if step >= self.steps {
            return self.to;
        }
        self.from + (self.to - self.from) * step as f64 / self.steps as f64
    }

    /// Refuses what is no share; `names` are the keys of the two ends.
    pub(crate) fn check(self, names: [&str; 2]) -> Result<(), String> {
        for (name, value) in names.into_iter().zip([self.from, self.to]) {
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("{name} = {value}: it is a share, between 0 and 1"));
            }
        }
        Ok(())
    }
}

/// Whose turn an update is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Whether it learns from the policy's own samples.
    pub(crate) is_sampled: bool,
    /// Updates that learned in the same way before.
    pub(crate) before: u64,
}

/// The turn of the update at `step`, at which a collection begins, where a share of the
/// updates learns from own samples and a collection of samples serves `updates` of them.
/// Own samples are due as soon as one update more of them keeps within the sum of the shares.
pub(crate) fn turn(step: u64, share: Ramp, updates: u64) -> Turn {
    let (mut at, mut sampled, mut due) = (0, 0, 0.0);
    let mut counted = 0;
    loop {
        while counted <= at {
            due += share.at(counted);
            counted += 1;
        }
        // Sums of decimal shares come out a rounding below what they stand for.
        let is_sampled = (sampled + 1) as f64 <= due + 1e-9;
        if at >= step {
            let before = if is_sampled { sampled } else { at - sampled };
            return Turn { is_sampled, before };
        }
        let made = if is_sampled { updates } else { 1 };
        sampled += if is_sampled { updates } else { 0 };
        at += made;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(share: Ramp, updates: u64, steps: u64) -> Vec<bool> {
        let mut all = Vec::new();
        while (all.len() as u64) < steps {
            let turn = turn(all.len() as u64, share, updates);
            let same = all.iter().filter(|&&known| known == turn.is_sampled);
            assert_eq!(turn.before, same.count() as u64);
            let count = if turn.is_sampled { updates } else { 1 };
            all.extend(vec![turn.is_sampled; count as usize]);
        }
        all
    }

    #[test]
    fn a_share_is_kept_to_whatever_a_collection_serves() {
        for updates in [1, 2, 4] {
            for share in [0.0, 0.1, 0.25, 0.5, 0.7, 1.0] {
                let all = turns(Ramp::constant(share), updates, 200);
                let sampled = all.iter().filter(|&&sampled| sampled).count() as f64;
                assert!(
                    (sampled - 200.0 * share).abs() <= updates as f64,
                    "{share}, {updates}: {sampled}"
                );
            }
        }
        assert_eq!(turns(Ramp::constant(0.5), 1, 4), [false, true, false, true]);
    }

    #[test]
    fn a_share_that_rises_begins_with_demonstrations_and_ends_with_samples() {
        let ramp = Ramp {
            from: 0.0,
            to: 1.0,
            steps: 100,
        };
        let all = turns(ramp, 1, 200);
        let early = all[..50].iter().filter(|&&sampled| sampled).count();
        assert!((11..=13).contains(&early), "{early}");
        assert!(all[101..].iter().all(|&sampled| sampled));
    }
}

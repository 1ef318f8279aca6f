//! Divergence between a policy and a model that judges it, over the whole vocabulary.
//!
//! Source: Agarwal et al. 2024 (GKD, arXiv 2306.13649), equation 1, with the numbers of TRL
//! 1.16. With `p` the judge's distribution, `q` the policy's, and `m = beta p + (1 - beta) q`,
//! the generalized Jensen-Shannon divergence is
//! `beta KL(p || m) + (1 - beta) KL(q || m)`; at `beta = 0` it is `KL(p || q)`, the forward
//! divergence, and at `beta = 1` `KL(q || p)`, the reverse one.

use tch::Tensor;

use crate::Scorer;
use crate::policy_loss::LossError;
use crate::{Batch, Metrics, TokenBatch, batch::total};

/// Which divergence, and from whom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Divergence {
    /// The model that judges.
    pub judge: Scorer,
    /// 0 is the forward divergence, 1 the reverse, between lies Jensen and Shannon's.
    pub beta: f64,
    /// Logits of both are divided by it.
    pub temperature: f64,
}

impl Divergence {
    /// The divergence of each row of logits `[N, V]`, in nats, `[N]`; differentiable by the
    /// policy's.
    pub fn of_logits(self, policy_NV: &Tensor, judge_NV: &Tensor) -> Tensor {
        let kind = policy_NV.kind();
        let log = |logits_NV: &Tensor| (logits_NV / self.temperature).log_softmax(-1, kind);
        let (q_NV, p_NV) = (log(policy_NV), log(judge_NV));
        let sum = |terms_NV: Tensor| terms_NV.sum_dim_intlist(-1, false, kind);
        // A token that is impossible adds nothing, though its logarithm is infinite.
        let kl = |from_NV: &Tensor, to_NV: &Tensor| {
            let share_NV = from_NV.exp();
            let terms_NV = &share_NV * (from_NV - to_NV);
            sum(terms_NV.masked_fill(&share_NV.eq(0.0), 0.0))
        };
        if self.beta <= 0.0 {
            return kl(&p_NV, &q_NV);
        }
        if self.beta >= 1.0 {
            return kl(&q_NV, &p_NV);
        }
        let weighted = [&p_NV + self.beta.ln(), &q_NV + (-self.beta).ln_1p()];
        let mixture_NV = weighted[0].logaddexp(&weighted[1]);
        kl(&p_NV, &mixture_NV) * self.beta + kl(&q_NV, &mixture_NV) * (1.0 - self.beta)
    }
}

/// The mean divergence of the weighted tokens of an update.
pub(crate) fn loss(tokens: &TokenBatch, batch: &Batch) -> Result<(Tensor, Metrics), LossError> {
    let divergences_N = tokens.divergences_N.as_ref();
    let divergences_N = divergences_N.ok_or(LossError::NoDivergences)?;
    let loss = total(&(divergences_N * &tokens.weights_N)) / batch.normaliser;
    Ok((loss, Metrics::new()))
}

/// Refuses what is no divergence.
pub(crate) fn check(beta: f64, temperature: f64) -> Result<(), String> {
    if !(0.0..=1.0).contains(&beta) {
        return Err(format!(
            "beta = {beta}: it lies between 0 (forward divergence) and 1 (reverse)"
        ));
    }
    if !(temperature.is_finite() && temperature > 0.0) {
        return Err(format!(
            "temperature = {temperature}: a temperature is above 0"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;
    use crate::testing::values;

    #[test]
    fn an_impossible_token_adds_nothing_and_leaves_everything_finite() {
        let infinity = f64::NEG_INFINITY;
        let policy = Tensor::from_slice2(&[[0.3, -0.2, 0.5]]).set_requires_grad(true);
        let judge = Tensor::from_slice2(&[[0.1, infinity, 0.4]]);
        for beta in [0.0, 0.5] {
            let divergence = Divergence {
                judge: Scorer::Teacher,
                beta,
                temperature: 1.0,
            };
            let of_N = divergence.of_logits(&policy, &judge);
            let gradient =
                Tensor::run_backward(&[of_N.sum(Kind::Double)], &[&policy], false, false);
            assert!(values(&of_N)[0] > 0.0);
            assert!(
                values(&gradient[0].view(-1)).iter().all(|g| g.is_finite()),
                "{beta}"
            );
        }
    }
}

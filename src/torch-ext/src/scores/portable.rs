//! Scores by libtorch's operators, for every device; the reference of the
//! kernels.

use tch::{Kind, Tensor};

use super::Scores;

pub(super) fn score(logits_NV: &Tensor, targets_N: &Tensor, temperature: f64) -> Scores {
    let logprobs_NV = (logits_NV / temperature).log_softmax(-1, Kind::Float);
    let target = |of: &Tensor| of.gather(1, &targets_N.unsqueeze(1), false).squeeze_dim(1);
    let terms_NV = logprobs_NV.exp() * &logprobs_NV;
    Scores {
        logprobs_N: target(&logprobs_NV),
        entropies_N: -terms_NV
            .nan_to_num(0.0, None, None)
            .sum_dim_intlist(-1, false, Kind::Float),
        best_N: target(logits_NV).ge_tensor(&logits_NV.amax(-1, false)),
        normalisers_N: None,
    }
}

pub(super) fn score_backward(
    logits_NV: &Tensor,
    targets_N: &Tensor,
    temperature: f64,
    scores: &Scores,
    logprob_gradient_N: &Tensor,
    entropy_gradient_N: Option<&Tensor>,
    gradient_NV: &Tensor,
) {
    let logprobs_NV = (logits_NV / temperature).log_softmax(-1, Kind::Float);
    let shares_NV = logprobs_NV.exp();
    let to_logprobs_N1 = logprob_gradient_N.unsqueeze(1);
    let mut own_NV = -&shares_NV * &to_logprobs_N1;
    if let Some(to_entropies_N) = entropy_gradient_N {
        let distance_NV = logprobs_NV + scores.entropies_N.unsqueeze(1);
        own_NV -= shares_NV * distance_NV * to_entropies_N.unsqueeze(1);
    }
    let places_N1 = targets_N.unsqueeze(1);
    let own_NV = own_NV.scatter_add(1, &places_N1, &to_logprobs_N1) / temperature;
    gradient_NV.shallow_clone().copy_(&own_NV);
}

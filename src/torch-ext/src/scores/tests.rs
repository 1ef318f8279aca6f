//! Both back ends against autograd in double precision.

use tch::{Kind, Tensor};

use super::*;
use crate::testing::{difference, each_back_end, gradients, noise, root};

#[test]
fn scores_and_their_gradients_are_those_of_autograd() {
    each_back_end(|_| {
        let logits = noise(&[9, 101], 1) * 8.0;
        let targets = Tensor::from_slice(&[0i64, 100, 3, 50, 7, 8, 9, 31, 32]);
        let (to_logprobs, to_entropies) = (noise(&[9], 2), noise(&[9], 3));
        let reference = || {
            let logits_64 = root(&logits);
            let all = (&logits_64 / 0.7).log_softmax(-1, Kind::Double);
            let logprobs = all.gather(1, &targets.unsqueeze(1), false).squeeze_dim(1);
            let entropies = -(all.exp() * &all).sum_dim_intlist(-1, false, Kind::Double);
            (logits_64, logprobs, entropies)
        };
        let (_, logprobs, entropies) = reference();
        let scores = score(&logits, &targets, 0.7);
        assert!(difference(&scores.logprobs_N, &logprobs) < 2e-6);
        assert!(difference(&scores.entropies_N, &entropies) < 2e-6);
        let best = logits.argmax(-1, false).eq_tensor(&targets);
        assert_eq!(scores.best_N, best);
        for to_entropies in [None, Some(&to_entropies)] {
            let (logits_64, logprobs, entropies) = reference();
            let both = Tensor::stack(&[logprobs, entropies], 0);
            let none = to_logprobs.zeros_like();
            let upstream = Tensor::stack(&[&to_logprobs, to_entropies.unwrap_or(&none)], 0);
            let expected = gradients(&both, &upstream, &[&logits_64]);
            for (kind, tolerance) in [(Kind::Float, 5e-6), (Kind::BFloat16, 4e-3)] {
                let gradient = logits.to_kind(kind).empty_like();
                score_backward(
                    &logits,
                    &targets,
                    0.7,
                    &scores,
                    &to_logprobs,
                    to_entropies,
                    &gradient,
                );
                assert!(difference(&gradient, &expected[0]) < tolerance);
            }
        }
    });
}

#[test]
fn a_score_of_logits_that_are_not_numbers_is_not_a_number() {
    each_back_end(|_| {
        let logits = Tensor::from_slice(&[1f32, f32::NAN, 0.0, 2.0]).view([1, 4]);
        let scores = score(&logits, &Tensor::from_slice(&[0i64]), 1.0);
        assert!(scores.logprobs_N.double_value(&[0]).is_nan());
    });
}

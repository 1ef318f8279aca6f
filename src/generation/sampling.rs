//! From logits to tokens by inverting the cumulative distribution at a given
//! uniform number: the draw is decided by the number, not by a generator.

use tch::{Kind, Tensor};

/// One token a row and its log-probability under the distribution it was drawn
/// from. `logits_BV` are raw; `uniforms` lie in [0, 1), one a row; temperature
/// 0 takes the likeliest token, whose log-probability is then that of
/// temperature 1.
pub(super) fn draw(logits_BV: &Tensor, uniforms: &[f64], temperature: f64) -> (Vec<i64>, Vec<f32>) {
    let device = logits_BV.device();
    let scaled_BV = if temperature > 0.0 {
        logits_BV.to_kind(Kind::Float) / temperature
    } else {
        logits_BV.to_kind(Kind::Float)
    };
    let logprobs_BV = scaled_BV.log_softmax(-1, Kind::Float);
    let tokens_B = if temperature > 0.0 {
        let cumulative_BV = logprobs_BV.exp().cumsum(-1, Kind::Double);
        // Scaling by the last sum keeps rounding from leaving a gap below 1
        // into which a draw could fall.
        let total_B1 = cumulative_BV.narrow(-1, cumulative_BV.size()[1] - 1, 1);
        let thresholds_B1 = Tensor::from_slice(uniforms).unsqueeze(1).to_device(device) * total_B1;
        cumulative_BV
            .le_tensor(&thresholds_B1)
            .sum_dim_intlist(-1, false, Kind::Int64)
            .clamp_max(logits_BV.size()[1] - 1)
    } else {
        logprobs_BV.argmax(-1, false)
    };
    let chosen_B = logprobs_BV
        .gather(1, &tokens_B.unsqueeze(1), false)
        .squeeze_dim(1);
    (to_vec_i64(&tokens_B), to_vec_f32(&chosen_B))
}

fn to_vec_i64(tensor: &Tensor) -> Vec<i64> {
    let mut values = vec![0i64; tensor.numel()];
    let count = values.len();
    tensor
        .to_device(tch::Device::Cpu)
        .copy_data(&mut values, count);
    values
}

fn to_vec_f32(tensor: &Tensor) -> Vec<f32> {
    let mut values = vec![0f32; tensor.numel()];
    let count = values.len();
    tensor
        .to_device(tch::Device::Cpu)
        .copy_data(&mut values, count);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uniform_number_decides_the_token() {
        // Probabilities .5, .25, .25.
        let logits = Tensor::from_slice(&[2f32.ln(), 0.0, 0.0]).view([1, 3]);
        let token = |uniform| draw(&logits, &[uniform], 1.0).0[0];
        assert_eq!(
            [
                token(0.0),
                token(0.49),
                token(0.51),
                token(0.74),
                token(0.76)
            ],
            [0, 0, 1, 1, 2]
        );
        assert_eq!(token(1.0 - f64::EPSILON), 2);
    }

    #[test]
    fn a_token_without_probability_is_never_drawn() {
        let logits = Tensor::from_slice(&[f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY]).view([1, 3]);
        for uniform in [0.0, 0.5, 1.0 - f64::EPSILON] {
            assert_eq!(draw(&logits, &[uniform], 1.0).0, [1]);
        }
    }

    #[test]
    fn temperature_zero_takes_the_likeliest() {
        let logits = Tensor::from_slice(&[0.0f32, 3.0, 1.0]).view([1, 3]);
        let (tokens, logprobs) = draw(&logits, &[0.99], 0.0);
        assert_eq!(tokens, [1]);
        let expected = 3.0 - (1.0 + 3f64.exp() + 1f64.exp()).ln();
        assert!((f64::from(logprobs[0]) - expected).abs() < 1e-6);
    }
}

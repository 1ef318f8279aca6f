//! AdamW in one pass over memory, on every device: libtorch's fused operator.

use std::ffi::{CStr, c_char};

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

#[repr(C)]
struct Call {
    count: i64,
    weights: *const *const C_tensor,
    gradients: *const *const C_tensor,
    first: *const *const C_tensor,
    second: *const *const C_tensor,
    step: f64,
    learning_rate: f64,
    beta_1: f64,
    beta_2: f64,
    weight_decay: f64,
    epsilon: f64,
    divisor: f64,
}

unsafe extern "C" {
    fn qinglan_adamw(call: *const Call) -> *const c_char;
}

/// Constants of one update.
///
/// Worked example: the third update, learning rate 1e-3, PyTorch's defaults,
/// gradients halved: `{step: 3, learning_rate: 1e-3, betas: (0.9, 0.999),
/// weight_decay: 0.01, epsilon: 1e-8, divisor: 2.0}`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Updates made, this one included.
    pub step: u64,
    /// Learning rate.
    pub learning_rate: f64,
    /// Shares of the old moments that stay.
    pub betas: (f64, f64),
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Gradients are divided by it, in place.
    pub divisor: f64,
}

/// One tensor to update: weights, gradient, first and second moment, of one
/// shape and in float32.
pub type Quartet = [Tensor; 4];

impl AdamW {
    /// Updates all of them in place. Gradients are left divided.
    pub fn update(&self, tensors: &[Quartet]) -> Result<(), TchError> {
        let of = |place: usize| -> Vec<*const C_tensor> {
            tensors
                .iter()
                .map(|quartet| quartet[place].as_ptr())
                .collect()
        };
        let [weights, gradients, first, second] = [0, 1, 2, 3].map(of);
        let call = Call {
            count: tensors.len() as i64,
            weights: weights.as_ptr(),
            gradients: gradients.as_ptr(),
            first: first.as_ptr(),
            second: second.as_ptr(),
            step: self.step as f64,
            learning_rate: self.learning_rate,
            beta_1: self.betas.0,
            beta_2: self.betas.1,
            weight_decay: self.weight_decay,
            epsilon: self.epsilon,
            divisor: self.divisor,
        };
        // SAFETY: the lists hold `count` live tensors each for the length of
        // the call; libtorch checks their shapes and kinds and throws, which
        // comes back as a message.
        let error = unsafe { qinglan_adamw(&raw const call) };
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: a message that is not null is a C string that lives until
        // the next failure on this thread.
        let message = unsafe { CStr::from_ptr(error) };
        Err(TchError::Torch(message.to_string_lossy().into_owned()))
    }
}

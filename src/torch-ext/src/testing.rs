//! What the tests of several modules share.

use tch::{Device, Kind, Tensor};

use crate::with_portable;

/// Numbers between -1 and 1 that a seed decides, without torch's global
/// generator, which tests share.
pub(crate) fn noise(shape: &[i64], seed: i64) -> Tensor {
    let count: i64 = shape.iter().product();
    let steps = Tensor::arange(count, (Kind::Double, Device::Cpu));
    ((steps * 12.9898 + seed as f64 * 78.233).sin() * 43_758.545)
        .frac()
        .to_kind(Kind::Float)
        .view(shape)
}

/// The greatest difference, relative to the greatest number expected.
pub(crate) fn difference(got: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(got.size(), expected.size());
    let (got, expected) = (got.to_kind(Kind::Double), expected.to_kind(Kind::Double));
    let scale = expected.abs().max().double_value(&[]).max(1e-6);
    let most = (got - expected).abs().max().double_value(&[]) / scale;
    // A NaN would pass every comparison of the caller.
    assert!(most.is_finite(), "a difference of {most}");
    most
}

/// Runs the body with the kernels and with libtorch's operators; it is told
/// whether with the latter.
pub(crate) fn each_back_end(body: impl Fn(bool)) {
    body(false);
    with_portable(|| body(true));
}

/// The same numbers in double precision, at the root of a graph.
pub(crate) fn root(tensor: &Tensor) -> Tensor {
    tensor
        .detach()
        .to_kind(Kind::Double)
        .set_requires_grad(true)
}

/// Gradients of `sum(y * upstream)`.
pub(crate) fn gradients(y: &Tensor, upstream: &Tensor, of: &[&Tensor]) -> Vec<Tensor> {
    let loss = (y * upstream.to_kind(Kind::Double)).sum(Kind::Double);
    Tensor::run_backward(&[loss], of, false, false)
}

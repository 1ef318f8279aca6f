//! Kernels against the same in torch operations, in both implementations.

mod cache;
mod linear;
mod sampling;

use tch::{Device, Kind, Tensor};

use super::*;
use crate::testing::{difference, noise};

/// Runs the body with the AVX-512 kernels, where the machine has them, and with
/// the plain loops.
fn each_implementation(body: impl Fn()) {
    for plain in [false, true] {
        let _guard = Plain::new(plain);
        body();
    }
}

/// While it lives, this thread's calls take the plain loops if `plain`.
struct Plain;

impl Plain {
    fn new(plain: bool) -> Self {
        // SAFETY: sets a flag of this thread.
        unsafe { ffi::qinglan_plain_only(plain) };
        Self
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { ffi::qinglan_plain_only(false) };
    }
}

/// What the rounding of results and inputs to a kind allows.
fn tolerance(kind: Kind) -> f64 {
    if kind == Kind::BFloat16 { 6e-3 } else { 2e-6 }
}

#[test]
fn rms_norm_agrees_with_torch() {
    for width in [576, 33, 1] {
        let x = noise(&[5, width], 1) * 3.0;
        let weight = noise(&[width], 2);
        let mean = (&x * &x).mean_dim(-1, true, Kind::Float);
        let expected = &x * (mean + 1e-5).rsqrt() * &weight;
        for kind in KINDS {
            let got = rms_norm(&x, &weight, 1e-5, kind);
            assert_eq!(got.kind(), kind);
            assert!(difference(&got, &expected) < tolerance(kind));
        }
    }
}

#[test]
fn gathered_rows_are_those_of_the_table() {
    for kind in KINDS {
        let table = noise(&[50, 33], 3).to_kind(kind);
        let indices = [49, 0, 7, 7];
        let expected = table.index_select(0, &Tensor::from_slice(&indices));
        assert_eq!(gather_rows(&table, &indices), expected.to_kind(Kind::Float));
    }
}

#[test]
#[should_panic(expected = "an index is outside the 50 rows")]
fn a_row_outside_the_table_is_refused() {
    let _ = gather_rows(&noise(&[50, 33], 3), &[50]);
}

#[test]
#[should_panic(expected = "x must be a contiguous CPU tensor [4, 8]")]
fn a_tensor_of_another_type_is_refused_in_words() {
    let layer = PackedLinear::new(&noise(&[3, 8], 1), None, Kind::BFloat16);
    let _ = layer.forward(&noise(&[4, 8], 2), Kind::Float);
}

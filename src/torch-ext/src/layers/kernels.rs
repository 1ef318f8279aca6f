//! The small parts of a layer by the kernels.

use std::ffi::{c_char, c_void};
use std::ptr;

use tch::{Device, Kind, Tensor};

use super::Activation;
use crate::cpu::{KINDS, empty, expect, ffi::check, matrix, norm};

#[repr(C)]
struct NormCall {
    x: *const f32,
    weight: *const f32,
    factors: *const f32,
    y_gradient: *const c_void,
    x_gradient: *mut f32,
    weight_gradient: *mut f32,
    rows: i64,
    width: i64,
    bf16: bool,
}

#[repr(C)]
struct GateCall {
    gate_up: *const c_void,
    y: *mut c_void,
    y_gradient: *const c_void,
    gate_up_gradient: *mut c_void,
    rows: i64,
    width: i64,
    bf16: bool,
    activation: Activation,
}

#[repr(C)]
struct AccumulateCall {
    sum: *mut f32,
    more: *const u16,
    count: i64,
}

unsafe extern "C" {
    fn qinglan_train_norm(call: *const NormCall) -> *const c_char;
    fn qinglan_train_gate(call: *const GateCall, backward: bool) -> *const c_char;
    fn qinglan_accumulate(call: *const AccumulateCall) -> *const c_char;
}

pub(super) fn norm(x_SD: &Tensor, weight_D: &Tensor, eps: f64, kind: Kind) -> (Tensor, Tensor) {
    let (rows, _) = matrix(x_SD, "x");
    let factors_S = Tensor::empty([rows], (Kind::Float, Device::Cpu));
    let y_SD = norm::run(x_SD, weight_D, eps, kind, Some(&factors_S));
    (y_SD, factors_S)
}

pub(super) fn norm_backward(
    x_SD: &Tensor,
    weight_D: &Tensor,
    factors_S: &Tensor,
    y_gradient_SD: &Tensor,
    x_gradient_SD: &Tensor,
    weight_gradient_D: Option<&Tensor>,
) {
    let (rows, width) = matrix(x_SD, "x");
    expect(x_SD, "x", &[Kind::Float], &[rows, width]);
    expect(weight_D, "the norm's weight", &[Kind::Float], &[width]);
    expect(factors_S, "the norm's factors", &[Kind::Float], &[rows]);
    expect(y_gradient_SD, "the norm's gradient", &KINDS, &[rows, width]);
    expect(
        x_gradient_SD,
        "x's gradient",
        &[Kind::Float],
        &[rows, width],
    );
    if let Some(gradient_D) = weight_gradient_D {
        expect(
            gradient_D,
            "the weight's gradient",
            &[Kind::Float],
            &[width],
        );
    }
    let call = NormCall {
        x: x_SD.data_ptr().cast(),
        weight: weight_D.data_ptr().cast(),
        factors: factors_S.data_ptr().cast(),
        y_gradient: y_gradient_SD.data_ptr(),
        x_gradient: x_gradient_SD.data_ptr().cast(),
        weight_gradient: weight_gradient_D.map_or(ptr::null_mut(), |g| g.data_ptr().cast()),
        rows,
        width,
        bf16: y_gradient_SD.kind() == Kind::BFloat16,
    };
    // SAFETY: shapes and kinds were checked above; all tensors outlive the call.
    check(unsafe { qinglan_train_norm(&raw const call) });
}

pub(super) fn gate(gate_up_SF: &Tensor, activation: Activation) -> Tensor {
    let (rows, both) = matrix(gate_up_SF, "gate and up");
    let y_SF = empty([rows, both / 2], gate_up_SF.kind());
    run_gate(gate_up_SF, &y_SF, activation, None);
    y_SF
}

pub(super) fn gate_backward(
    gate_up_SF: &Tensor,
    y_gradient_SF: &Tensor,
    activation: Activation,
) -> Tensor {
    let gradient_SF = gate_up_SF.empty_like();
    run_gate(gate_up_SF, y_gradient_SF, activation, Some(&gradient_SF));
    gradient_SF
}

/// Forward into `y`; backward from `y` into the gradient.
fn run_gate(
    gate_up_SF: &Tensor,
    y_SF: &Tensor,
    activation: Activation,
    gradient_SF: Option<&Tensor>,
) {
    let (rows, both) = matrix(gate_up_SF, "gate and up");
    assert!(
        both % 2 == 0,
        "gate and up have one width, not {both} in all"
    );
    expect(gate_up_SF, "gate and up", &KINDS, &[rows, both]);
    expect(y_SF, "gated", &[gate_up_SF.kind()], &[rows, both / 2]);
    let backward = gradient_SF.is_some();
    let call = GateCall {
        gate_up: gate_up_SF.data_ptr(),
        y: if backward {
            ptr::null_mut()
        } else {
            y_SF.data_ptr()
        },
        y_gradient: y_SF.data_ptr(),
        gate_up_gradient: gradient_SF.map_or(ptr::null_mut(), Tensor::data_ptr),
        rows,
        width: both / 2,
        bf16: gate_up_SF.kind() == Kind::BFloat16,
        activation,
    };
    // SAFETY: shapes and kinds were checked above, and the gradient has the
    // shape of what it is the gradient of.
    check(unsafe { qinglan_train_gate(&raw const call, backward) });
}

pub(super) fn accumulate(sum: &Tensor, more: &Tensor) {
    expect(sum, "the sum of gradients", &[Kind::Float], &more.size());
    expect(more, "a gradient", &[Kind::BFloat16], &more.size());
    let call = AccumulateCall {
        sum: sum.data_ptr().cast(),
        more: more.data_ptr().cast_const().cast(),
        count: more.numel() as i64,
    };
    // SAFETY: both are contiguous and of one shape.
    check(unsafe { qinglan_accumulate(&raw const call) });
}

//! Attention of a packed batch by the kernels.

use std::ffi::{c_char, c_void};
use std::ptr;

use tch::{Device, Kind, Tensor};

use super::sequences::Span;
use super::{Heads, Look, Sequences};
use crate::cpu::{KINDS, Rotary, expect, ffi::check, matrix};

#[repr(C)]
struct Call {
    qkv: *const c_void,
    cosines: *const f32,
    sines: *const f32,
    spans: *const Span,
    groups: *const i64,
    count: i64,
    longest: i64,
    heads: i64,
    kv_heads: i64,
    width: i64,
    window: i64,
    scale: f32,
    cap: f32,
    bf16: bool,
    mixed: *mut c_void,
    normalisers: *mut f32,
    mixed_gradient: *const c_void,
    qkv_gradient: *mut c_void,
}

unsafe extern "C" {
    fn qinglan_train_attention(call: *const Call, backward: bool) -> *const c_char;
}

/// What attention reads: `qkv_SC` and how it divides and looks.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) qkv_SC: &'a Tensor,
    pub(super) sequences: &'a Sequences,
    pub(super) heads: Heads,
    pub(super) tables: &'a Rotary,
    pub(super) look: Look,
}

/// What every query gathers, `[S, H * E]`, and the logarithm of the sum under
/// each softmax, `[S, H]`.
pub(super) fn attend(input: Input<'_>) -> (Tensor, Tensor) {
    let Input {
        sequences, heads, ..
    } = input;
    let options = |kind| (kind, Device::Cpu);
    let mixed_SD = Tensor::empty(
        [sequences.tokens(), heads.query * heads.width],
        options(input.qkv_SC.kind()),
    );
    let normalisers_SH = Tensor::empty([sequences.tokens(), heads.query], options(Kind::Float));
    run(input, &mixed_SD, &normalisers_SH, None);
    (mixed_SD, normalisers_SH)
}

/// The gradient of `qkv_SC`, from what [`attend`] gave and the gradient of its
/// first part.
pub(super) fn backward(
    input: Input<'_>,
    (mixed_SD, normalisers_SH): (&Tensor, &Tensor),
    mixed_gradient_SD: &Tensor,
) -> Tensor {
    let gradient_SC = input.qkv_SC.empty_like();
    expect(
        mixed_gradient_SD,
        "the gradient of attention's output",
        &[input.qkv_SC.kind()],
        &mixed_SD.size(),
    );
    let gradients = Some((mixed_gradient_SD, &gradient_SC));
    run(input, mixed_SD, normalisers_SH, gradients);
    gradient_SC
}

fn run(
    input: Input<'_>,
    mixed_SD: &Tensor,
    normalisers_SH: &Tensor,
    gradients: Option<(&Tensor, &Tensor)>,
) {
    let Input {
        qkv_SC,
        sequences,
        heads,
        tables,
        look,
    } = input;
    let channels = heads.channels();
    expect(qkv_SC, "qkv", &KINDS, &[sequences.tokens(), channels]);
    let (rows, half) = matrix(&tables.cosines, "cosines");
    assert!(
        rows >= sequences.longest() && half == heads.width / 2,
        "the rotary tables {:?} are too small for {} positions of width {}",
        tables.cosines.size(),
        sequences.longest(),
        heads.width
    );
    let mut groups = sequences.groups.clone();
    groups.push(sequences.spans.len() as i64);
    let call = Call {
        qkv: qkv_SC.data_ptr(),
        cosines: tables.cosines.data_ptr().cast(),
        sines: tables.sines.data_ptr().cast(),
        spans: sequences.spans.as_ptr(),
        groups: groups.as_ptr(),
        count: sequences.groups.len() as i64,
        longest: sequences.longest(),
        heads: heads.query,
        kv_heads: heads.key,
        width: heads.width,
        window: look.window_or_all(),
        scale: look.scale as f32,
        cap: look.cap_or_zero(),
        bf16: qkv_SC.kind() == Kind::BFloat16,
        mixed: mixed_SD.data_ptr(),
        normalisers: normalisers_SH.data_ptr().cast(),
        mixed_gradient: gradients.map_or(ptr::null(), |(mixed, _)| mixed.data_ptr().cast_const()),
        qkv_gradient: gradients.map_or(ptr::null_mut(), |(_, qkv)| qkv.data_ptr()),
    };
    // SAFETY: all tensors have the shapes and kinds that the numbers of the
    // call say, checked above or made so, and outlive it; the spans cover the
    // tokens without a gap, by construction of `Sequences`.
    check(unsafe { qinglan_train_attention(&raw const call, gradients.is_some()) });
}

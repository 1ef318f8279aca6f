//! Scores by the kernels.

use std::ffi::{c_char, c_void};
use std::ptr;

use tch::{Device, Kind, Tensor};

use super::Scores;
use crate::cpu::{KINDS, expect, ffi::check, matrix};

#[repr(C)]
struct Call {
    logits: *const f32,
    targets: *const i64,
    logprobs: *mut f32,
    entropies: *mut f32,
    normalisers: *mut f32,
    best: *mut bool,
    logprob_gradient: *const f32,
    entropy_gradient: *const f32,
    logit_gradient: *mut c_void,
    rows: i64,
    vocabulary: i64,
    inverse_temperature: f32,
    bf16: bool,
}

unsafe extern "C" {
    fn qinglan_train_scores(call: *const Call, backward: bool) -> *const c_char;
}

pub(super) fn score(logits_NV: &Tensor, targets_N: &Tensor, temperature: f64) -> Scores {
    let (rows, _) = matrix(logits_NV, "logits");
    let float = || Tensor::empty([rows], (Kind::Float, Device::Cpu));
    let scores = Scores {
        logprobs_N: float(),
        entropies_N: float(),
        normalisers_N: Some(float()),
        best_N: Tensor::empty([rows], (Kind::Bool, Device::Cpu)),
    };
    run(logits_NV, targets_N, temperature, &scores, None);
    scores
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
    let (rows, vocabulary) = matrix(logits_NV, "logits");
    for gradient_N in std::iter::once(logprob_gradient_N).chain(entropy_gradient_N) {
        expect(gradient_N, "a gradient of scores", &[Kind::Float], &[rows]);
    }
    expect(
        gradient_NV,
        "the gradient of logits",
        &KINDS,
        &[rows, vocabulary],
    );
    let backward = Some((logprob_gradient_N, entropy_gradient_N, gradient_NV));
    run(logits_NV, targets_N, temperature, scores, backward);
}

fn run(
    logits_NV: &Tensor,
    targets_N: &Tensor,
    temperature: f64,
    scores: &Scores,
    backward: Option<(&Tensor, Option<&Tensor>, &Tensor)>,
) {
    let (rows, vocabulary) = matrix(logits_NV, "logits");
    expect(logits_NV, "logits", &[Kind::Float], &[rows, vocabulary]);
    expect(targets_N, "targets", &[Kind::Int64], &[rows]);
    let normalisers_N = scores
        .normalisers_N
        .as_ref()
        .expect("the kernels made these scores");
    expect(&scores.logprobs_N, "scores", &[Kind::Float], &[rows]);
    assert!(
        rows == 0
            || (targets_N.min().int64_value(&[]) >= 0
                && targets_N.max().int64_value(&[]) < vocabulary),
        "a target is outside the vocabulary of {vocabulary}"
    );
    let call = Call {
        logits: logits_NV.data_ptr().cast(),
        targets: targets_N.data_ptr().cast(),
        logprobs: scores.logprobs_N.data_ptr().cast(),
        entropies: scores.entropies_N.data_ptr().cast(),
        normalisers: normalisers_N.data_ptr().cast(),
        best: scores.best_N.data_ptr().cast(),
        logprob_gradient: backward.map_or(ptr::null(), |(g, _, _)| g.data_ptr().cast()),
        entropy_gradient: backward
            .and_then(|(_, g, _)| g)
            .map_or(ptr::null(), |g| g.data_ptr().cast()),
        logit_gradient: backward.map_or(ptr::null_mut(), |(_, _, g)| g.data_ptr()),
        rows,
        vocabulary,
        inverse_temperature: (1.0 / temperature) as f32,
        bf16: backward.is_some_and(|(_, _, g)| g.kind() == Kind::BFloat16),
    };
    // SAFETY: shapes, kinds and targets were checked above; all tensors
    // outlive the call.
    check(unsafe { qinglan_train_scores(&raw const call, backward.is_some()) });
}

//! Attention of sequences laid end to end.

use std::ffi::{c_char, c_void};

use tch::{Device, Kind, Tensor};

use super::super::{KINDS, Rotary, expect, ffi::check, matrix};

#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Span {
    start: i64,
    length: i64,
}

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
    scale: f32,
    bf16: bool,
    mixed: *mut c_void,
    normalisers: *mut f32,
    mixed_gradient: *const c_void,
    qkv_gradient: *mut c_void,
}

unsafe extern "C" {
    fn qinglan_train_attention(call: *const Call, backward: bool) -> *const c_char;
}

/// Sequences laid end to end, in groups: a trunk, and branches that go on from
/// its end and do not see each other.
///
/// Worked example: a prompt of 3 tokens with completions of 2 and 4, then a
/// sequence of 5 of its own, 14 tokens in all:
///
/// ```
/// let mut sequences = torch_ext::cpu::training::Sequences::default();
/// sequences.trunk(3);
/// sequences.branch(2);
/// sequences.branch(4);
/// sequences.trunk(5);
/// assert_eq!((sequences.tokens(), sequences.longest()), (14, 7));
/// assert_eq!(sequences.positions()[3..9], [3, 4, 3, 4, 5, 6]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Sequences {
    spans: Vec<Span>,
    /// Where each group's spans begin.
    groups: Vec<i64>,
    tokens: i64,
    longest: i64,
}

impl Sequences {
    /// Begins a group with a sequence of so many tokens.
    pub fn trunk(&mut self, length: i64) {
        self.groups.push(self.spans.len() as i64);
        self.push(length);
        self.longest = self.longest.max(length);
    }

    /// Goes on from the end of the last trunk.
    ///
    /// # Panics
    /// If there is no trunk.
    pub fn branch(&mut self, length: i64) {
        let trunk = *self.groups.last().expect("a branch follows a trunk");
        self.longest = self.longest.max(self.spans[trunk as usize].length + length);
        self.push(length);
    }

    fn push(&mut self, length: i64) {
        assert!(length > 0, "a sequence has at least one token");
        self.spans.push(Span {
            start: self.tokens,
            length,
        });
        self.tokens += length;
    }

    /// Tokens in all.
    pub fn tokens(&self) -> i64 {
        self.tokens
    }

    /// Tokens from a trunk's beginning to the end of its longest branch, at most.
    pub fn longest(&self) -> i64 {
        self.longest
    }

    /// Each token's place in its sequence; a branch goes on from its trunk.
    pub fn positions(&self) -> Vec<i64> {
        let mut positions = Vec::with_capacity(self.tokens as usize);
        for (base, span) in self.based() {
            positions.extend(base..base + span.length);
        }
        positions
    }

    /// Every sequence from its beginning: where its trunk's part and its own
    /// lie, as (start, length); a trunk's own sequence has no trunk's part.
    pub fn parts(&self) -> impl Iterator<Item = ((i64, i64), (i64, i64))> + '_ {
        self.based()
            .zip(self.trunks())
            .map(|((base, span), trunk)| ((trunk.start, base), (span.start, span.length)))
    }

    /// The trunk of each span.
    fn trunks(&self) -> impl Iterator<Item = Span> + '_ {
        let mut group = 0;
        (0..self.spans.len()).map(move |index| {
            while self.groups.get(group + 1) == Some(&(index as i64)) {
                group += 1;
            }
            self.spans[self.groups[group] as usize]
        })
    }

    /// Each span with the position of its first token.
    fn based(&self) -> impl Iterator<Item = (i64, Span)> + '_ {
        self.trunks().zip(&self.spans).map(|(trunk, &span)| {
            let own = trunk.start == span.start;
            (if own { 0 } else { trunk.length }, span)
        })
    }
}

/// How the channels of queries, keys and values divide into heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Heads of queries.
    pub query: i64,
    /// Heads of keys, and of values.
    pub key: i64,
    /// Width of a head.
    pub width: i64,
}

/// What attention gave, and what its gradient needs of it.
#[derive(Debug)]
pub struct Attended {
    /// `[S, H * E]`.
    pub mixed_SD: Tensor,
    /// Logarithm of the sum under each softmax, `[S, H]`.
    normalisers_SH: Tensor,
}

/// Rotates queries and keys by their positions and lets every token attend to
/// its sequence up to itself, scores scaled by `1 / sqrt(E)`.
///
/// `qkv_SC` is `[S, (H + 2 K) * E]`, heads of queries, then keys, then values,
/// in float32 or bfloat16; everything between is computed in float32. The
/// tables of `rotary` hold [`Sequences::longest`] positions at least.
pub fn attention(
    qkv_SC: &Tensor,
    sequences: &Sequences,
    heads: Heads,
    rotary: &Rotary,
) -> Attended {
    let kind = qkv_SC.kind();
    let options = |kind| (kind, Device::Cpu);
    let mixed_SD = Tensor::empty([sequences.tokens, heads.query * heads.width], options(kind));
    let normalisers_SH = Tensor::empty([sequences.tokens, heads.query], options(Kind::Float));
    let attended = Attended {
        mixed_SD,
        normalisers_SH,
    };
    run(qkv_SC, sequences, heads, rotary, &attended, None);
    attended
}

/// The gradient of `qkv_SC`, from that of [`Attended::mixed_SD`].
pub fn attention_backward(
    qkv_SC: &Tensor,
    sequences: &Sequences,
    heads: Heads,
    rotary: &Rotary,
    attended: &Attended,
    mixed_gradient_SD: &Tensor,
) -> Tensor {
    let gradient_SC = qkv_SC.empty_like();
    expect(
        mixed_gradient_SD,
        "the gradient of attention's output",
        &[qkv_SC.kind()],
        &attended.mixed_SD.size(),
    );
    let backward = Some((mixed_gradient_SD, &gradient_SC));
    run(qkv_SC, sequences, heads, rotary, attended, backward);
    gradient_SC
}

fn run(
    qkv_SC: &Tensor,
    sequences: &Sequences,
    heads: Heads,
    rotary: &Rotary,
    attended: &Attended,
    backward: Option<(&Tensor, &Tensor)>,
) {
    let channels = (heads.query + 2 * heads.key) * heads.width;
    expect(qkv_SC, "qkv", &KINDS, &[sequences.tokens, channels]);
    assert!(
        heads.key > 0 && heads.query % heads.key == 0 && heads.width % 2 == 0,
        "{heads:?} do not share keys evenly, or have no half to rotate"
    );
    let (rows, half) = matrix(&rotary.cosines, "cosines");
    assert!(
        rows >= sequences.longest && half == heads.width / 2,
        "the rotary tables {:?} are too small for {} positions of width {}",
        rotary.cosines.size(),
        sequences.longest,
        heads.width
    );
    let mut groups = sequences.groups.clone();
    groups.push(sequences.spans.len() as i64);
    let call = Call {
        qkv: qkv_SC.data_ptr(),
        cosines: rotary.cosines.data_ptr().cast(),
        sines: rotary.sines.data_ptr().cast(),
        spans: sequences.spans.as_ptr(),
        groups: groups.as_ptr(),
        count: sequences.groups.len() as i64,
        longest: sequences.longest,
        heads: heads.query,
        kv_heads: heads.key,
        width: heads.width,
        scale: 1.0 / (heads.width as f32).sqrt(),
        bf16: qkv_SC.kind() == Kind::BFloat16,
        mixed: attended.mixed_SD.data_ptr(),
        normalisers: attended.normalisers_SH.data_ptr().cast(),
        mixed_gradient: backward
            .map_or(std::ptr::null(), |(mixed, _)| mixed.data_ptr().cast_const()),
        qkv_gradient: backward.map_or(std::ptr::null_mut(), |(_, qkv)| qkv.data_ptr()),
    };
    // SAFETY: all tensors have the shapes and kinds that the numbers of the
    // call say, checked above or made so, and outlive it; the spans cover the
    // tokens without a gap, by construction of `Sequences`.
    check(unsafe { qinglan_train_attention(&raw const call, backward.is_some()) });
}

//! Attention of a packed batch: sequences laid end to end, forward and backward.
//!
//! Each token attends to its own sequence up to itself, or to a window of it.
//! Kernels go through scores, softmax and mixing in one pass, in float32
//! whatever the format. Elsewhere flash attention serves bfloat16 on CUDA, and
//! libtorch's operators on padded rows the rest; these are the reference that
//! the kernels are tested against.
//!
//! Axes: S tokens laid end to end, C channels of queries, keys and values
//! together, D all channels of the query heads, T positions, E width of a head
//! (its half in tables of cosines and sines).

mod kernels;
mod portable;
mod sequences;

use tch::{Device, Tensor};

use crate::cpu::Rotary;
use crate::has_kernels;

pub use sequences::Sequences;

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

impl Heads {
    /// Channels of queries, keys and values together.
    fn channels(self) -> i64 {
        (self.query + 2 * self.key) * self.width
    }
}

/// How the queries of a layer look at keys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// What products of a query and a key are multiplied by, as a rule
    /// `1 / sqrt(E)`.
    pub scale: f64,
    /// With a window w, a query at position p sees the keys at positions
    /// greater than p - w, its own included: transformers' `sliding_window`.
    pub window: Option<i64>,
    /// With a cap c, scores become `c tanh(score / c)` (Gemma 2, arXiv
    /// 2408.00118, section 2).
    pub cap: Option<f64>,
}

impl Look {
    /// At the whole sequence, with scores scaled by `1 / sqrt(E)` of the width
    /// of a head.
    pub fn all(width: i64) -> Self {
        Self {
            scale: f64::from((width as f32).sqrt().recip()),
            window: None,
            cap: None,
        }
    }

    /// The window, or one that no sequence fills.
    ///
    /// # Panics
    /// If there is a window that is empty, or a cap that is not greater than 0.
    pub(crate) fn window_or_all(self) -> i64 {
        let window = self.window.unwrap_or(i64::MAX);
        assert!(window > 0, "a window of {window} positions shows nothing");
        window
    }

    /// The cap as the kernels take it, 0 where there is none.
    ///
    /// # Panics
    /// If the cap is not greater than 0.
    pub(crate) fn cap_or_zero(self) -> f32 {
        self.cap.map_or(0.0, |cap| {
            assert!(cap > 0.0, "scores cannot be capped at {cap}");
            cap as f32
        })
    }
}

/// What all layers share of one packed batch.
pub struct Rows<'a> {
    sequences: &'a Sequences,
    heads: Heads,
    /// Where the tokens lie, for libtorch's operators.
    places: Option<portable::Places>,
}

/// Cosines and sines of one rotary embedding, as the back end of the [`Rows`]
/// that made them takes them.
pub struct Tables(Turns);

enum Turns {
    Kernels(Rotary),
    Portable(portable::Turns),
}

/// What attention gave, and what its gradient needs of it.
#[derive(Debug)]
pub struct Attended {
    /// What every query gathers, `[S, H * E]`.
    pub mixed_SD: Tensor,
    kept: Kept,
}

#[derive(Debug)]
enum Kept {
    /// Logarithm of the sum under each softmax, `[S, H]`.
    Normalisers(Tensor),
    /// The leaf of the graph, where there is a backward pass.
    Graph(Option<Tensor>),
}

impl<'a> Rows<'a> {
    /// Takes the sequences of a batch on a device.
    ///
    /// # Panics
    /// If query heads do not share key heads evenly, or the width of a head is odd.
    pub fn new(sequences: &'a Sequences, heads: Heads, device: Device) -> Self {
        assert!(
            heads.key > 0 && heads.query % heads.key == 0 && heads.width % 2 == 0,
            "{heads:?} do not share keys evenly, or have no half to rotate"
        );
        Self {
            sequences,
            heads,
            places: (!has_kernels(device)).then(|| portable::Places::new(sequences, device)),
        }
    }

    /// Takes one rope's cosines and sines, float32 `[T, E / 2]` of at least
    /// [`Sequences::longest`] positions.
    pub fn tables(&self, cos_TE: &Tensor, sin_TE: &Tensor) -> Tables {
        Tables(match &self.places {
            None => Turns::Kernels(Rotary::new(cos_TE, sin_TE)),
            Some(places) => Turns::Portable(places.turns(cos_TE, sin_TE)),
        })
    }

    /// Rotates queries and keys by their positions and lets every token attend
    /// to its sequence up to itself, as `look` says. `returns` says whether a
    /// backward pass will follow.
    ///
    /// `qkv_SC` is `[S, (H + 2 K) * E]`, heads of queries, then keys, then
    /// values, in float32 or bfloat16.
    ///
    /// # Panics
    /// If `tables` are another back end's, or shapes do not fit.
    pub fn attend(&self, qkv_SC: &Tensor, tables: &Tables, look: Look, returns: bool) -> Attended {
        match (&self.places, &tables.0) {
            (None, Turns::Kernels(turns)) => {
                let (mixed_SD, normalisers_SH) = kernels::attend(self.input(qkv_SC, turns, look));
                Attended {
                    mixed_SD,
                    kept: Kept::Normalisers(normalisers_SH),
                }
            }
            (Some(places), Turns::Portable(turns)) => {
                let (mixed_SD, leaf) = places.attend(self.heads, qkv_SC, turns, look, returns);
                Attended {
                    mixed_SD,
                    kept: Kept::Graph(leaf),
                }
            }
            _ => panic!("the tables were made for another back end"),
        }
    }

    /// The gradient of `qkv_SC`, in its kind, from that of
    /// [`Attended::mixed_SD`]; the rest is what [`Rows::attend`] was given.
    ///
    /// # Panics
    /// If `attended` comes from a call without `returns`, or from another back end.
    pub fn backward(
        &self,
        qkv_SC: &Tensor,
        tables: &Tables,
        look: Look,
        attended: Attended,
        mixed_gradient_SD: &Tensor,
    ) -> Tensor {
        let Attended { mixed_SD, kept } = attended;
        match (kept, &tables.0) {
            (Kept::Normalisers(normalisers_SH), Turns::Kernels(turns)) => kernels::backward(
                self.input(qkv_SC, turns, look),
                (&mixed_SD, &normalisers_SH),
                mixed_gradient_SD,
            ),
            (Kept::Graph(leaf), Turns::Portable(_)) => {
                let leaf = leaf.expect("attention was told that no backward pass follows");
                portable::backward(&leaf, &mixed_SD, mixed_gradient_SD)
            }
            _ => panic!("the tables were made for another back end"),
        }
    }

    fn input<'b>(
        &'b self,
        qkv_SC: &'b Tensor,
        tables: &'b Rotary,
        look: Look,
    ) -> kernels::Input<'b> {
        kernels::Input {
            qkv_SC,
            sequences: self.sequences,
            heads: self.heads,
            tables,
            look,
        }
    }
}

#[cfg(test)]
mod tests;

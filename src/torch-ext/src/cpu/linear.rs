//! Linear layers whose weights are packed once for products with few rows.
//!
//! A packed layer reads its weights from memory once a call, however many rows
//! there are, and multiplies them from the cache: one row costs what reading
//! the weights costs, and from some ten rows on the multiplications decide.

use tch::{Kind, Tensor};

use super::ffi::{self, Finish};
use super::memory::Piece;
use super::{KINDS, empty, expect, expect_kind, matrix};
use crate::layers::Activation;

/// Outputs that are computed side by side; the C side packs in the same width.
const PANEL: i64 = 32;

/// Packed weights of either kind of layer.
struct Packed {
    weights: Piece,
    /// In the order of the panels, or empty.
    bias: Vec<f32>,
    outputs: i64,
    inputs: i64,
    kind: Kind,
    /// That of the gates, where the layer is gate and up.
    gates: Option<Activation>,
}

impl Packed {
    fn new(weight: &Tensor, bias: Option<&Tensor>, kind: Kind, gates: Option<Activation>) -> Self {
        let gate_up = gates.is_some();
        expect_kind(kind);
        let (rows, inputs) = matrix(weight, "weight");
        assert!(
            inputs > 0 && (!gate_up || rows % 2 == 0),
            "weight {:?} makes no layer{}",
            weight.size(),
            if gate_up { " of gate and up" } else { "" }
        );
        let outputs = if gate_up { rows / 2 } else { rows };
        let width = if gate_up { PANEL / 2 } else { PANEL };
        let panels = (outputs + width - 1) / width;
        // bfloat16 is packed in pairs of inputs.
        let bytes = if kind == Kind::BFloat16 {
            panels * PANEL * (inputs + inputs % 2) * 2
        } else {
            panels * PANEL * inputs * 4
        };
        let mut packed = Self {
            weights: Piece::new(bytes as usize),
            bias: Vec::new(),
            outputs,
            inputs,
            kind,
            gates,
        };
        packed.fill(weight, bias);
        packed
    }

    fn fill(&mut self, weight: &Tensor, bias: Option<&Tensor>) {
        let rows = self.outputs * if self.gates.is_some() { 2 } else { 1 };
        expect(weight, "weight", &KINDS, &[rows, self.inputs]);
        // SAFETY: the weight has the shape it says; the memory was taken for it.
        ffi::check(unsafe {
            ffi::qinglan_pack(&ffi::Pack {
                weight: weight.data_ptr(),
                packed: self.weights.start(),
                outputs: self.outputs,
                inputs: self.inputs,
                from_bf16: weight.kind() == Kind::BFloat16,
                to_bf16: self.kind == Kind::BFloat16,
                gate_up: self.gates.is_some(),
            })
        });
        self.bias.clear();
        if let Some(bias) = bias {
            expect(bias, "bias", &KINDS, &[rows]);
            let count = rows as usize;
            self.bias
                .resize(count.div_ceil(PANEL as usize) * PANEL as usize, 0.0);
            bias.detach()
                .to_kind(Kind::Float)
                .copy_data(&mut self.bias, count);
        }
    }

    /// Runs the layer; `y` has been checked against `finish`.
    fn run(&self, x: &Tensor, y: &Tensor, rows: i64, finish: Finish) {
        expect(x, "x", &[self.kind], &[rows, self.inputs]);
        let bias = if self.bias.is_empty() {
            std::ptr::null()
        } else {
            self.bias.as_ptr()
        };
        // SAFETY: x, y, the packed weights and the bias have the lengths that
        // rows, inputs and outputs say, and outlive the call.
        ffi::check(unsafe {
            ffi::qinglan_linear(&ffi::Linear {
                x: x.data_ptr(),
                packed: self.weights.start(),
                bias,
                y: y.data_ptr(),
                rows,
                inputs: self.inputs,
                outputs: self.outputs,
                bf16: self.kind == Kind::BFloat16,
                finish,
                activation: self.gates.unwrap_or(Activation::Silu),
            })
        });
    }
}

/// `y = x W^T + b` over weights packed once.
///
/// Worked example: a head of 49152 tokens over width 576 in bfloat16 takes
/// 57 MB, and turns x `[32, 576]` into logits `[32, 49152]`.
pub struct PackedLinear(Packed);

impl PackedLinear {
    /// Packs weight `[M, K]` and bias `[M]`, Float or `BFloat16`, as `kind`:
    /// what is stored and multiplied. Sums are float32 in either.
    pub fn new(weight: &Tensor, bias: Option<&Tensor>, kind: Kind) -> Self {
        Self(Packed::new(weight, bias, kind, None))
    }

    /// Packs other weights of the same shape into the same memory.
    pub fn repack(&mut self, weight: &Tensor, bias: Option<&Tensor>) {
        self.0.fill(weight, bias);
    }

    /// x `[N, K]` of the layer's kind gives `[N, M]` of `out`.
    pub fn forward(&self, x: &Tensor, out: Kind) -> Tensor {
        expect_kind(out);
        let (rows, _) = matrix(x, "x");
        let mut y = empty([rows, self.0.outputs], out);
        self.forward_into(x, &mut y);
        y
    }

    /// The same into a tensor that is there already.
    pub fn forward_into(&self, x: &Tensor, out: &mut Tensor) {
        let (rows, _) = matrix(x, "x");
        expect(out, "out", &KINDS, &[rows, self.0.outputs]);
        let finish = if out.kind() == Kind::BFloat16 {
            Finish::StoreBf16
        } else {
            Finish::StoreFloat
        };
        self.0.run(x, out, rows, finish);
    }

    /// Adds `x W^T + b` to the residual stream `[N, M]`, which is Float.
    pub fn add_to(&self, x: &Tensor, residual: &mut Tensor) {
        let (rows, _) = matrix(x, "x");
        expect(
            residual,
            "residual",
            &[Kind::Float],
            &[rows, self.0.outputs],
        );
        assert!(
            x.data_ptr() != residual.data_ptr(),
            "x and the residual stream must not be the same memory"
        );
        self.0.run(x, residual, rows, Finish::AddFloat);
    }

    /// K.
    pub fn inputs(&self) -> i64 {
        self.0.inputs
    }

    /// M.
    pub fn outputs(&self) -> i64 {
        self.0.outputs
    }

    /// What is stored and multiplied.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }
}

/// The first half of a gated feed-forward layer, `activation(x G^T) * (x U^T)`.
pub struct PackedGateUp(Packed);

impl PackedGateUp {
    /// Packs weight `[2F, K]`: the F rows of the gate, then those of up.
    pub fn new(weight: &Tensor, kind: Kind, activation: Activation) -> Self {
        Self(Packed::new(weight, None, kind, Some(activation)))
    }

    /// Packs other weights of the same shape into the same memory.
    pub fn repack(&mut self, weight: &Tensor) {
        self.0.fill(weight, None);
    }

    /// x `[N, K]` gives `[N, F]`, both of the layer's kind.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let (rows, _) = matrix(x, "x");
        let y = empty([rows, self.0.outputs], self.0.kind);
        let finish = if self.0.kind == Kind::BFloat16 {
            Finish::GateUpBf16
        } else {
            Finish::GateUpFloat
        };
        self.0.run(x, &y, rows, finish);
        y
    }
}

//! How fast an engine's products are in either format.
//!
//! Timed are the two products of the feed-forward layer, most of the work of a
//! decoder and unlike in shape: one takes many inputs, the other few. Of a large
//! model a part of their outputs and inputs is computed, so that it takes no
//! longer than of a small one.

use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};
use torch_ext::cpu::PackedLinear;

use super::{Engine, Rates};
use crate::generation::Precision;
use crate::model::{ModelConfig, weights};
use crate::network::Linear;

/// Rows of a training's products beyond which a row costs the same.
const MOST_TRAINED: usize = 256;

/// The same of generation.
pub(super) const MOST_GENERATED: usize = 64;

/// Most outputs and inputs of a product.
const OUTPUTS: i64 = 128;
const INPUTS: i64 = 1024;

/// Most numbers of a layer that is packed for generation.
const PACKED: i64 = 1 << 19;

/// Rounds of which the median counts, and the time after which none begins.
const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_millis(45);

/// Rows of a first look, and how many times as long a format may take in it for
/// the whole to be worth while.
const PROBED: usize = 16;
const HOPELESS: f64 = 4.0;

/// Bytes of weights that no processor's cache holds for long: a model of more is
/// read from memory at every step.
const CACHED: usize = 32 << 20;

const FORMATS: [Precision; 2] = [Precision::Float32, Precision::Bfloat16];

/// Measures both formats.
pub(super) fn rates(engine: Engine, config: &ModelConfig, rows: usize) -> Rates {
    let _guard = tch::no_grad_guard();
    let most = match engine {
        Engine::Training => MOST_TRAINED,
        Engine::Generation => MOST_GENERATED,
    };
    let rows = rows.clamp(1, most);
    let shapes = [
        (2 * config.intermediate_size, config.hidden_size),
        (config.hidden_size, config.intermediate_size),
    ];
    let (products, numbers): (Vec<Products>, i64) = match engine {
        Engine::Training => {
            let shapes = shapes.map(|(outputs, inputs)| (outputs.min(OUTPUTS), inputs.min(INPUTS)));
            let of = |format| Products::trained(format, &shapes, rows as i64);
            // The backward pass is two more products.
            (FORMATS.map(of).into(), 3 * count(&shapes))
        }
        Engine::Generation => {
            let shapes =
                shapes.map(|(outputs, inputs)| (outputs.min((PACKED / inputs).max(1)), inputs));
            let of = |format| Products::generated(format, &shapes, rows as i64);
            (FORMATS.map(of).into(), count(&shapes))
        }
    };
    let large = engine == Engine::Generation && bytes(config) > CACHED;
    let elsewhere = large.then(|| Tensor::ones([CACHED as i64 / 4], (Kind::Float, Device::Cpu)));
    let (rows, seconds) = seconds(&products, rows, elsewhere.as_ref());
    let rate = |seconds: f64| 2.0 * numbers as f64 / seconds / 1e9;
    Rates {
        rows,
        float32: rate(seconds[0]),
        bfloat16: rate(seconds[1]),
    }
}

fn count(shapes: &[(i64, i64)]) -> i64 {
    shapes
        .iter()
        .map(|(outputs, inputs)| outputs * inputs)
        .sum()
}

/// Bytes of a model's weights in float32.
fn bytes(config: &ModelConfig) -> usize {
    let entries = weights::layout(config);
    4 * entries.iter().map(weights::Entry::len).sum::<i64>() as usize
}

/// The rows that were timed, and seconds a row in each format.
fn seconds(products: &[Products], rows: usize, elsewhere: Option<&Tensor>) -> (usize, [f64; 2]) {
    let started = Instant::now();
    let time = |at: usize, rows: usize| {
        if let Some(elsewhere) = elsewhere {
            let _ = elsewhere.sum(Kind::Float);
        }
        let before = Instant::now();
        products[at].run(rows as i64);
        before.elapsed().as_secs_f64() / rows as f64
    };
    let both = |rows: usize| [time(0, rows), time(1, rows)];
    let few = rows.min(PROBED);
    // The first call of a shape makes code for it.
    both(few);
    let [float32, bfloat16] = both(few);
    if bfloat16 > HOPELESS * float32 {
        return (few, [float32, bfloat16]);
    }
    both(rows);
    let mut rounds = vec![both(rows)];
    while rounds.len() < ROUNDS && started.elapsed() < TIME {
        rounds.push(both(rows));
    }
    let medians = [0, 1].map(|at| {
        let mut each: Vec<f64> = rounds.iter().map(|round| round[at]).collect();
        each.sort_by(f64::total_cmp);
        each[each.len() / 2]
    });
    (rows, medians)
}

/// An engine's products in one format, with what goes into them.
enum Products {
    /// Layers, each with its rows and the gradient of what it gives.
    Trained(Vec<(Linear, Tensor, Tensor)>),
    /// Layers, each with its rows.
    Generated(Vec<(PackedLinear, Tensor)>, Kind),
}

/// A matrix without zeros, which some processors multiply faster.
fn matrix(rows: i64, columns: i64, kind: Kind) -> Tensor {
    Tensor::full([rows, columns], 0.01, (kind, Device::Cpu))
}

impl Products {
    fn trained(format: Precision, shapes: &[(i64, i64)], rows: i64) -> Self {
        let kind = format.kind();
        let layer = |&(outputs, inputs): &(i64, i64)| {
            let sum = matrix(outputs, inputs, Kind::Float);
            (
                Linear::bare(matrix(outputs, inputs, kind), sum),
                matrix(rows, inputs, kind),
                matrix(rows, outputs, kind),
            )
        };
        Self::Trained(shapes.iter().map(layer).collect())
    }

    fn generated(format: Precision, shapes: &[(i64, i64)], rows: i64) -> Self {
        let kind = format.kind();
        let layer = |&(outputs, inputs): &(i64, i64)| {
            let weight = matrix(outputs, inputs, kind);
            (
                PackedLinear::new(&weight, None, kind),
                matrix(rows, inputs, kind),
            )
        };
        Self::Generated(shapes.iter().map(layer).collect(), kind)
    }

    fn run(&self, rows: i64) {
        match self {
            Self::Trained(layers) => {
                for (layer, x, y_gradient) in layers {
                    let x = x.narrow(0, 0, rows);
                    let _ = layer.forward(&x);
                    let _ = layer.backward(&x, &y_gradient.narrow(0, 0, rows));
                }
            }
            Self::Generated(layers, kind) => {
                for (layer, x) in layers {
                    let _ = layer.forward(&x.narrow(0, 0, rows), *kind);
                }
            }
        }
    }
}

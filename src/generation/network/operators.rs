//! The network over libtorch's operators: for CUDA, and the same on the CPU
//! where tests hold the kernels to it.
//!
//! Each sequence has a slot of the cache to itself, so that the shapes of a
//! step never change and a step can be replayed as a CUDA graph. A step runs
//! all slots up to the highest in use; what slots without a row compute is
//! never read. Flash attention wants bfloat16 on CUDA; elsewhere attention is
//! written in plain products.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use tch::{Device, Kind, TchError, Tensor};
use torch_ext::cuda_graph::{self, Graph};

use super::attention::{Attention, Look, rotate};
use super::{GATE_UP, Names, Network, QKV, Room, RowId, Source, when};
use crate::generation::precision::Precision;
use crate::model::{ModelConfig, rope};

/// Tokens of one pass over prompts; bounds memory.
const TOKENS_AT_ONCE: usize = 16_384;

struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    fn of(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, self.bias.as_ref())
    }
}

struct Layer {
    input_norm_D: Tensor,
    qkv: Linear,
    head_norms_E: Option<(Tensor, Tensor)>,
    output: Linear,
    post_norm_D: Tensor,
    gate_up: Linear,
    down: Linear,
}

impl Layer {
    fn new(
        config: &ModelConfig,
        source: Source<'_>,
        (device, kind): (Device, Kind),
        layer: usize,
    ) -> Result<Self> {
        let place = |tensor: &Tensor| tensor.to_device(device).to_kind(kind);
        let names = Names { layer };
        let get = |name: &str| source(&names.at(name));
        let linear = |name: &str, biased: bool| -> Result<Linear> {
            let bias = when(biased, || get(&format!("{name}.bias")))?;
            Ok(Linear {
                weight: place(&get(&format!("{name}.weight"))?),
                bias: bias.as_ref().map(place),
            })
        };
        let joined = |parts: &[&str], biased: bool| -> Result<Linear> {
            let bias = when(biased, || names.joined(source, parts, "bias"))?;
            Ok(Linear {
                weight: place(&names.joined(source, parts, "weight")?),
                bias: bias.as_ref().map(place),
            })
        };
        let norm = |name: &str| -> Result<Tensor> { Ok(get(name)?.to_device(device)) };
        Ok(Self {
            input_norm_D: norm("input_layernorm.weight")?,
            qkv: joined(&QKV, config.qkv_bias)?,
            head_norms_E: if config.head_norms.is_some() {
                Some((
                    norm("self_attn.q_norm.weight")?,
                    norm("self_attn.k_norm.weight")?,
                ))
            } else {
                None
            },
            output: linear("self_attn.o_proj", config.output_bias)?,
            post_norm_D: norm("post_attention_layernorm.weight")?,
            gate_up: joined(&GATE_UP, config.mlp_bias)?,
            down: linear("mlp.down_proj", config.mlp_bias)?,
        })
    }
}

/// What may be switched off to see what it does; on a machine without it, it is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switches {
    /// Steps are replayed as CUDA graphs.
    pub cuda_graphs: bool,
    /// Attention is libtorch's flash attention.
    pub flash_attention: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            cuda_graphs: true,
            flash_attention: true,
        }
    }
}

/// A recorded step over the first slots, and the tensors it reads and writes.
struct Recorded {
    graph: Graph,
    ids_B: Tensor,
    lengths_B: Tensor,
    logits_BV: Tensor,
}

/// Keys and values of every slot, `[L, R, S, K, E]`, and how much is written.
struct Slots {
    keys: Tensor,
    values: Tensor,
    lengths: Vec<i64>,
    growing: rope::Rotary,
    room: Room,
}

impl Slots {
    fn new(config: &ModelConfig, kind: Kind, device: Device, room: Room) -> Self {
        let rows = room.rows + room.prompts;
        let shape = [
            config.num_hidden_layers as i64,
            rows as i64,
            room.length as i64,
            config.num_key_value_heads,
            config.head_dim,
        ];
        Self {
            // What was never written must be finite: a weight of 0 times it
            // is added.
            keys: Tensor::zeros(shape, (kind, device)),
            values: Tensor::zeros(shape, (kind, device)),
            lengths: vec![0; rows],
            growing: rope::Rotary::of_growing(config, room.length as i64, device).remove(0),
            room,
        }
    }
}

/// The network and its cache.
pub struct Operators {
    config: ModelConfig,
    kind: Kind,
    device: Device,
    embedding_VD: Tensor,
    layers: Vec<Layer>,
    norm_D: Tensor,
    head_VD: Tensor,
    slots: Slots,
    switches: Switches,
    /// By number of slots.
    recorded: BTreeMap<usize, Recorded>,
}

impl Operators {
    /// Puts the weights on the device.
    pub fn new(
        config: &ModelConfig,
        source: Source<'_>,
        device: Device,
        precision: Precision,
        switches: Switches,
    ) -> Result<Self> {
        let kind = precision.kind();
        let cuda = device.is_cuda();
        let switches = Switches {
            cuda_graphs: switches.cuda_graphs && cuda && cuda_graph::available().is_ok(),
            flash_attention: switches.flash_attention
                && cuda
                && kind == Kind::BFloat16
                && config.head_dim % 8 == 0
                && config.head_dim <= 256,
        };
        let _guard = tch::no_grad_guard();
        let place = |tensor: &Tensor| tensor.to_device(device).to_kind(kind);
        let embedding_VD = place(&source("model.embed_tokens.weight")?);
        let head_VD = if config.tie_word_embeddings {
            embedding_VD.shallow_clone()
        } else {
            place(&source("lm_head.weight")?)
        };
        let none = Room {
            rows: 0,
            length: 1,
            prompts: 0,
        };
        Ok(Self {
            layers: (0..config.num_hidden_layers)
                .map(|layer| Layer::new(config, source, (device, kind), layer))
                .collect::<Result<_>>()?,
            norm_D: source("model.norm.weight")?.to_device(device),
            embedding_VD,
            head_VD,
            slots: Slots::new(config, kind, device, none),
            switches,
            recorded: BTreeMap::new(),
            kind,
            device,
            config: config.clone(),
        })
    }

    /// Runs tokens `[N]` that lie at `slots_N` and `positions_N`, and returns
    /// the residual stream `[N, D]` behind the last layer.
    fn run(
        &self,
        ids_N: &Tensor,
        slots_N: &Tensor,
        positions_N: &Tensor,
        (cos_NE, sin_NE): (&Tensor, &Tensor),
        look: &Look<'_>,
    ) -> Result<Tensor> {
        let config = &self.config;
        let (heads, kv, width) = (
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_dim,
        );
        let norm = |x: &Tensor, weight: &Tensor| {
            x.rms_norm(weight.size()[0], Some(weight), config.rms_norm_eps)
        };
        let mut attention = Attention::new(look, self.switches.flash_attention, self.device);
        let mut x_ND = embed(&self.embedding_VD, ids_N);
        for (index, layer) in self.layers.iter().enumerate() {
            let normed_ND = norm(&x_ND, &layer.input_norm_D).to_kind(self.kind);
            let parts = layer
                .qkv
                .of(&normed_ND)
                .to_kind(Kind::Float)
                .view([-1, heads + 2 * kv, width])
                .split_with_sizes([heads, kv, kv], 1);
            let turned = |part: &Tensor, weight: Option<&Tensor>| {
                let part = weight.map_or_else(|| part.shallow_clone(), |w| norm(part, w));
                rotate(&part, cos_NE, sin_NE).to_kind(self.kind)
            };
            let norms = layer.head_norms_E.as_ref();
            let q_NHE = turned(&parts[0], norms.map(|(query, _)| query));
            let k_NKE = turned(&parts[1], norms.map(|(_, key)| key));
            let v_NKE = parts[2].to_kind(self.kind);
            let keys_RSKE = self.slots.keys.select(0, index as i64);
            let values_RSKE = self.slots.values.select(0, index as i64);
            let place = [Some(slots_N), Some(positions_N)];
            let _ = keys_RSKE.shallow_clone().index_put_(&place, &k_NKE, false);
            let _ = values_RSKE
                .shallow_clone()
                .index_put_(&place, &v_NKE, false);
            let mixed_NHE = attention.mix((&q_NHE, &k_NKE, &v_NKE), (&keys_RSKE, &values_RSKE))?;
            let merged_NX = mixed_NHE.reshape([-1, heads * width]);
            x_ND += layer.output.of(&merged_NX).to_kind(Kind::Float);
            let normed_ND = norm(&x_ND, &layer.post_norm_D).to_kind(self.kind);
            let gate_up = layer.gate_up.of(&normed_ND).chunk(2, -1);
            let fed = layer.down.of(&(gate_up[0].silu() * &gate_up[1]));
            x_ND += fed.to_kind(Kind::Float);
        }
        Ok(x_ND)
    }

    /// Logits, float32, behind rows `[L, D]` of the residual stream.
    fn logits(&self, x_LD: &Tensor) -> Tensor {
        let normed_LD = x_LD
            .rms_norm(
                self.config.hidden_size,
                Some(&self.norm_D),
                self.config.rms_norm_eps,
            )
            .to_kind(self.kind);
        if self.device.is_cuda() && self.kind == Kind::BFloat16 {
            // Sums are float32 anyway: rounding them to bfloat16 would cost a
            // logit of 20 two digits.
            return normed_LD.mm_dtype(&self.head_VD.transpose(0, 1), Kind::Float);
        }
        normed_LD
            .linear(&self.head_VD, None::<Tensor>)
            .to_kind(Kind::Float)
    }

    fn read_part(&mut self, prompts: &[(RowId, &[i64])]) -> Result<Tensor> {
        let longest = prompts.iter().map(|(_, p)| p.len()).max().unwrap_or(0);
        let lengths: Vec<i64> = prompts.iter().map(|(_, p)| p.len() as i64).collect();
        let device = self.device;
        let ids_N = ids(prompts.iter().flat_map(|(_, p)| p.iter().copied()), device);
        let slots_N = ids(
            prompts
                .iter()
                .flat_map(|(row, p)| std::iter::repeat_n(row.0 as i64, p.len())),
            device,
        );
        let positions_N = ids(prompts.iter().flat_map(|(_, p)| 0..p.len() as i64), device);
        let whole = self
            .config
            .outgrown(longest)
            .then(|| rope::Rotary::of_sequence(&self.config, longest as i64, device).remove(0));
        let tables = whole.as_ref().unwrap_or(&self.slots.growing);
        let at = |table_TE: &Tensor| table_TE.index_select(0, &positions_N);
        let (cos_NE, sin_NE) = (at(&tables.cos_TE), at(&tables.sin_TE));
        let x_ND = self.run(
            &ids_N,
            &slots_N,
            &positions_N,
            (&cos_NE, &sin_NE),
            &Look::Prompts(&lengths),
        )?;
        for ((row, _), length) in prompts.iter().zip(&lengths) {
            self.slots.lengths[row.0] = *length;
        }
        let last = lengths.iter().scan(-1, |end, length| {
            *end += length;
            Some(*end)
        });
        Ok(self.logits(&x_ND.index_select(0, &ids(last, device))))
    }

    /// Logits behind one token of each of the first slots.
    fn run_slots(&self, ids_B: &Tensor, lengths_B: &Tensor) -> Result<Tensor> {
        let slots_B = Tensor::arange(ids_B.size()[0], (Kind::Int64, self.device));
        let at = |table_TE: &Tensor| table_TE.index_select(0, lengths_B);
        let growing = &self.slots.growing;
        let (cos_BE, sin_BE) = (at(&growing.cos_TE), at(&growing.sin_TE));
        let look = Look::Step(lengths_B);
        let x_BD = self.run(ids_B, &slots_B, lengths_B, (&cos_BE, &sin_BE), &look)?;
        Ok(self.logits(&x_BD))
    }

    /// The same from a recording, made at the first call for so many slots.
    fn replay_slots(&mut self, ids_B: Tensor, lengths_B: Tensor) -> Result<Tensor> {
        let count = ids_B.size()[0] as usize;
        if let Some(recorded) = self.recorded.get(&count) {
            recorded.ids_B.shallow_clone().copy_(&ids_B);
            recorded.lengths_B.shallow_clone().copy_(&lengths_B);
            recorded.graph.replay()?;
            return Ok(recorded.logits_BV.shallow_clone());
        }
        // The run that warms up writes the same keys and values to the same
        // places as the replay.
        let (graph, logits_BV) = Graph::capture(self.device, || {
            self.run_slots(&ids_B, &lengths_B).map_err(Lost)
        })
        .map_err(|Lost(error)| error)?;
        graph.replay()?;
        let recorded = Recorded {
            graph,
            ids_B,
            lengths_B,
            logits_BV: logits_BV.shallow_clone(),
        };
        self.recorded.insert(count, recorded);
        Ok(logits_BV)
    }
}

/// What went wrong while a step was recorded.
struct Lost(anyhow::Error);

impl From<TchError> for Lost {
    fn from(error: TchError) -> Self {
        Self(error.into())
    }
}

impl Network for Operators {
    fn make_room(&mut self, room: Room) {
        if room == self.slots.room {
            self.slots.lengths.fill(0);
            return;
        }
        // Recordings hold the old cache.
        self.recorded.clear();
        self.slots = Slots::new(&self.config, self.kind, self.device, room);
    }

    fn read(&mut self, prompts: &[(RowId, &[i64])]) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let mut logits = Vec::new();
        let mut rest = prompts;
        while !rest.is_empty() {
            let mut tokens = 0;
            let count = rest
                .iter()
                .take_while(|(_, prompt)| {
                    tokens += prompt.len();
                    // Dynamic scaling rotates a long prompt as a whole.
                    tokens <= TOKENS_AT_ONCE && !self.config.outgrown(prompt.len())
                })
                .count()
                .max(1);
            logits.push(self.read_part(&rest[..count])?);
            rest = &rest[count..];
        }
        Ok(Tensor::cat(&logits, 0))
    }

    fn fork(&mut self, prompt: RowId, row: RowId) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let length = self.slots.lengths[prompt.0];
        for tensor in [&self.slots.keys, &self.slots.values] {
            let part = |row: usize| tensor.select(1, row as i64).narrow(1, 0, length);
            part(row.0).copy_(&part(prompt.0));
        }
        self.slots.lengths[row.0] = length;
        Ok(())
    }

    fn leave(&mut self, row: RowId) {
        self.slots.lengths[row.0] = 0;
    }

    fn step(&mut self, rows: &[(RowId, i64)]) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let highest = rows
            .iter()
            .map(|(row, _)| row.0)
            .max()
            .context("a step needs at least one row")?;
        // Powers of two, so that few shapes ever occur.
        let count = (highest + 1).next_power_of_two().min(self.slots.room.rows);
        let mut tokens = vec![0i64; count];
        for &(row, token) in rows {
            tokens[row.0] = token;
        }
        let lengths_B = Tensor::from_slice(&self.slots.lengths[..count]).to_device(self.device);
        let ids_B = Tensor::from_slice(&tokens).to_device(self.device);
        let logits_BV = if self.switches.cuda_graphs {
            self.replay_slots(ids_B, lengths_B)?
        } else {
            self.run_slots(&ids_B, &lengths_B)?
        };
        for &(row, _) in rows {
            self.slots.lengths[row.0] += 1;
        }
        let wanted = ids(rows.iter().map(|(row, _)| row.0 as i64), self.device);
        Ok(logits_BV.index_select(0, &wanted))
    }
}

/// Token ids as a tensor `[N]`.
fn ids(tokens: impl Iterator<Item = i64>, device: Device) -> Tensor {
    let ids: Vec<i64> = tokens.collect();
    Tensor::from_slice(&ids).to_device(device)
}

/// Rows `[N, D]` of an embedding in whatever format it is kept, as float32.
fn embed(embedding_VD: &Tensor, ids_N: &Tensor) -> Tensor {
    embedding_VD.index_select(0, ids_N).to_kind(Kind::Float)
}

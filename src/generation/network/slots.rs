//! The decoder over libtorch's operators: for CUDA, and the same on the CPU
//! where tests compare the pages with it.
//!
//! Each sequence has a slot of the cache to itself, so that the shapes of a
//! step never change and a step can be replayed as a CUDA graph. A step runs
//! all slots up to the highest in use; what slots without a row compute is
//! never read. Flash attention wants bfloat16 on CUDA; elsewhere attention is
//! written in plain products.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use tch::{Device, Kind, TchError, Tensor};
use torch_ext::Look;
use torch_ext::attention::{Heads, Rows, Sequences, Tables};
use torch_ext::cuda_graph::{self, Graph};
use torch_ext::flash_attention::{self, CacheLayout};

use super::{Cached, Room, RowId, Source};
use crate::model::{ModelConfig, rotary};
use crate::network::attention::{Attention, LayerAttention};
use crate::network::{Network, Parameters, Precision};

/// Tokens of one pass over prompts; bounds memory.
const TOKENS_AT_ONCE: usize = 16_384;

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
struct Cache {
    keys: Tensor,
    values: Tensor,
    lengths: Vec<i64>,
    /// For each of the configuration's rotary positions.
    growing: Vec<rotary::Rotary>,
    room: Room,
}

impl Cache {
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
            growing: rotary::Rotary::of_growing(config, room.length as i64, device),
            room,
        }
    }
}

/// The network and its cache.
pub struct Slots {
    network: Network,
    kind: Kind,
    device: Device,
    cache: Cache,
    switches: Switches,
    /// By number of slots.
    recorded: BTreeMap<usize, Recorded>,
}

/// A pass whose tokens lie at places of the cache, which holds them from then on.
struct Pass<'a> {
    cache: &'a Cache,
    kind: Kind,
    /// The slot of each token, and its position there, `[N]`.
    places: [&'a Tensor; 2],
    /// Cosines and sines of each token, `[N, E/2]`, for each of the rotary positions.
    turned: Vec<[Tensor; 2]>,
    among: Among<'a>,
}

/// What the tokens of a pass look at.
enum Among<'a> {
    /// Whole prompts laid end to end: each other.
    Prompts { rows: Rows<'a>, tables: Vec<Tables> },
    /// One token a slot, of the first slots, at the given lengths: the cache, by flash attention
    /// where it may be.
    Slots {
        lengths_B: &'a Tensor,
        flash: Option<(Tensor, Option<CacheLayout>)>,
    },
}

impl Attention for Pass<'_> {
    type Kept = ();

    fn attend(&mut self, layer: &LayerAttention, qkv_NC: &Tensor, _: bool) -> (Tensor, ()) {
        let Heads { query, key, width } = layer.heads;
        let [cos_NE, sin_NE] = &self.turned[layer.rope];
        let qkv_NC = layer.normed(&qkv_NC.to_kind(Kind::Float));
        let parts = qkv_NC
            .view([-1, query + 2 * key, width])
            .split_with_sizes([query, key, key], 1);
        let k_NKE = rotate(&parts[1], cos_NE, sin_NE).to_kind(self.kind);
        let v_NKE = parts[2].to_kind(self.kind);
        let keys_RSKE = self.cache.keys.select(0, layer.index as i64);
        let values_RSKE = self.cache.values.select(0, layer.index as i64);
        let places = self.places.map(Some);
        for (cached_RSKE, new_NKE) in [(&keys_RSKE, &k_NKE), (&values_RSKE, &v_NKE)] {
            let mut cached_RSKE = cached_RSKE.shallow_clone();
            let _ = cached_RSKE.index_put_(&places, new_NKE, false);
        }
        let mixed = match &mut self.among {
            Among::Prompts { rows, tables } => {
                let qkv_NC = qkv_NC.to_kind(self.kind);
                let attended = rows.attend(&qkv_NC, &tables[layer.rope], layer.look, false);
                attended.mixed_SD
            }
            Among::Slots { lengths_B, flash } => {
                let q_BHE = rotate(&parts[0], cos_NE, sin_NE).to_kind(self.kind);
                let cached = [&keys_RSKE, &values_RSKE];
                let flash = flash.as_mut().filter(|_| layer.look.cap.is_none());
                let mixed_BHE = flash
                    .and_then(|flash| decode(&q_BHE, cached, flash, layer.look).ok())
                    .unwrap_or_else(|| attend_cached(&q_BHE, cached, lengths_B, layer.look));
                mixed_BHE.reshape([-1, query * width])
            }
        };
        (mixed, ())
    }
}

/// Rotates each head's first half against its second; `x` is `[N, heads, E]`,
/// the tables `[N, E/2]`.
fn rotate(x: &Tensor, cos_NE: &Tensor, sin_NE: &Tensor) -> Tensor {
    let halves = x.chunk(2, -1);
    let (cos, sin) = (cos_NE.unsqueeze(1), sin_NE.unsqueeze(1));
    let first = &halves[0] * &cos - &halves[1] * &sin;
    let second = &halves[1] * &cos + &halves[0] * &sin;
    Tensor::cat(&[first, second], -1)
}

/// One query a slot against what its slot holds, `[B, H, E]`, by flash attention; `seen_B` counts the
/// positions that are written.
fn decode(
    q_BHE: &Tensor,
    cached_RSKE: [&Tensor; 2],
    (seen_B, layout): &mut (Tensor, Option<CacheLayout>),
    look: Look,
) -> Result<Tensor, TchError> {
    let [keys, values] = cached_RSKE.map(|all| all.narrow(0, 0, q_BHE.size()[0]));
    let layout = match layout {
        Some(layout) => layout,
        None => layout.insert(CacheLayout::of(&keys)?),
    };
    let q_B1HE = q_BHE.unsqueeze(1);
    let (scale, window) = (look.scale, look.window);
    flash_attention::decode(&q_B1HE, &keys, &values, seen_B, layout, scale, window)
}

/// The same in plain products: slot b's positions `0..=lengths_B[b]`.
fn attend_cached(
    q_BHE: &Tensor,
    [keys_RSKE, values_RSKE]: [&Tensor; 2],
    lengths_B: &Tensor,
    look: Look,
) -> Tensor {
    let (rows, heads, width) = q_BHE.size3().expect("queries are [B, H, E]");
    let (_, seen, kv, _) = keys_RSKE.size4().expect("keys are [R, S, K, E]");
    let cached = |all: &Tensor| all.narrow(0, 0, rows).permute([0, 2, 1, 3]);
    let own_B111 = lengths_B.view([rows, 1, 1, 1]);
    let places_S = Tensor::arange(seen, (Kind::Int64, q_BHE.device())).view([1, 1, 1, seen]);
    let mut blocked_B11S = places_S.gt_tensor(&own_B111);
    if let Some(window) = look.window {
        let left_B11S = places_S.le_tensor(&(own_B111 - window));
        blocked_B11S = blocked_B11S.logical_or(&left_B11S);
    }
    // Query heads that share a key head stand side by side, so keys are read
    // once for all of them and never repeated in memory.
    let q_BKGE = q_BHE.view([rows, kv, heads / kv, width]) * look.scale;
    let mut scores_BKGS = q_BKGE
        .matmul(&cached(keys_RSKE).transpose(2, 3))
        .to_kind(Kind::Float);
    if let Some(cap) = look.cap {
        scores_BKGS = (scores_BKGS / cap).tanh() * cap;
    }
    scores_BKGS
        .masked_fill(&blocked_B11S, f64::NEG_INFINITY)
        .softmax(-1, Kind::Float)
        .to_kind(q_BHE.kind())
        .matmul(&cached(values_RSKE))
        .view([rows, heads, width])
}

impl Slots {
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
        let parameters = Parameters::named(config, source, device, kind, false);
        let none = Room {
            rows: 0,
            length: 1,
            prompts: 0,
        };
        Ok(Self {
            network: Network::sampling(&parameters)?,
            cache: Cache::new(config, kind, device, none),
            switches,
            recorded: BTreeMap::new(),
            kind,
            device,
        })
    }

    /// Runs tokens `[N]` that lie at the places (slots and positions), and returns
    /// the residual stream `[N, D]` behind the last layer.
    fn run(
        &self,
        ids_N: &Tensor,
        places: [&Tensor; 2],
        rotaries: &[rotary::Rotary],
        among: Among<'_>,
    ) -> Tensor {
        let turned = rotaries.iter().map(|rotary| {
            [&rotary.cos_TE, &rotary.sin_TE].map(|table_TE| table_TE.index_select(0, places[1]))
        });
        let mut attention = Pass {
            cache: &self.cache,
            kind: self.kind,
            places,
            turned: turned.collect(),
            among,
        };
        let x_ND = self.network.embed(ids_N);
        self.network.forward(x_ND, &mut attention).0
    }

    fn read_part(&mut self, prompts: &[(RowId, &[i64])]) -> Tensor {
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
        let config = self.network.config();
        let whole = config
            .outgrown(longest)
            .then(|| rotary::Rotary::of_sequence(config, longest as i64, device));
        let rotaries = whole.as_ref().unwrap_or(&self.cache.growing);
        let mut sequences = Sequences::default();
        for &length in &lengths {
            sequences.trunk(length);
        }
        let heads = Heads {
            query: config.num_attention_heads,
            key: config.num_key_value_heads,
            width: config.head_dim,
        };
        let rows = Rows::new(&sequences, heads, device);
        let tables = rotaries
            .iter()
            .map(|rotary| rows.tables(&rotary.cos_TE, &rotary.sin_TE))
            .collect();
        let among = Among::Prompts { rows, tables };
        let x_ND = self.run(&ids_N, [&slots_N, &positions_N], rotaries, among);
        for ((row, _), length) in prompts.iter().zip(&lengths) {
            self.cache.lengths[row.0] = *length;
        }
        let last = lengths.iter().scan(-1, |end, length| {
            *end += length;
            Some(*end)
        });
        let x_LD = x_ND.index_select(0, &ids(last, device));
        self.network.sampled_logits(&x_LD)
    }

    /// Logits behind one token of each of the first slots.
    fn run_slots(&self, ids_B: &Tensor, lengths_B: &Tensor) -> Tensor {
        let slots_B = Tensor::arange(ids_B.size()[0], (Kind::Int64, self.device));
        let flash = self.switches.flash_attention;
        let among = Among::Slots {
            lengths_B,
            flash: flash.then(|| ((lengths_B + 1).to_kind(Kind::Int), None)),
        };
        let places = [&slots_B, lengths_B];
        let x_BD = self.run(ids_B, places, &self.cache.growing, among);
        self.network.sampled_logits(&x_BD)
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
            Ok::<Tensor, TchError>(self.run_slots(&ids_B, &lengths_B))
        })?;
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

impl Cached for Slots {
    fn make_room(&mut self, room: Room) {
        if room == self.cache.room {
            self.cache.lengths.fill(0);
            return;
        }
        // Recordings hold the old cache.
        self.recorded.clear();
        self.cache = Cache::new(self.network.config(), self.kind, self.device, room);
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
                    tokens <= TOKENS_AT_ONCE && !self.network.config().outgrown(prompt.len())
                })
                .count()
                .max(1);
            logits.push(self.read_part(&rest[..count]));
            rest = &rest[count..];
        }
        Ok(Tensor::cat(&logits, 0))
    }

    fn fork(&mut self, prompt: RowId, row: RowId) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let length = self.cache.lengths[prompt.0];
        for tensor in [&self.cache.keys, &self.cache.values] {
            let part = |row: usize| tensor.select(1, row as i64).narrow(1, 0, length);
            part(row.0).copy_(&part(prompt.0));
        }
        self.cache.lengths[row.0] = length;
        Ok(())
    }

    fn leave(&mut self, row: RowId) {
        self.cache.lengths[row.0] = 0;
    }

    fn step(&mut self, rows: &[(RowId, i64)]) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let highest = rows
            .iter()
            .map(|(row, _)| row.0)
            .max()
            .context("a step needs at least one row")?;
        // Powers of two, so that few shapes ever occur.
        let count = (highest + 1).next_power_of_two().min(self.cache.room.rows);
        let mut tokens = vec![0i64; count];
        for &(row, token) in rows {
            tokens[row.0] = token;
        }
        let lengths_B = Tensor::from_slice(&self.cache.lengths[..count]).to_device(self.device);
        let ids_B = Tensor::from_slice(&tokens).to_device(self.device);
        let logits_BV = if self.switches.cuda_graphs {
            self.replay_slots(ids_B, lengths_B)?
        } else {
            self.run_slots(&ids_B, &lengths_B)
        };
        for &(row, _) in rows {
            self.cache.lengths[row.0] += 1;
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

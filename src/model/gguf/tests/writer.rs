//! Writes GGUF files, right ones and wrong ones, and makes the small model
//! that the tests change.

/// A metadata value.
#[derive(Clone)]
pub(crate) enum Item {
    Unsigned(u32),
    Number(f32),
    Flag(bool),
    Text(String),
    Texts(Vec<String>),
    Integers(Vec<i32>),
    Numbers(Vec<f32>),
    /// Type number and bytes as they are.
    Raw(u32, Vec<u8>),
}

impl Item {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub(crate) fn texts(texts: &[&str]) -> Self {
        Self::Texts(texts.iter().map(|&text| text.to_owned()).collect())
    }

    /// Type number and bytes.
    fn encoded(&self) -> (u32, Vec<u8>) {
        let list = |of: u32, count: usize, elements: Vec<u8>| {
            let mut bytes = of.to_le_bytes().to_vec();
            bytes.extend((count as u64).to_le_bytes());
            bytes.extend(elements);
            (9, bytes)
        };
        match self {
            Self::Unsigned(value) => (4, value.to_le_bytes().to_vec()),
            Self::Number(value) => (6, value.to_le_bytes().to_vec()),
            Self::Flag(value) => (7, vec![u8::from(*value)]),
            Self::Text(text) => (8, text_bytes(text)),
            Self::Texts(texts) => {
                let bytes = texts.iter().flat_map(|text| text_bytes(text)).collect();
                list(8, texts.len(), bytes)
            }
            Self::Integers(values) => {
                let bytes = values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect();
                list(5, values.len(), bytes)
            }
            Self::Numbers(values) => {
                let bytes = values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect();
                list(6, values.len(), bytes)
            }
            Self::Raw(of, bytes) => (*of, bytes.clone()),
        }
    }
}

/// A length and the bytes of a text.
pub(crate) fn text_bytes(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

/// A tensor; `sizes` in the order of the file, the row's first.
#[derive(Clone)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) sizes: Vec<u64>,
    pub(crate) kind: u32,
    pub(crate) data: Vec<u8>,
    /// Where it says it lies, if not where it does.
    pub(crate) offset: Option<u64>,
}

/// A file in the making.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) version: u32,
    pub(crate) pairs: Vec<(String, Item)>,
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) alignment: usize,
}

impl Writer {
    /// A file of that architecture and nothing else.
    pub(crate) fn new(architecture: &str) -> Self {
        Self {
            version: 3,
            pairs: vec![("general.architecture".to_owned(), Item::text(architecture))],
            tensors: Vec::new(),
            alignment: 32,
        }
    }

    /// Sets a key, in its place if it is there.
    #[must_use]
    pub(crate) fn set(mut self, key: &str, item: Item) -> Self {
        match self.pairs.iter_mut().find(|(known, _)| known == key) {
            Some((_, value)) => *value = item,
            None => self.pairs.push((key.to_owned(), item)),
        }
        self
    }

    #[must_use]
    pub(crate) fn without(mut self, key: &str) -> Self {
        self.pairs.retain(|(known, _)| known != key);
        self
    }

    /// Adds a tensor; `shape` as in a checkpoint, the rows first.
    #[must_use]
    pub(crate) fn tensor(mut self, name: &str, shape: &[u64], kind: u32, data: Vec<u8>) -> Self {
        self.tensors.retain(|tensor| tensor.name != name);
        self.tensors.push(Tensor {
            name: name.to_owned(),
            sizes: shape.iter().rev().copied().collect(),
            kind,
            data,
            offset: None,
        });
        self
    }

    /// Adds a tensor of 32-bit numbers.
    #[must_use]
    pub(crate) fn numbers(self, name: &str, shape: &[u64], numbers: &[f32]) -> Self {
        let data = numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        self.tensor(name, shape, 0, data)
    }

    /// The file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.pairs.len() as u64).to_le_bytes());
        for (key, item) in &self.pairs {
            let (of, value) = item.encoded();
            bytes.extend(text_bytes(key));
            bytes.extend(of.to_le_bytes());
            bytes.extend(value);
        }
        let mut offset = 0u64;
        for tensor in &self.tensors {
            bytes.extend(text_bytes(&tensor.name));
            bytes.extend((tensor.sizes.len() as u32).to_le_bytes());
            bytes.extend(tensor.sizes.iter().flat_map(|size| size.to_le_bytes()));
            bytes.extend(tensor.kind.to_le_bytes());
            bytes.extend(tensor.offset.unwrap_or(offset).to_le_bytes());
            offset += tensor.data.len().next_multiple_of(self.alignment) as u64;
        }
        for tensor in &self.tensors {
            bytes.resize(bytes.len().next_multiple_of(self.alignment), 0);
            bytes.extend(&tensor.data);
        }
        bytes
    }
}

/// Bytes that are finite numbers in every format.
pub(crate) fn filler(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index * 37 % 59) as u8).collect()
}

/// The tokens of [`small`]: two control tokens, one that a user added, letters
/// and digits, and what the merges make of them.
pub(crate) const TOKENS: [&str; 24] = [
    "<s>", "</s>", "<think>", "a", "b", "c", "Ġ", "1", "2", "3", "4", "Ċ", "'", "s", "Ì", "ģ",
    "ab", "Ġab", "abc", "12", "123", "1234", "ĊĊ", "'s",
];

/// The types of [`TOKENS`].
pub(crate) fn token_types() -> Vec<i32> {
    let mut types = vec![1; TOKENS.len()];
    types[..3].copy_from_slice(&[3, 3, 4]);
    types
}

/// A whole model of one layer, width 256, two heads of width 4 over one, with
/// every number format and a byte-level tokenizer.
pub(crate) fn small() -> Writer {
    let merges = ["a b", "Ġ ab", "ab c", "1 2", "12 3", "123 4", "Ċ Ċ", "' s"];
    let layer = [
        ("attn_norm.weight", vec![256], 0, 1024),
        ("ffn_norm.weight", vec![256], 0, 1024),
        ("attn_q.weight", vec![8, 256], 12, 8 * 144),
        ("attn_k.weight", vec![4, 256], 13, 4 * 176),
        ("attn_v.weight", vec![4, 256], 14, 4 * 210),
        ("attn_output.weight", vec![256, 8], 1, 4096),
        ("ffn_gate.weight", vec![32, 256], 2, 256 * 18),
        ("ffn_up.weight", vec![32, 256], 3, 256 * 20),
        ("ffn_down.weight", vec![256, 32], 30, 16384),
    ];
    let count = TOKENS.len() as u64;
    let mut writer = Writer::new("llama")
        .set("llama.block_count", Item::Unsigned(1))
        .set("llama.context_length", Item::Unsigned(64))
        .set("llama.embedding_length", Item::Unsigned(256))
        .set("llama.feed_forward_length", Item::Unsigned(32))
        .set("llama.attention.head_count", Item::Unsigned(2))
        .set("llama.attention.head_count_kv", Item::Unsigned(1))
        .set("llama.attention.key_length", Item::Unsigned(4))
        .set("llama.attention.layer_norm_rms_epsilon", Item::Number(1e-5))
        .set("llama.rope.freq_base", Item::Number(10_000.0))
        .set("tokenizer.ggml.model", Item::text("gpt2"))
        .set("tokenizer.ggml.pre", Item::text("gpt-2"))
        .set("tokenizer.ggml.tokens", Item::texts(&TOKENS))
        .set("tokenizer.ggml.token_type", Item::Integers(token_types()))
        .set("tokenizer.ggml.merges", Item::texts(&merges))
        .set("tokenizer.ggml.bos_token_id", Item::Unsigned(0))
        .set("tokenizer.ggml.eos_token_id", Item::Unsigned(1))
        .set("tokenizer.chat_template", Item::text("{{ messages }}"))
        .tensor(
            "token_embd.weight",
            &[count, 256],
            8,
            filler(TOKENS.len() * 8 * 34),
        )
        .tensor("output_norm.weight", &[256], 0, filler(1024));
    for (name, shape, kind, length) in layer {
        writer = writer.tensor(&format!("blk.0.{name}"), &shape, kind, filler(length));
    }
    writer
}

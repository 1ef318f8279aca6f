//! Heads of their own, and ends of turns, wherever a model states them.

use serde_json::Value;

use super::super::gguf::tests::writer::{Item, Writer};
use super::*;
use crate::generation::{Engine, Finish, Key, PrecisionChoice, Prompt, Sampling};
use crate::model::tensor_files::{MAX_SHARD_BYTES, NumberFormat, TensorToWrite, write_model};
use crate::model::{ModelShape, folder, vocabulary};

/// A tiny model over the lab's vocabulary, its embedding in numbers that every
/// format has.
fn lab_model(at: &Path) {
    let config = vocabulary::config(&ModelShape::tiny(), &[]).unwrap();
    let weights = Weights::random(&config, 5, Device::Cpu);
    tch::no_grad(|| {
        let embedding = weights.get(EMBEDDING);
        let rounded = embedding.to_kind(tch::Kind::BFloat16);
        embedding.shallow_clone().copy_(&rounded);
    });
    let model = Model {
        companions: vocabulary::companions(config.context(), &[]).unwrap(),
        decoder: Decoder::new(config, weights),
        text: Text::lab(&[]).unwrap(),
    };
    folder::save(&model, at).unwrap();
}

/// Writes the weights of a folder again, with a head beside them.
fn add_head(at: &Path, format: NumberFormat, shard: u64, rows: usize, head: &[f32]) {
    let files = TensorFiles::open(at).unwrap();
    let mut tensors = Vec::new();
    let mut numbers = Vec::new();
    for name in files.names() {
        let shape = files.shape(name).unwrap().to_vec();
        let mut values = vec![0.0; shape.iter().product()];
        files.read_f32(name, &mut values).unwrap();
        tensors.push(TensorToWrite {
            name: name.to_owned(),
            shape,
            format: NumberFormat::F32,
        });
        numbers.push(values);
    }
    drop(files);
    tensors.push(TensorToWrite {
        name: HEAD.to_owned(),
        shape: vec![rows, head.len() / rows],
        format,
    });
    numbers.push(head.to_vec());
    std::fs::remove_file(at.join("model.safetensors")).unwrap();
    write_model(at, &tensors, shard, |place, sink| {
        sink.numbers(&numbers[place])
    })
    .unwrap();
}

fn numbers_of(at: &Path, name: &str) -> Vec<f32> {
    let files = TensorFiles::open(at).unwrap();
    let mut values = vec![0.0; files.shape(name).unwrap().iter().product()];
    files.read_f32(name, &mut values).unwrap();
    values
}

fn hash(stored: Stored) -> String {
    stored.load(Device::Cpu).unwrap().decoder.weights().hash()
}

fn read(at: &Path, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(at.join(file)).unwrap()).unwrap()
}

fn set(at: &Path, file: &str, key: &str, value: &Value) {
    let mut content = if at.join(file).exists() {
        read(at, file)
    } else {
        json!({})
    };
    content[key] = value.clone();
    std::fs::write(at.join(file), content.to_string()).unwrap();
}

#[test]
fn a_head_that_differs_from_the_embedding_it_is_tied_to_is_kept() {
    let bench = tempfile::tempdir().unwrap();
    let source = bench.path().join("source");
    lab_model(&source);
    let embedding = numbers_of(&source, EMBEDDING);
    let rows = vocabulary::words(&[]).len();
    let mut trained = embedding.clone();
    trained[3] += 1.0;
    let mut last = embedding.clone();
    *last.last_mut().unwrap() *= 2.0;
    let small = 4096;
    let cases = [
        (
            "equal",
            NumberFormat::F32,
            MAX_SHARD_BYTES,
            &embedding,
            false,
        ),
        (
            "equal-in-shards",
            NumberFormat::F32,
            small,
            &embedding,
            false,
        ),
        (
            "equal-in-bf16",
            NumberFormat::Bf16,
            MAX_SHARD_BYTES,
            &embedding,
            false,
        ),
        ("other", NumberFormat::F32, MAX_SHARD_BYTES, &trained, true),
        ("other-in-shards", NumberFormat::F32, small, &trained, true),
        (
            "other-in-bf16",
            NumberFormat::Bf16,
            MAX_SHARD_BYTES,
            &trained,
            true,
        ),
        (
            "other-in-its-last",
            NumberFormat::F32,
            MAX_SHARD_BYTES,
            &last,
            true,
        ),
    ];
    let plain = hash(Stored::open(&source).unwrap());
    for (name, format, shard, head, own) in cases {
        let at = bench.path().join(name);
        lab_model(&at);
        add_head(&at, format, shard, rows, head);
        assert_eq!(
            at.join("model.safetensors.index.json").exists(),
            shard == small
        );
        let stored = Stored::open(&at).unwrap();
        assert_eq!(stored.config.tie_word_embeddings, !own, "{name}");
        let notes = stored.notes();
        assert_eq!(notes.len(), usize::from(own), "{name}: {notes:?}");
        if own {
            for part in ["tie_word_embeddings", HEAD, EMBEDDING] {
                assert!(notes[0].contains(part), "{name}: {}", notes[0]);
            }
        }
        let out = bench.path().join(format!("{name}-again"));
        folder::convert(&stored, &out, NumberFormat::F32).unwrap();
        assert_eq!(read(&out, "config.json")["tie_word_embeddings"], !own);
        let again = Stored::open(&out).unwrap();
        assert_eq!(again.config, stored.config);
        assert!(again.notes().is_empty(), "{name}");
        if own {
            assert_eq!(numbers_of(&out, HEAD), numbers_of(&at, HEAD), "{name}");
        }
        let (here, there) = (hash(stored), hash(again));
        assert_eq!(here, there, "{name}");
        assert_eq!(here != plain, own, "{name}");
    }
    let wrong = bench.path().join("wrong");
    lab_model(&wrong);
    add_head(
        &wrong,
        NumberFormat::F32,
        MAX_SHARD_BYTES,
        rows - 1,
        &embedding[16..],
    );
    let refused = format!("{:#}", Stored::open(&wrong).err().unwrap());
    let shapes = [format!("[{}, 16]", rows - 1), format!("[{rows}, 16]")];
    for part in [HEAD, &shapes[0], &shapes[1]] {
        assert!(refused.contains(part), "{refused}");
    }
}

/// How a model ends its greedy completion of at most five tokens, and with how many.
fn ending(stored: &Stored) -> (Finish, usize) {
    let sampling = Sampling {
        max_new_tokens: 5,
        temperature: 0.0,
        dtype: PrecisionChoice::Float32,
        ..Sampling::default()
    };
    let key = Key {
        seed: 1,
        purpose: "test",
        indices: vec![0],
    };
    let prompt = Prompt {
        tokens: vec![3],
        keys: vec![key],
        max_new_tokens: None,
    };
    let precision = sampling.dtype.resolve(Device::Cpu);
    let completions = stored
        .source(|source| {
            let (config, text) = (&stored.config, &stored.text);
            let mut engine = Engine::new(config, text, source, Device::Cpu, precision)?;
            engine.generate(&[prompt], &sampling)
        })
        .unwrap();
    (completions[0].finish, completions[0].tokens.len())
}

/// A file of a model that writes `<|im_end|>`, token 2, whatever it reads: its
/// layers add nothing, and its head knows that token alone.
fn talks_in_turns() -> Writer {
    let tokens = ["<|endoftext|>", "<s>", "<|im_end|>", "a", "b", "ab"];
    let template = "{% for m in messages %}{{ m.content }}<|im_end|>\n{% endfor %}";
    let (ones, zeros) = ([1.0; 6 * 16], [0.0; 16 * 16]);
    let mut head = [0.0; 6 * 16];
    head[2 * 16..3 * 16].fill(1.0);
    let mut writer = Writer::new("llama")
        .set("llama.block_count", Item::Unsigned(1))
        .set("llama.context_length", Item::Unsigned(64))
        .set("llama.embedding_length", Item::Unsigned(16))
        .set("llama.feed_forward_length", Item::Unsigned(16))
        .set("llama.attention.head_count", Item::Unsigned(2))
        .set("llama.attention.layer_norm_rms_epsilon", Item::Number(1e-5))
        .set("tokenizer.ggml.model", Item::text("gpt2"))
        .set("tokenizer.ggml.pre", Item::text("gpt-2"))
        .set("tokenizer.ggml.tokens", Item::texts(&tokens))
        .set(
            "tokenizer.ggml.token_type",
            Item::Integers(vec![3, 3, 3, 1, 1, 1]),
        )
        .set("tokenizer.ggml.merges", Item::texts(&["a b"]))
        .set("tokenizer.chat_template", Item::text(template))
        .numbers("token_embd.weight", &[6, 16], &ones)
        .numbers("output_norm.weight", &[16], &ones[..16])
        .numbers("output.weight", &[6, 16], &head);
    for norm in ["attn_norm", "ffn_norm"] {
        writer = writer.numbers(&format!("blk.0.{norm}.weight"), &[16], &ones[..16]);
    }
    for part in [
        "attn_q",
        "attn_k",
        "attn_v",
        "attn_output",
        "ffn_gate",
        "ffn_up",
        "ffn_down",
    ] {
        writer = writer.numbers(&format!("blk.0.{part}.weight"), &[16, 16], &zeros);
    }
    writer
}

#[test]
fn every_end_that_a_gguf_file_states_ends_a_completion() {
    let bench = tempfile::tempdir().unwrap();
    let keyed = |ends: &[(&str, u32)]| {
        ends.iter().fold(talks_in_turns(), |writer, (name, id)| {
            let key = format!("tokenizer.ggml.{name}_token_id");
            writer.set(&key, Item::Unsigned(*id))
        })
    };
    for (at, (ends, finish)) in [
        (&[("eos", 2)][..], (Finish::End, 1)),
        (&[("eos", 0), ("eot", 2)], (Finish::End, 1)),
        (&[("eos", 0), ("eom", 2)], (Finish::End, 1)),
        (&[("eos", 0), ("eot", 1), ("eom", 2)], (Finish::End, 1)),
        (&[("eot", 2)], (Finish::End, 1)),
        (&[("eos", 0)], (Finish::Length, 5)),
        (&[("eos", 0), ("eot", 1)], (Finish::Length, 5)),
    ]
    .into_iter()
    .enumerate()
    {
        let path = bench.path().join(format!("{at}.gguf"));
        std::fs::write(&path, keyed(ends).bytes()).unwrap();
        let stored = Stored::open(&path).unwrap();
        assert_eq!(ending(&stored), finish, "{ends:?}");
        let out = bench.path().join(format!("{at}"));
        folder::convert(&stored, &out, NumberFormat::F32).unwrap();
        let again = Stored::open(&out).unwrap();
        assert_eq!(again.text.ends, stored.text.ends, "{ends:?}");
        assert_eq!(ending(&again), finish, "{ends:?}");
        for stored in [stored, again] {
            let notes = stored.notes();
            let endless = usize::from(finish.0 == Finish::Length);
            assert_eq!(notes.len(), endless, "{ends:?}: {notes:?}");
            for note in notes {
                for part in [
                    "\"<|im_end|>\" (2)",
                    "\"<|endoftext|>\" (0)",
                    "eos_token_id",
                ] {
                    assert!(note.contains(part), "{part} is not in {note}");
                }
            }
        }
    }
    let path = bench.path().join("none.gguf");
    std::fs::write(&path, talks_in_turns().bytes()).unwrap();
    let refused = format!("{:#}", Stored::open(&path).err().unwrap());
    assert!(refused.contains("no end token"), "{refused}");
}

#[test]
fn every_end_that_a_folder_states_ends_a_completion() {
    const TEMPLATE: &str = "chat_template.jinja";
    let bench = tempfile::tempdir().unwrap();
    let at = bench.path().join("model");
    let turns = "{% for m in messages %}{{ m.content }} <eos>\n{% endfor %}";
    // Nothing but `<think>` (4) ends a text.
    let fresh = || {
        lab_model(&at);
        std::fs::write(at.join(TEMPLATE), turns).unwrap();
        set(&at, "config.json", "eos_token_id", &json!(4));
        let mut config = read(&at, tokenizer::CONFIG);
        config.as_object_mut().unwrap().remove("eos_token");
        std::fs::write(at.join(tokenizer::CONFIG), config.to_string()).unwrap();
    };
    let notes = || Stored::open(&at).unwrap().notes();
    fresh();
    let told = notes();
    assert_eq!(told.len(), 1, "{told:?}");
    for part in ["\"<eos>\" (2)", "\"<think>\" (4)", generation_config::FILE] {
        assert!(told[0].contains(part), "{part} is not in {told:?}");
    }
    for (file, value) in [
        (generation_config::FILE, json!([5, 2])),
        (generation_config::FILE, json!(2)),
        ("config.json", json!([4, 2])),
        (tokenizer::CONFIG, json!("<eos>")),
        (
            tokenizer::CONFIG,
            json!({"content": "<eos>", "special": true}),
        ),
        (tokenizer::MAP, json!("<eos>")),
        (tokenizer::MAP, json!({"content": "<eos>"})),
    ] {
        fresh();
        let key = if value.is_number() || value.is_array() {
            "eos_token_id"
        } else {
            "eos_token"
        };
        set(&at, file, key, &value);
        let ends = Stored::open(&at).unwrap().text.ends;
        assert!(ends.contains(&2), "{file} {value}: {ends:?}");
        assert!(notes().is_empty(), "{file} {value}: {:?}", notes());
    }
    // Words that no token stands for, nothing, and a template that refuses.
    fresh();
    for (template, named) in [
        (
            "{% for m in messages %}{{ m.content }} [END]{% endfor %}",
            Some("[END]"),
        ),
        ("{% for m in messages %}{{ m.content }}\n{% endfor %}", None),
        ("{{ raise_exception('no') }}", None),
    ] {
        std::fs::write(at.join(TEMPLATE), template).unwrap();
        let told = notes();
        assert_eq!(told.len(), usize::from(named.is_some()), "{told:?}");
        assert!(
            named.is_none_or(|named| told[0].contains(named)),
            "{told:?}"
        );
    }
    std::fs::remove_file(at.join(TEMPLATE)).unwrap();
    assert!(notes().is_empty());
}

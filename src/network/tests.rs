//! The network against itself: shared or apart, kept or computed again, by
//! kernels or by libtorch's operators, and against differences. Against
//! transformers it is held by `qinglan conformance logits`.

use algorithms::{Divergence, Example};
use tch::{Device, Kind, Tensor};

use super::*;
use crate::model::architecture::ALL;
use crate::model::{Adapter, LoraSettings, ModelShape, Weights};

/// Every architecture that is read, with what it may have beside, so that each part
/// of it is differentiated; windows are narrower than the rows.
fn decoders() -> impl Iterator<Item = Decoder> {
    ALL.into_iter()
        .map(|architecture| decoder(architecture.model_type))
}

fn decoder(architecture: &str) -> Decoder {
    let config = ModelShape::tiny().config(20, 1, 2, 0);
    let biased = ["llama", "olmo2"].contains(&architecture);
    let mut config = config.like(
        architecture,
        &serde_json::json!({
            "attention_bias": biased,
            "mlp_bias": architecture == "llama",
            "sliding_window": 3,
            "use_sliding_window": architecture == "qwen2",
            "max_window_layers": 1,
            "sliding_window_pattern": 2,
            "no_rope_layer_interval": 2,
            "final_logit_softcapping": 0.5,
            "query_pre_attn_scalar": 2,
        }),
    );
    config.tie_word_embeddings = ["qwen2", "gemma3_text"].contains(&architecture);
    let weights = Weights::random(&config, 5, Device::Cpu);
    // Norms and biases that are not 1 and 0, so that each of them matters.
    let flat = weights.flat();
    let wave = (Tensor::arange(flat.numel() as i64, (Kind::Float, Device::Cpu)) * 0.7).sin() * 0.1;
    let _ = flat.shallow_clone().g_add_(&wave);
    Decoder::new(config, weights)
}

/// Those that an adapter is tried on.
const ADAPTED: [&str; 4] = ["llama", "qwen2", "qwen3", "phi3"];

fn adapted(architecture: &str) -> Decoder {
    adapted_by(architecture, "")
}

fn adapted_by(architecture: &str, more: &str) -> Decoder {
    let plain = decoder(architecture);
    let names = match architecture {
        "phi3" => "[\"qkv_proj\", \"gate_up_proj\", \"down_proj\"]",
        _ => "[\"q_proj\", \"v_proj\", \"o_proj\", \"up_proj\", \"down_proj\"]",
    };
    let settings = format!("r = 2\nalpha = 4\ntarget_modules = {names}\n{more}");
    let settings: LoraSettings = toml::from_str(&settings).unwrap();
    let adapter = Adapter::random(&plain, &settings, 1).unwrap();
    let flat = adapter.weights().flat();
    let wave = (Tensor::arange(flat.numel() as i64, (Kind::Float, Device::Cpu)) * 1.3).cos() * 0.2;
    let _ = flat.shallow_clone().g_add_(&wave);
    plain.with_adapter(adapter)
}

fn rows() -> Vec<Example> {
    let row = |prompt: &[i64], completion: &[i64]| Example {
        prompt: prompt.to_vec(),
        completion: completion.to_vec(),
        weights: vec![1.0; completion.len()],
        ..Example::default()
    };
    vec![
        row(&[3, 4, 5, 6, 11], &[7, 8, 2]),
        row(&[3, 4, 5, 6, 11], &[9]),
        row(&[3, 4, 5, 6, 11], &[12, 13, 14, 15, 2]),
        row(&[5, 7], &[4, 4]),
        row(&[9, 8, 7, 6, 5, 4], &[16, 17, 18]),
    ]
}

/// How strongly each score is pushed.
fn upstream(count: i64, turn: f64) -> Tensor {
    (Tensor::arange(count, (Kind::Float, Device::Cpu)) * 1.7 + turn).sin()
}

fn objective(scored: &Scored) -> f64 {
    let count = scored.logprobs_N.size()[0];
    let pushed =
        &scored.logprobs_N * upstream(count, 0.2) + &scored.entropies_N * upstream(count, 0.9);
    pushed.sum(Kind::Double).double_value(&[])
}

/// Scores of the rows at temperature 0.8, and the gradient of [`objective`].
fn run(decoder: &Decoder, rows: &[&Example], precision: Precision, keep: Keep) -> (Scored, Tensor) {
    run_in(0, decoder, rows, precision, keep)
}

fn run_in(
    update: u64,
    decoder: &Decoder,
    rows: &[&Example],
    precision: Precision,
    keep: Keep,
) -> (Scored, Tensor) {
    let network = Network::learning(
        decoder,
        precision,
        keep,
        Workspace::default(),
        decoder.trainable().count(),
    )
    .in_update(update);
    let packed = Packed::new(rows, Device::Cpu);
    let pass = network.read(&packed);
    let scored = network.score(&pass, 0.8, None);
    let count = scored.logprobs_N.size()[0];
    let to_entropies = upstream(count, 0.9);
    let to_logprobs = upstream(count, 0.2);
    network.backward(
        pass,
        &scored,
        &to_logprobs,
        Some(&to_entropies),
        None,
        &mut |_| (),
    );
    (scored, network.into_gradient().0)
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

#[test]
fn the_gradient_of_every_parameter_is_that_of_differences() {
    for decoder in decoders().chain(ADAPTED.map(adapted)) {
        let rows = rows();
        let rows: Vec<&Example> = rows.iter().collect();
        let (_, gradient_P) = run(&decoder, &rows, Precision::Float32, Keep::Everything);
        let at = |step_P: &Tensor, by: f64| {
            let flat = decoder.trainable().flat();
            let before = flat.copy();
            let _ = flat.shallow_clone().g_add_(&(step_P * by));
            let network = Network::reading(&decoder, Precision::Float32);
            let packed = Packed::new(&rows, Device::Cpu);
            let value = objective(&network.score(&network.read(&packed), 0.8, None));
            flat.shallow_clone().copy_(&before);
            value
        };
        for entry in decoder.trainable().entries() {
            // Along the gradient of one parameter, the slope is its norm.
            let own = gradient_P.narrow(0, entry.offset, entry.len());
            let norm = own.norm().double_value(&[]);
            assert!(norm > 1e-4, "{} has no effect", entry.name);
            let step_P = gradient_P.zeros_like();
            step_P
                .narrow(0, entry.offset, entry.len())
                .copy_(&(own / norm));
            let slope = (at(&step_P, 1e-3) - at(&step_P, -1e-3)) / 2e-3;
            assert!(
                (slope - norm).abs() < 2e-2 * norm + 2e-3,
                "{}: {slope} for {norm}",
                entry.name
            );
        }
    }
}

/// The divergence from a model that reads the same completions behind other prompts, of every
/// kind and architecture: its value is that of whole logits, its gradient that of differences.
#[test]
fn the_divergence_from_a_judge_and_its_gradient_are_those_of_whole_logits() {
    for (decoder, beta) in decoders().zip([0.0, 0.3, 1.0].into_iter().cycle()) {
        let rows = rows();
        let rows: Vec<&Example> = rows.iter().collect();
        let behind: Vec<Example> = rows
            .iter()
            .map(|row| Example {
                prompt: vec![10, 3, row.prompt[0]],
                ..(*row).clone()
            })
            .collect();
        let config = decoder.config().clone();
        let other = Decoder::new(config.clone(), Weights::random(&config, 99, Device::Cpu));
        let judge = Network::reading(&other, Precision::Float32);
        let read = Packed::new(&behind.iter().collect::<Vec<_>>(), Device::Cpu);
        let divergence = Divergence {
            judge: algorithms::Scorer::Teacher,
            beta,
            temperature: 1.3,
        };
        let judged = judge.judge(&judge.read(&read), divergence);
        let of = |network: &Network| {
            let packed = Packed::new(&rows, Device::Cpu);
            let scored = network.score(&network.read(&packed), 1.0, Some(&judged));
            scored.divergences_N.unwrap()
        };
        let reading = || Network::reading(&decoder, Precision::Float32);
        let found_N = of(&reading());
        let whole: Vec<Tensor> = rows
            .iter()
            .zip(&behind)
            .map(|(row, behind)| {
                let logits = |decoder: &Decoder, row: &Example| {
                    let ids = [row.prompt.as_slice(), &row.completion].concat();
                    let first = row.prompt.len() as i64 - 1;
                    super::logits(decoder, &ids).narrow(0, first, row.completion.len() as i64)
                };
                divergence.of_logits(&logits(&decoder, row), &logits(&other, behind))
            })
            .collect();
        assert!(largest_difference(&found_N, &Tensor::cat(&whole, 0)) < 1e-5);
        assert!(found_N.min().double_value(&[]) > 0.0);

        let count = found_N.size()[0];
        let network = Network::learning(
            &decoder,
            Precision::Float32,
            Keep::Everything,
            Workspace::default(),
            decoder.trainable().count(),
        );
        let packed = Packed::new(&rows, Device::Cpu);
        let pass = network.read(&packed);
        let scored = network.score(&pass, 1.0, Some(&judged));
        let (none, to_N) = (found_N.zeros_like(), upstream(count, 0.4));
        let judged_by = Some((&judged, &to_N));
        network.backward(pass, &scored, &none, None, judged_by, &mut |_| ());
        let (gradient_P, _) = network.into_gradient();
        let norm = gradient_P.norm().double_value(&[]);
        let step_P = &gradient_P / norm;
        let at = |by: f64| {
            let mut flat = decoder.trainable().flat().shallow_clone();
            let before = flat.copy();
            let _ = flat.g_add_(&(&step_P * by));
            let value = (of(&reading()) * upstream(count, 0.4)).sum(Kind::Double);
            flat.copy_(&before);
            value.double_value(&[])
        };
        let slope = (at(1e-3) - at(-1e-3)) / 2e-3;
        assert!((slope - norm).abs() < 2e-2 * norm, "{slope} for {norm}");
    }
}

#[test]
fn rows_together_sharing_prompts_are_rows_apart() {
    for decoder in decoders() {
        let rows = rows();
        let together: Vec<&Example> = rows.iter().collect();
        let network = Network::reading(&decoder, Precision::Float32);
        let packed = Packed::new(&together, Device::Cpu);
        let all = network.score(&network.read(&packed), 0.8, None);
        let mut first = 0;
        for row in &rows {
            let packed = Packed::new(&[row], Device::Cpu);
            let alone = network.score(&network.read(&packed), 0.8, None);
            let count = row.completion.len() as i64;
            let part = all.logprobs_N.narrow(0, first, count);
            assert!(largest_difference(&part, &alone.logprobs_N) < 1e-5);
            first += count;
        }
    }
}

#[test]
fn what_is_computed_again_gives_the_same_bits() {
    let dora = ADAPTED.map(|name| adapted_by(name, "dora = true\ndropout = 0.3"));
    for decoder in decoders().chain(ADAPTED.map(adapted)).chain(dora) {
        let rows = rows();
        let rows: Vec<&Example> = rows.iter().collect();
        for precision in [Precision::Float32, Precision::Bfloat16] {
            let (_, kept_P) = run(&decoder, &rows, precision, Keep::Everything);
            let (_, again_P) = run(&decoder, &rows, precision, Keep::Inputs);
            assert_eq!(kept_P, again_P);
        }
    }
}

#[test]
fn bfloat16_stays_near_float32_and_weights_are_not_rounded() {
    let dora = ADAPTED.map(|name| adapted_by(name, "dora = true"));
    for decoder in decoders().chain(ADAPTED.map(adapted)).chain(dora) {
        let before = decoder.weights().hash();
        let rows = rows();
        let rows: Vec<&Example> = rows.iter().collect();
        let (wide, wide_P) = run(&decoder, &rows, Precision::Float32, Keep::Everything);
        let (narrow, narrow_P) = run(&decoder, &rows, Precision::Bfloat16, Keep::Everything);
        assert_eq!(narrow_P.kind(), Kind::Float);
        assert!(largest_difference(&wide.logprobs_N, &narrow.logprobs_N) < 0.1);
        let angle = wide_P.dot(&narrow_P).double_value(&[])
            / (wide_P.norm().double_value(&[]) * narrow_P.norm().double_value(&[]));
        assert!(angle > 0.995, "{angle}");
        assert_eq!(decoder.weights().hash(), before);
    }
}

#[test]
fn libtorch_s_operators_compute_what_the_kernels_do() {
    for decoder in decoders() {
        let rows = rows();
        let rows: Vec<&Example> = rows.iter().collect();
        let (kernels, kernels_P) = run(&decoder, &rows, Precision::Float32, Keep::Everything);
        let (portable, portable_P) =
            torch_ext::with_portable(|| run(&decoder, &rows, Precision::Float32, Keep::Everything));
        assert!(largest_difference(&kernels.logprobs_N, &portable.logprobs_N) < 1e-5);
        assert!(largest_difference(&kernels.entropies_N, &portable.entropies_N) < 1e-5);
        assert_eq!(kernels.best_N, portable.best_N);
        assert!(largest_difference(&kernels_P, &portable_P) < 1e-4);
    }
}

#[test]
fn dropout_is_of_the_update_the_sequence_and_nothing_else() {
    for more in ["dropout = 0.5", "dropout = 0.5\ndora = true"] {
        let decoder = adapted_by("llama", more);
        let rows = rows();
        let rows: Vec<&Example> = rows.iter().collect();
        let in_update = |update, rows: &[&Example]| {
            run_in(update, &decoder, rows, Precision::Float32, Keep::Inputs)
        };
        let (first, first_P) = in_update(7, &rows);
        let (again, again_P) = in_update(7, &rows);
        assert_eq!((&first.logprobs_N, &first_P), (&again.logprobs_N, &again_P));
        let (other, _) = in_update(8, &rows);
        assert!(largest_difference(&first.logprobs_N, &other.logprobs_N) > 1e-3);
        // Apart from the others and in another order, a row is dropped the same.
        let mut begin = 0;
        for row in &rows {
            let (alone, _) = in_update(7, &[row]);
            let count = row.completion.len() as i64;
            let part = first.logprobs_N.narrow(0, begin, count);
            assert!(largest_difference(&part, &alone.logprobs_N) < 1e-5);
            begin += count;
        }
        // A network that only reads drops nothing.
        let packed = Packed::new(&rows, Device::Cpu);
        let read = |decoder: &Decoder| {
            let network = Network::reading(decoder, Precision::Float32);
            network.score(&network.read(&packed), 0.8, None).logprobs_N
        };
        let without = adapted_by("llama", &more.replace("0.5", "0"));
        assert_eq!(read(&decoder), read(&without));
        assert!(largest_difference(&read(&decoder), &first.logprobs_N) > 1e-3);
    }
}

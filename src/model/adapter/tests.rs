//! Adapters against themselves and against PEFT.

use super::super::tensor_files::TensorFiles;
use super::*;
use crate::model::{ModelConfig, ModelShape};
use crate::network;

fn settings(modules: &[&str]) -> LoraSettings {
    let names = modules.iter().map(ToString::to_string).collect();
    LoraSettings {
        r: 2,
        alpha: 4.0,
        target_modules: TargetModules::Names(names),
        rslora: false,
        dora: false,
        dropout: 0.0,
    }
}

/// The settings, and the same for `DoRA`.
fn kinds(modules: &[&str]) -> [LoraSettings; 2] {
    [false, true].map(|dora| LoraSettings {
        dora,
        ..settings(modules)
    })
}

/// Moves the pieces away from where they begin.
fn shake(adapter: &Adapter, by: f64) {
    tch::no_grad(|| {
        let flat = adapter.weights().flat();
        let _ = flat.shallow_clone().g_add_(&(flat.randn_like() * by));
    });
}

fn decoder() -> Decoder {
    let config = ModelShape::tiny().config(20, 1, 2, 0);
    let weights = Weights::random(&config, 5, Device::Cpu);
    Decoder::new(config, weights)
}

fn logits(decoder: &Decoder) -> Tensor {
    logits_of(decoder, &[3, 7, 11, 5])
}

fn logits_of(decoder: &Decoder, ids: &[i64]) -> Tensor {
    network::logits(decoder, ids)
}

#[test]
fn a_fresh_adapter_changes_nothing_and_is_all_that_is_trained() {
    for settings in kinds(&["q_proj", "down_proj"]) {
        let plain = decoder();
        let before = logits(&plain).detach();
        let adapter = Adapter::random(&plain, &settings, 1).unwrap();
        let adapted = plain.with_adapter(adapter);
        assert_eq!(logits(&adapted).detach(), before);
        for entry in adapted.weights().entries() {
            let base = adapted.weights().get(&entry.name);
            assert_eq!(adapted.merged(&entry.name), *base);
        }
        // Two layers; q: 2*16 + 16*2, down: 2*32 + 16*2; 16 rows each.
        let magnitudes = if settings.dora { 2 * (16 + 16) } else { 0 };
        assert_eq!(adapted.trainable().count(), 2 * (64 + 96) + magnitudes);
        let gradient_P = network::gradient(&adapted, &[3, 7, 11, 5]);
        // With B zero, A has no gradient.
        let trained = adapted.trainable();
        for entry in trained.entries() {
            let gradient = trained.view(&gradient_P, &entry.name).unwrap();
            let moved = gradient.abs().max().double_value(&[]) > 0.0;
            assert_eq!(moved, !entry.name.contains("lora_A"), "{}", entry.name);
        }
    }
}

#[test]
fn a_seed_gives_lora_and_dora_the_same_matrices() {
    let [lora, dora] = kinds(&["q_proj", "v_proj", "down_proj"]);
    let decoder = decoder();
    let of = |settings, seed| Adapter::random(&decoder, settings, seed).unwrap();
    let (lora, dora, other) = (of(&lora, 1), of(&dora, 1), of(&lora, 2));
    for entry in lora.weights().entries() {
        let own = lora.weights().get(&entry.name);
        assert_eq!(own, dora.weights().get(&entry.name));
        let differs = own != other.weights().get(&entry.name);
        assert_eq!(differs, entry.name.contains("lora_A"));
    }
}

#[test]
fn what_is_merged_computes_what_is_beside() {
    for settings in kinds(&["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"]) {
        let plain = decoder();
        let before = logits(&plain).detach();
        let entries = plain.weights().entries().to_vec();
        let adapter = Adapter::random(&plain, &settings, 1).unwrap();
        shake(&adapter, 0.3);
        let adapted = plain.with_adapter(adapter);
        let beside = logits(&adapted).detach();
        assert!((&beside - &before).abs().max().double_value(&[]) > 1e-3);
        let merged = Weights::read(entries, Device::Cpu, |entry, values| {
            let tensor = adapted.merged(&entry.name).reshape([-1]).contiguous();
            tensor.copy_data(values, values.len());
            Ok(())
        })
        .unwrap();
        let merged = Decoder::new(adapted.config().clone(), merged);
        let difference = (logits(&merged) - &beside).abs().max().double_value(&[]);
        assert!(difference < 1e-4, "{difference}");
        let reference = logits(&adapted.without_adapter()).detach();
        assert_eq!(reference, before);
    }
}

#[test]
fn the_rows_of_what_dora_merges_have_its_magnitudes_as_norms() {
    let [_, settings] = kinds(&["q_proj"]);
    let plain = decoder();
    let adapter = Adapter::random(&plain, &settings, 1).unwrap();
    shake(&adapter, 0.2);
    let module = "model.layers.1.self_attn.q_proj";
    let flat = adapter.weights().flat();
    let magnitudes = adapter.piece(flat, module, Piece::Magnitude).unwrap().abs();
    let merged = plain
        .with_adapter(adapter)
        .merged(&format!("{module}.weight"));
    let far = (row_norms(&merged) - magnitudes).abs().max();
    assert!(far.double_value(&[]) < 1e-5);
}

#[test]
fn a_row_of_zeros_stays_finite() {
    let [_, settings] = kinds(&["q_proj"]);
    let plain = decoder();
    let name = "model.layers.0.self_attn.q_proj.weight";
    let _ = plain.weights().get(name).get(3).fill_(0.0);
    let adapter = Adapter::random(&plain, &settings, 1).unwrap();
    let adapted = plain.with_adapter(adapter);
    let gradient_P = network::gradient(&adapted, &[3, 7, 11, 5]);
    assert!(bool::try_from(gradient_P.isfinite().all()).unwrap());
    assert_eq!(adapted.merged(name), *adapted.weights().get(name));
}

#[test]
fn an_adapter_reads_back_as_it_was_written() {
    let decoder = decoder();
    let entries = decoder.weights().entries();
    for wanted in kinds(&["k_proj", "gate_proj"]) {
        let wanted = LoraSettings {
            rslora: wanted.dora,
            dropout: 0.25,
            ..wanted
        };
        let adapter = Adapter::random(&decoder, &wanted, 1).unwrap();
        shake(&adapter, 1.0);
        assert_eq!(adapter.dropout(), Some((0.25, 1)));
        let folder = tempfile::tempdir().unwrap();
        adapter.save(folder.path()).unwrap();
        let read = Adapter::load(folder.path(), entries, Device::Cpu).unwrap();
        assert_eq!(read.weights().hash(), adapter.weights().hash());
        assert_eq!(read.config, adapter.config);
        assert_eq!(read.dropout(), None);
        let narrow = ModelShape {
            width: 24,
            ..ModelShape::tiny()
        };
        let other = crate::model::weights::layout(&narrow.config(20, 1, 2, 0));
        let refused = Adapter::load(folder.path(), &other, Device::Cpu).unwrap_err();
        assert!(
            format!("{refused:#}").contains("gate_proj.lora_"),
            "{refused:#}"
        );
    }
}

/// The model that PEFT's adapters in `tests/data/adapters` are for.
fn recorded() -> Decoder {
    let folder = recorded_folder("model");
    let config = experiments::text::string(&folder.join("config.json")).unwrap();
    let config = ModelConfig::from_json(&config).unwrap();
    let files = TensorFiles::open_file(&folder.join("model.safetensors")).unwrap();
    let entries = crate::model::weights::layout(&config);
    let weights = Weights::read(entries, Device::Cpu, |entry, values| {
        files.read_f32(&entry.name, values)
    });
    Decoder::new(config, weights.unwrap())
}

fn recorded_folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/adapters")
        .join(name)
}

#[test]
fn logits_and_gradients_are_those_of_peft() {
    let ids = [3, 17, 9, 28, 5, 5, 11, 30];
    for name in ["lora", "rslora", "dora", "default"] {
        let folder = recorded_folder(name);
        let base = recorded();
        let before = logits_of(&base, &ids);
        let adapter = Adapter::load(&folder, base.weights().entries(), Device::Cpu).unwrap();
        let adapted = base.with_adapter(adapter);
        let expected = TensorFiles::open_file(&folder.join("expected.safetensors")).unwrap();
        let of = |name: &str| {
            let shape = expected.shape(name).unwrap();
            let mut values = vec![0.0; shape.iter().product()];
            expected.read_f32(name, &mut values).unwrap();
            let shape: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
            Tensor::from_slice(&values).view(shape.as_slice())
        };
        let largest = |of: &Tensor| of.abs().max().double_value(&[]);
        let found = logits_of(&adapted, &ids);
        assert!(largest(&(&found - before)) > 0.1, "{name}");
        let far = largest(&(found - of("logits")));
        assert!(far < 2e-5, "{name}: {far}");
        let gradient_P = network::gradient(&adapted, &ids);
        let trained = adapted.trainable();
        assert_eq!(trained.entries().len() + 1, expected.names().count());
        for entry in trained.entries() {
            let own = trained.view(&gradient_P, &entry.name).unwrap();
            let peft = of(&entry.name);
            let far = largest(&(own - &peft));
            assert!(
                far < 2e-5 * largest(&peft).max(0.1),
                "{name} {}: {far}",
                entry.name
            );
        }
    }
}

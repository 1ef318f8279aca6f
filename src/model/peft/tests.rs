//! Adapters' folders: what reads back, and what is refused by key.

use std::fs;

use super::*;

fn matrices() -> Vec<Matrix> {
    [
        ("model.layers.0.self_attn.q_proj", 6, 4),
        ("model.layers.0.mlp.down_proj", 4, 5),
        ("model.layers.1.self_attn.q_proj", 6, 4),
    ]
    .map(|(name, outputs, inputs)| Matrix {
        name: name.to_owned(),
        outputs,
        inputs,
    })
    .to_vec()
}

fn config() -> AdapterConfig {
    AdapterConfig {
        base_model_name_or_path: Some("somewhere".to_owned()),
        r: 2,
        lora_alpha: 16.0,
        lora_dropout: 0.05,
        target_modules: Some(TargetModules::Names(vec!["q_proj".to_owned()])),
        use_rslora: false,
        use_dora: false,
    }
}

fn dora() -> AdapterConfig {
    AdapterConfig {
        use_dora: true,
        ..config()
    }
}

/// Numbers that say which matrix they are of.
fn numbers(matrix: &Matrix, piece: Piece) -> Vec<f32> {
    let count = piece.shape(2, matrix).into_iter().product::<usize>();
    (0..count)
        .map(|index| index as f32 + if piece == Piece::A { 0.25 } else { 0.5 })
        .collect()
}

/// A folder with adapters of the first and the last matrix.
fn folder() -> tempfile::TempDir {
    folder_of(&config())
}

fn folder_of(config: &AdapterConfig) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let adapted = [matrices()[0].clone(), matrices()[2].clone()];
    write(
        folder.path(),
        config,
        &adapted,
        NumberFormat::F32,
        |matrix, piece, sink| sink.numbers(&numbers(matrix, piece)),
    )
    .unwrap();
    folder
}

#[track_caller]
fn assert_refused(folder: &Path, matrices: &[Matrix], parts: &[&str]) {
    let error = Adapter::open(folder, matrices).expect_err("something is wrong");
    let text = format!("{error:#}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[test]
fn what_is_written_reads_back() {
    for config in [config(), dora()] {
        let folder = folder_of(&config);
        let adapter = Adapter::open(folder.path(), &matrices()).unwrap();
        assert_eq!(adapter.config, config);
        assert_eq!(adapter.adapted, [0, 2]);
        for place in [0, 2] {
            let matrix = &matrices()[place];
            for &piece in config.pieces() {
                let expected = numbers(matrix, piece);
                let mut read = vec![0.0; expected.len()];
                adapter.read_f32(&matrix.name, piece, &mut read).unwrap();
                assert_eq!(read, expected);
            }
        }
    }
}

#[test]
fn magnitudes_are_there_where_dora_is_and_nowhere_else() {
    let folder = folder_of(&dora());
    let path = folder.path();
    let mut plain = dora();
    plain.use_dora = false;
    fs::write(path.join(CONFIG), plain.to_json().unwrap().to_string()).unwrap();
    let magnitude = "layers.0.self_attn.q_proj.lora_magnitude_vector";
    assert_refused(path, &matrices(), &[magnitude, "use_dora"]);
    let folder = folder_of(&config());
    let path = folder.path();
    fs::write(path.join(CONFIG), dora().to_json().unwrap().to_string()).unwrap();
    assert_refused(
        path,
        &matrices(),
        &["layers.0.self_attn.q_proj", "no lora_magnitude_vector"],
    );
}

#[test]
fn names_are_those_of_peft() {
    let name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
    assert_eq!(
        tensor_name("model.layers.0.self_attn.q_proj", Piece::A),
        name
    );
    assert_eq!(
        parse_name(name),
        Some(("model.layers.0.self_attn.q_proj", Piece::A))
    );
    let magnitude = "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector";
    assert_eq!(
        parse_name(magnitude),
        Some(("model.layers.0.self_attn.q_proj", Piece::Magnitude))
    );
    assert_eq!(
        parse_name("base_model.model.lm_head.lora_B.weight"),
        Some(("lm_head", Piece::B))
    );
    for other in [
        "model.layers.0.q_proj.lora_A.weight",
        "base_model.model.embed_tokens.lora_embedding_A",
        "base_model.model.q_proj.lora_A.bias",
        "base_model.model.q_projlora_A.weight",
        "base_model.model.q_proj.lora_magnitude_vector.weight",
        "base_model.model.q_projlora_magnitude_vector",
        "base_model.model.",
    ] {
        assert_eq!(parse_name(other), None, "{other}");
    }
}

#[test]
fn the_scale_is_alpha_over_the_rank_or_over_its_root() {
    let plain = AdapterConfig { r: 16, ..config() };
    let rooted = AdapterConfig {
        use_rslora: true,
        ..plain.clone()
    };
    assert!((plain.scale() - 1.0).abs() < 1e-12);
    assert!((rooted.scale() - 4.0).abs() < 1e-12);
}

#[test]
fn whatever_else_an_adapter_may_do_is_refused_by_key() {
    let read = |value: &Value| AdapterConfig::from_json(value.to_string().as_bytes());
    let plain = config().to_json().unwrap();
    assert_eq!(read(&plain).unwrap(), config());
    for (key, value) in [
        ("peft_type", json!("IA3")),
        ("bias", json!("all")),
        ("bias", json!("lora_only")),
        ("fan_in_fan_out", json!(true)),
        ("init_lora_weights", json!("pissa")),
        ("layers_to_transform", json!([0])),
        ("layers_to_transform", json!(0)),
        ("modules_to_save", json!(["lm_head"])),
        ("rank_pattern", json!({"q_proj": 4})),
        ("alpha_pattern", json!({"q_proj": 4})),
        ("use_dora", json!("yes")),
        ("lora_bias", json!(true)),
        ("target_parameters", json!(["w"])),
        ("a_key_of_tomorrow", json!(1)),
        ("r", json!(0)),
        ("r", json!(-1)),
        ("r", json!("8")),
        ("lora_alpha", json!("16")),
        ("lora_dropout", json!(1.0)),
        ("target_modules", json!({"q_proj": 1})),
        ("use_rslora", json!(1)),
    ] {
        let mut changed = plain.clone();
        changed[key] = value.clone();
        let error = format!("{:#}", read(&changed).unwrap_err());
        assert!(error.starts_with(&format!("{key} = {value} ")), "{error}");
    }
    for (key, value) in [
        ("modules_to_save", json!([])),
        ("a_key_of_tomorrow", json!(false)),
        ("init_lora_weights", json!("gaussian")),
        ("inference_mode", json!(true)),
        ("target_modules", json!("all-linear")),
        ("target_modules", Value::Null),
        ("use_rslora", Value::Null),
    ] {
        let mut changed = plain.clone();
        changed[key] = value;
        assert!(read(&changed).is_ok(), "{key}");
    }
    assert!(read(&json!({"lora_alpha": 8})).is_err());
    assert!(read(&json!([])).is_err());
}

#[test]
fn an_adapter_of_another_model_is_refused_by_tensor() {
    let folder = folder();
    let path = folder.path();
    let mut other = matrices();
    other[2].inputs = 5;
    assert_refused(
        path,
        &other,
        &[WEIGHTS, "layers.1", "lora_A", "[2, 4]", "[2, 5]"],
    );
    assert_refused(
        path,
        &matrices()[..2],
        &["layers.1", "the model does not have"],
    );
    let mut narrow = config();
    narrow.r = 3;
    fs::write(path.join(CONFIG), narrow.to_json().unwrap().to_string()).unwrap();
    assert_refused(path, &matrices(), &["rank 3", "[3, 4]"]);
    // "q_proj" is the end of a name, "proj" is not.
    let mut off = config();
    off.target_modules = Some(TargetModules::Names(vec!["proj".to_owned()]));
    fs::write(path.join(CONFIG), off.to_json().unwrap().to_string()).unwrap();
    assert_refused(path, &matrices(), &["q_proj", "target_modules"]);
    off.target_modules = Some(TargetModules::Pattern(".*q_proj".to_owned()));
    fs::write(path.join(CONFIG), off.to_json().unwrap().to_string()).unwrap();
    assert!(Adapter::open(path, &matrices()).is_ok());
}

#[test]
fn half_a_pair_and_tensors_of_other_kinds_are_refused() {
    let folder = folder();
    let path = folder.path();
    let one = |name: &str| {
        let tensor = TensorToWrite {
            name: name.to_owned(),
            shape: vec![2, 4],
            format: NumberFormat::F32,
        };
        write_safetensors(&path.join(WEIGHTS), &[tensor], |_, sink| {
            sink.numbers(&[0.0; 8])
        })
        .unwrap();
    };
    one(&tensor_name("model.layers.0.self_attn.q_proj", Piece::A));
    assert_refused(path, &matrices(), &["q_proj", "lora_A", "no lora_B"]);
    one("base_model.model.model.embed_tokens.lora_embedding_A");
    assert_refused(path, &matrices(), &["lora_embedding_A", "not supported"]);
    write_safetensors(&path.join(WEIGHTS), &[], |_, _| Ok(())).unwrap();
    assert_refused(path, &matrices(), &[WEIGHTS, "no tensor"]);
    fs::remove_file(path.join(WEIGHTS)).unwrap();
    assert_refused(path, &matrices(), &[WEIGHTS, "safe_serialization"]);
    fs::remove_file(path.join(CONFIG)).unwrap();
    assert_refused(path, &matrices(), &[CONFIG]);
}

//! Folders of tensors: what reads back, and what lies in a file.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// A safetensors file with that header and data.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// What is said of a file.
fn refusal(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    fs::write(&path, bytes).unwrap();
    let error = TensorFiles::open_file(&path).expect_err("the file is wrong");
    let text = format!("{error:#}");
    assert!(text.contains("weights.safetensors"), "{text}");
    text
}

fn of_header(header: &Value, data: usize) -> String {
    refusal(&file(&header.to_string(), &vec![0; data]))
}

fn described(dtype: &str, shape: &[usize], from: usize, to: usize) -> Value {
    json!({"dtype": dtype, "shape": shape, "data_offsets": [from, to]})
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

fn tensor(name: &str, shape: &[usize], format: NumberFormat) -> TensorToWrite {
    TensorToWrite {
        name: name.to_owned(),
        shape: shape.to_vec(),
        format,
    }
}

/// Three tensors of one format, each with numbers that say where they are.
fn three() -> Vec<TensorToWrite> {
    [("c", [2, 3]), ("a", [4, 2]), ("b", [1, 5])]
        .map(|(name, shape)| tensor(name, &shape, NumberFormat::F32))
        .to_vec()
}

fn numbers(place: usize, tensor: &TensorToWrite) -> Vec<f32> {
    (0..tensor.shape.iter().product())
        .map(|index| place as f32 + index as f32 / 16.0)
        .collect()
}

fn write_three(folder: &Path, max_shard_bytes: u64) {
    let tensors = three();
    write_model(folder, &tensors, max_shard_bytes, |place, sink| {
        // In two pieces, as a caller may.
        let numbers = numbers(place, &tensors[place]);
        let (first, rest) = numbers.split_at(1);
        sink.numbers(first)?;
        sink.numbers(rest)
    })
    .unwrap();
}

fn assert_holds_three(files: &TensorFiles) {
    assert_eq!(files.names().collect::<Vec<_>>(), ["a", "b", "c"]);
    for (place, tensor) in three().iter().enumerate() {
        assert_eq!(files.shape(&tensor.name).unwrap(), tensor.shape);
        assert_eq!(files.dtype(&tensor.name).unwrap(), Dtype::F32);
        let expected = numbers(place, tensor);
        let mut read = vec![0.0; expected.len()];
        files.read_f32(&tensor.name, &mut read).unwrap();
        assert_eq!(read, expected);
    }
}

fn listing(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_written_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    write_three(folder.path(), MAX_SHARD_BYTES);
    assert_eq!(listing(folder.path()), [SINGLE]);
    assert_holds_three(&TensorFiles::open(folder.path()).unwrap());
}

#[test]
fn a_model_above_the_limit_is_cut_into_named_shards() {
    let folder = tempfile::tempdir().unwrap();
    write_three(folder.path(), 44);
    let shards = [1, 2, 3].map(|number| format!("model-0000{number}-of-00003.safetensors"));
    let expected = [&shards[..], &[INDEX.to_owned()]].concat();
    assert_eq!(listing(folder.path()), expected);
    let index: Value =
        serde_json::from_slice(&fs::read(folder.path().join(INDEX)).unwrap()).unwrap();
    assert_eq!(index["metadata"]["total_size"], 76);
    assert_eq!(index["weight_map"]["a"], *shards[1]);
    assert_holds_three(&TensorFiles::open(folder.path()).unwrap());
    // Two of the three fit together below a higher limit.
    let other = tempfile::tempdir().unwrap();
    write_three(other.path(), 56);
    assert_eq!(listing(other.path()).len(), 3);
    assert_holds_three(&TensorFiles::open(other.path()).unwrap());
}

#[test]
fn another_reader_agrees_on_the_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mixed.safetensors");
    let tensors = [
        tensor("half", &[3], NumberFormat::F16),
        tensor("single", &[2, 2], NumberFormat::F32),
        tensor("brain", &[1], NumberFormat::Bf16),
        tensor("none", &[0, 7], NumberFormat::F32),
        tensor("scalar", &[], NumberFormat::F32),
    ];
    write_safetensors(&path, &tensors, |place, sink| {
        sink.numbers(&numbers(place, &tensors[place]))
    })
    .unwrap();
    let bytes = fs::read(&path).unwrap();
    let (header, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header % 8, 0);
    let expected = [("format".to_owned(), "pt".to_owned())].into();
    assert_eq!(metadata.metadata().as_ref(), Some(&expected));
    let read = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(read.len(), 5);
    assert_eq!(read.tensor("half").unwrap().dtype(), Dtype::F16);
    assert_eq!(read.tensor("brain").unwrap().dtype(), Dtype::BF16);
    let single = read.tensor("single").unwrap();
    let expected: Vec<u8> = [1.0f32, 1.0625, 1.125, 1.1875]
        .into_iter()
        .flat_map(f32::to_le_bytes)
        .collect();
    assert_eq!(single.data(), expected);
    for (name, info) in metadata.tensors() {
        let width = info.dtype.bitsize() / 8;
        assert_eq!(info.data_offsets.0 % width, 0, "{name}");
    }
}

#[test]
fn every_half_precision_number_is_read_as_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.safetensors");
    let halves: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    let tensors = [
        tensor("f16", &[1 << 16], NumberFormat::F16),
        tensor("bf16", &[1 << 16], NumberFormat::Bf16),
    ];
    write_safetensors(&path, &tensors, |_, sink| sink.bytes(&halves)).unwrap();
    let files = TensorFiles::open_file(&path).unwrap();
    let same = |a: f32, b: f32| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    let mut read = vec![0.0; 1 << 16];
    files.read_f32("bf16", &mut read).unwrap();
    for (bits, &number) in (0..=u16::MAX).zip(&read) {
        assert!(
            same(number, f32::from_bits(u32::from(bits) << 16)),
            "{bits:#x}"
        );
    }
    files.read_f32("f16", &mut read).unwrap();
    for (bits, &number) in (0..=u16::MAX).zip(&read) {
        let (sign, exponent, fraction) = (bits >> 15, bits >> 10 & 31, bits & 1023);
        let size = match exponent {
            0 => f32::from(fraction) * 2f32.powi(-24),
            31 if fraction == 0 => f32::INFINITY,
            31 => f32::NAN,
            _ => (1.0 + f32::from(fraction) / 1024.0) * 2f32.powi(i32::from(exponent) - 15),
        };
        let expected = if sign == 1 { -size } else { size };
        assert!(same(number, expected), "{bits:#x}");
    }
    assert_eq!(files.bytes("f16").unwrap(), halves);
}

#[test]
fn numbers_are_rounded_to_the_nearest_of_the_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rounded.safetensors");
    let tensors = [
        tensor("f16", &[3], NumberFormat::F16),
        tensor("bf16", &[3], NumberFormat::Bf16),
    ];
    // Just below a half way, half way to an even one, and far too large.
    write_safetensors(&path, &tensors, |place, sink| match place {
        0 => sink.numbers(&[1.000_48, 1.0 + 1.0 / 2048.0, 1e9]),
        _ => sink.numbers(&[1.003_9, 1.0 + 1.0 / 256.0, f32::MAX]),
    })
    .unwrap();
    let files = TensorFiles::open_file(&path).unwrap();
    for name in ["f16", "bf16"] {
        let mut read = [0.0; 3];
        files.read_f32(name, &mut read).unwrap();
        let expected = [1.0, 1.0, f32::INFINITY].map(f32::to_bits);
        assert_eq!(read.map(f32::to_bits), expected, "{name}");
    }
}

#[test]
fn a_tensor_longer_than_a_chunk_is_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    let count = CHUNK * 2 + 7;
    let tensors = [tensor("long", &[count], NumberFormat::F32)];
    let expected = numbers(0, &tensors[0]);
    let path = folder.path().join("long.safetensors");
    write_safetensors(&path, &tensors, |_, sink| sink.numbers(&expected)).unwrap();
    let mut read = vec![0.0; count];
    let files = TensorFiles::open_file(&path).unwrap();
    files.read_f32("long", &mut read).unwrap();
    assert_eq!(read, expected);
}

#[test]
fn a_failed_write_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part.safetensors");
    let too_few = write_safetensors(&path, &three(), |_, sink| sink.numbers(&[1.0])).unwrap_err();
    says(
        &format!("{too_few:#}"),
        &["part.safetensors", "\"c\"", "needs 24", "given 4"],
    );
    let too_many =
        write_safetensors(&path, &three(), |_, sink| sink.numbers(&[1.0; 9])).unwrap_err();
    says(&format!("{too_many:#}"), &["\"c\"", "given 36"]);
    let twice = [&three()[..], &three()[..1]].concat();
    let twice = write_safetensors(&path, &twice, |_, sink| sink.numbers(&[1.0; 6])).unwrap_err();
    says(&format!("{twice:#}"), &["\"c\"", "twice"]);
    let reserved = [tensor("__metadata__", &[1], NumberFormat::F32)];
    assert!(write_safetensors(&path, &reserved, |_, sink| sink.numbers(&[1.0])).is_err());
    assert!(listing(folder.path()).is_empty());
}

#[test]
fn old_shards_are_not_mixed_with_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    write_three(folder.path(), 44);
    let error = write_model(folder.path(), &three(), 44, |_, _| Ok(())).unwrap_err();
    says(&format!("{error:#}"), &["model-0000", "another folder"]);
    assert_holds_three(&TensorFiles::open(folder.path()).unwrap());
}

#[test]
fn a_file_that_is_cut_short_is_refused_at_every_length() {
    let folder = tempfile::tempdir().unwrap();
    write_three(folder.path(), MAX_SHARD_BYTES);
    let whole = fs::read(folder.path().join(SINGLE)).unwrap();
    for length in 0..whole.len() {
        refusal(&whole[..length]);
    }
    says(&refusal(&whole[..whole.len() - 1]), &["\"b\"", "cut short"]);
    says(&refusal(&whole[..40]), &["header", "cut short"]);
    says(&refusal(b""), &["0 bytes", "cut short"]);
    let mut longer = whole;
    longer.push(0);
    says(&refusal(&longer), &["belong to no tensor"]);
}

#[test]
fn a_header_length_that_lies_is_refused() {
    let mut bytes = file("{}", &[]);
    bytes[..8].copy_from_slice(&99_999_999u64.to_le_bytes());
    says(&refusal(&bytes), &["99999999", "the file has 2"]);
    bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    says(
        &refusal(&bytes),
        &["18446744073709551615", "no safetensors file"],
    );
}

#[test]
fn a_pointer_in_place_of_a_file_is_recognised() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    says(&refusal(pointer), &["git lfs pull"]);
}

#[test]
fn a_header_that_is_not_json_is_refused() {
    says(&refusal(&file("[]", &[])), &["describes tensors by name"]);
    says(&refusal(&file("{\"a\":", &[])), &["line 1"]);
    says(&refusal(&file("{} x", &[])), &["line 1"]);
    says(&refusal(&file(&"[".repeat(5000), &[])), &["header"]);
    let deep = format!("{{\"__metadata__\":{}", "[".repeat(5000));
    says(&refusal(&file(&deep, &[])), &["header cannot be read"]);
    says(&refusal(&file("{\"\u{fffd}\": 1}", &[])), &["tensor", "1"]);
    let mut not_text = file("{\"aa\": 1}", &[]);
    not_text[10] = 0xff;
    refusal(&not_text);
}

#[test]
fn a_description_without_its_parts_names_the_tensor() {
    for (description, word) in [
        (json!({"dtype": "F32", "shape": [1]}), "data_offsets"),
        (json!({"dtype": "F32", "data_offsets": [0, 4]}), "shape"),
        (json!({"shape": [1], "data_offsets": [0, 4]}), "dtype"),
        (json!("F32"), "expected struct"),
        (
            json!({"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}),
            "-1",
        ),
        (
            json!({"dtype": "F32", "shape": [1.5], "data_offsets": [0, 4]}),
            "1.5",
        ),
        (
            json!({"dtype": 3, "shape": [1], "data_offsets": [0, 4]}),
            "3",
        ),
        (
            json!({"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}),
            "\"w\"",
        ),
    ] {
        says(&of_header(&json!({"w": description}), 4), &["\"w\"", word]);
    }
    let unknown = of_header(&json!({"w": described("Q4_K", &[1], 0, 4)}), 4);
    says(&unknown, &["\"w\"", "Q4_K"]);
    let long = of_header(&json!({"n".repeat(2000): described("F32", &[1], 0, 4)}), 4);
    says(&long, &["2000 bytes"]);
    assert!(long.len() < 400, "{long}");
}

#[test]
fn a_tensor_that_does_not_fit_its_place_is_named() {
    let one = |dtype: &str, shape: &[usize], from, to| {
        of_header(&json!({"w": described(dtype, shape, from, to)}), 16)
    };
    says(&one("F32", &[4], 0, 20), &["\"w\"", "0 to 20 of 16"]);
    says(&one("F32", &[4], 16, 0), &["\"w\"", "16 to 0"]);
    says(&one("F32", &[4], usize::MAX - 15, usize::MAX), &["\"w\""]);
    says(&one("F32", &[5], 0, 16), &["\"w\"", "needs 20", "given 16"]);
    says(&one("F32", &[2], 0, 8), &["8 to 16", "behind the last"]);
    says(&one("F32", &[2], 8, 16), &["0 to 8", "before tensor \"w\""]);
    says(&one("F32", &[usize::MAX, 2], 0, 16), &["\"w\"", "no size"]);
    says(&one("F32", &[usize::MAX / 2], 0, 16), &["\"w\"", "no size"]);
    says(&one("F4", &[31], 0, 16), &["\"w\"", "no size"]);
    says(&one("F32", &[1; 65], 0, 4), &["\"w\"", "65 axes"]);
    let overlap = json!({"v": described("F32", &[2], 0, 8), "w": described("F32", &[3], 4, 16)});
    says(&of_header(&overlap, 16), &["\"w\"", "byte 4", "ends at 8"]);
}

#[test]
fn a_tensor_described_twice_is_refused() {
    let text = described("F32", &[0], 0, 0).to_string();
    let header = format!("{{\"w\":{text},\"w\":{text}}}");
    says(&refusal(&file(&header, &[])), &["\"w\"", "twice"]);
}

#[test]
fn numbers_of_another_kind_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kinds.safetensors");
    for dtype in ["F64", "I64", "I32", "U8", "BOOL", "F8_E4M3", "C64"] {
        let width = dtype_bits(dtype) / 8;
        let header = json!({"w": described(dtype, &[1], 0, width)}).to_string();
        fs::write(&path, file(&header, &vec![0; width])).unwrap();
        let files = TensorFiles::open_file(&path).unwrap();
        let error = files.read_f32("w", &mut [0.0]).unwrap_err().to_string();
        says(&error, &["kinds.safetensors", "\"w\"", dtype, "BF16"]);
        assert_eq!(files.bytes("w").unwrap().len(), width);
    }
}

fn dtype_bits(name: &str) -> usize {
    let dtype: Dtype = serde_json::from_value(json!(name)).unwrap();
    dtype.bitsize()
}

#[test]
fn a_tensor_that_is_absent_or_of_another_size_is_named() {
    let folder = tempfile::tempdir().unwrap();
    write_three(folder.path(), MAX_SHARD_BYTES);
    let files = TensorFiles::open(folder.path()).unwrap();
    let absent = files.read_f32("d", &mut [0.0]).unwrap_err().to_string();
    says(&absent, &["\"d\"", SINGLE]);
    assert!(files.shape("d").is_err() && files.dtype("d").is_err() && files.bytes("d").is_err());
    let size = files.read_f32("c", &mut [0.0; 5]).unwrap_err().to_string();
    says(
        &size,
        &[SINGLE, "\"c\"", "[2, 3]", "6 numbers", "5 are wanted"],
    );
}

/// A sharded folder with changes to its index.
fn with_index(change: impl FnOnce(&mut BTreeMap<String, String>, &Path)) -> String {
    let folder: TempDir = tempfile::tempdir().unwrap();
    write_three(folder.path(), 44);
    let path = folder.path().join(INDEX);
    let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let mut map = serde_json::from_value(index["weight_map"].take()).unwrap();
    change(&mut map, folder.path());
    index["weight_map"] = json!(map);
    fs::write(&path, index.to_string()).unwrap();
    let error = TensorFiles::open(folder.path()).expect_err("the index is wrong");
    format!("{error:#}")
}

#[test]
fn an_index_that_does_not_fit_its_shards_is_refused() {
    let second = "model-00002-of-00003.safetensors";
    let absent = with_index(|_, folder| fs::remove_file(folder.join(second)).unwrap());
    says(&absent, &[INDEX, second, "not in the folder"]);
    let elsewhere = with_index(|map, _| {
        map.insert("a".to_owned(), map["c"].clone());
        map.insert("d".to_owned(), second.to_owned());
    });
    says(&elsewhere, &[INDEX, "\"a\"", "model-00001", second]);
    let nowhere = with_index(|map, _| {
        map.insert("d".to_owned(), second.to_owned());
    });
    says(&nowhere, &[INDEX, "\"d\"", "none of the shards"]);
    let twice = with_index(|map, folder| {
        fs::copy(folder.join(second), folder.join("more.safetensors")).unwrap();
        map.insert("d".to_owned(), "more.safetensors".to_owned());
    });
    says(&twice, &["\"a\"", second, "more.safetensors"]);
    let cut = with_index(|_, folder| fs::write(folder.join(second), [0; 7]).unwrap());
    says(&cut, &[second, "cut short"]);
}

#[test]
fn a_shard_outside_of_the_folder_is_refused() {
    for name in [
        "../x.safetensors",
        "/x",
        "..",
        ".",
        "",
        "a\\b",
        "a/b",
        "a\0b",
    ] {
        let text = with_index(|map, _| {
            map.insert("a".to_owned(), name.to_owned());
        });
        says(&text, &[INDEX, "not the name of a file in the folder"]);
    }
}

#[test]
fn an_index_that_is_no_index_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for text in ["", "[]", "{}", "{\"weight_map\": {\"a\": 1}}"] {
        fs::write(folder.path().join(INDEX), text).unwrap();
        let error = TensorFiles::open(folder.path()).unwrap_err();
        says(&format!("{error:#}"), &[INDEX, "weight_map"]);
    }
}

#[test]
fn a_folder_without_safetensors_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = TensorFiles::open(folder.path()).unwrap_err().to_string();
    says(&nothing, &[SINGLE, INDEX]);
    fs::write(folder.path().join("pytorch_model.bin"), "").unwrap();
    let pickled = TensorFiles::open(folder.path()).unwrap_err().to_string();
    says(
        &pickled,
        &[
            "pytorch_model.bin",
            "only safetensors is read",
            "save_pretrained",
        ],
    );
    fs::create_dir(folder.path().join(SINGLE)).unwrap();
    let no_file = TensorFiles::open(folder.path()).unwrap_err().to_string();
    says(&no_file, &[SINGLE, "is not a file"]);
}

#[test]
fn the_reference_models_open() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/models");
    if !models.exists() {
        println!("skipped: ../shared/fixtures/models is not there");
        return;
    }
    for entry in fs::read_dir(models).unwrap() {
        let files = TensorFiles::open(&entry.unwrap().path()).unwrap();
        let shape = files.shape("model.norm.weight").unwrap();
        let mut norm = vec![0.0; shape.iter().product()];
        files.read_f32("model.norm.weight", &mut norm).unwrap();
        assert!(norm.iter().all(|weight| (weight - 1.0).abs() < 1.0));
        assert!(files.names().count() > 20);
    }
}

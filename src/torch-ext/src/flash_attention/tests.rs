//! Flash attention held to attention in float64; skipped without a GPU.

use tch::{Device, Kind, Tensor};

use super::{CacheLayout, decode, packed};
use crate::cuda_graph::tests::gpu;

/// Attention as it is written down, of one sequence, in double precision.
/// Query `t` of `T` sees the keys up to `t` from the end: `[T, H, E]`.
fn reference(
    query_THE: &Tensor,
    key_SKE: &Tensor,
    value_SKE: &Tensor,
    (scale, window): (f64, Option<i64>),
) -> Tensor {
    let [queries, heads, _] = query_THE.size()[..] else {
        panic!("three axes")
    };
    let (positions, key_heads) = (key_SKE.size()[0], key_SKE.size()[1]);
    let spread = |t: &Tensor| {
        t.repeat_interleave_self_int(heads / key_heads, 1, heads)
            .transpose(0, 1)
    };
    let scores_HTS = query_THE
        .transpose(0, 1)
        .matmul(&spread(key_SKE).transpose(1, 2))
        * scale;
    let ones_TS = Tensor::ones([queries, positions], (Kind::Bool, query_THE.device()));
    let mut hidden_TS = ones_TS.triu(positions - queries + 1);
    if let Some(window) = window {
        hidden_TS = hidden_TS.logical_or(&ones_TS.tril(positions - queries - window));
    }
    scores_HTS
        .masked_fill(&hidden_TS, f64::NEG_INFINITY)
        .softmax(-1, Kind::Double)
        .matmul(&spread(value_SKE))
        .transpose(0, 1)
}

fn starts(lengths: &[i64]) -> Vec<i32> {
    let mut starts = vec![0];
    for length in lengths {
        starts.push(starts[starts.len() - 1] + *length as i32);
    }
    starts
}

/// ‖a − b‖ / ‖b‖ in double precision on the host; NaN stays NaN.
fn distance(a: &Tensor, b: &Tensor) -> f64 {
    let host = |t: &Tensor| t.detach().to_device(Device::Cpu).to_kind(Kind::Double);
    let (a, b) = (host(a), host(b));
    (&a - &b).norm().double_value(&[]) / b.norm().double_value(&[])
}

/// A leaf of the given kind on the device, and its exact double on the host.
fn twins(shape: &[i64], kind: Kind, device: Device) -> (Tensor, Tensor) {
    let leaf = Tensor::randn(shape, (Kind::Float, Device::Cpu)).to_kind(kind);
    let double = leaf.to_kind(Kind::Double).set_requires_grad(true);
    (leaf.to_device(device).set_requires_grad(true), double)
}

#[test]
fn packed_sequences_attend_to_themselves_and_so_do_their_gradients() {
    let Some(gpu) = gpu() else { return };
    let lengths = [5, 128, 1, 300, 77];
    for (kind, heads, key_heads, width, window, limit) in [
        (Kind::BFloat16, 9, 3, 64, None, 1e-2),
        (Kind::Half, 9, 3, 64, None, 2e-3),
        (Kind::BFloat16, 16, 8, 128, Some(50), 1e-2),
        (Kind::BFloat16, 4, 1, 256, Some(512), 1e-2),
        (Kind::BFloat16, 4, 4, 64, Some(1), 1e-2),
    ] {
        let scale = 1.3 / (width as f64).sqrt();
        let tokens = lengths.iter().sum();
        let (query, query_64) = twins(&[tokens, heads, width], kind, gpu.device);
        let (key, key_64) = twins(&[tokens, key_heads, width], kind, gpu.device);
        let (value, value_64) = twins(&[tokens, key_heads, width], kind, gpu.device);
        let (slope, slope_64) = twins(&[tokens, heads, width], kind, gpu.device);

        let starts_B1 = Tensor::from_slice(&starts(&lengths)).to_device(gpu.device);
        let output = packed(
            [&query, &key, &value],
            [&starts_B1; 2],
            [300; 2],
            scale,
            window,
        )
        .unwrap();
        (&output * slope.detach()).sum(Kind::Float).backward();

        let parts: Vec<Tensor> = starts(&lengths)
            .iter()
            .zip(lengths)
            .map(|(&start, length)| {
                let of = |t: &Tensor| t.narrow(0, i64::from(start), length);
                reference(
                    &of(&query_64),
                    &of(&key_64),
                    &of(&value_64),
                    (scale, window),
                )
            })
            .collect();
        let output_64 = Tensor::cat(&parts, 0);
        (&output_64 * slope_64.detach())
            .sum(Kind::Double)
            .backward();

        let errors = [
            distance(&output, &output_64),
            distance(&query.grad(), &query_64.grad()),
            distance(&key.grad(), &key_64.grad()),
            distance(&value.grad(), &value_64.grad()),
        ];
        println!("{kind:?} H{heads} K{key_heads} E{width}: output, dq, dk, dv off by {errors:.5?}");
        assert!(errors.iter().all(|&error| error < limit), "{errors:?}");
    }
}

#[test]
fn one_query_a_row_attends_to_its_length_of_the_cache() {
    let Some(gpu) = gpu() else { return };
    let (positions, lengths) = (512, [512_i32, 1, 37, 256, 257, 400]);
    let rows = lengths.len() as i64;
    for (heads, key_heads, width, by_head, window) in [
        (9, 3, 64, false, None),
        (9, 3, 64, true, Some(100)),
        (14, 2, 64, true, None),
        (4, 4, 64, true, Some(1)),
        (16, 8, 128, false, Some(512)),
    ] {
        let scale = 1.3 / (width as f64).sqrt();
        let cache = || {
            let (stored, _) = if by_head {
                twins(
                    &[rows, key_heads, positions, width],
                    Kind::BFloat16,
                    gpu.device,
                )
            } else {
                twins(
                    &[rows, positions, key_heads, width],
                    Kind::BFloat16,
                    gpu.device,
                )
            };
            let stored = stored.detach();
            if by_head {
                stored.transpose(1, 2)
            } else {
                stored
            }
        };
        let (keys_BSKE, values_BSKE) = (cache(), cache());
        let (query_B1HE, query_64) = twins(&[rows, 1, heads, width], Kind::BFloat16, gpu.device);
        let lengths_B = Tensor::from_slice(&lengths).to_device(gpu.device);
        let layout = CacheLayout::of(&keys_BSKE).unwrap();
        let output = decode(
            &query_B1HE,
            &keys_BSKE,
            &values_BSKE,
            &lengths_B,
            &layout,
            scale,
            window,
        )
        .unwrap();
        assert_eq!(output.size(), [rows, 1, heads, width]);
        assert!(!output.requires_grad());

        let host = |t: &Tensor| t.to_device(Device::Cpu).to_kind(Kind::Double);
        let (keys_64, values_64) = (host(&keys_BSKE), host(&values_BSKE));
        let expected: Vec<Tensor> = lengths
            .iter()
            .zip(0..)
            .map(|(&length, row)| {
                let of = |t: &Tensor| t.get(row).narrow(0, 0, i64::from(length));
                reference(
                    &query_64.get(row),
                    &of(&keys_64),
                    &of(&values_64),
                    (scale, window),
                )
            })
            .collect();
        let error = distance(&output, &Tensor::stack(&expected, 0));
        println!("H{heads} K{key_heads} E{width} by_head {by_head}: decode off by {error:.1e}");
        assert!(error < 1e-2, "{error}");
    }
}

#[test]
fn a_row_of_length_zero_gives_zeros() {
    let Some(gpu) = gpu() else { return };
    let options = (Kind::BFloat16, gpu.device);
    let cache = Tensor::randn([2, 300, 3, 64], options);
    let layout = CacheLayout::of(&cache).unwrap();
    let lengths_B = Tensor::from_slice(&[0_i32, 5]).to_device(gpu.device);
    let query = Tensor::randn([2, 1, 9, 64], options);
    let output = decode(&query, &cache, &cache, &lengths_B, &layout, 0.125, None).unwrap();
    let largest = |row| output.get(row).abs().max().double_value(&[]);
    assert!(largest(0) == 0.0 && largest(1) > 0.0);
}

#[test]
fn a_tensor_on_the_host_is_refused_in_words() {
    let tensor = |shape: &[i64]| Tensor::zeros(shape, (Kind::BFloat16, Device::Cpu));
    let starts_B1 = Tensor::from_slice(&[0_i32, 4]);
    let key = tensor(&[4, 3, 64]);
    let error = packed(
        [&tensor(&[4, 9, 64]), &key, &key],
        [&starts_B1; 2],
        [4; 2],
        0.125,
        None,
    )
    .unwrap_err();
    assert!(error.to_string().contains("CPU"), "{error}");
}

#[test]
fn both_ways_to_store_a_cache_have_their_rows_at_their_places() {
    let options = (Kind::Float, Device::Cpu);
    let by_position = Tensor::arange(2 * 5 * 3 * 4, options).view([2, 5, 3, 4]);
    let by_head = Tensor::arange(2 * 5 * 3 * 4, options)
        .view([2, 3, 5, 4])
        .transpose(1, 2);
    for (cache, places) in [(by_position, [0, 5, 10]), (by_head, [0, 15, 30])] {
        let layout = CacheLayout::of(&cache).unwrap();
        assert_eq!(Vec::<i32>::try_from(&layout.queries_B1).unwrap(), [0, 1, 2]);
        assert_eq!(Vec::<i32>::try_from(&layout.keys_B1).unwrap(), places);
        let flat = layout.flat(&cache).unwrap();
        for row in 0..2 {
            let there = flat.narrow(0, i64::from(places[row as usize]), 5);
            assert_eq!(there, cache.get(row));
        }
    }
}

#[test]
fn a_cache_without_a_flat_view_is_refused() {
    let tensor = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
    for cache in [
        tensor(&[2, 5, 3]),
        tensor(&[2, 5, 3, 4]).transpose(2, 3),
        tensor(&[2, 0, 3, 4]),
    ] {
        let error = CacheLayout::of(&cache).unwrap_err();
        assert!(error.to_string().contains("cache"), "{error}");
    }
}

#[test]
fn a_cache_of_another_layout_is_refused() {
    let tensor = |shape: &[i64]| Tensor::zeros(shape, (Kind::BFloat16, Device::Cpu));
    let layout = CacheLayout::of(&tensor(&[2, 6, 3, 64])).unwrap();
    let cache = tensor(&[2, 5, 3, 64]);
    let lengths_B = Tensor::from_slice(&[1_i32, 1]);
    let error = decode(
        &tensor(&[2, 1, 9, 64]),
        &cache,
        &cache,
        &lengths_B,
        &layout,
        0.125,
        None,
    )
    .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("this layout is of [2, 6, 3, 64]"),
        "{error}"
    );
}

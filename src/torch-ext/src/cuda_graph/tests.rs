//! Recorded work held to the same work not recorded; skipped without a GPU.

use std::sync::{Mutex, MutexGuard};

use tch::{Device, Kind, TchError, Tensor};

use super::{Graph, available, peak_allocated_bytes, reset_peak_allocated_bytes};
use crate::flash_attention::{CacheLayout, decode};

/// The GPU, to one test at a time: the others' work would fall into a recording.
pub(crate) struct Gpu {
    pub(crate) device: Device,
    _alone: MutexGuard<'static, ()>,
}

/// The GPU, or a line that says why this test was skipped.
pub(crate) fn gpu() -> Option<Gpu> {
    static ALONE: Mutex<()> = Mutex::new(());
    let opened = crate::open_cuda();
    if let Err(why) = opened {
        println!("skipped: {why}");
        return None;
    }
    if let Err(why) = available() {
        println!("skipped: {why}");
        return None;
    }
    Some(Gpu {
        device: Device::Cuda(0),
        _alone: ALONE
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner),
    })
}

/// Some layers of a small network, to be recorded.
fn network(input: &Tensor, weights: &[Tensor]) -> Result<Tensor, TchError> {
    weights
        .iter()
        .try_fold(input.shallow_clone(), |hidden, weight| {
            let hidden = hidden.f_matmul(weight)?.f_silu()?;
            hidden.f_div(&hidden.f_norm()?)
        })
}

fn randn(shape: &[i64], gpu: &Gpu) -> Tensor {
    Tensor::randn(shape, (Kind::Float, gpu.device))
}

#[test]
fn a_replay_on_new_input_is_the_work_done_on_it() {
    let Some(gpu) = gpu() else { return };
    let weights: Vec<Tensor> = (0..4).map(|_| randn(&[64, 64], &gpu)).collect();
    let mut input = randn(&[8, 64], &gpu);
    let (graph, output) = Graph::capture(gpu.device, || network(&input, &weights)).unwrap();
    for _ in 0..3 {
        input.copy_(&randn(&[8, 64], &gpu));
        let expected = network(&input, &weights).unwrap();
        assert_ne!(output, expected);
        graph.replay().unwrap();
        assert_eq!(output, expected);
    }
}

#[test]
fn a_recorded_gradient_is_the_gradient() {
    let Some(gpu) = gpu() else { return };
    let weights = [randn(&[64, 64], &gpu), randn(&[64, 64], &gpu)];
    let mut input = randn(&[8, 64], &gpu).set_requires_grad(true);
    let gradient = |input: &Tensor| -> Result<Tensor, TchError> {
        let loss = network(input, &weights)?
            .f_pow_tensor_scalar(3)?
            .f_sum(Kind::Float)?;
        let mut gradients = Tensor::f_run_backward(&[loss], &[input], false, false)?;
        Ok(gradients.remove(0))
    };
    let (graph, output) = Graph::capture(gpu.device, || gradient(&input)).unwrap();
    tch::no_grad(|| input.copy_(&randn(&[8, 64], &gpu)));
    let expected = gradient(&input).unwrap();
    assert_ne!(output, expected);
    graph.replay().unwrap();
    assert!(output.allclose(&expected, 1e-5, 1e-6, false));
}

#[test]
fn recorded_decoding_follows_lengths_that_change_in_place() {
    let Some(gpu) = gpu() else { return };
    let options = (Kind::BFloat16, gpu.device);
    let cache = Tensor::randn([3, 700, 3, 64], options);
    let layout = CacheLayout::of(&cache).unwrap();
    let query = Tensor::randn([3, 1, 9, 64], options);
    let mut lengths_B = Tensor::from_slice(&[1_i32, 20, 5]).to_device(gpu.device);
    let step = |lengths_B: &Tensor| decode(&query, &cache, &cache, lengths_B, &layout, 0.125, None);
    let (graph, output) = Graph::capture(gpu.device, || step(&lengths_B)).unwrap();
    for _ in 0..3 {
        lengths_B += 200;
        graph.replay().unwrap();
        assert_eq!(output, step(&lengths_B).unwrap());
    }
}

#[test]
fn work_that_waits_for_the_device_is_refused_and_the_process_goes_on() {
    let Some(gpu) = gpu() else { return };
    let input = randn(&[8, 8], &gpu);
    // Libtorch sees the first coming; the second is the driver's to refuse, and
    // the recording is lost with it.
    let to_host = |t: &Tensor| t.f_to_device(Device::Cpu).map(drop);
    let read = |t: &Tensor| t.f_sum(Kind::Float)?.f_double_value(&[]).map(drop);
    for wait in [&to_host as &dyn Fn(&Tensor) -> Result<(), TchError>, &read] {
        let error = Graph::capture(gpu.device, || {
            let drawn = Tensor::f_randn([8, 8], (Kind::Float, gpu.device))?;
            wait(&input.f_add(&drawn)?)
        })
        .unwrap_err();
        let message = error.to_string();
        assert!(message.contains("captur"), "{error}");

        // Drawing, allocating and recording work as before.
        let drawn = randn(&[1000], &gpu).abs().sum(Kind::Float);
        assert!(drawn.double_value(&[]) > 0.0);
        let (graph, output) = Graph::capture(gpu.device, || input.f_matmul(&input)).unwrap();
        graph.replay().unwrap();
        assert_eq!(output, input.matmul(&input));
    }
}

/// The error is swallowed by the work, as a careless closure may.
#[test]
fn a_recording_that_was_lost_is_refused_though_its_work_succeeded() {
    let Some(gpu) = gpu() else { return };
    let input = randn(&[8, 8], &gpu);
    let error = Graph::capture(gpu.device, || {
        let drawn = Tensor::f_randn([8, 8], (Kind::Float, gpu.device))?;
        let sum = input.f_add(&drawn)?;
        let _ = sum.f_sum(Kind::Float)?.f_double_value(&[]);
        Ok::<_, TchError>(sum)
    })
    .unwrap_err();
    assert!(error.to_string().contains("captur"), "{error}");
    let drawn = randn(&[1000], &gpu).abs().sum(Kind::Float);
    assert!(drawn.double_value(&[]) > 0.0);
    let (graph, output) = Graph::capture(gpu.device, || {
        input.f_matmul(&Tensor::f_randn([8, 8], (Kind::Float, gpu.device))?)
    })
    .unwrap();
    graph.replay().unwrap();
    let first = output.copy();
    graph.replay().unwrap();
    assert_ne!(output, first);
}

#[test]
fn work_that_fails_or_panics_while_it_is_recorded_leaves_nothing_behind() {
    let Some(gpu) = gpu() else { return };
    let input = randn(&[8, 8], &gpu);
    let mut runs = 0;
    let error = Graph::capture(gpu.device, || {
        runs += 1;
        let columns = if runs == 1 { 8 } else { 9 };
        input.f_add_scalar(1)?.f_view([-1, columns])
    })
    .unwrap_err();
    assert!(error.to_string().contains("shape"), "{error}");

    let mut runs = 0;
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        Graph::capture(gpu.device, || {
            runs += 1;
            assert!(runs == 1, "on purpose");
            input.f_add_scalar(1)
        })
    }));
    assert!(panicked.is_err());

    let sum = randn(&[8], &gpu).f_add_scalar(1).unwrap().sum(Kind::Float);
    assert!(sum.double_value(&[]).is_finite());
    let (graph, output) = Graph::capture(gpu.device, || input.f_add_scalar(1)).unwrap();
    graph.replay().unwrap();
    assert_eq!(output, &input + 1);
}

#[test]
fn graphs_made_and_dropped_do_not_pile_up_memory() {
    let Some(gpu) = gpu() else { return };
    let input = randn(&[1024, 1024], &gpu);
    let record = || {
        let (graph, output) = Graph::capture(gpu.device, || input.f_matmul(&input)).unwrap();
        graph.replay().unwrap();
        drop((graph, output));
    };
    record();
    reset_peak_allocated_bytes(gpu.device).unwrap();
    record();
    let one = peak_allocated_bytes(gpu.device).unwrap();
    (0..5).for_each(|_| record());
    assert_eq!(peak_allocated_bytes(gpu.device).unwrap(), one);
}

#[test]
fn the_peak_is_what_tensors_held_at_once() {
    let Some(gpu) = gpu() else { return };
    reset_peak_allocated_bytes(gpu.device).unwrap();
    let before = peak_allocated_bytes(gpu.device).unwrap();
    let megabyte = || Tensor::zeros([1 << 20], (Kind::Uint8, gpu.device));
    drop((megabyte(), megabyte()));
    drop(megabyte());
    assert_eq!(peak_allocated_bytes(gpu.device).unwrap() - before, 2 << 20);
    reset_peak_allocated_bytes(gpu.device).unwrap();
    assert_eq!(peak_allocated_bytes(gpu.device).unwrap(), before);
}

#[test]
fn the_host_has_no_graphs() {
    let nothing = || Ok::<_, TchError>(());
    let error = Graph::capture(Device::Cpu, nothing).unwrap_err();
    assert!(error.to_string().contains("no CUDA device"), "{error}");
    let error = peak_allocated_bytes(Device::Cuda(1000)).unwrap_err();
    assert!(error.to_string().contains("1000"), "{error}");
}

//! How much memory this process has, and the most that it has had at one time.

use std::fs;

use anyhow::{Context, Result};
use tch::Device;

/// Peak in bytes: of the process on the CPU, as the kernel counts it.
///
/// On CUDA it is the peak of what libtorch's allocator has handed out, where
/// the CUDA shim is there to ask, else the process's.
pub fn peak(device: Device) -> Result<f64> {
    if let Some(bytes) = peak_on_cuda(device) {
        return Ok(bytes);
    }
    let status = fs::read_to_string("/proc/self/status").context("reading /proc/self/status")?;
    line(&status, "VmHWM:").context("/proc/self/status has no VmHWM")
}

/// What a training holds now, in bytes: the process's resident memory, on CUDA
/// the peak so far. `None` where the system does not tell.
pub fn held(device: Device) -> Option<f64> {
    peak_on_cuda(device).or_else(|| {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        line(&status, "VmRSS:")
    })
}

fn peak_on_cuda(device: Device) -> Option<f64> {
    if !device.is_cuda() {
        return None;
    }
    let bytes = torch_ext::cuda_graph::peak_allocated_bytes(device).ok()?;
    Some(bytes as f64)
}

/// The bytes that a line of the status tells.
fn line(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024.0)
}

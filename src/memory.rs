//! The most memory that this process has had at one time.

use std::fs;

use anyhow::{Context, Result};
use tch::Device;

/// Peak in bytes: of the process on the CPU, as the kernel counts it.
///
/// On CUDA it is the peak of what libtorch's allocator has handed out, where
/// the CUDA shim is there to ask, else the process's.
pub fn peak(device: Device) -> Result<f64> {
    if device.is_cuda()
        && let Ok(bytes) = torch_ext::cuda_graph::peak_allocated_bytes(device)
    {
        return Ok(bytes as f64);
    }
    let status = fs::read_to_string("/proc/self/status").context("reading /proc/self/status")?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok())
        .map(|kib| kib * 1024.0)
        .context("/proc/self/status has no VmHWM")
}

//! Which device a run uses, and why there is no CUDA where there is none.

use anyhow::{Context, Result, bail};
use tch::{Cuda, Device};

/// What the command line asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceChoice {
    /// CUDA where it works, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// A CUDA device: the first, or with several ranks each its own.
    Gpu,
    /// The CUDA device of that number.
    Cuda(usize),
}

impl std::str::FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Gpu),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|number| number.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| format!("{text:?} is not a device: use auto, cpu, cuda or cuda:N")),
        }
    }
}

/// Whether CUDA can be used, and if not, why.
pub fn cuda() -> Result<usize, String> {
    // tch answers from what is loaded at the first call; opening comes first.
    static OPENED: std::sync::OnceLock<Result<(), String>> = std::sync::OnceLock::new();
    OPENED
        .get_or_init(|| torch_ext::open_cuda().map_err(|error| error.to_string()))
        .clone()?;
    if Cuda::is_available() {
        Ok(Cuda::device_count() as usize)
    } else {
        Err("libtorch's CUDA half is loaded, but no driver or GPU answers".to_owned())
    }
}

/// Waits until the device has done what it was given; nothing on the CPU.
pub fn synchronize(device: Device) {
    if let Device::Cuda(number) = device {
        Cuda::synchronize(number as i64);
    }
}

impl DeviceChoice {
    /// The device to use.
    pub fn resolve(self) -> Result<Device> {
        self.resolve_for(0)
    }

    /// The device to use for the rank of that number on its machine.
    pub fn resolve_for(self, local_rank: usize) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto if cuda().is_err() => Ok(Device::Cpu),
            Self::Auto | Self::Gpu => Self::Cuda(local_rank).resolve(),
            Self::Cuda(number) => {
                let count = cuda()
                    .map_err(anyhow::Error::msg)
                    .context("--device cuda: CUDA cannot be used here; --device cpu can")?;
                if number >= count {
                    bail!("--device cuda:{number}: there are {count} CUDA devices, counted from 0");
                }
                Ok(Device::Cuda(number))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_names_are_read_and_others_refused() {
        assert_eq!("cuda:3".parse(), Ok(DeviceChoice::Cuda(3)));
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Gpu));
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        let refused = "gpu".parse::<DeviceChoice>().unwrap_err();
        assert!(refused.contains("cuda:N"));
    }
}

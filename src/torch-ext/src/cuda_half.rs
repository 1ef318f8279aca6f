//! Opens libtorch's CUDA half at run time, so that one binary, linked to the CPU
//! half alone, serves machines with and without a GPU.

use std::fmt;
use std::path::PathBuf;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LAZY};

/// Why the CUDA half of libtorch is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoCuda {
    /// The process has no `libtorch_cpu.so` mapped, so its folder is unknown.
    LibtorchNotFound,
    /// The installed libtorch is a CPU build.
    NotInstalled(PathBuf),
    /// The loader refused it; its message names the missing library.
    Refused(String),
}

impl fmt::Display for NoCuda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LibtorchNotFound => f.write_str("libtorch_cpu.so is not loaded"),
            Self::NotInstalled(path) => write!(f, "{} does not exist", path.display()),
            Self::Refused(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for NoCuda {}

/// Opens `libtorch_cuda.so` from the folder that `libtorch_cpu.so` was loaded
/// from, with its symbols global. Call it before anything asks for a device.
pub fn open_cuda() -> Result<(), NoCuda> {
    let folder = libtorch_folder().ok_or(NoCuda::LibtorchNotFound)?;
    let path = folder.join("libtorch_cuda.so");
    if !path.exists() {
        return Err(NoCuda::NotInstalled(path));
    }
    // SAFETY: the library is PyTorch's own and of the same build as the
    // libtorch_cpu.so beside it; its initialisers register operators and
    // expect to run exactly so, once, from dlopen.
    let library =
        unsafe { Library::open(Some(&path), RTLD_LAZY | RTLD_GLOBAL) }.map_err(|error| {
            // The loader's own words, with the missing library, are the source.
            let source = std::error::Error::source(&error).map(ToString::to_string);
            NoCuda::Refused(source.unwrap_or_else(|| error.to_string()))
        })?;
    // Registered operators point into it: it must stay mapped to the end.
    std::mem::forget(library);
    Ok(())
}

/// The folder of the `libtorch_cpu.so` that this process runs on.
pub fn libtorch_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .find(|path| path.ends_with("/libtorch_cpu.so"))
        .and_then(|path| Some(PathBuf::from(path).parent()?.to_owned()))
}

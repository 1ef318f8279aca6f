//! NCCL's groups, from a shared object inside this binary that needs
//! `libtorch_cuda` in the process: [`crate::open_cuda`] comes first.

use std::sync::OnceLock;

use crate::embedded;

use super::ffi::MakeNccl;

#[cfg(nccl)]
const OBJECT: Option<&[u8]> = Some(include_bytes!(concat!(
    env!("OUT_DIR"),
    "/libqinglan_nccl.so"
)));
#[cfg(not(nccl))]
const OBJECT: Option<&[u8]> = None;

/// The function that makes a group, or why there is none.
pub(super) fn make() -> Result<MakeNccl, String> {
    static MAKE: OnceLock<Result<MakeNccl, String>> = OnceLock::new();
    MAKE.get_or_init(open).clone()
}

fn open() -> Result<MakeNccl, String> {
    if !tch::Cuda::is_available() {
        return Err("NCCL needs a CUDA device, and none is available".to_owned());
    }
    let bytes = OBJECT.ok_or(
        "this binary was built without NCCL's headers; install the CUDA packages of torch with nvidia-cuda-cccl beside it (pip without --no-deps), then build again",
    )?;
    let library = embedded::open(bytes, c"libqinglan_nccl.so")?;
    // SAFETY: the name is the function of this type in csrc/distributed_nccl.cpp.
    let make = unsafe { library.get::<MakeNccl>(b"qinglan_make_nccl") };
    let make = *make.map_err(|error| embedded::words(&error))?;
    // The function points into it.
    std::mem::forget(library);
    Ok(make)
}

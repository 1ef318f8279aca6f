//! Shared objects that this crate embeds: the parts in C++ that need
//! `libtorch_cuda` in the process, opened once it is.

use std::ffi::{CStr, c_char, c_int};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, FromRawFd as _};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

unsafe extern "C" {
    fn memfd_create(name: *const c_char, flags: u32) -> c_int;
}

/// Opens an object that this crate has built, under the name that maps of the
/// process are to show.
pub(crate) fn open(bytes: &[u8], name: &CStr) -> Result<Library, String> {
    let path_error = |error| format!("cannot place the CUDA half in memory: {error}");
    // SAFETY: the name is a C string, and the flag is MFD_CLOEXEC.
    let descriptor = unsafe { memfd_create(name.as_ptr(), 1) };
    if descriptor < 0 {
        return Err(path_error(std::io::Error::last_os_error()));
    }
    // SAFETY: the descriptor is new, and nobody else's.
    let mut file = unsafe { File::from_raw_fd(descriptor) };
    file.write_all(bytes).map_err(path_error)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    // SAFETY: the object is this crate's own; its initialisers are those of
    // libtorch's headers.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| words(&error))
}

/// The loader's own words, which name the missing symbol, are the source.
pub(crate) fn words(error: &libloading::Error) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    source.unwrap_or_else(|| error.to_string())
}

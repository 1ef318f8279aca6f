//! CUDA graphs: the kernels of a piece of work recorded once and launched
//! again with one call, for work of many small kernels such as one step of
//! generation. Also the CUDA allocator's peak, which only the same C++ object
//! can reach.
//!
//! What may be recorded, and what may not:
//!
//! - A replay launches the same kernels on the same memory. Tensors that the
//!   closure reads or writes from outside must stay alive as long as the graph,
//!   and are refilled in place (`copy_`) between replays. Shapes stand still.
//! - What the closure returns was recorded, not computed: it holds values after
//!   the first replay, and new ones after each next.
//! - Nothing inside may wait for the device: no reading of a value, no copy to
//!   or from the host, no shape that depends on data. Such a closure is refused
//!   and the process goes on; what it returned holds nothing.
//! - The closure is run for real once before it is recorded, so that libraries
//!   set themselves up outside the graph. State that it changes in place has
//!   then moved on by one run.
//! - A graph keeps the memory of its intermediate tensors. Dropped, it gives
//!   that back to the allocator, which reuses it when it is next short.
//!
//! The C++ half (`csrc/cuda_graph.cpp`) is a shared object inside this binary. It
//! needs `libtorch_cuda` in the process: [`crate::open_cuda`] comes first.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

use tch::{Device, TchError};

use crate::embedded::{self, words};

#[cfg(cuda_graph)]
const OBJECT: Option<&[u8]> = Some(include_bytes!(concat!(
    env!("OUT_DIR"),
    "/libqinglan_cuda.so"
)));
#[cfg(not(cuda_graph))]
const OBJECT: Option<&[u8]> = None;

/// Null, or a message that is valid until the thread's next call.
type Failure = *const c_char;
type OfRecording = unsafe extern "C" fn(*mut c_void) -> Failure;

/// The functions of `csrc/cuda_graph.cpp`.
#[derive(Debug)]
struct Object {
    enter: unsafe extern "C" fn(c_int, *mut *mut c_void) -> Failure,
    begin: OfRecording,
    end: OfRecording,
    leave: OfRecording,
    replay: OfRecording,
    free: unsafe extern "C" fn(*mut c_void),
    peak_allocated: unsafe extern "C" fn(c_int, *mut i64) -> Failure,
    reset_peak_allocated: unsafe extern "C" fn(c_int) -> Failure,
}

/// Whether graphs can be recorded in this process; if not, why. The first
/// answer stands, so `libtorch_cuda` is opened before it is asked for.
pub fn available() -> Result<(), &'static str> {
    object().map(|_| ())
}

fn object() -> Result<&'static Object, &'static str> {
    static OBJECT: OnceLock<Result<Object, String>> = OnceLock::new();
    OBJECT.get_or_init(open).as_ref().map_err(String::as_str)
}

fn open() -> Result<Object, String> {
    let bytes = OBJECT.ok_or(
        "this binary was built without CUDA's headers (the packages nvidia-cuda-runtime and nvidia-cuda-crt)",
    )?;
    if !tch::Cuda::is_available() {
        return Err("no CUDA device is available".to_owned());
    }
    let library = embedded::open(bytes, c"libqinglan_cuda.so")?;
    // SAFETY: each name is the function of the type it gets.
    unsafe {
        let object = Object {
            enter: *library.get(b"qinglan_graph_enter").map_err(|e| words(&e))?,
            begin: *library.get(b"qinglan_graph_begin").map_err(|e| words(&e))?,
            end: *library.get(b"qinglan_graph_end").map_err(|e| words(&e))?,
            leave: *library.get(b"qinglan_graph_leave").map_err(|e| words(&e))?,
            replay: *library
                .get(b"qinglan_graph_replay")
                .map_err(|e| words(&e))?,
            free: *library.get(b"qinglan_graph_free").map_err(|e| words(&e))?,
            peak_allocated: *library
                .get(b"qinglan_peak_allocated")
                .map_err(|e| words(&e))?,
            reset_peak_allocated: *library
                .get(b"qinglan_reset_peak_allocated")
                .map_err(|e| words(&e))?,
        };
        // The functions point into it.
        std::mem::forget(library);
        Ok(object)
    }
}

fn checked(failure: Failure) -> Result<(), TchError> {
    if failure.is_null() {
        return Ok(());
    }
    // SAFETY: a failure that is not null is a C string of the thread's last call.
    let message = unsafe { CStr::from_ptr(failure) };
    Err(TchError::Torch(message.to_string_lossy().into_owned()))
}

fn object_and_index(device: Device) -> Result<(&'static Object, c_int), TchError> {
    let Device::Cuda(index) = device else {
        return Err(TchError::Torch(format!("{device:?} is no CUDA device")));
    };
    // Device numbers are bytes in libtorch.
    let index = i8::try_from(index)
        .map_err(|_| TchError::Torch(format!("there is no CUDA device {index}")))?;
    let object = object().map_err(|why| TchError::Torch(why.to_owned()))?;
    Ok((object, c_int::from(index)))
}

/// Recorded work, to be launched again. It is tied to the thread it was
/// recorded on.
#[derive(Debug)]
pub struct Graph {
    object: &'static Object,
    recording: *mut c_void,
}

impl Graph {
    /// Runs `work` once, then records it, and gives the graph with what the
    /// recorded run returned. The module's head says what `work` may do.
    ///
    /// `hidden.copy_(&(weight.matmul(&input)))` recorded and replayed after
    /// `input.copy_(..)` is the same work on the new input.
    pub fn capture<T, E: From<TchError>>(
        device: Device,
        mut work: impl FnMut() -> Result<T, E>,
    ) -> Result<(Self, T), E> {
        let (object, index) = object_and_index(device)?;
        let mut recording = ptr::null_mut();
        // SAFETY: `recording` outlives the call, which writes it on success.
        checked(unsafe { (object.enter)(index, &raw mut recording) })?;
        let graph = Self { object, recording };
        let mut stage = Stage {
            graph: &graph,
            begun: false,
        };
        drop(work()?);
        stage.begin()?;
        let output = work();
        let ended = stage.end();
        drop(stage);
        // Work that failed is the reason, whatever its recording says.
        let output = output?;
        ended?;
        Ok((graph, output))
    }

    /// Launches the recorded work on the current stream and does not wait.
    pub fn replay(&self) -> Result<(), TchError> {
        // SAFETY: the pointer is this graph's own and live.
        checked(unsafe { (self.object.replay)(self.recording) })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: the pointer is this graph's own, and this is its last use.
        unsafe { (self.object.free)(self.recording) }
    }
}

/// The time between entering and leaving the recording stream. Dropped on the
/// way out of a panic or an error, it ends the recording and leaves.
struct Stage<'a> {
    graph: &'a Graph,
    begun: bool,
}

impl Stage<'_> {
    fn begin(&mut self) -> Result<(), TchError> {
        // SAFETY: the pointer is the graph's own and live.
        checked(unsafe { (self.graph.object.begin)(self.graph.recording) })?;
        self.begun = true;
        Ok(())
    }

    fn end(&mut self) -> Result<(), TchError> {
        self.begun = false;
        // SAFETY: as above, and the recording has begun on this thread.
        checked(unsafe { (self.graph.object.end)(self.graph.recording) })
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        if self.begun {
            // The error that led here is the one to be told.
            let _ = self.end();
        }
        // SAFETY: the pointer is the graph's own and live. A device that fails
        // here fails again, and is heard, at the next call.
        let _ = checked(unsafe { (self.graph.object.leave)(self.graph.recording) });
    }
}

/// The most bytes that tensors held on the device at once, since the start or
/// the last reset. Graphs' memory counts.
pub fn peak_allocated_bytes(device: Device) -> Result<u64, TchError> {
    let (object, index) = object_and_index(device)?;
    let mut bytes = 0_i64;
    // SAFETY: `bytes` outlives the call.
    checked(unsafe { (object.peak_allocated)(index, &raw mut bytes) })?;
    Ok(bytes.unsigned_abs())
}

/// Makes what is held now the peak.
pub fn reset_peak_allocated_bytes(device: Device) -> Result<(), TchError> {
    let (object, index) = object_and_index(device)?;
    // SAFETY: the call takes a number.
    checked(unsafe { (object.reset_peak_allocated)(index) })
}

#[cfg(test)]
pub(crate) mod tests;

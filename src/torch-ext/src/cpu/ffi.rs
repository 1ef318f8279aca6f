//! The C side as it is declared in `csrc`. Structs are those of the headers of
//! the same name, field by field.

use std::ffi::{CStr, c_char, c_void};

use crate::layers::Activation;

/// What becomes of the sums of a linear layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Finish {
    StoreFloat = 0,
    StoreBf16 = 1,
    AddFloat = 2,
    GateUpFloat = 3,
    GateUpBf16 = 4,
}

#[repr(C)]
pub(super) struct Linear {
    pub(super) x: *const c_void,
    pub(super) packed: *const c_void,
    pub(super) bias: *const f32,
    pub(super) y: *mut c_void,
    pub(super) rows: i64,
    pub(super) inputs: i64,
    pub(super) outputs: i64,
    pub(super) bf16: bool,
    pub(super) finish: Finish,
    pub(super) activation: Activation,
}

#[repr(C)]
pub(super) struct Pack {
    pub(super) weight: *const c_void,
    pub(super) packed: *mut c_void,
    pub(super) outputs: i64,
    pub(super) inputs: i64,
    pub(super) from_bf16: bool,
    pub(super) to_bf16: bool,
    pub(super) gate_up: bool,
}

#[repr(C)]
pub(super) struct Norm {
    pub(super) x: *const f32,
    pub(super) weight: *const f32,
    pub(super) y: *mut c_void,
    pub(super) factors: *mut f32,
    pub(super) rows: i64,
    pub(super) width: i64,
    pub(super) eps: f32,
    pub(super) bf16: bool,
    pub(super) products: bool,
}

#[repr(C)]
pub(super) struct Gather {
    pub(super) table: *const c_void,
    pub(super) rows: *const i64,
    pub(super) y: *mut f32,
    pub(super) count: i64,
    pub(super) width: i64,
    pub(super) bf16: bool,
}

#[repr(C)]
pub(super) struct Cache {
    pub(super) pages: *mut c_void,
    pub(super) kv_heads: i64,
    pub(super) head_dim: i64,
    pub(super) bf16: bool,
}

#[repr(C)]
pub(super) struct Batch {
    pub(super) positions: *const i32,
    pub(super) lists: *const i64,
    pub(super) pages: *const u32,
    pub(super) tokens: i64,
}

#[repr(C)]
pub(super) struct Store {
    pub(super) cache: Cache,
    pub(super) batch: Batch,
    pub(super) qkv: *const c_void,
    pub(super) qkv_bf16: bool,
    pub(super) heads: i64,
    pub(super) cosines: *const f32,
    pub(super) sines: *const f32,
    pub(super) query_norm: *const f32,
    pub(super) key_norm: *const f32,
    pub(super) eps: f32,
    pub(super) queries: *mut c_void,
}

#[repr(C)]
pub(super) struct Attend {
    pub(super) cache: Cache,
    pub(super) batch: Batch,
    pub(super) queries: *const c_void,
    pub(super) heads: i64,
    pub(super) window: i64,
    pub(super) scale: f32,
    pub(super) cap: f32,
    pub(super) y: *mut c_void,
}

#[repr(C)]
pub(super) struct Draw {
    pub(super) uniform: f64,
    pub(super) temperature: f64,
    pub(super) top_p: f64,
    pub(super) min_p: f64,
    pub(super) penalty: f64,
    pub(super) top_k: i64,
    pub(super) seen: *const i64,
    pub(super) seen_count: i64,
    pub(super) banned: *const i64,
    pub(super) banned_count: i64,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Drawn {
    pub(super) token: i64,
    pub(super) logprob: f32,
    pub(super) plain_logprob: f32,
}

#[repr(C)]
pub(super) struct Sample {
    pub(super) logits: *const f32,
    pub(super) rows: i64,
    pub(super) vocabulary: i64,
    pub(super) draws: *const Draw,
    pub(super) drawn: *mut Drawn,
}

unsafe extern "C" {
    pub(super) fn qinglan_level_of_machine() -> i32;
    pub(super) fn qinglan_level() -> i32;
    #[cfg(test)]
    pub(super) fn qinglan_plain_only(yes: bool);
    pub(super) fn qinglan_allocate(bytes: i64) -> *mut c_void;
    pub(super) fn qinglan_free(block: *mut c_void);
    pub(super) fn qinglan_keep_memory();
    pub(super) fn qinglan_linear(call: *const Linear) -> *const c_char;
    pub(super) fn qinglan_pack(call: *const Pack) -> *const c_char;
    pub(super) fn qinglan_norm(call: *const Norm) -> *const c_char;
    pub(super) fn qinglan_gather(call: *const Gather) -> *const c_char;
    pub(super) fn qinglan_store(call: *const Store) -> *const c_char;
    pub(super) fn qinglan_attend(call: *const Attend) -> *const c_char;
    pub(super) fn qinglan_sample(call: *const Sample) -> *const c_char;
}

/// Panics with the message of a C++ exception, if there was one: the kernels
/// throw only where memory for scratch or threads cannot be had.
pub(crate) fn check(message: *const c_char) {
    if message.is_null() {
        return;
    }
    // SAFETY: a message that is not null is a C string that lives until the
    // next failure on this thread.
    let message = unsafe { CStr::from_ptr(message) };
    panic!("a CPU kernel failed: {}", message.to_string_lossy());
}

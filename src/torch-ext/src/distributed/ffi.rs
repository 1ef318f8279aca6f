//! The C side as `csrc/distributed.cpp` declares it.

use std::ffi::{CStr, c_char};
use std::marker::{PhantomData, PhantomPinned};

use torch_sys::C_tensor;

/// Null, or a message that is valid until the thread's next call.
pub(super) type Failure = *const c_char;

#[repr(C)]
pub(super) struct Connect {
    pub(super) host: *const c_char,
    pub(super) address: *const c_char,
    pub(super) interfaces: *const c_char,
    pub(super) timeout: i64,
    pub(super) rank: i32,
    pub(super) world: i32,
    pub(super) port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Collective {
    Broadcast = 0,
    AllReduce = 1,
    AllGather = 2,
    ReduceScatter = 3,
    Barrier = 4,
}

/// Only pointers to it exist here.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Opaque {
    nothing: [u8; 0],
    of_cpp: PhantomData<(*mut u8, PhantomPinned)>,
}

/// Store, rank, ranks, time-out in milliseconds; writes the group it has made.
pub(super) type MakeNccl =
    unsafe extern "C" fn(*mut Opaque, i32, i32, i64, *mut *mut Opaque) -> Failure;

unsafe extern "C" {
    pub(super) fn qinglan_group_connect(call: *const Connect, output: *mut *mut Opaque) -> Failure;
    pub(super) fn qinglan_group_add_nccl(group: *mut Opaque, make: MakeNccl) -> Failure;
    pub(super) fn qinglan_group_start(
        group: *mut Opaque,
        collective: Collective,
        tensor: *const C_tensor,
        other: *const C_tensor,
        root: i64,
        output: *mut *mut Opaque,
    ) -> Failure;
    pub(super) fn qinglan_pending_wait(pending: *mut Opaque) -> Failure;
    pub(super) fn qinglan_pending_free(pending: *mut Opaque);
    pub(super) fn qinglan_group_abort(group: *mut Opaque);
    pub(super) fn qinglan_group_free(group: *mut Opaque);
}

/// The first line of a failure, without the place in C++ that it came from.
pub(super) fn checked(failure: Failure) -> Result<(), String> {
    if failure.is_null() {
        return Ok(());
    }
    // SAFETY: a failure that is not null is a C string of the thread's last call.
    let message = unsafe { CStr::from_ptr(failure) }.to_string_lossy();
    Err(first_line(&message))
}

fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default().trim();
    let said = match line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
    {
        Some((place, said)) if place.contains(".cc:") || place.contains(".cpp:") => said,
        _ => line,
    };
    said.to_owned()
}

#[cfg(test)]
mod tests {
    use super::first_line;

    #[test]
    fn a_message_loses_its_place_and_its_backtrace() {
        let timed_out = "[../gloo/unbound_buffer.cc:84] Timed out waiting 2000ms\nframe #0";
        assert_eq!(first_line(timed_out), "Timed out waiting 2000ms");
        assert_eq!(first_line("[c10d] as it was said"), "[c10d] as it was said");
        assert_eq!(first_line(""), "");
    }
}

//! A collective between its beginning and its end.

use super::Error;
use super::ffi::{self, Opaque, checked};

/// A collective under way. Dropped before it is waited for, it goes on; its
/// tensor stays alive with it.
#[derive(Debug)]
#[must_use]
pub struct Pending {
    pub(super) raw: *mut Opaque,
    pub(super) rank: usize,
    pub(super) world: usize,
    pub(super) collective: &'static str,
}

// SAFETY: c10d's work is guarded by its own lock and tied to no thread.
unsafe impl Send for Pending {}

impl Pending {
    /// Returns when it has ended, or with what went wrong.
    pub fn wait(self) -> Result<(), Error> {
        // SAFETY: the pointer is this work's own and live.
        let failure = unsafe { ffi::qinglan_pending_wait(self.raw) };
        checked(failure).map_err(|why| Error::Collective {
            rank: self.rank,
            world: self.world,
            collective: self.collective,
            why,
        })
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // SAFETY: the pointer is this work's own, and this is its last use.
        unsafe { ffi::qinglan_pending_free(self.raw) }
    }
}

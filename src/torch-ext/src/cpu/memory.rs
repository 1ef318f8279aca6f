//! Memory that begins on a cache line, for packed weights and caches.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::ffi;

/// Asks the allocator to keep freed memory for the tensors to come, rather than
/// give it back to the system, and for huge pages; for a program to call when it
/// begins, before there are other threads.
pub fn keep_memory() {
    // SAFETY: sets two numbers of the allocator, and a variable of the
    // environment while no other thread can read it.
    unsafe { ffi::qinglan_keep_memory() }
}

/// A block of uninitialised bytes.
pub(super) struct Block {
    start: NonNull<c_void>,
}

// SAFETY: the block is plain memory that this value alone owns; `&Block` gives
// out only its address, and kernels write through it only where the owner of
// the block is borrowed mutably.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    pub(super) fn new(bytes: i64) -> Self {
        assert!(bytes >= 0, "{bytes} bytes");
        // SAFETY: any number that is not negative may be asked for.
        let start = unsafe { ffi::qinglan_allocate(bytes.max(1)) };
        let Some(start) = NonNull::new(start) else {
            panic!("out of memory: {bytes} bytes for packed weights or a cache");
        };
        Self { start }
    }

    pub(super) fn start(&self) -> *mut c_void {
        self.start.as_ptr()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: it came from qinglan_allocate and is dropped once.
        unsafe { ffi::qinglan_free(self.start.as_ptr()) }
    }
}

/// The size of the blocks that pieces share. A layer alone is often smaller
/// than a huge page.
const SHARED: usize = 32 << 20;

/// The block that the next piece comes from, while anybody holds one of its
/// pieces, and how much of it is taken.
static CURRENT: Mutex<(Weak<Block>, usize)> = Mutex::new((Weak::new(), 0));

/// Part of a block. The block is given back with its last piece.
pub(super) struct Piece {
    block: Arc<Block>,
    offset: usize,
}

impl Piece {
    pub(super) fn new(bytes: usize) -> Self {
        if bytes > SHARED / 2 {
            return Self {
                block: Arc::new(Block::new(bytes as i64)),
                offset: 0,
            };
        }
        // Nothing between taking and releasing the lock leaves it half changed.
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        let block = match current.0.upgrade() {
            Some(block) if current.1 + bytes <= SHARED => block,
            _ => {
                let block = Arc::new(Block::new(SHARED as i64));
                *current = (Arc::downgrade(&block), 0);
                block
            }
        };
        let offset = current.1;
        // The next one begins on a cache line too.
        current.1 += bytes.next_multiple_of(64);
        Self { block, offset }
    }

    pub(super) fn start(&self) -> *mut c_void {
        self.block.start().wrapping_byte_add(self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_do_not_overlap_and_begin_on_cache_lines() {
        let sizes = [1, 100, 64, SHARED / 2, SHARED / 2 + 1, SHARED, 5];
        let pieces: Vec<Piece> = sizes.iter().map(|&bytes| Piece::new(bytes)).collect();
        let mut places: Vec<(usize, usize)> = pieces
            .iter()
            .zip(sizes)
            .map(|(piece, bytes)| (piece.start() as usize, bytes))
            .collect();
        places.sort_unstable();
        assert!(places.iter().all(|(start, _)| start % 64 == 0));
        assert!(
            places
                .windows(2)
                .all(|pair| pair[0].0 + pair[0].1 <= pair[1].0)
        );
    }
}

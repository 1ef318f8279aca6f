//! What a rank hands to collectives, counted where they begin.

use super::ffi::Collective;

/// Calls of one kind of collective, and the bytes that this rank handed to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Calls that were started.
    pub calls: u64,
    /// Payload of this rank, in bytes.
    pub bytes: u64,
}

/// What a rank has handed to each kind of collective since it joined.
///
/// An all-reduce of 10 float32 counts 40 bytes, whatever the number of ranks;
/// an all-gather counts the part, a reduce-scatter the whole, a broadcast the
/// tensor on every rank. `all_gather_bytes` of 5 bytes, where the longest rank
/// has 7, is an all-gather of 8 (the length) and one of 7. `broadcast_bytes`
/// is a broadcast of 8 and one of the length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Broadcasts.
    pub broadcast: Count,
    /// All-reduces.
    pub all_reduce: Count,
    /// All-gathers.
    pub all_gather: Count,
    /// Reduce-scatters.
    pub reduce_scatter: Count,
    /// Barriers, which carry nothing.
    pub barrier: Count,
}

impl Traffic {
    /// Counts one call.
    pub(super) fn add(&mut self, collective: Collective, bytes: u64) {
        let count = match collective {
            Collective::Broadcast => &mut self.broadcast,
            Collective::AllReduce => &mut self.all_reduce,
            Collective::AllGather => &mut self.all_gather,
            Collective::ReduceScatter => &mut self.reduce_scatter,
            Collective::Barrier => &mut self.barrier,
        };
        count.calls += 1;
        count.bytes += bytes;
    }
}

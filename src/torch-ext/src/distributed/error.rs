//! What goes wrong in a group, with the rank it befell.

use thiserror::Error as ThisError;

/// Why a group could not be joined, or a collective failed.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum Error {
    /// The build lacks what the backend needs.
    #[error("rank {rank} of {world}: {why}")]
    Unavailable {
        /// The rank that asked.
        rank: usize,
        /// Ranks in the group.
        world: usize,
        /// What is missing and how to get it.
        why: String,
    },
    /// The group did not come together.
    #[error("rank {rank} of {world}: cannot join the group at {host}:{port}: {why}")]
    Connect {
        /// The rank that failed.
        rank: usize,
        /// Ranks in the group.
        world: usize,
        /// Where rank 0 was to be found.
        host: String,
        /// The port there.
        port: u16,
        /// What c10d said.
        why: String,
    },
    /// A collective was refused or did not end.
    #[error("rank {rank} of {world}: {collective}: {why}")]
    Collective {
        /// The rank that failed.
        rank: usize,
        /// Ranks in the group.
        world: usize,
        /// The function of [`super::Group`] that was called.
        collective: &'static str,
        /// What c10d said, or what is wrong with the arguments.
        why: String,
    },
}

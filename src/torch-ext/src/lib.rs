//! What tch does not reach of libtorch, and the only `unsafe` of the project:
//! opening libtorch's CUDA half at run time, mapping files, operations of a
//! decoder's layers, CUDA graphs, flash attention, a fused AdamW, and
//! collectives between processes.
//!
//! The operations that training and scoring share ([`layers`], [`attention`],
//! [`scores`]) choose their back end by the device: kernels on the CPU,
//! libtorch's operators elsewhere, which are also what the kernels are tested
//! against. Matrix products are libtorch's, and the caller goes back through its
//! layers by itself. Sampling on the CPU has [`cpu`], with packed weights and a
//! cache in pages.
//!
//! Everything exported is safe. Wrong shapes, types or devices are errors of
//! the caller's program; the CPU's kernels panic on them, as tch does, and
//! what may be absent (CUDA graphs, flash attention, process groups) returns an
//! error.

mod adamw;
pub mod attention;
mod backend;
pub mod cpu;
pub mod cuda_graph;
mod cuda_half;
pub mod distributed;
mod embedded;
pub mod flash_attention;
pub mod layers;
mod map;
pub mod scores;
#[cfg(test)]
mod testing;

pub use adamw::{AdamW, Quartet};
pub use attention::Look;
pub use backend::{has_kernels, with_portable};
pub use cuda_half::{NoCuda, libtorch_folder, open_cuda};
pub use layers::Activation;
pub use map::map_file;

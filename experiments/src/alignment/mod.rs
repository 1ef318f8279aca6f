//! Cognitive alignment: whether a model's tokens rise with people's response
//! time, and every figure around that question, one figure a file.
//!
//! Each file names the paragraph of the lab's metrics it computes (METRICS n),
//! after Hu et al. 2026 (arXiv 2601.05019) and de Varda et al. 2025 (PNAS
//! 122(47)), and where it settles what these leave open. No figure reads a
//! file or draws a picture here.

pub mod accuracy;
pub mod allocation;
pub mod ceiling;
pub mod contrast;
pub mod cost;
pub mod cross_task;
pub mod effort;
pub mod fingerprint;
pub mod iei;
pub mod inflation;
pub mod layout;
pub mod within_task;

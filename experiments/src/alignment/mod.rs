//! Cognitive alignment: whether a model's tokens rise with people's response
//! time, and every figure around that question, one figure a file.
//!
//! METHODOLOGY.md defines every figure under its name, after Hu et al. 2026
//! (arXiv 2601.05019) and de Varda et al. 2025 (PNAS 122(47)). No figure reads a
//! file or draws a picture here.
//!
//! Flow: [`cost`] makes item means of records, [`design`] says which items belong together,
//! [`training`] takes every figure of a training with and without each cluster of items, and
//! [`contrast`] means and differences over trainings.

pub mod accuracy;
pub mod allocation;
pub mod among;
pub mod ceiling;
pub mod contrast;
pub mod cost;
pub mod cross_task;
pub mod design;
pub mod effort;
pub mod fingerprint;
pub mod iei;
pub mod inflation;
pub mod pairing;
pub mod predictors;
pub mod training;
pub mod within_task;

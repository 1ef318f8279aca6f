//! qinglan: what imitation and what reinforcement do to the same language model.
//!
//! The library behind the `qinglan` binary, and the only place that knows
//! every other room: [`tasks`] pose and grade problems, [`model`], [`network`] and
//! [`generation`] answer them, [`training`] runs whichever of the
//! `algorithms` an arm names, [`evaluator`] turns answers into trace records,
//! and [`runner`] leads a definition through all of it. What was found is the
//! business of the `experiments` crate; nothing flows back.

// A reader of messages that went away ends nothing: `messages::say!`.
#![warn(clippy::print_stderr)]

pub mod cli;
pub mod config;
pub mod conformance;
pub mod demonstrations;
pub mod device;
pub mod distributed;
pub mod error;
mod evaluate;
pub mod evaluator;
pub mod files;
pub mod formats;
pub mod generation;
mod http;
mod hub;
pub mod memory;
mod messages;
pub mod model;
pub mod network;
pub mod random;
pub mod runner;
pub mod sampler;
mod store;
mod sweep;
pub mod tasks;
pub mod training;
mod trl;

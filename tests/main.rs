//! The lab from outside: the real binary over whole experiments, tiny ones.
//!
//! What is tested is behaviour: files, exit codes, messages, bits. How long
//! anything takes is never asked.

mod bad_input;
mod between;
mod bits;
mod broken_models;
mod command_line;
mod compare;
mod data_files;
mod data_sets;
mod demonstrations;
mod distributed;
mod evaluate;
mod extends;
mod formats;
mod gym;
mod hub;
mod human;
mod kept;
mod live;
mod long;
mod metrics;
mod micro_batches;
mod models;
mod norms;
mod on_the_way;
mod outside;
mod plan;
mod played;
mod played_hub;
mod poles;
mod process;
mod questions;
mod requests;
mod rewards;
mod run;
mod safety;
mod sampler;
mod servers;
mod streams;
mod support;
mod sweep;
mod teachers;
mod transfer;

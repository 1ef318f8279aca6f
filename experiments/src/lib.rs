//! What a paired experiment found: records in, statistics, alignment with
//! people, comparison tables, figures and the report out.
//!
//! The crate knows nothing of torch: everything here works on trace records
//! and norms, whoever produced them. It deliberately neither trains nor samples.
//!
//! Flow: [`record`] and [`norms`] are read, [`alignment`] and [`statistics`]
//! turn them into figures with intervals, [`comparison`] arranges them as arms
//! and contrasts, [`tables`], [`figures`] and [`report`] show them; [`plan`] tells from a pilot how large an
//! experiment must be. Beside it, [`completions`]
//! keeps what a policy wrote while it was trained. [`text`] and [`dataset`] read the files of others.

pub mod alignment;
pub mod comparison;
pub mod completions;
pub mod conformance;
pub mod dataset;
pub mod figures;
pub mod manifest;
pub mod norms;
pub mod panics;
pub mod plan;
pub mod record;
pub mod report;
pub mod statistics;
pub mod tables;
pub mod text;

#[cfg(test)]
mod fixture;

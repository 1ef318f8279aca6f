//! `qinglan evaluate`: models, servers and recordings answer what people were timed on,
//! into directories that are compared like runs.

pub(crate) mod ask;
pub(crate) mod cards;
pub(crate) mod directory;
pub(crate) mod endpoint;
pub(crate) mod fields;
pub(crate) mod journal;
pub(crate) mod questions;
pub(crate) mod reply;
pub(crate) mod survey;
pub(crate) mod troubles;

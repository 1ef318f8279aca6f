//! The small model, what is wrong with it after each change, and values that
//! other code computed.

mod config;
mod header;
mod tensors;
mod tokenizer;
pub(in crate::model) mod writer;

use super::Gguf;
use writer::{Item, Writer, small};

/// What a file is refused with.
fn refusal(writer: &Writer) -> String {
    refusal_of(&writer.bytes())
}

fn refusal_of(bytes: &[u8]) -> String {
    format!("{:#}", Gguf::parse(bytes).expect_err("the file is read"))
}

/// Asserts that a message names each of the parts.
fn names(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{message:?} does not name {part:?}");
    }
}

//! What `SFTConfig` has, which `GKDConfig` inherits.

use super::{
    Fate::{Decided, Key, Outside, Unsupported},
    Kind::{Count, Flag},
    Row,
};

/// What only SFT has otherwise.
pub(super) const OWN: &[Row] = &[("loss_type", Decided("algorithm.loss_type"))];

const LOADING: &str = "of loading data; the lab tells a set's form by its first row";
const PACKING: &str = "rows are packed end to end without reaching into each other, and never padded, and batch_size counts demonstrations: a packed row of TRL holds several";

/// The demonstrations and how they are shown.
#[rustfmt::skip]
pub(super) const DATA: &[Row] = &[
    ("activation_offloading", Outside("of memory; training.gradient_checkpointing spares some")),
    ("assistant_only_loss", Key("demonstrations.assistant_only_loss", Flag)),
    ("chat_template_path", Unsupported(&["null"], "the template is the one in the model's folder")),
    ("completion_only_loss", Key("demonstrations.completion_only_loss", Flag)),
    ("dataset_kwargs", Unsupported(&["null", "{}"], "a set is tokenized as its form says")),
    ("dataset_num_proc", Outside(LOADING)),
    ("dataset_text_field", Unsupported(&["\"text\""], "whole texts stand under \"text\": rename the column")),
    // transformers' JSON hides what tokens are, even where there is none.
    ("eos_token", Unsupported(&["null", "\"<EOS_TOKEN>\""], "a demonstration ends with the model's own end token")),
    ("eval_packing", Outside("of evaluation on the way; held-out loss is a mean over tokens")),
    ("max_length", Key("demonstrations.max_length", Count)),
    ("packing", Unsupported(&["false"], PACKING)),
    ("packing_strategy", Outside("of packing, which is the lab's own")),
    ("pad_token", Outside("of padding; rows are never padded")),
    ("padding_free", Outside("of padding; rows are never padded")),
    ("remove_unused_columns", Outside(LOADING)),
    ("shuffle_dataset", Unsupported(&["false", "true"], "demonstrations come in a random order that the seed draws")),
    ("truncation_mode", Unsupported(&["\"keep_start\""], "a demonstration beyond max_length is left out, counted and named; TRL cuts it")),
];

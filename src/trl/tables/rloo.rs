//! What only `RLOOConfig` has, or has otherwise than `GRPOConfig`.

use super::{
    Fate::{Key, Unsupported},
    Kind::{Flag, Range},
    Row,
};

const REFERENCE: &str =
    "the reference stays the model that the arm starts from, so the policy is held nearer to that";

/// The settings.
#[rustfmt::skip]
pub(super) const OWN: &[Row] = &[
    ("normalize_advantages", Key("algorithm.normalize_advantages", Flag)),
    ("ref_model_mixup_alpha", Unsupported(&["0.6"], REFERENCE)),
    ("ref_model_sync_steps", Unsupported(&["512"], REFERENCE)),
    ("reward_clip_range", Key("algorithm.reward_clip_range", Range)),
    ("sync_ref_model", Unsupported(&["false"], REFERENCE)),
];

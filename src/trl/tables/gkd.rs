//! What only `GKDConfig` has.

use super::{
    Fate::{Decided, Key, Unsupported},
    Kind::{Count, Number},
    Row,
};

/// The settings.
#[rustfmt::skip]
pub(super) const OWN: &[Row] = &[
    ("beta", Key("algorithm.beta", Number)),
    ("disable_dropout", Unsupported(&["true", "false"], "the decoder has no dropout")),
    ("lmbda", Key("algorithm.lmbda", Number)),
    ("loss_type", Unsupported(&["\"nll\"", "\"chunked_nll\""], "TRL's GKD has its own loss too, whatever this says")),
    ("max_new_tokens", Key("rollout.max_new_tokens", Count)),
    ("seq_kd", Unsupported(&["false"], "updates that are not on-policy learn from demonstrations; for the teacher's own samples remove [arm.trl.demonstrations], and the teacher's traces are shown")),
    ("teacher_model_init_kwargs", Unsupported(&["null", "{}"], "the lab's one decoder takes no arguments of transformers' loading")),
    ("teacher_model_name_or_path", Decided("teacher.base.model")),
    ("temperature", Key("rollout.temperature", Number)),
];

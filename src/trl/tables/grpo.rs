//! What only `GRPOConfig` has.

use super::{
    Fate::{Decided, Key, Outside, Unsupported},
    Kind::{Count, Flag, Number, Text},
    Row,
};

const CORRECTION: &str = "of TRL's vLLM; [arm.trl.sampler] has importance_sampling_correction, importance_sampling_mode and importance_sampling_clip_max";

/// The settings.
#[rustfmt::skip]
pub(super) const OWN: &[Row] = &[
    ("cast_lm_head_to_fp32", Unsupported(&["false", "true"], "log-probabilities are taken in float32 always")),
    ("delta", Key("algorithm.delta", Number)),
    ("entropy_coef", Key("algorithm.entropy_coef", Number)),
    ("entropy_coef_delta", Key("algorithm.entropy_coef_delta", Number)),
    ("entropy_coef_max", Key("algorithm.entropy_coef_max", Number)),
    ("entropy_coef_min", Key("algorithm.entropy_coef_min", Number)),
    ("entropy_target", Key("algorithm.entropy_target", Number)),
    ("importance_sampling_level", Key("algorithm.importance_sampling_level", Text)),
    ("log_completions_hub_repo", Outside("of publishing; completions are Parquet files in the run directory")),
    ("loss_type", Key("algorithm.loss_type", Text)),
    ("max_tool_calling_iterations", Unsupported(&["null"], "no tools are called: a completion is one turn")),
    ("multi_objective_aggregation", Key("algorithm.multi_objective_aggregation", Text)),
    ("off_policy_mask_threshold", Key("algorithm.off_policy_mask_threshold", Number)),
    ("ref_model_mixup_alpha", Key("algorithm.ref_model_mixup_alpha", Number)),
    ("ref_model_sync_steps", Key("algorithm.ref_model_sync_steps", Count)),
    ("sapo_temperature_neg", Key("algorithm.sapo_temperature_neg", Number)),
    ("sapo_temperature_pos", Key("algorithm.sapo_temperature_pos", Number)),
    ("scale_rewards", Decided("algorithm.scale_rewards")),
    ("sync_ref_model", Key("algorithm.sync_ref_model", Flag)),
    ("top_entropy_quantile", Key("algorithm.top_entropy_quantile", Number)),
    ("use_adaptive_entropy", Key("algorithm.use_adaptive_entropy", Flag)),
    ("use_bias_correction_kl", Key("algorithm.use_bias_correction_kl", Flag)),
    ("vespo_k_neg", Key("algorithm.vespo_k_neg", Number)),
    ("vespo_k_pos", Key("algorithm.vespo_k_pos", Number)),
    ("vespo_lambda_neg", Key("algorithm.vespo_lambda_neg", Number)),
    ("vespo_lambda_pos", Key("algorithm.vespo_lambda_pos", Number)),
    ("vllm_importance_sampling_cap", Outside(CORRECTION)),
    ("vllm_importance_sampling_clip_max", Outside(CORRECTION)),
    ("vllm_importance_sampling_clip_min", Outside(CORRECTION)),
    ("vllm_importance_sampling_correction", Outside(CORRECTION)),
    ("vllm_importance_sampling_mode", Outside(CORRECTION)),
];

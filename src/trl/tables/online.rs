//! What GRPO and RLOO share: how completions are sampled.

use super::{
    Fate::{Decided, Key, Outside, Unsupported},
    Kind::{Count, Flag, Number},
    Row,
};

const VLLM: &str =
    "of TRL's vLLM; [arm.trl.sampler] draws rollouts from a server, with settings of its own";
const SPEED: &str = "of speed; the lab batches continuously by itself";

/// Settings of sampling, and of what is logged of it.
#[rustfmt::skip]
pub(super) const SHARED: &[Row] = &[
    ("disable_dropout", Unsupported(&["false", "true"], "the decoder has no dropout")),
    ("ds3_gather_for_generation", Outside("of several processes; see qinglan run --help")),
    ("generation_batch_size", Decided("algorithm.prompts_per_generation")),
    ("generation_kwargs", Unsupported(&["null", "{}"], "only the settings of [rollout] are sampled by: the policy's samples would differ")),
    ("log_completions", Decided("experiment.log_completions")),
    ("log_unique_prompts", Outside("of logging; every completion is kept")),
    ("mask_truncated_completions", Key("algorithm.mask_truncated_completions", Flag)),
    ("min_p", Key("rollout.min_p", Number)),
    ("num_completions_to_print", Outside("of logging; nothing is printed")),
    ("num_generations", Key("algorithm.num_generations", Count)),
    ("num_generations_eval", Key("evaluation.samples", Count)),
    ("num_iterations", Key("algorithm.num_iterations", Count)),
    ("epsilon", Key("algorithm.epsilon", Number)),
    ("epsilon_high", Key("algorithm.epsilon_high", Number)),
    ("beta", Key("algorithm.beta", Number)),
    ("repetition_penalty", Key("rollout.repetition_penalty", Number)),
    ("shuffle_dataset", Unsupported(&["true"], "problems come in a random order that the seed draws")),
    ("steps_per_generation", Decided("algorithm.steps_per_generation, which counts updates where TRL counts micro-batches")),
    ("temperature", Key("rollout.temperature", Number)),
    ("top_k", Key("rollout.top_k", Count)),
    ("top_p", Key("rollout.top_p", Number)),
    ("transformers_continuous_batching_config", Outside(SPEED)),
    ("use_transformers_continuous_batching", Outside(SPEED)),
    ("use_transformers_paged", Outside(SPEED)),
    ("use_vllm", Unsupported(&["false"], "the lab samples by itself; [arm.trl.sampler] draws rollouts from a server")),
    ("vllm_enable_sleep_mode", Outside(VLLM)),
    ("vllm_gpu_memory_utilization", Outside(VLLM)),
    ("vllm_group_port", Outside(VLLM)),
    ("vllm_max_model_length", Outside(VLLM)),
    ("vllm_mode", Outside(VLLM)),
    ("vllm_model_impl", Outside(VLLM)),
    ("vllm_server_base_url", Outside(VLLM)),
    ("vllm_server_host", Outside(VLLM)),
    ("vllm_server_port", Outside(VLLM)),
    ("vllm_server_timeout", Outside(VLLM)),
    ("vllm_structured_outputs_regex", Unsupported(&["null"], "no grammar restricts what is sampled")),
    ("vllm_tensor_parallel_size", Outside(VLLM)),
];

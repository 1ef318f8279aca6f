//! What a file for `trl grpo --config` may hold besides a trainer's settings: the model, its
//! adapter, the data set and the rewards.

use super::{
    Fate::{Decided, Key, Outside, Unsupported},
    Kind::{Count, Number, Table},
    Row,
};

const LORA: &str = "[arm.trl.lora], where use_peft is true";
const DATA: &str = "the tasks, which the definition marks as to be filled in";
const QUANTIZED: &str = "weights are trained in float32 beside which nothing is quantized: more memory, no quantization noise";

/// The model, its adapter and the data set.
#[rustfmt::skip]
pub(super) const ALL: &[Row] = &[
    ("attn_implementation", Outside("of speed; the lab picks its own kernels")),
    ("bnb_4bit_quant_storage", Unsupported(&["null"], QUANTIZED)),
    ("bnb_4bit_quant_type", Unsupported(&["\"nf4\""], QUANTIZED)),
    ("dataset_config", Decided(DATA)),
    ("dataset_name", Decided(DATA)),
    ("dataset_streaming", Outside("of loading data; a set is read without being kept")),
    ("dataset_test_split", Decided(DATA)),
    ("dataset_train_split", Decided(DATA)),
    ("datasets", Decided(DATA)),
    ("dtype", Unsupported(&["null", "\"auto\"", "\"float32\""], "weights, gradients and sums stay in float32, whatever the products are in")),
    ("env", Outside("of the environment; set the variables where qinglan is started")),
    ("ignore_bias_buffers", Outside("of several processes; see qinglan run --help")),
    ("load_in_4bit", Unsupported(&["false"], QUANTIZED)),
    ("load_in_8bit", Unsupported(&["false"], QUANTIZED)),
    ("lora_alpha", Decided(LORA)),
    ("lora_dropout", Decided(LORA)),
    ("lora_modules_to_save", Unsupported(&["null"], "no module is trained whole beside the adapter")),
    ("lora_r", Decided(LORA)),
    ("lora_target_modules", Decided(LORA)),
    ("lora_target_parameters", Unsupported(&["null"], "an adapter is on the matrices of lora.target_modules alone")),
    ("lora_task_type", Unsupported(&["\"CAUSAL_LM\""], "every model here is a causal language model")),
    ("model_name_or_path", Decided("base.model")),
    ("model_revision", Decided("base.model, behind an @")),
    ("streaming", Outside("of loading data; a set is read without being kept")),
    ("test_split_size", Decided(DATA)),
    ("use_bnb_nested_quant", Unsupported(&["false"], QUANTIZED)),
    ("use_dora", Decided(LORA)),
    ("use_peft", Decided("whether there is an [arm.trl.lora]")),
    ("use_rslora", Decided(LORA)),
    // Of the trainers' own settings that go to the model's loading.
    ("model_init_kwargs", Unsupported(&["null", "{}"], "the lab's one decoder takes no arguments of transformers' loading")),
    ("trust_remote_code", Unsupported(&["false"], "no code of a model's repository is run; an architecture that the lab does not have is refused")),
    ("router_aux_loss_coef", Unsupported(&["null"], "no mixture of experts is trained here, so there is no balance of a router to keep")),
    ("pad_to_multiple_of", Outside("of speed; rows go end to end and are never padded")),
    ("learning_rate", Key("training.learning_rate", Number)),
];

/// The rewards, of the trainers that have some.
#[rustfmt::skip]
pub(super) const REWARDS: &[Row] = &[
    ("reward_funcs", Decided("[arm.trl.reward]")),
    ("reward_model_name_or_path", Unsupported(&["null"], "no reward model judges completions: what it would pay for is not learned")),
    ("reward_weights", Decided("the weights in [arm.trl.reward]")),
    ("remove_unused_columns", Unsupported(&["false"], "all columns of a data set reach the rewards")),
    ("log_multimodal", Outside("of logging; nothing here is an image")),
    ("cache_implementation", Outside("of speed; the lab's cache is its own")),
    ("max_completion_length", Key("rollout.max_new_tokens", Count)),
    ("chat_template_kwargs", Key("tasks.chat_template_kwargs", Table)),
];

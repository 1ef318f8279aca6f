"""Make tests/data/architectures: a small random model of each architecture, and what
transformers computes of it.

    python scripts/architectures-expected.py [SEED] [OUT_FOLDER]

Needs torch 2.11 and transformers 5.23. The weights are numbers of bfloat16, so that they take
half the room, and are computed with in float32. The tokenizer is that of
tests/data/demonstrations/model, which the test puts beside each. Windows are narrower than the
rows, so that one that is not applied shows.
"""
import os
import shutil
import subprocess
import sys
import tempfile

import torch
import transformers as t

seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
out = sys.argv[2] if len(sys.argv) > 2 else os.path.join(here, "tests/data/architectures")
tokenizer = os.path.join(here, "tests/data/demonstrations/model")
expected = os.path.join(here, "scripts/expected-json.py")

shape = dict(
    vocab_size=344, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
    pad_token_id=0, bos_token_id=3, eos_token_id=2, initializer_range=0.2,
)
types = ["sliding_attention", "full_attention"]
yarn = dict(rope_type="yarn", rope_theta=1e4, factor=4.0, original_max_position_embeddings=32)
tied = dict(tie_word_embeddings=True)
models = {
    "llama": t.LlamaConfig(**shape, **tied, attention_bias=True, mlp_bias=True, rope_parameters=yarn),
    "qwen2": t.Qwen2Config(**shape, **tied, use_sliding_window=True, sliding_window=8, max_window_layers=1),
    "qwen3": t.Qwen3Config(**shape, **tied, head_dim=12),
    "gemma3_text": t.Gemma3TextConfig(
        **shape, head_dim=10, sliding_window=8, query_pre_attn_scalar=7, layer_types=types,
        final_logit_softcapping=2.0,
        rope_parameters={
            "full_attention": dict(rope_type="linear", factor=8.0, rope_theta=1e6),
            "sliding_attention": dict(rope_type="default", rope_theta=1e4),
        },
    ),
    "mistral": t.MistralConfig(**shape, tie_word_embeddings=True, head_dim=8, sliding_window=6),
    "olmo2": t.Olmo2Config(**shape, **tied),
    "phi3": t.Phi3Config(**{**shape, "num_key_value_heads": 4}, **tied, sliding_window=9),
    "smollm3": t.SmolLM3Config(**shape, no_rope_layers=[1, 0]),
    "olmo3": t.Olmo3Config(
        **shape, **tied, sliding_window=7, layer_types=types,
        rope_parameters={
            "full_attention": yarn,
            "sliding_attention": dict(rope_type="default", rope_theta=1e4),
        },
    ),
}
for index, (name, config) in enumerate(models.items()):
    torch.manual_seed(1000 * seed + index)
    model = t.AutoModelForCausalLM.from_config(config).float()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                # Norms and biases away from their 1 and 0, so that a missing one shows.
                parameter.add_(0.2 * torch.randn_like(parameter))
    with tempfile.TemporaryDirectory() as aside:
        model.to(torch.bfloat16).save_pretrained(aside)
        # Its tokenizer from a folder of its own: some families have a class for theirs.
        written = os.path.join(aside, "expected.json")
        subprocess.run([sys.executable, expected, aside, written, tokenizer], check=True)
        folder = os.path.join(out, name)
        os.makedirs(folder, exist_ok=True)
        for file in ["config.json", "model.safetensors", "expected.json"]:
            shutil.copy(os.path.join(aside, file), folder)

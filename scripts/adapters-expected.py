"""Writes tests/data/adapters: a tiny Qwen2 model, adapters of it, and what PEFT makes of them.

Needs torch 2.11, transformers 5.23, peft 0.21 and safetensors: `python scripts/adapters-expected.py`. Qwen2 has biases on queries,
keys and values and none elsewhere, so both kinds of product are adapted. Each adapter's folder has, beside what PEFT
saves, `expected.safetensors`: the logits of one sequence, and under the name of each of the adapter's tensors the
gradient of the mean log-probability of the sequence's tokens but the first.
"""

import json
import shutil
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import Qwen2Config, Qwen2ForCausalLM

FOLDER = Path(__file__).parent.parent / "tests" / "data" / "adapters"
SEQUENCE = [3, 17, 9, 28, 5, 5, 11, 30]
ADAPTERS = {
    "lora": {"target_modules": "all-linear"},
    "rslora": {"target_modules": ["q_proj", "o_proj", "gate_proj"], "use_rslora": True},
    "dora": {"target_modules": "all-linear", "use_dora": True, "lora_dropout": 0.1},
    "default": {"use_dora": True, "use_rslora": True},
}


def base():
    torch.manual_seed(7)
    config = Qwen2Config(
        vocab_size=32,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        initializer_range=0.3,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    model = Qwen2ForCausalLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "norm" in name:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.float().eval()


def expected(model):
    ids = torch.tensor([SEQUENCE])
    output = model(ids, labels=ids)
    output.loss.neg().backward()
    gradients = {
        name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad
    }
    # The names that PEFT saves under.
    gradients = get_peft_model_state_dict(model, state_dict=gradients)
    return {"logits": output.logits[0].detach(), **gradients}


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    base().save_pretrained(FOLDER / "model")
    for place, (name, settings) in enumerate(ADAPTERS.items()):
        model = get_peft_model(base(), LoraConfig(r=3, lora_alpha=5, task_type="CAUSAL_LM", **settings))
        torch.manual_seed(place)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter) * 0.2)
        model.eval()
        model.save_pretrained(FOLDER / name)
        tensors = {name: tensor.contiguous() for name, tensor in expected(model).items()}
        save_file(tensors, FOLDER / name / "expected.safetensors")
        (FOLDER / name / "README.md").unlink(missing_ok=True)
        # PEFT writes a set, in another order each time.
        path = FOLDER / name / "adapter_config.json"
        config = json.loads(path.read_text())
        config["target_modules"].sort()
        path.write_text(json.dumps(config, indent=2) + "\n")
    (FOLDER / "model" / "generation_config.json").unlink(missing_ok=True)


main()

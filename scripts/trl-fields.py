#!/usr/bin/env python3
"""Writes the names of TRL's settings, which `qinglan config from-trl` is tested against.

    pip install trl==1.16.0
    scripts/trl-fields.py > tests/data/trl-fields.json

`own` are the fields that a trainer's class declares itself, `inherited` those of its
bases, transformers' TrainingArguments included; `command_line` is what a file for
`trl grpo --config` may hold besides, and `json` what the trainer writes of its defaults.
"""

import dataclasses
import json

import transformers
import trl
from trl import GRPOConfig, ModelConfig, RLOOConfig, SFTConfig
from trl.experimental.gkd import GKDConfig
from trl.scripts.grpo import GRPOScriptArguments
from trl.scripts.rloo import RLOOScriptArguments
from trl.scripts.utils import DatasetMixtureConfig, ScriptArguments

CONFIGS = {"grpo": GRPOConfig, "rloo": RLOOConfig, "sft": SFTConfig, "gkd": GKDConfig}
COMMAND_LINE = {
    "grpo": GRPOScriptArguments,
    "rloo": RLOOScriptArguments,
    "sft": ScriptArguments,
    "gkd": ScriptArguments,
}


def names(config):
    return {field.name for field in dataclasses.fields(config)}


def main():
    out = {"trl": trl.__version__, "transformers": transformers.__version__}
    for trainer, config in CONFIGS.items():
        own = set(config.__annotations__)
        command_line = names(COMMAND_LINE[trainer]) | names(ModelConfig) | names(DatasetMixtureConfig)
        # Without bfloat16, as on a machine that has none.
        default = config(output_dir="out", report_to="none", use_cpu=True, bf16=False)
        out[trainer] = {
            "own": sorted(own),
            "inherited": sorted(names(config) - own),
            "command_line": sorted(command_line - names(config)),
            "json": json.loads(default.to_json_string()),
        }
    print(json.dumps(out, indent=1))


main()

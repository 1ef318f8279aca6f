"""Record trainings of TRL's GKD trainer for tests/data/lockstep, so that the lab can be compared
with them: loss, gradient norm and learning rate of every update, and the last weights.

    python scripts/lockstep-gkd.py [OUT_DIR] [MODELS] [float32 or float64]

Needs torch 2.11, transformers 5.23, TRL 1.16 and datasets. MODELS/qwen2 is the starting model; the
default is tests/data/architectures. The tokenizer is that of tests/data/demonstrations/model.

OUT_DIR/qwen2: the starting model with its tokenizer.
OUT_DIR/<case>/case.json: settings in TRL's names; the rows of every update, without padding, as
{prompt_ids, completion_ids}; {loss, grad_norm, learning_rate} of every update.
OUT_DIR/<case>/final.safetensors: the weights after the last update.
OUT_DIR/<case>/teacher: the teacher, a random model of another width, with the same tokenizer.

In the cases with lmbda = 1 the student's completions are given, not sampled: `generate` is
replaced, and what TRL makes of its output is recorded. TRL divides the loss of an update by the
tokens of its demonstrations, even where it trains on other completions, so each given completion is
as long as the demonstration whose place it takes. TRL uses `temperature` for sampling alone; the
divergence is always that at 1.0.

float64 repeats the trainings in that precision, which shows how much of a difference is rounding.
"""
import json
import os
import random
import shutil
import sys
import tempfile
from types import SimpleNamespace

import torch
from datasets import Dataset
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Config, set_seed
from trl.experimental.gkd import GKDConfig, GKDTrainer

here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "tests/data/lockstep")
models = sys.argv[2] if len(sys.argv) > 2 else os.path.join(here, "tests/data/architectures")
dtype = getattr(torch, sys.argv[3] if len(sys.argv) > 3 else "float32")
tokenizer_files = os.path.join(here, "tests/data/demonstrations/model")
tokenizer = AutoTokenizer.from_pretrained(tokenizer_files)
EOS, PAD = tokenizer.eos_token_id, tokenizer.pad_token_id
# Most tokens of a completion, as `max_new_tokens` says.
LONGEST = 9

common = dict(
    output_dir=tempfile.mkdtemp(), use_cpu=True, bf16=False, logging_steps=1, report_to="none",
    save_strategy="no", gradient_checkpointing=False, optim="adamw_torch", disable_tqdm=True,
    seed=0,
)


def add_tokenizer(folder):
    for file in ["tokenizer.json", "tokenizer_config.json"]:
        shutil.copy(os.path.join(tokenizer_files, file), folder)


def make_teacher(folder):
    """A random teacher; its weights are numbers of bfloat16, as those of the student are."""
    torch.manual_seed(23)
    config = Qwen2Config(
        vocab_size=344, hidden_size=24, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
        pad_token_id=PAD, bos_token_id=3, eos_token_id=EOS, initializer_range=0.3,
        tie_word_embeddings=True,
    )
    AutoModelForCausalLM.from_config(config).to(torch.bfloat16).save_pretrained(folder)
    os.remove(os.path.join(folder, "generation_config.json"))
    add_tokenizer(folder)


def completion(length, drawn):
    """`length` drawn tokens, the last one the end token unless the cap may have cut it off."""
    ends = length < LONGEST or drawn.random() < 0.5
    ids = [drawn.randrange(4, 344) for _ in range(length)]
    return ids[:-1] + [EOS] if ends else ids


def demonstrations(case, count):
    """Demonstrations of different lengths, tokenized as `SFTTrainer` leaves them."""
    for index in range(count):
        drawn = random.Random(f"{case}|{index}")
        prompt = f"What is {3 * index} + {7 * index + 1}?"[: drawn.randint(9, 18)]
        ids = tokenizer(prompt)["input_ids"]
        answer = completion(drawn.choice([2, 4, 5, 7, LONGEST]), drawn)
        mask = [0] * len(ids) + [1] * len(answer)
        yield {"prompt": prompt, "input_ids": ids + answer, "completion_mask": mask}


class Recorded(GKDTrainer):
    """TRL's trainer, which writes down the rows that its loss reads."""

    def compute_loss(self, model, inputs, **kwargs):
        columns = [inputs[name].tolist() for name in ("input_ids", "attention_mask", "labels")]
        for ids, seen, labels in zip(*columns):
            trained = [label != -100 for label in labels]
            prompt = [id for id, s, t in zip(ids, seen, trained) if s and not t]
            self.rows.append((prompt, [id for id, t in zip(ids, trained) if t]))
        self.divisors.append(int(kwargs["num_items_in_batch"]))
        return super().compute_loss(model, inputs, **kwargs)


def by_update(trainer, settings):
    """The rows of each update, whose tokens are what TRL divided its loss by."""
    accumulated = settings["gradient_accumulation_steps"]
    count = accumulated * settings["per_device_train_batch_size"]
    for update in range(settings["max_steps"]):
        prompts, completions = zip(*trainer.rows[update * count :][:count])
        divisors = trainer.divisors[update * accumulated :][:accumulated]
        assert set(divisors) == {sum(map(len, completions))}
        yield {"prompt_ids": prompts, "completion_ids": completions}


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)


def record(case, **settings):
    set_seed(0)
    folder = os.path.join(out, case)
    teacher = os.path.join(folder, "teacher")
    make_teacher(teacher)
    settings = dict(
        per_device_train_batch_size=4, gradient_accumulation_steps=1, max_steps=5,
        learning_rate=1e-2, lr_scheduler_type="linear", warmup_steps=1, weight_decay=0.01,
        max_grad_norm=1.0, temperature=1.0, max_new_tokens=LONGEST,
    ) | settings
    trainer = Recorded(
        model=load(start), teacher_model=load(teacher),
        args=GKDConfig(**common, **settings), processing_class=tokenizer,
        train_dataset=Dataset.from_list(list(demonstrations(case, 48))),
    )
    trainer.rows, trainer.divisors, lengths = [], [], []
    collate = trainer.data_collator

    def collated(examples):
        batch = collate(examples)
        lengths.append(batch["labels"].ne(-100).sum(1).tolist())
        return batch

    def generate(input_ids, **_):
        place = len(trainer.divisors)
        sizes = lengths[place]
        drawn = [random.Random(f"{case}|{place}|{row}") for row in range(len(sizes))]
        given = list(map(completion, sizes, drawn))
        padded = torch.tensor([ids + [PAD] * (max(sizes) - len(ids)) for ids in given])
        return SimpleNamespace(sequences=torch.cat([input_ids, padded], dim=1))

    trainer.data_collator = collated
    trainer.model.generate = generate
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    file = {
        "algorithm": "gkd",
        "settings": settings,
        "batches": list(by_update(trainer, settings)),
        "steps": [{k: h[k] for k in ("loss", "grad_norm", "learning_rate")} for h in logged],
    }
    with open(os.path.join(folder, "case.json"), "w") as written:
        json.dump(file, written)
        written.write("\n")
    weights = {n: p.detach().clone().contiguous() for n, p in trainer.model.named_parameters()}
    save_file(weights, os.path.join(folder, "final.safetensors"))
    for step in file["steps"]:
        print(case, step)


start = os.path.join(out, "qwen2")
os.makedirs(start, exist_ok=True)
for file in ["config.json", "model.safetensors"]:
    shutil.copy(os.path.join(models, "qwen2", file), start)
add_tokenizer(start)
forward, reverse = 0.0, 1.0
record("gkd-demonstrations", lmbda=0.0, beta=0.5, max_grad_norm=0.1, gradient_accumulation_steps=2)
record("gkd-demonstrations-forward", lmbda=0.0, beta=forward)
record("gkd-on-policy", lmbda=1.0, beta=0.2)
record(
    "gkd-on-policy-reverse", lmbda=1.0, beta=reverse, max_grad_norm=0.5,
    gradient_accumulation_steps=2,
)

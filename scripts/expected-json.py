"""Write the expected.json that `qinglan conformance logits` reads, computed by transformers.

    python scripts/expected-json.py MODEL_DIR|FILE.gguf [OUT_FILE [TOKENIZER_DIR]]

Needs torch and transformers, and gguf for a GGUF file. float32 on the CPU. The rows are the chat that the
conformance renders, a plain sentence, and one beyond ASCII.
"""
import json
import os
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = sys.argv[1]
file = {}
if folder.endswith(".gguf"):
    folder, name = os.path.split(folder)
    file = {"gguf_file": name}
out = sys.argv[2] if len(sys.argv) > 2 else os.path.join(folder, "expected.json")
words = {} if len(sys.argv) > 3 else file
tokenizer = AutoTokenizer.from_pretrained(sys.argv[3] if len(sys.argv) > 3 else folder, **words)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **file).eval()
chat = [
    {"role": "user", "content": "What is 17 + 25?"},
    {"role": "assistant", "content": "<think>17, 27, 37, 42</think> 42"},
]
expected = {"rows": []}
texts = ["four plus nine equals thirteen", "naïve café 你好 😀"]
if tokenizer.chat_template:
    expected["rendered_chat"] = tokenizer.apply_chat_template(chat, tokenize=False)
    expected["rendered_prompt"] = tokenizer.apply_chat_template(
        chat[:1], tokenize=False, add_generation_prompt=True
    )
    texts.insert(0, expected["rendered_chat"])
for text in texts:
    ids = tokenizer(text)["input_ids"]
    x = torch.tensor([ids])
    model.zero_grad()
    output = model(input_ids=x, labels=x)
    output.loss.backward()
    gradients = {
        name: parameter.grad.double().norm().item()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    logprobs = torch.log_softmax(output.logits[0].detach().double(), -1)
    greedy = model.generate(
        x,
        attention_mask=torch.ones_like(x),
        max_new_tokens=24,
        do_sample=False,
        eos_token_id=None,
        # transformers applies a checkpoint's own penalty even without sampling.
        repetition_penalty=1.0,
        temperature=None,
        top_p=None,
        top_k=None,
    )[0, len(ids) :].tolist()
    expected["rows"].append(
        {
            "input_ids": ids,
            "loss": output.loss.item(),
            "logits_last": output.logits[0, -1].tolist(),
            "next_token_logprobs": logprobs[:-1].gather(-1, x[0, 1:, None])[:, 0].tolist(),
            "entropy": (-(logprobs.exp() * logprobs).sum(-1)).tolist(),
            "grad_norms": gradients,
            "greedy_24": greedy,
        }
    )
with open(out, "w") as file:
    json.dump(expected, file, ensure_ascii=False)
print(out, [round(row["loss"], 5) for row in expected["rows"]])

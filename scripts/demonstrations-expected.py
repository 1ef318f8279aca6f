"""What TRL makes of demonstrations, for the tests in src/demonstrations and experiments/src/dataset.

    python demonstrations-expected.py OUT_DIR [MODEL_DIR]

Needs: trl==1.16.0 torch transformers datasets pyarrow. Writes into OUT_DIR, beside a small tokenizer of its own
(OUT_DIR/model, with a chat template that marks what the assistant wrote), unless MODEL_DIR names another model:

trl.json: for each case its settings, its rows, and for each row what the trainer's own data preparation and collator
make of it, {input_ids, labels}; -100 is not trained.
*.parquet: the rows of two of the cases as pyarrow and as Hugging Face datasets write them.
"""
import json, os, sys, tempfile
import pyarrow as pa, pyarrow.parquet as pq
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from trl import SFTConfig, SFTTrainer

TEMPLATE = """{%- for message in messages %}
{%- if message.role not in ['system', 'user', 'assistant'] %}{{ raise_exception('unknown role ' + message.role) }}{% endif %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.role == 'assistant' %}{% generation %}{{ message.content + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}
{%- else %}{{ message.content + '<|im_end|>\\n' }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

out, other = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
os.makedirs(out, exist_ok=True)

def user(text): return {"role": "user", "content": text}
def assistant(text): return {"role": "assistant", "content": text}
def system(text): return {"role": "system", "content": text}

strings = [{"prompt": f"What is {a} + {b}?", "completion": f" <think>{a} and {b}</think> {a + b}"} for a, b in [(1, 2), (17, 25)]]
strings += [{"prompt": "Ends in a space ", "completion": "and goes on"}, {"prompt": "The num", "completion": "ber of 数字 is 3 🙂"},
            {"prompt": "It ends", "completion": " by itself<|im_end|>"}, {"prompt": "x", "completion": "\n\ny \n"}]
turns = [{"prompt": [user(r["prompt"])], "completion": [assistant(r["completion"])]} for r in strings[:2]]
turns += [{"prompt": [system("Be brief. 🙂"), user("Hello"), assistant("Hi."), user("And 数字?")], "completion": [assistant("Yes.\n")]},
          {"prompt": [user("Two answers")], "completion": [assistant("One."), user("More?"), assistant("Two 🙂")]}]
messages = [{"messages": r["prompt"] + r["completion"]} for r in turns]
texts = [{"text": "Once upon a time there was 1 number."}, {"text": "数字 🙂\n"}, {"text": "Ended<|im_end|>"}]

def tokenizer():
    corpus = [json.dumps(r, ensure_ascii=False) for r in strings + messages + texts]
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    # A beginning token, so that strings and templates are told apart.
    special = ["<|pad|>", "<|im_start|>", "<|im_end|>", "<|begin|>"]
    t.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=340, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=special))
    t.post_processor = processors.TemplateProcessing(single="<|begin|> $A", pair="<|begin|> $A $B:1", special_tokens=[("<|begin|>", t.token_to_id("<|begin|>"))])
    return PreTrainedTokenizerFast(tokenizer_object=t, bos_token="<|begin|>", eos_token="<|im_end|>", pad_token="<|pad|>", chat_template=TEMPLATE)

if other is None:
    folder = os.path.join(out, "model")
    tokenizer().save_pretrained(folder)
else:
    folder = other
tok = AutoTokenizer.from_pretrained(folder)
model = Qwen2ForCausalLM(Qwen2Config(vocab_size=len(tok), hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, num_key_value_heads=1))

def case(name, rows, **settings):
    args = dict(output_dir=tempfile.mkdtemp(), use_cpu=True, bf16=False, report_to="none", max_length=None, packing=False, shuffle_dataset=False)
    t = SFTTrainer(model=model, args=SFTConfig(**args, **settings), train_dataset=Dataset.from_list(rows), processing_class=tok)
    expected = []
    for row in t.train_dataset:
        batch = t.data_collator([row])
        expected.append({k: batch[k][0].tolist() for k in ("input_ids", "labels")})
    assert len(expected) == len(rows), name
    return {"name": name, "settings": settings, "rows": rows, "expected": expected}

marked = "{% generation %}" in tok.chat_template
cases = [case("strings", strings), case("strings, all of it", strings, completion_only_loss=False),
         case("turns", turns), case("turns, all of it", turns, completion_only_loss=False),
         case("messages", messages), case("texts", texts)]
if marked:
    cases += [case("messages, the assistant", messages, assistant_only_loss=True), case("turns, the assistant", turns, assistant_only_loss=True),
              case("turns, the assistant everywhere", turns, assistant_only_loss=True, completion_only_loss=False)]
json.dump(cases, open(os.path.join(out, "trl.json"), "w"), ensure_ascii=False, indent=None, separators=(",", ":"))

if other is None:
    Dataset.from_list(turns).to_parquet(os.path.join(out, "turns.parquet"))
    message = pa.struct([("role", pa.string()), ("content", pa.large_string()), ("name", pa.null()), ("weight", pa.int64())])
    rows = [{"id": i, **r} for i, r in enumerate(messages)] + [{"id": 9, "messages": None}, {"id": 10, "messages": []}]
    rows[0]["messages"][0]["weight"] = 1
    table = pa.Table.from_pylist(rows, schema=pa.schema([("id", pa.int64()), ("messages", pa.list_(message))]))
    pq.write_table(table, os.path.join(out, "messages.parquet"), row_group_size=2, compression="zstd", data_page_version="2.0")
print(out, {c["name"]: sum(sum(l != -100 for l in e["labels"]) for e in c["expected"]) for c in cases})

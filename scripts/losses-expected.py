"""Drive TRL's own GRPO loss on crafted tensors and record the loss and d(loss)/d(log-probability).

    python losses-expected.py OUT.json [SEED]

Needs: trl==1.16.0 torch. float64, CPU. Each case: loss_type, importance_sampling_level ("token" or
"sequence", the latter being GSPO), beta (k3 KL coefficient), use_bias_correction_kl, epsilon_low,
epsilon_high, delta (two-sided clip or null), max_completion_length, num_items_in_batch -> loss, grad.
Tensors (rows = completions, columns = token positions): logp, old_logp, ref_logp, mask; advantage per row.
"""
import json, sys
from collections import defaultdict
import torch, trl
from trl.trainer.grpo_trainer import GRPOTrainer
torch.set_default_dtype(torch.float64)
seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
torch.manual_seed(seed)
B, T = 5 + seed % 3, 6 + seed % 4
class Bag: pass
class Accelerator:
    num_processes = 1; sync_gradients = True
    def gather(self, x): return x
    def reduce(self, x, reduction="sum"): return x
class Model: training = True
lengths = torch.randint(1, T + 1, (B,)); lengths[0] = T
mask = (torch.arange(T)[None] < lengths[:, None]).double()
logp0 = -3.0 * torch.rand(B, T) - 0.05
old = logp0 - torch.randn(B, T) * 0.35
ref = logp0 + torch.randn(B, T) * 0.25
adv = torch.randn(B)
N = float(mask.sum()) + 3.0
def run(loss_type, level, beta, low, high, delta, bias):
    t = object.__new__(GRPOTrainer); lp = logp0.clone().requires_grad_()
    t.loss_type = loss_type; t.beta = beta; t.epsilon_low = low; t.epsilon_high = high; t.importance_sampling_level = level
    t.top_entropy_quantile = 1.0; t.off_policy_mask_threshold = None; t.use_vllm = False; t.vllm_importance_sampling_correction = False
    t.current_gradient_accumulation_steps = 1; t.max_completion_length = T + 2; t.accelerator = Accelerator(); t.model = Model()
    t._metrics = {"train": defaultdict(list), "eval": defaultdict(list)}
    t._entropy_bonus_enabled = False; t.aux_loss_enabled = False; t.use_adaptive_entropy = False
    a = Bag(); a.delta = delta; a.use_bias_correction_kl = bias; a.steps_per_generation = 1; a.sapo_temperature_pos = 1.0
    a.sapo_temperature_neg = 1.05; a.vespo_k_pos = 2.0; a.vespo_lambda_pos = 3.0; a.vespo_k_neg = 3.0; a.vespo_lambda_neg = 2.0; t.args = a
    t._get_per_token_logps_and_entropies = lambda *x, **k: (lp, torch.zeros_like(lp), None)
    i = dict(prompt_ids=torch.zeros(B, 2, dtype=torch.long), prompt_mask=torch.ones(B, 2, dtype=torch.long),
             completion_ids=torch.zeros(B, T, dtype=torch.long), completion_mask=mask, advantages=adv,
             old_per_token_logps=old, num_items_in_batch=torch.tensor(N))
    if beta: i["ref_per_token_logps"] = ref
    loss = t._compute_loss(t.model, i); loss.backward()
    return float(loss), lp.grad.tolist()
cases = []
for lt in ["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo"]:
    for level in ["token", "sequence"]:
        for beta, bias in [(0.0, False), (0.04, False), (0.04, True)]:
            for high, delta in [(0.2, None), (0.28, None), (0.2, 1.5)]:
                h = 5.0 if lt == "cispo" else high
                try: loss, grad = run(lt, level, beta, 0.2, h, delta, bias)
                except Exception as e: print("skipped", lt, level, beta, type(e).__name__, e); continue
                cases.append(dict(loss_type=lt, importance_sampling_level=level, beta=beta, use_bias_correction_kl=bias, epsilon_low=0.2,
                                  epsilon_high=h, delta=delta, max_completion_length=T + 2, num_items_in_batch=N, loss=loss, grad=grad))
json.dump(dict(trl=trl.__version__, seed=seed, logp=logp0.tolist(), old_logp=old.tolist(), ref_logp=ref.tolist(), mask=mask.tolist(),
               advantage=adv.tolist(), sapo_temperature_pos=1.0, sapo_temperature_neg=1.05, cases=cases), open(sys.argv[1], "w"))
print(trl.__version__, len(cases), "cases")

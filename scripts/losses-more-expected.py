"""Further losses by others' code, in the form of losses-expected.py, and divergences over whole vocabularies.

    python losses-more-expected.py OUT_DIR VERL_SOURCE [SEED]

Needs: trl==1.16.0 torch, and the unpacked source package of verl 0.9.1 (its trainer/ppo/core_algos.py alone is read).
OUT_DIR/policy.json: cases {by: "trl" | "verl", loss_type, importance_sampling_level, off_policy_mask_threshold, epsilon_low, epsilon_high,
loss_agg_mode, ...} -> loss, grad (by log-probability), tensors as in losses.json. TRL: luspo, vespo, and off-policy masks on dapo and grpo;
verl: dppo_tv, dppo_kl, geo_mean (advantage of a row on each of its tokens).
OUT_DIR/divergence.json: student and teacher logits [B, T, V], mask -> loss, gradient by student logits, of TRL's GKD for beta (0 forward KL,
1 reverse KL, between: Jensen-Shannon) and temperature; sum over the vocabulary, mean over masked tokens.
"""
import json, os, re, sys, types
import torch, trl
src = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "losses-expected.py")).read()
out, verl, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0
sys.argv = ["losses-expected.py", "/dev/null", str(seed)]
body = src.split("cases = []")[0].replace("t.off_policy_mask_threshold = None", "t.off_policy_mask_threshold = OFF")
g = {"__name__": "x", "OFF": None}; exec(compile(body, "losses-expected.py", "exec"), g)
cases = []
for lt, level in [("luspo", "sequence"), ("luspo", "token"), ("vespo", "token"), ("dapo", "token"), ("grpo", "sequence")]:
    for beta in (0.0, 0.04):
        for off in ((None, 0.05) if lt in ("luspo", "vespo") else (0.02, 0.1)):
            g["OFF"] = off
            # vespo and the mask take one advantage a row as [B, 1]; the driver's is [B]
            adv = g["adv"]; g["adv"] = adv.unsqueeze(1)
            try: loss, grad = g["run"](lt, level, beta, 0.2, 0.28, None, False)
            except Exception as e: print("skipped", lt, level, beta, off, type(e).__name__, e); g["adv"] = adv; continue
            g["adv"] = adv
            cases.append(dict(by="trl", loss_type=lt, importance_sampling_level=level, beta=beta, use_bias_correction_kl=False, epsilon_low=0.2, epsilon_high=0.28, delta=None,
                              off_policy_mask_threshold=off, max_completion_length=g["T"] + 2, num_items_in_batch=g["N"], loss=loss, grad=grad))
# verl's functions, with stand-ins for what they import
core = open(os.path.join(verl, "verl/trainer/ppo/core_algos.py")).read()
F = types.ModuleType("verl_F")
F.masked_sum = lambda x, m, axis=None: (torch.where(m.bool(), x, torch.zeros_like(x))).sum(axis)
F.masked_mean = lambda x, m, axis=None: F.masked_sum(x, m, axis) / (m.sum(axis) + 1e-8)
core = re.sub(r"^(from|import) (omegaconf|verl)\b.*$", "", core, flags=re.M)
v = {"verl_F": F, "DictConfig": dict, "AlgoConfig": type("AlgoConfig", (), {}), "ActorConfig": dict, "deprecated": lambda *a, **k: (lambda f: f), "as_torch_index": None, "group_mean_std": None, "__name__": "core"}
exec(compile(core, "core_algos.py", "exec"), v)
class Config(dict):
    global_batch_info = {}
    def __getattr__(s, k):
        if k in s: return s[k]
        raise AttributeError(k)
for name, low, high in [("dppo_tv", .1, .15), ("dppo_kl", .03, .05), ("geo_mean", .2, .2), ("geo_mean", .4, .4)]:
    for mode in ("token-mean", "seq-mean-token-mean"):
        lp = g["logp0"].clone().requires_grad_(); A = g["adv"].unsqueeze(1).expand_as(lp)
        c = Config(clip_ratio=low, clip_ratio_low=low, clip_ratio_high=high, clip_ratio_c=20.0, policy_loss=Config())
        try: loss, _ = v["get_policy_loss_fn"](name)(old_log_prob=g["old"], log_prob=lp, advantages=A, response_mask=g["mask"], loss_agg_mode=mode, config=c)
        except Exception as e: print("skipped", name, mode, type(e).__name__, e); continue
        loss.backward()
        cases.append(dict(by="verl", loss_type=name, clip_low=low, clip_high=high, clip_ratio_c=20.0, loss_agg_mode=mode, loss=float(loss), grad=lp.grad.tolist()))
os.makedirs(out, exist_ok=True)
json.dump(dict(trl=trl.__version__, verl="0.9.1", seed=seed, logp=g["logp0"].tolist(), old_logp=g["old"].tolist(), ref_logp=g["ref"].tolist(), mask=g["mask"].tolist(), advantage=g["adv"].tolist(),
               vespo=dict(k_pos=2.0, lambda_pos=3.0, k_neg=3.0, lambda_neg=2.0), cases=cases), open(os.path.join(out, "policy.json"), "w"))
from trl.experimental.gkd.gkd_trainer import GKDTrainer
torch.manual_seed(77 + seed); B, T, V = 3, 5, 11
st, te = torch.randn(B, T, V) * 2, torch.randn(B, T, V) * 2; m = torch.rand(B, T) > .25; m[0] = True; labels = torch.where(m, 1, -100)
div = []
for beta in (0.0, 0.1, 0.5, 0.9, 1.0):
    for temp in (1.0, 0.7):
        s = st.clone().requires_grad_(); loss = GKDTrainer.generalized_jsd_loss(s, te, labels=labels, beta=beta, temperature=temp); loss.backward()
        div.append(dict(beta=beta, temperature=temp, loss=float(loss), grad=s.grad.tolist()))
json.dump(dict(trl=trl.__version__, seed=seed, student=st.tolist(), teacher=te.tolist(), mask=m.double().tolist(), cases=div), open(os.path.join(out, "divergence.json"), "w"))
print(len(cases), "policy cases", len(div), "divergences", sorted({c["loss_type"] for c in cases}))

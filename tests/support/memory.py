"""The peak memory of a real run in a process of its own, and what was estimated of it.

`python -m support.memory MODEL SETTINGS` trains one round and prints both, in bytes.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

from banditrft.runs import Query, WorldQueries, expand
from banditrft.study import parse_study
from llm_runs.base_models import MODELS
from llm_runs.planning.estimates import need
from llm_runs.tasks import load_task

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(str(Path(__file__).parents[i]) for i in (1, 2))}
STUDY = """
name = "memory"
seeds = {seeds}
[design]
learning_rate = 1e-4
rounds = 2
rollouts = {rollouts}
kl_coef = {kl_coef}
eval_every = 2
eval_samples = 4
final_eval_samples = 4
final_test_samples = 1
[[conditions]]
name = "only"
[[llm]]
model = "{model}"
queries = {{items = [0]}}
test_items = 4
device = "{device}"
{world}
"""
VOCABULARY = 8192
SIZES = {"hidden_size": 512, "num_hidden_layers": 6, "num_attention_heads": 8, "num_key_value_heads": 2}


def grouped_qwen2(folder):
    """Write a random Qwen2 of 27 million weights and 8,192 characters that does not stack, with the tiny models' tokenizer."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    tiny = MODELS / "tiny-qwen2"
    known = json.loads((tiny / "config.json").read_text())
    config = Qwen2Config(
        **SIZES,
        intermediate_size=2048,
        vocab_size=VOCABULARY,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        pad_token_id=known["pad_token_id"],
        eos_token_id=known["eos_token_id"],
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    for path in tiny.glob("*token*"):
        shutil.copy(path, folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary |= {chr(0x4E00 + index): index for index in range(len(vocabulary), VOCABULARY)}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def study_of(model, seeds=1, rollouts=4, kl_coef=0.0, device="cpu", world=""):
    """A study of two rounds on one query that nothing was sampled for, and its runs."""
    settings = {"seeds": seeds, "rollouts": rollouts, "kl_coef": kl_coef, "device": device, "world": world}
    text = STUDY.format(model=model, **settings)
    item = load_task("arithmetic").item(0)
    queries = WorldQueries("k", "w", "t", (Query(0, item.prompt, item.answer, 0.5, 10),))
    study = parse_study(text)
    return study, expand(study, "llm", {str(model): queries})


def peak_of_this_process():
    """Bytes. `ru_maxrss` would count what the parent held when it forked; on macOS, which has no /proc, it is in bytes."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def measured(model, **settings):
    """Estimated and real peak bytes."""
    command = [sys.executable, "-m", "support.memory", str(model), json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    return tuple(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    from llm_runs.execution import execute

    _, mine = study_of(sys.argv[1], **json.loads(sys.argv[2]))
    job = mine[:8]
    execute(job)
    sys.stdout.write(json.dumps([need(job).memory, peak_of_this_process()]) + "\n")

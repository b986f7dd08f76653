"""Importing the room, or reading what it ships, loads neither torch nor transformers."""

import subprocess
import sys

CODE = """
import sys
import llm_runs, llm_runs.tasks, llm_runs.graders, llm_runs.base_models, llm_runs.planning, llm_runs.queries, llm_runs.tiny.architecture
llm_runs.base_models.find_model("tiny-olmo2")
llm_runs.shipped_models()
llm_runs.weights_hash("tiny-qwen2")
print([name for name in ("torch", "transformers", "tokenizers", "safetensors") if name in sys.modules])
"""


def test_no_heavy_module_is_loaded():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

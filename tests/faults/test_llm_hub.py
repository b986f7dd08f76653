"""Models of a hub: its cache offline, and a server of this machine in its place."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest

from llm_runs.base_models import MODELS, find_model

pytestmark = pytest.mark.slow(12)

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def in_cache(root, name):
    """Lay a shipped model out as huggingface_hub's cache does."""
    repository = root / "hub" / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    for path in (MODELS / "tiny-llama").iterdir():
        blob = repository / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        shutil.copy(path, blob)
        (snapshot / path.name).symlink_to(os.path.relpath(blob, snapshot))
    return snapshot


def offline(root, code):
    """Run code in a fresh interpreter that must not ask the hub."""
    settings = {"HF_HOME": str(root), "HF_HUB_OFFLINE": "1"}
    head = "from llm_runs.base_models import find_model\nfrom llm_runs.base_models.modules import load_module\nimport torch\n"
    return subprocess.run(
        [sys.executable, "-c", head + code], env=os.environ | settings, capture_output=True, text=True
    )


def test_the_hubs_cache_serves_offline(tmp_path):
    snapshot = in_cache(tmp_path, "some-org/some-model")
    code = """
model = find_model("some-org/some-model", "main")
module = load_module(model, dtype=torch.float32, device="cpu")
print(model.folder, model.revision, model.weights_sha256, model.parameters, type(module).__name__)
"""
    done = offline(tmp_path, code)
    shipped = find_model("tiny-llama")
    wanted = [str(snapshot), COMMIT, shipped.weights_sha256, str(shipped.parameters), "LlamaForCausalLM"]
    assert done.stdout.split() == wanted, done.stderr


@pytest.mark.parametrize("lacking", ["all", "weights"])
def test_what_the_cache_lacks_offline_is_one_clear_error(tmp_path, lacking):
    if lacking == "weights":
        (in_cache(tmp_path, "some-org/some-model") / "model.safetensors").unlink()
    done = offline(tmp_path, "find_model('some-org/some-model').weight_files")
    wanted = "the Hugging Face hub cannot be reached" if lacking == "all" else "neither model.safetensors"
    assert done.stderr.strip().splitlines()[-1].startswith("banditrft.errors.InputError: model")
    assert wanted in done.stderr


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as its client asks for: one repository, with files that must not be fetched."""

    files: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[str]] = []

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.split("?")[0]
        api = "/api/models/some-org/some-model"
        if path.startswith(f"{api}/tree/"):
            tree = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in self.files.items()
            ]
            self.answer(200, json.dumps(tree).encode(), {"Content-Type": "application/json"})
        elif path.startswith(api):
            about = {"id": "some-org/some-model", "sha": COMMIT, "siblings": []}
            self.answer(200, json.dumps(about).encode(), {"Content-Type": "application/json"})
        elif (name := path.removeprefix(f"/some-org/some-model/resolve/{COMMIT}/")) in self.files:
            self.asked.append(name)
            content = self.files[name]
            tag = hashlib.sha256(content).hexdigest()
            self.answer(200, content, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT})
        else:
            self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})

    def answer(self, status, content, headers):
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(tmp_path):
    """A hub on this machine; yields a function that runs code against it with an empty cache."""
    Hub.files = {path.name: path.read_bytes() for path in (MODELS / "tiny-llama").iterdir()}
    Hub.files |= dict.fromkeys(("pytorch_model.bin", "modeling.py", "original/model.safetensors"), b"never")
    Hub.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    settings = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}"}
    settings |= {"HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1", "HF_HUB_OFFLINE": "0"}

    def run(code):
        head = "from llm_runs.base_models import find_model\n"
        return subprocess.run(
            [sys.executable, "-c", head + code], env=os.environ | settings, capture_output=True, text=True
        )

    yield run
    server.shutdown()
    server.server_close()


def test_the_hub_is_asked_for_weights_only_when_they_are_wanted(hub):
    done = hub("model = find_model('some-org/some-model')\nprint(model.revision, model.kind)")
    assert done.stdout.split() == [COMMIT, "llama"], done.stderr
    assert "config.json" in Hub.asked
    assert "model.safetensors" not in Hub.asked


def test_the_hub_is_never_asked_for_pickles_or_code(hub):
    done = hub("print(find_model('some-org/some-model').weights_sha256)")
    assert done.stdout.strip() == find_model("tiny-llama").weights_sha256, done.stderr
    assert "model.safetensors" in Hub.asked
    assert not {"pytorch_model.bin", "modeling.py", "original/model.safetensors"} & set(Hub.asked)


def test_a_name_that_the_hub_does_not_know_is_one_clear_error(hub):
    done = hub("find_model('some-org/other')")
    assert "InputError: model some-org/other: not a folder, and not on the Hugging Face hub" in done.stderr


def test_the_hub_is_asked_how_many_parameters_a_model_has(hub, tmp_path):
    done = hub("print(find_model('some-org/some-model').parameters)")
    assert done.stdout.strip() == str(find_model("tiny-llama").parameters), done.stderr
    assert not list(tmp_path.rglob("*.safetensors"))  # headers alone

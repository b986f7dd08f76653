"""The wheel that a user installs: the four rooms, the presets, the models, the entry point."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow(40)

ROOT = Path(__file__).parents[2]
MODELS = tuple(f"tiny-{kind}{family}" for kind in ("qwen2", "llama", "olmo2") for family in ("", "-words"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    return next(out.glob("*.whl"))


def test_wheel_holds_the_rooms_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "banditrft",
        "sims",
        "llm_runs",
        "analysis",
    }
    assert "banditrft/presets/quick.toml" in names
    assert all(
        f"llm_runs/tiny/models/{m}/{f}" in names for m in MODELS for f in ("config.json", "model.safetensors")
    )


def test_installed_wheel_runs_without_torch(wheel, tmp_path):
    site = tmp_path / "site"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)
    assert (site / "bin" / "banditrft").exists()
    probe = (
        "import banditrft, sims, analysis, sys; print(banditrft.__file__); assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(site)

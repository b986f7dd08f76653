"""What is light stays light: no torch outside llm_runs, no science stack behind --help."""

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "vllm")
PROBE = "import sys, json; {}; print(json.dumps([m for m in {} if m in sys.modules]))"


def loaded(statement, names):
    probe = PROBE.format(statement, list(names))
    return json.loads(
        subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    )


@pytest.mark.parametrize("package", ["banditrft", "sims", "analysis", "llm_runs"])
def test_importing_a_room_loads_no_torch(package):
    assert loaded(f"import {package}", HEAVY) == []


@pytest.mark.parametrize("module", ["banditrft.design", "banditrft.study", "banditrft.runs", "banditrft.cli"])
def test_the_front_is_light(module):
    assert (
        loaded(f"import {module}", ("numpy", "scipy", "polars", "numba", "statsmodels", "matplotlib", *HEAVY))
        == []
    )


def test_deciding_claims_loads_no_statsmodels():
    """It takes .3 s: what needs it imports it where it is called."""
    assert loaded("import analysis.judging, analysis.planning.seeds", ("statsmodels", "pandas")) == []


def test_help_needs_only_click_and_pydantic():
    statement = "from click.testing import CliRunner; import banditrft.cli as c; CliRunner().invoke(c.banditrft, ['--help'])"
    assert loaded(statement, ("numpy", "scipy", "polars", "rich", *HEAVY)) == []


def test_every_public_name_resolves():
    import banditrft

    assert all(getattr(banditrft, name) is not None for name in banditrft.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = banditrft.nonsense

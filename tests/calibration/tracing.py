"""Calibration tests with a few data sets, and the answers of what they call; works in older checkouts too.

    python -P tracing.py OUT SETS test_item_model_calibration ...

runs these files of the checkout that is the working folder. It stands alone because it imports nothing of the
tests: those of the checkout are on the path.
"""

import dataclasses
import functools
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FUNCTIONS = (
    *("fit_query", "gain_of_queries", "transfer_to_test", "_row", "_curve"),
    *("compare", "fit_mixed_logistic", "wald", "searched", "cutoffs", "Profile.holds"),
    *("search", "holds"),  # names before `searched` and `Profile.holds`
    *("best_rungs", "misfit", "place", "quadratic_argmax", "shares.log_variance_ratio"),
    *("mean_band", "mean_crossing", "mean_area", "iqm_interval", "iqm_band", "probability_of_improvement"),
    *("matched_differences", "paired_difference", "nested", "query_share"),
)
"""What calibration tests call by these names is traced."""
FIELDS = (
    *("fit", "intervals", "estimate", "difference", "median", "slope", "predicted"),
    *("low", "high", "bootstrap_low", "bootstrap_high", "inside"),
    *("curve", "rungs", "p_C", "p", "above", "below", "se", "df"),
    *("low_E", "high_E", "interval", "variance"),
)
"""Fields of dataclasses that are answers, or hold them."""
Call = tuple[str, list[Any]]
"""Name of a function, and its answers: numbers, truth values, and None where there is no limit."""


def answers(value: object) -> list[Any]:
    """The answers within what a function returned, in the order of `FIELDS`; those of a dictionary by its keys."""
    match value:
        case None | bool() | int() | float():
            return [value]
        case np.generic() | np.ndarray():
            return list(np.ravel(value).tolist())
        case dict():
            return answers([value[key] for key in sorted(value)])
        case list() | tuple():
            return [answer for part in value for answer in answers(part)]
    if not dataclasses.is_dataclass(value):
        return []
    return answers([getattr(value, name) for name in FIELDS if hasattr(value, name)])


class Tracer:
    """Plugin of pytest.

    Args:
        sets: Data sets of each case.

    Attributes:
        calls: Calls of each test.
        rates: Test, method, case, n and rate of each figure that was left.
        measures: What each method measures; empty for checkouts that do not say it.
    """

    def __init__(self, sets: int) -> None:
        self.sets = sets
        self.calls: dict[str, list[Call]] = {}
        self.rates: list[dict[str, Any]] = []
        self.measures: dict[str, list[str]] = {}
        self._test = ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """In each test's module: fewer data sets, traced functions."""
        for module in {item.module for item in items if isinstance(item, pytest.Function)}:
            if isinstance(getattr(module, "SETS", None), int):
                module.SETS = self.sets
            for name in FUNCTIONS:
                self._trace(module, *name.split("."))
        collector = importlib.import_module("calibration.collector")
        collector.Calibration.add = self._kept(collector.Calibration.add)

    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Calls and rates that follow are of this test."""
        self._test = item.nodeid

    def pytest_runtest_teardown(self) -> None:
        """Calls that follow make data sets for later tests."""
        self._test = ""

    def _trace(self, owner: Any, name: str, *inner: str) -> None:
        if not hasattr(owner, name):
            return
        function = getattr(owner, name)
        if inner:
            self._trace(function, *inner)
            return

        @functools.wraps(function)
        def traced(*args: Any, **kwargs: Any) -> Any:
            found = function(*args, **kwargs)
            if self._test:
                self.calls.setdefault(self._test, []).append((name, answers(found)))
            return found

        setattr(owner, name, traced)

    def _kept(self, add: Callable[..., Any]) -> Callable[..., Any]:
        def kept(results: Any, method: str, **about: Any) -> Any:
            rate = add(results, method, **about)
            case = {"case": rate.case, "n": rate.n, "rate": rate.rate}
            self.rates.append({"test": self._test, "method": method, **case})
            self.measures[method] = getattr(results, "measures", {}).get(method, [])
            return dataclasses.replace(rate, rate=rate.nominal)  # of so few sets it may be anything

        return kept


def main(out: str, sets: str, *files: str) -> int:
    """Run the files, write what was traced; status of pytest."""
    room = importlib.import_module("analysis").__file__
    if not room or Path.cwd() not in Path(room).parents:
        raise ImportError(f"analysis: must be that of {Path.cwd()}, got {room}")
    tracer = Tracer(int(sets))
    paths = [f"tests/calibration/{name}.py" for name in files]
    options = ["-q", "-n0", "-p", "no:cacheprovider", "-m", "calibration"]
    status = pytest.main([*options, *paths], plugins=[tracer])
    found = {"calls": tracer.calls, "rates": tracer.rates, "measures": tracer.measures}
    Path(out).write_text(json.dumps(found), encoding="utf-8")
    return int(status)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

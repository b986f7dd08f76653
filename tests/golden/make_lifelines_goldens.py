"""Golden values of lifelines, made in an environment of its own, since it needs pandas below 3.

    python -m venv lifelines-env && lifelines-env/bin/pip install lifelines==0.30.3
    lifelines-env/bin/python tests/golden/make_lifelines_goldens.py > tests/golden/lifelines.json

Writes the data, what lifelines gives for them, and which versions gave it.
"""

import json
import sys
from importlib.metadata import version

import numpy as np
from lifelines import KaplanMeierFitter
from lifelines.statistics import logrank_test
from lifelines.utils import median_survival_times, restricted_mean_survival_time


def main() -> None:
    rng = np.random.default_rng(21)
    horizon = 100.0
    times = {
        "slow": np.minimum(5 * np.ceil(60 * np.exp(0.5 * rng.standard_normal(40)) / 5), horizon),
        "fast": np.minimum(5 * np.ceil(40 * np.exp(0.5 * rng.standard_normal(40)) / 5), horizon),
    }
    value = {
        "tool": {name: version(name) for name in ("lifelines", "numpy", "scipy", "pandas")},
        "command": "python tests/golden/make_lifelines_goldens.py > tests/golden/lifelines.json",
        "horizon": horizon,
        "groups": {},
    }
    for name, time in times.items():
        event = time < horizon
        fitted = KaplanMeierFitter().fit(time, event)
        table = fitted.event_table
        hits = table.index[table["observed"] > 0]
        value["groups"][name] = {
            "time": time.tolist(),
            "event": event.tolist(),
            "event_times": hits.tolist(),
            "survival": fitted.survival_function_.loc[hits, "KM_estimate"].tolist(),
            "at_risk": table.loc[hits, "at_risk"].tolist(),
            "median": float(median_survival_times(fitted.survival_function_)),
            "restricted_mean": float(restricted_mean_survival_time(fitted, t=horizon)),
        }
    slow, fast = times["slow"], times["fast"]
    value["logrank_chi2"] = float(logrank_test(slow, fast, slow < horizon, fast < horizon).test_statistic)
    json.dump(value, sys.stdout, indent=1)


if __name__ == "__main__":
    main()

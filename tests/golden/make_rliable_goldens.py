"""Golden values of rliable, made in an environment of its own, since its pins clash with ours (pandas below 3).

    python -m venv rliable-env && rliable-env/bin/pip install rliable==1.2.0 "pandas<3"
    rliable-env/bin/python tests/golden/make_rliable_goldens.py > tests/golden/rliable.json

Writes the data, what rliable's own functions give for them, and which versions gave it. Its bootstrap samples from
the global random state whatever it is told, so that state is seeded here.
"""

import json
import sys
from importlib.metadata import version

import numpy as np
from rliable import library, metrics


def main() -> None:
    rng = np.random.default_rng(20)
    # runs x tasks; ties are common where Pass@1 is k of 64
    first = rng.binomial(64, 0.4 + 0.1 * rng.random((13, 3))) / 64
    second = rng.binomial(64, 0.42 + 0.1 * rng.random((13, 3))) / 64
    curves = rng.binomial(64, 1 / (1 + np.exp(-np.linspace(-2, 2, 6) - rng.standard_normal((40, 1))))) / 64
    np.random.seed(0)  # noqa: NPY002
    iqm = lambda scores: np.array([metrics.aggregate_iqm(scores[..., e]) for e in range(scores.shape[-1])])  # noqa: E731
    points, intervals = library.get_interval_estimates({"curves": curves[:, None, :]}, iqm, reps=20_000)
    value = {
        "tool": {name: version(name) for name in ("rliable", "arch", "numpy", "scipy", "pandas")},
        "command": "python tests/golden/make_rliable_goldens.py > tests/golden/rliable.json",
        "first": first.tolist(),
        "second": second.tolist(),
        "curves": curves.tolist(),
        "iqm_first": float(metrics.aggregate_iqm(first)),
        "iqm_of_tasks": [float(metrics.aggregate_iqm(first[:, [t]])) for t in range(3)],
        "probability_of_improvement": float(metrics.probability_of_improvement(first, second)),
        "iqm_curve": points["curves"].tolist(),
        "iqm_curve_interval": intervals["curves"].tolist(),
    }
    json.dump(value, sys.stdout, indent=1)


if __name__ == "__main__":
    main()

"""Where a run came from: package versions, source commit, host and times. None of it enters a run's id."""

import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from banditrft.claims import Claim, claims_hash, get_claims

PACKAGES = ("banditrft", "numpy", "scipy", "numba", "polars", "torch", "transformers")


def now() -> str:
    """The time, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Installed versions of the packages that results depend on; absent ones are left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """Commit of the source tree this package runs from, None outside a checkout or without git."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def provenance(claims: Sequence[str | Claim], started: str) -> dict[str, Any]:
    """Provenance of a run that has just finished.

    Args:
        claims: Claims in force when it started: ids of the ledger, and the study's own.
        started: When it did, as :func:`now` gives it.
    """
    return {
        "started": started,
        "finished": now(),
        "host": platform.node(),
        "versions": versions(),
        "commit": commit(),
        "claims": sorted(claim.id for claim in get_claims(claims)),
        "claims_hash": claims_hash(claims),
    }

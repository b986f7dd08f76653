"""The tables of claims.md: what protocol 2 says of every claim in the simulated world, beside protocol 1.

    banditrft sim --preset all --runs RUNS
    python docs/results/sim/claims.py RUNS

The first command takes minutes. The second reads RUNS/sim-*/verdicts.json into protocol-2.json and writes the
tables between the markers of claims.md; without RUNS it writes them from protocol-2.json as it stands. The
sentences are written by hand, in sentences.toml: one per claim and world, and why a word changed.
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

from analysis.estimands import FORMATS
from analysis.formats import points
from analysis.reporting.summary import escaped, table

HERE = Path(__file__).parent
WORDS = {"supported": "supported", "refuted": "refuted", "undecided": "undecided", None: "–"}
BEGIN, END = "<!-- {}: written by claims.py -->", "<!-- end of {} -->"
Row = dict[str, Any]


def collected(runs: Path) -> list[Row]:
    """A row per verdict of the studies under a folder, in the order of the claims."""
    rows = []
    for path in sorted(runs.glob("sim-*/verdicts.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        expected = document.get("expected", {})
        for verdict in document["verdicts"]:
            claim, world, told = verdict["claim"], verdict["world"], verdict["decided_by"]
            rows.append(
                {
                    "claim": claim,
                    "world": world,
                    "verdict": verdict["verdict"],
                    "readings": verdict["readings"],
                    "outcome": verdict["outcome"],
                    "derived": verdict["derived"],
                    "expected": None
                    if verdict["derived"]
                    else expected.get(f"{claim}/{world}", expected.get(claim)),
                    "decided_by": told["label"],
                    "kind": told["kind"],
                    "estimate": told["estimate"],
                    "interval": told["interval"],
                    "n": told["n"],
                    "level": verdict["level"],
                }
            )
    return rows


def words(rows: list[Row], before: dict[tuple[str, str], Row], said: dict[str, str]) -> str:
    """The four words of every claim and world, the old one and a sentence; sums over worlds stand apart."""
    lines = []
    for row in rows:
        if row["derived"]:
            continue
        read, old = row["readings"], before.get((row["claim"], row["world"]))
        lines.append(
            (
                row["claim"],
                escaped(row["world"]),
                _word(read["papers"], row["outcome"]),
                *(WORDS[read[name]] for name in ("ours", "base", "placebo")),
                WORDS[old["verdict"]] if old else "–",
                escaped(said[f"{row['claim']}/{row['world']}"]),
            )
        )
    header = (
        "claim",
        "world",
        "papers' horizon and margin",
        "ours",
        "against base",
        "against placebo",
        "protocol 1",
        "in one sentence",
    )
    return table(header, lines)


def _word(word: str, outcome: str | None) -> str:
    return f"**{word}**" + (f" ({outcome})" if outcome else "")


def numbers(rows: list[Row]) -> str:
    """What decided each verdict, and what was expected before the runs."""
    lines = []
    for row in rows:
        if row["derived"]:
            continue
        form = FORMATS[row["kind"]] if row["kind"] else points
        low, high = row["interval"] or (None, None)
        lines.append(
            (
                row["claim"],
                escaped(row["world"]),
                row["expected"] if row["expected"] == row["verdict"] else f"**{row['expected']}**",
                escaped(row["decided_by"] or "–"),
                "–" if row["estimate"] is None else form(row["estimate"]),
                "–" if row["interval"] is None else f"{form(low)} to {form(high)}",
                str(row["n"]),
            )
        )
    return table(("claim", "world", "expected", "decided by", "estimate", "interval", "n"), lines)


def sums(rows: list[Row]) -> str:
    """Verdicts over all worlds of a claim, in one line."""
    found = [f"{r['claim']} {r['verdict']}" for r in rows if r["derived"]]
    return f"Over all worlds, as readings: {', '.join(found)}."


def count(rows: list[Row]) -> str:
    """How many independent verdicts came out as expected."""
    own = [r for r in rows if not r["derived"]]
    agreed = sum(r["verdict"] == r["expected"] for r in own)
    return f"{agreed} of {len(own)} verdicts are as expected."


def page(text: str, rows: list[Row]) -> str:
    """claims.md with its written parts renewed."""
    old = json.loads((HERE / "protocol-1.json").read_text(encoding="utf-8"))["verdicts"]
    before = {(r["claim"], r["world"]): r for r in old}
    said = tomllib.loads((HERE / "sentences.toml").read_text(encoding="utf-8"))["sentences"]
    blocks = {
        "words": words(rows, before, said),
        "count": f"{count(rows)} {sums(rows)}",
        "numbers": numbers(rows),
    }
    for name, block in blocks.items():
        head, rest = text.split(BEGIN.format(name) + "\n", 1)
        _, tail = rest.split(END.format(name), 1)
        text = f"{head}{BEGIN.format(name)}\n{block}\n{END.format(name)}{tail}"
    return text


def known() -> list[Row]:
    """Rows of protocol-2.json."""
    found: list[Row] = json.loads((HERE / "protocol-2.json").read_text(encoding="utf-8"))["verdicts"]
    return found


def main() -> None:
    """Renew protocol-2.json, where a folder of runs is given, and claims.md."""
    if len(sys.argv) > 1:
        lines = ",\n".join(f"  {json.dumps(r, ensure_ascii=False)}" for r in collected(Path(sys.argv[1])))
        head = '{\n "protocol": 2,\n "command": "banditrft sim --preset all",\n "verdicts": [\n'
        text = f"{head}{lines}\n ]\n}}\n"
        (HERE / "protocol-2.json").write_text(text, encoding="utf-8")
    path = HERE / "claims.md"
    path.write_text(page(path.read_text(encoding="utf-8"), known()), encoding="utf-8")


if __name__ == "__main__":
    main()

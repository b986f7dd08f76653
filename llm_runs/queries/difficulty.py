"""How hard each item of a task is for a base model: Pass@1 by sampling, written as a table of difficulties.

The table's file is `llm_runs.queries.candidates`'. An interrupted measurement goes on where it stopped: what
is done lies beside the file, one JSON line per item, and every sample has an address of its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from banditrft.errors import InputError
from banditrft.files import write_json
from banditrft.launch.jobs import Report
from banditrft.runs import sampling_key
from banditrft.streams import Purpose
from banditrft.worlds import LLMWorld
from llm_runs.queries.candidates import FORMAT, Difficulties, Difficulty, Header, read_difficulties
from llm_runs.tasks import Item


def measure(
    world: LLMWorld,
    out: Path,
    *,
    samples: int,
    root_seed: int = 0,
    split: str = "pool",
    items: int | None = None,
    report: Report | None = None,
) -> Difficulties:
    """Measure and write a table; one that is there is read, one that was interrupted is finished.

    Args:
        world: Its model, task, engine and temperature are used.
        out: The JSON file.
        samples: Responses per item, at least 1.
        root_seed: Of the random streams.
        split: "pool" or "test".
        items: The first so many items of the split; all by default.
        report: Called with the fraction done.

    Raises:
        InputError: No such model, task or items; or `out` holds a table measured with something else.
    """
    from llm_runs.tasks import first_items, task_and_model
    from llm_runs.tokenizers import load_tokenizer

    task, model = task_and_model(world)
    chosen = first_items(
        task, load_tokenizer(model.folder, world.chat), split, "all" if items is None else items, "items"
    )
    header = Header(
        world.model,
        model.identity,
        task.name,
        sampling_key(world),
        split,
        world.temperature,
        world.engine,
        samples,
        root_seed,
        chosen.left_out,
    )
    wanted = [item.index for item in chosen.items]
    if out.exists():
        table = read_difficulties(out)
        if table.header != header or [row.item for row in table.rows] != wanted:
            raise InputError(f"{out}: holds difficulties measured otherwise; give another --out")
        return table
    journal = out.with_name(f".{out.name}.part")
    known = _resumed(journal, header)
    _measure(world, [i for i in chosen.items if i.index not in known], header, known, journal, report)
    table = Difficulties(header, tuple(known[index] for index in wanted))
    write_json(out, {"format": FORMAT, **asdict(header), "items": [row._asdict() for row in table.rows]})
    journal.unlink(missing_ok=True)
    return table


def _measure(
    world: LLMWorld,
    items: Sequence[Item],
    header: Header,
    known: dict[int, Difficulty],
    journal: Path,
    report: Report | None,
) -> None:
    from llm_runs.backends import open_backend
    from llm_runs.evaluation import count_correct
    from llm_runs.interfaces import Address

    if not items:
        return
    total = len(items) + len(known)
    address = Address(header.root_seed, [0], Purpose.SELECT)
    with open_backend(world) as backend, journal.open("a", encoding="utf-8") as lines:
        if lines.tell() == 0:
            lines.write(json.dumps(asdict(header)) + "\n")
            lines.flush()
        backend.push(base=True)
        width = max(1, backend.engine.rows // header.samples)
        for start in range(0, len(items), width):
            part = items[start : start + width]
            counts = count_correct(backend, [part], header.samples, address)
            for q, item in enumerate(part):
                strict, lenient = int(counts.strict_SQ[0, q]), int(counts.lenient_SQ[0, q])
                row = Difficulty(item.index, item.prompt, item.answer, header.samples, strict, lenient)
                known[item.index] = row
                lines.write(json.dumps(row) + "\n")
            lines.flush()
            if report is not None:
                report(len(known) / total)


def _resumed(journal: Path, header: Header) -> dict[int, Difficulty]:
    """What an interrupted measurement of the same header got done; a line cut short does not count."""
    if not journal.exists():
        return {}
    whole = journal.read_bytes().rpartition(b"\n")[0]
    first, *rest = whole.decode("utf-8").splitlines() or [""]
    if first != json.dumps(asdict(header)):
        journal.unlink()
        return {}
    journal.write_bytes(whole + b"\n")
    rows = [Difficulty(*json.loads(line)) for line in rest]
    return {row.item: row for row in rows}

"""The language-model worlds of a study, resolved, run and recorded: `llm_runs.run`."""

import sys
from functools import cache, partial
from pathlib import Path

from banditrft.catalog import read_queries, refuse_other, write_queries
from banditrft.launch import Executor, Outcome, launch
from banditrft.names import visible
from banditrft.runs import Run, WorldQueries, expand, queries_key
from banditrft.study import Study
from banditrft.worlds import LLMWorld
from llm_runs.base_models import find_model
from llm_runs.execution import evaluate_checkpoint, execute
from llm_runs.planning import check, need, notes, stack_size
from llm_runs.queries import resolve_queries
from llm_runs.tasks import content_hash, pool_items, task_and_model, task_of, test_items
from llm_runs.tokenizers import load_tokenizer


def resolve(study: Study, root: Path | str, *, write: bool) -> dict[str, WorldQueries]:
    """Queries of every language-model world: kept ones where settings, weights and questions are the same.

    Args:
        study: A resolved study.
        root: The study's folder.
        write: Whether to keep new ones in queries.json.

    Raises:
        InputError: A model or task is unknown, or the pool lacks such queries.
    """
    check(study)
    worlds = [w for w in study.worlds("llm") if isinstance(w, LLMWorld)]
    root = Path(root)
    known = read_queries(root)
    resolved = dict(known)
    for world in worlds:
        kept = known.get(world.name)
        if kept is None or not _holds(kept, world, study.root_seed):
            resolved[world.name] = resolve_queries(world, study.root_seed)
    if write and resolved != known:
        write_queries(root, resolved)
    return resolved


def _holds(kept: WorldQueries, world: LLMWorld, root_seed: int) -> bool:
    """Whether kept queries are still what the world asks for; a task's questions may have changed since."""
    model = find_model(world.model, world.revision)
    if (kept.key, kept.weights_hash) != (queries_key(world, root_seed), model.identity):
        return False
    task, tokenizer = task_of(world, model.positions), load_tokenizer(model.folder, world.chat)
    pool = None if world.train_items is None else content_hash(pool_items(task, tokenizer, world).items)
    if (kept.pool_hash, kept.test_hash) != (pool, content_hash(test_items(task, tokenizer, world).items)):
        return False
    asked = [task.item(query.item) for query in kept.queries]
    return all((q.prompt, q.answer) == (i.prompt, i.answer) for q, i in zip(kept.queries, asked, strict=True))


def expand_study(study: Study, root: Path | str, *, write: bool) -> list[Run]:
    """Runs of the study's language-model worlds; none when it has no such world."""
    if not study.worlds("llm"):
        return []
    return expand(study, "llm", resolve(study, root, write=write))


def run(
    study: Study,
    folder: Path | str = "runs",
    *,
    workers: int | None = None,
    executor: Executor | None = None,
    shard: tuple[int, int] = (1, 1),
    command: str = "llm_runs.run",
) -> Outcome:
    """Run what is missing of a study's language-model worlds.

    Args:
        study: A resolved study.
        folder: Folder of all records; the study's are in its subfolder of the study's name.
        workers: Local worker processes; all cores by default.
        executor: Where jobs run; by default in that many local workers.
        shard: Run only part i of n, (i, n).
        command: What the user typed, for provenance.

    Returns:
        What was done.

    Raises:
        InputError: A world, its queries or a design cannot be run; nothing is.
        JobsError: Jobs failed; the others are done.
    """
    root = Path(folder) / study.name
    refuse_other(root, study)
    runs = expand_study(study, root, write=True)
    known = read_queries(root)
    surprises = [f"{w.name}: {line}" for w in study.worlds("llm") for line in known[w.name].surprises()]
    for line in (*notes(study), *surprises):
        print(visible(f"note: {line}"), file=sys.stderr)  # noqa: T201
    return launch(
        study,
        runs,
        root,
        partial(execute, training=root),
        reevaluate=evaluate_checkpoint,
        size=stack_size,
        need=partial(need, find=cache(task_and_model)),
        workers=workers,
        executor=executor,
        shard=shard,
        command=command,
    )

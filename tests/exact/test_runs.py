"""Studies resolve in layers, and run ids depend on what records depend on and on nothing else."""

from dataclasses import replace

import pytest
from support.study import LLM, LUMPED

from banditrft.claims import A5, claims_hash, rollout_pairs, single_query_conditions
from banditrft.cli.common import preset_text
from banditrft.errors import InputError
from banditrft.runs import Query, WorldQueries, digest, expand, queries_key
from banditrft.study import parse_study
from banditrft.worlds import LLMWorld

QUERIES = {
    "tiny-qwen2": WorldQueries(
        "k", "w", "t", (Query(3, "1+2=?", "3", 0.25, 32), Query(9, "2+2=?", "4", 0.5, 32))
    )
}


def ids(text, kind="sim", queries=None):
    return {
        (r.world.name, r.condition, r.seeds, r.query): r.run_id
        for r in expand(parse_study(text), kind, queries)
    }


def test_later_layers_win():
    text = LUMPED.replace("[[sim]]", "[[sim]]\nlearning_rate = 0.2\nrounds = 30", 1).replace(
        "rollouts = 4", "rollouts = 4\nrounds = 40\nsim = {rounds = 50}\nlumped = {eval_every = 7}"
    )
    study = parse_study(text)
    first, second, _ = study.cells
    assert (first.design.learning_rate, first.design.rounds) == (0.2, 30)
    assert (second.design.rounds, second.evaluation.eval_every) == (50, 7)


def test_seeds_lie_on_a_fixed_grid():
    runs = expand(parse_study(LUMPED.replace("seeds = 20", "seeds = 600")), "sim")
    assert [r.seeds for r in runs[:3]] == [range(256), range(256, 512), range(512, 600)]
    assert len({r.run_id for r in runs}) == 9


def test_names_and_final_evaluations_do_not_enter_the_id():
    renamed = LUMPED.replace('"G=4"', '"four"').replace('"small"', '"other"').replace('"wrong"', '"bad"')
    renamed = renamed.replace("eval_every = 5", "eval_every = 5\nfinal_eval_samples = 99")
    assert list(ids(renamed).values()) == list(ids(LUMPED).values())
    before, after = (expand(parse_study(t), "sim")[0].evaluation_id for t in (LUMPED, renamed))
    assert before != after


def test_spelling_out_a_default_changes_nothing():
    assert ids(LUMPED.replace("rounds = 20", 'rounds = 20\nsignal = "raw"\nadam_eps = 1e-8')) == ids(LUMPED)


def test_whatever_records_depend_on_changes_the_id():
    base = ids(LUMPED)
    for old, new in [
        ("learning_rate = 0.1", "learning_rate = 0.2"),
        ("rounds = 20", "rounds = 21"),
        ("eval_every = 5", "eval_every = 4"),
        ("arms = 999", "arms = 998"),
        ("seeds = 20", "seeds = 21"),
        ("seeds = 20", "seeds = 20\nroot_seed = 1"),
    ]:
        assert not set(base.values()) & set(ids(LUMPED.replace(old, new, 1)).values()), new


def test_llm_runs_are_one_per_query_and_seed():
    runs = expand(parse_study(LUMPED + LLM), "llm", QUERIES)
    assert len(runs) == 3 * 2 * 2
    assert len({r.run_id for r in runs}) == 12
    assert all(len(r.seeds) == 1 for r in runs)
    more = ids((LUMPED + LLM).replace("seeds = 2\n", "seeds = 5\n"), "llm", QUERIES)
    assert {r.run_id for r in runs} < set(more.values())


def test_only_the_placebo_and_matched_steps_depend_on_the_base_rate():
    text = LUMPED.replace(
        'name = "G=1"', 'name = "G=1"\nllm = {optimizer = "sgd", match_step_size = true}', 1
    )
    assert text != LUMPED

    def by_condition(base, text=LUMPED):
        queries = {"tiny-qwen2": replace(QUERIES["tiny-qwen2"], queries=(Query(3, "1+2=?", "3", base, 32),))}
        return {
            r.condition: r.run_id for r in expand(parse_study(text + LLM), "llm", queries) if r.seeds[0] == 0
        }

    one, two = by_condition(0.25), by_condition(0.26)
    assert one["G=1"] == two["G=1"]
    assert one["placebo"] != two["placebo"]
    assert by_condition(0.25, text)["G=1"] != by_condition(0.26, text)["G=1"]


def test_claims_find_their_conditions_by_design():
    designs = parse_study(LUMPED).designs("lumped")
    assert single_query_conditions(designs) == ["G=1"]
    assert rollout_pairs(designs, A5.rollouts, "adam") == [("G=1", "G=4")]
    assert rollout_pairs(designs, A5.rollouts, "sgd") == []
    assert claims_hash(["A1", "A5"]) == claims_hash(["A5", "A1"]) != claims_hash(["A1"])


def test_ids_of_what_was_recorded_before_are_the_same():
    """Ids of the quick preset as each world's semantics first gave them.

    Those are without test evaluations on the way, and without the placebos that came later.

    Version 2 of lumped worlds and language models; version 3 of the contextual world, where seeds draw worlds.
    """
    quick = parse_study(preset_text("quick").replace("test_every = 25\n", ""))
    (world,) = quick.worlds("llm")
    models = expand(quick, "llm", {world.name: QUERIES["tiny-qwen2"]})
    first = {"G=1", "G=4", "G=1, SGD", "G=4, SGD", "placebo"}
    simulated, models = (
        [run for run in runs if run.condition in first] for runs in (expand(quick, "sim"), models)
    )

    def ids(runs):
        return len(runs), digest([run.run_id for run in runs])[:16]

    lumped = [run for run in simulated if run.world.name == "lumped"]
    contextual = [run for run in simulated if run.world.name == "contextual"]
    assert ids(models + lumped) == (50, "266b8dd43960159c")
    assert ids(contextual) == (10, "e179831440a91f7c")
    assert queries_key(world, quick.root_seed) == "be56b3efdddff748"


def llm_ids(settings):
    return list(
        ids((LUMPED + LLM).replace("seeds = 2\n", f"seeds = 2\n{settings}\n"), "llm", QUERIES).values()
    )


@pytest.mark.parametrize(
    "settings",
    ["micro_batch = 2", 'device = "cpu"', "canary_every = 3", "checkpoint_every = 1", "gpu_memory = 0.9",
     'revision = "abc"', "gradient_checkpointing = true"],
)  # fmt: skip
def test_how_a_run_is_carried_out_does_not_enter_its_id(settings):
    assert llm_ids(settings) == llm_ids("")


@pytest.mark.parametrize(
    "settings",
    ['engine = "vllm"', 'dtype = "bfloat16"', "lora = {rank = 4}", "max_new = 30", "importance_cap = 2.0",
     "temperature = 0.7", 'grader = "gsm8k"', "keep_texts = 5"],
)  # fmt: skip
def test_what_a_world_computes_enters_the_id(settings):
    assert not set(llm_ids(settings)) & set(llm_ids(""))


def test_the_micro_batch_enters_where_the_loss_depends_on_it():
    by_size = [llm_ids(f'micro_batch = {n}\naggregation = "bnpo"') for n in (2, 4)]
    assert not set(by_size[0]) & set(by_size[1])


def test_a_pool_is_one_run_per_seed_known_by_content():
    text = LUMPED + LLM[: LLM.index("queries")] + LLM[LLM.index("test_items") :]
    text = text.replace("test_items = 8", "test_items = 8\ntrain_items = 10")
    pools = [{"tiny-qwen2": WorldQueries("k", "w", "t", (), pool_hash=name)} for name in "ab"]
    runs = expand(
        parse_study(text.replace('reward = "random"', 'reward = "random"\nrate = 0.3')), "llm", pools[0]
    )
    assert len(runs) == 3 * 2
    assert all(run.query is None for run in runs)
    again = expand(
        parse_study(text.replace('reward = "random"', 'reward = "random"\nrate = 0.3')), "llm", pools[1]
    )
    assert not {run.run_id for run in runs} & {run.run_id for run in again}


def test_files_are_known_by_content(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text('{"question": "1+1", "answer": "2"}\n')
    worlds = [
        LLMWorld(
            model="m", seeds=1, train_file=str(tmp_path / f"{n}.jsonl"), test_file=str(tmp_path / "b.jsonl")
        )
        for n in "ab"
    ]
    assert queries_key(worlds[0], 0) == queries_key(worlds[1], 0)
    (tmp_path / "a.jsonl").write_text('{"question": "1+1", "answer": "3"}\n')
    assert queries_key(worlds[0], 0) != queries_key(worlds[1], 0)
    (tmp_path / "a.jsonl").unlink()
    with pytest.raises(InputError, match=r"train_file: .*a\.jsonl: cannot be read"):
        queries_key(worlds[0], 0)

"""Files that no trainer should have written: one line that names file and place, never a traceback."""

import json

import polars as pl
import pytest
from support import importing as logs

from analysis.importing import Options, read_table, read_trl, read_verl
from banditrft.errors import InputError, RecordError

STEPS = {"step": "step", "reward": "reward"}
NO_STEPS = [
    "1.9",
    "1_0",
    "true",
    "nan",
    "inf",
    "-1",
    "2147483648",
    "1e300",
    "null",
    "",
    "9" * 401,
    "\u0663",
    "0x1",
]


@pytest.mark.parametrize("step", NO_STEPS)
def test_a_step_is_a_whole_number_that_records_can_hold(tmp_path, step):
    csv = tmp_path / "m.csv"
    csv.write_text(f"step,reward\n{step},0.5\n")
    with pytest.raises(RecordError, match=r"m\.csv: row 1: 'step' must be a whole number from 0"):
        read_table([csv], Options(columns=STEPS))
    value = {"nan": "NaN", "inf": "Infinity"}.get(step, step)
    value = value if value in {"true", "null"} or value[:1] in "-123456789NI" else json.dumps(value)
    value = json.dumps(value) if "_" in value or not value else value
    state = tmp_path / "s.json"
    state.write_text(f'[{{"step": {value}, "reward": 0.5}}]')
    with pytest.raises(RecordError, match=r"s\.json: log entry 1: 'step' must be a whole number from 0"):
        read_trl([state], Options())
    metrics = tmp_path / "m.jsonl"
    metrics.write_text(f'{{"step": {value}, "critic/score/mean": 0.5}}\n')
    with pytest.raises(RecordError, match=r"m\.jsonl: line 1: 'step' must be a whole number from 0"):
        read_verl([metrics], Options())


@pytest.mark.parametrize("cell", ["1_0", "\u0663", "0x1", "true", "1,5", "--"])
def test_a_cell_is_a_number_as_other_programs_write_it(tmp_path, cell):
    path = tmp_path / "m.csv"
    path.write_text(f'step,reward\n1,"{cell}"\n')
    with pytest.raises(RecordError, match=r"m\.csv: row 1: 'reward' must be a number, got"):
        read_table([path], Options(columns=STEPS))


@pytest.mark.parametrize(
    ("ours", "value", "wanted"),
    [
        ("clip_fraction", -0.5, r"in \[0, 1\]"),
        ("zero_signal_fraction", 1.5, r"in \[0, 1\]"),
        ("grad_norm", -1.0, "0 or more"),
    ],
)
def test_a_share_lies_between_0_and_1(tmp_path, ours, value, wanted):
    path = tmp_path / "m.csv"
    path.write_text(f"step,x\n1,{value}\n")
    with pytest.raises(RecordError, match=rf"m\.csv: row 1: 'x' must be {wanted}, got {value}"):
        read_table([path], Options(columns={"step": "step", ours: "x"}))


DEEP = "[" * 100_000


@pytest.mark.parametrize("text", [DEEP, '{"a":' * 50_000, "[" + "9" * 5000 + "]", "{", "\x00", "\ufeff"])
def test_json_that_cannot_be_parsed_is_one_line(tmp_path, text):
    path = tmp_path / "s.json"
    path.write_text(text)
    for read, options in ((read_trl, Options()), (read_table, Options(rollouts=4))):
        with pytest.raises(RecordError, match=r"s\.json: cannot be read as JSON"):
            read([path], options)
    lines = tmp_path / "m.jsonl"
    lines.write_text(f'{{"step": 1}}\n{{"step": 2, "data": {text}}}\n')
    with pytest.raises(RecordError, match=r"m\.jsonl: line 2: cannot be read as JSON"):
        read_verl([lines], Options())


def test_a_number_of_401_digits_is_not_finite(tmp_path):
    huge = "9" * 401
    path = logs.trl_state(tmp_path / "s.json")
    path.write_text(path.read_text().replace('"grad_norm": 0.1', f'"grad_norm": {huge}'))
    found = read_trl([path], Options())
    assert found.runs[0].tables.rounds["grad_norm"].null_count() == 4
    path.write_text(f'[{{"step": 1, "reward": {huge}}}]')
    with pytest.raises(RecordError, match="'reward' must be a finite number, got inf"):
        read_trl([path], Options())
    fractions = tmp_path / "f.json"
    fractions.write_text(f'{{"a": [{huge}]}}')
    with pytest.raises(RecordError, match=r"item 'a', entry 0: must be a multiple of 1/4"):
        read_table([fractions], Options(rollouts=4))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("n", "9223372036854775808", "'n' must be a whole number"),
        ("n", "9223372036854775807", r"n must lie in 1\.\.2147483647"),
        ("n", "1_0", "'n' must be a whole number"),
        ("seed", "9223372036854775807", "seed must be 0 or more"),
        ("seed", "-1", "seed must be 0 or more"),
        ("seed", "1.5", "'seed' must be a whole number"),
        ("seed", "9007199254740993.0", "'seed' must be a whole number"),
        ("round", "1e300", "'round' must be a whole number from 0 to"),
        ("round", "2147483648", "'round' must be a whole number from 0 to"),
        ("round", "nan", "round must be finite"),
        ("correct", "-1", r"correct must lie in 0\.\.n"),
    ],
)
def test_a_count_that_cannot_be_is_named(tmp_path, name, value, message):
    row = {"seed": "0", "item": "a", "round": "1", "n": "4", "correct": "1", name: value}
    path = tmp_path / "c.csv"
    path.write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n")
    with pytest.raises(RecordError, match=rf"c\.csv: row 1: {message}"):
        read_table([path], Options())


def test_true_is_no_count(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text('{"item": "a", "round": 1, "n": 4, "correct": true}\n')
    with pytest.raises(RecordError, match="'correct' must be a whole number"):
        read_table([path], Options())


def test_a_table_of_counts_may_end_in_empty_lines_and_begin_with_a_mark(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("item,round,n,correct\na,1,4,2\n\n\n", encoding="utf-8-sig")
    assert read_table([path], Options()).runs[0].tables.evals["correct_strict"].to_list() == [2]


@pytest.mark.parametrize("content", ["", "\n"])
def test_empty_dumps_are_named(tmp_path, content):
    folder = tmp_path / "dumps"
    folder.mkdir()
    (folder / "1.jsonl").write_text(content)
    with pytest.raises(RecordError, match="dumps: holds no responses"):
        read_verl([folder], Options())


def test_empty_completions_are_named(tmp_path):
    folder = logs.trl_completions(tmp_path / "run")
    for path in (folder / "completions").iterdir():
        pl.read_parquet(path).head(0).write_parquet(path)
    with pytest.raises(RecordError, match="run: holds no responses"):
        read_trl([folder], Options())


@pytest.mark.parametrize("step", [1.5, None, float("nan"), 2.0**31])
def test_a_step_of_completions_is_whole(tmp_path, step):
    folder = logs.trl_completions(tmp_path / "run")
    path = folder / "completions" / "completions_00001.parquet"
    pl.read_parquet(path).with_columns(pl.lit(step, dtype=pl.Float64).alias("step")).write_parquet(path)
    with pytest.raises(
        RecordError, match=r"completions_00001\.parquet: row 1: 'step' must be a whole number"
    ):
        read_trl([folder], Options())


@pytest.mark.parametrize("score", [None, "1", float("nan"), [1]])
def test_a_score_of_a_dump_is_a_number(tmp_path, score):
    folder = logs.verl_dumps(tmp_path / "dumps")
    (folder / "1.jsonl").write_text(json.dumps({"input": "a", "score": score, "step": 1}) + "\n")
    with pytest.raises(RecordError, match=r"1\.jsonl: line 1: a grade must be a number, got"):
        read_verl([folder], Options())


def test_line_separators_inside_a_response_end_no_line(tmp_path):
    folder = logs.verl_dumps(tmp_path / "dumps")
    row = {"input": "a\u2028b", "output": "x\x85y", "score": 1.0, "step": 1}
    (folder / "1.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_verl([folder], Options()).runs[0].tables.groups["n"].to_list() == [1, 2, 2]


@pytest.mark.parametrize(
    ("read", "options", "message"),
    [
        (read_trl, Options(rollouts=4), "rollouts: is not read from a log of TRL"),
        (read_trl, Options(rows={"a": "b"}), "rows: is not read from a log of TRL"),
        (read_trl, Options(columns={"rewrd": "x"}), "map: 'rewrd' is not read from a log of TRL"),
        (
            read_table,
            Options(columns={**STEPS, "tset": "x"}),
            "map: 'tset' is not read from a table of steps",
        ),
        (read_table, Options(samples=4), "samples: is not read from a table of counts"),
        (read_table, Options(columns={"test": "x", "reward_min": "y"}), "map: 'reward_min' is not read"),
    ],
)
def test_what_would_be_ignored_is_refused(tmp_path, read, options, message):
    path = logs.trl_state(tmp_path / "s.json") if read is read_trl else logs.metrics_csv(tmp_path / "m.csv")
    with pytest.raises(InputError, match=message):
        read([path], options)


@pytest.mark.parametrize("name", ["samples", "test_samples", "rollouts", "log_every"])
@pytest.mark.parametrize("value", [0, -1, 10**20])
def test_a_number_of_responses_has_limits(name, value):
    with pytest.raises(InputError, match=rf"{name}: must lie in 1\.\."):
        Options(**{name: value})


@pytest.mark.parametrize("name", ["a\x1b[31mb", "a\u202eb", "x" * 201])
def test_a_name_that_a_file_gives_can_be_printed(tmp_path, name):
    path = tmp_path / "m.csv"
    path.write_text(f'step,"{name} - reward"\n1,0.5\n')
    with pytest.raises(InputError, match=r"condition: a name, here from .*m\.csv, must h") as error:
        read_table([path], Options(columns=STEPS))
    assert str(error.value).isprintable()


def test_a_log_that_holds_nothing_to_record_is_an_error(tmp_path):
    path = tmp_path / "verl.log"
    path.write_text("step:1 - other/metric:0.5\n")
    with pytest.raises(InputError, match=r"^paths: nothing to record was found in .*verl\.log"):
        read_verl([path], Options())

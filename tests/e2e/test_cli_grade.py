"""`banditrft grade` as a user meets it: table, JSON, totals, and bad files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from banditrft.cli import main

COMMAND = str(Path(sys.executable).with_name("banditrft"))
NEVER = r"\boxed{\sum_{n=1}^{10000000000} n^{n}}"


@pytest.fixture
def grade(monkeypatch, capsys):
    def run(*args, code=0):
        monkeypatch.setattr(sys, "argv", ["banditrft", "grade", *map(str, args)])
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code == code
        return capsys.readouterr()

    return run


@pytest.fixture
def write(tmp_path):
    def write_rows(*rows):
        path = tmp_path / "some.jsonl"
        path.write_text("".join(json.dumps({"response": r, "answer": a}) + "\n" for r, a in rows))
        return path

    return write_rows


def test_table(grade, write):
    path = write(("... #### 72", "so\n#### 72"), ("72.", "72"), ("no idea", "72"), ("#### 7", "7"))
    # Wilson at 2/4: 1/2 -+ 1.96/(2 sqrt(4 + 3.84)) = 1/2 -+ .35; at 3/4: (3 + 1.92 -+ 1.96 sqrt(.75 + .96))/7.84
    assert grade(path, "--task", "gsm8k").out.splitlines() == [
        "  line  strict  lenient",
        "     1  right   right",
        "     2  wrong   right",
        "     3  wrong   wrong",
        "     4  right   right",
        "strict: 2/4 = 0.5000  [0.1500, 0.8500]",
        "lenient: 3/4 = 0.7500  [0.3006, 0.9544]",
    ]


def test_mathematics_with_a_late_response(write):
    path = write((NEVER, "2"), (r"\boxed{\frac24}", r"\frac{2}{4}"), (r"\boxed{\frac{1}{2}}", r"\frac{2}{4}"))
    command = [COMMAND, "grade", str(path), "--task", "math", "--timeout-s", "2", "--json"]
    told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert told["lines"] == [
        {"line": 1, "strict": False, "lenient": False, "timed_out": True},
        {"line": 2, "strict": True, "lenient": True, "timed_out": False},
        {"line": 3, "strict": False, "lenient": True, "timed_out": False},
    ]
    totals = told["totals"]
    assert (totals["n"], totals["timed_out"]) == (3, 1)
    assert (totals["strict"]["correct"], totals["lenient"]["correct"]) == (1, 2)
    assert totals["strict"]["fraction"] == pytest.approx(1 / 3)
    assert totals["lenient"]["interval"] == pytest.approx([0.2077, 0.9385], abs=1e-4)  # scipy's binomtest


def test_arithmetic(grade, write):
    assert "strict: 1/2" in grade(write(("19-3#16", "16"), ("16", "16")), "--task", "arithmetic").out


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (None, (), "cannot be read (No such file or directory)"),
        ("", (), "must hold at least one row, got none"),
        ("no json\n", (), "row 1: must be a JSON object (Expecting value)"),
        ('{"response": "a"}\n', (), "row 1: answer: is missing"),
        ('{"response": "a", "answer": "b"}\n', (), "row 1: answer: must be a number or end in `#### number`"),
        (
            '{"response": "a", "answer": "1"}\n',
            ("--timeout-s", "0"),
            "timeout_s: must be positive and finite",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(grade, tmp_path, content, options, message):
    path = tmp_path / "some.jsonl"
    if content is not None:
        path.write_text(content)
    done = grade(path, "--task", "gsm8k", *options, code=2)
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert message in done.err

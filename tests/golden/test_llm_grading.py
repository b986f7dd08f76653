"""Grading: what counts as right, strictly and leniently; odd input neither fails nor hangs."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_runs.graders.arithmetic import WINDOW, grade
from llm_runs.graders.base import Grade


@pytest.mark.parametrize(
    ("response", "answer", "strict", "lenient"),
    [
        ("#16", "16", True, True),
        ("19-3#16", "16", True, True),
        ("#-3", "-3", True, True),
        ("#0", "0", True, True),
        ("", "16", False, False),
        ("#", "16", False, False),
        ("16", "16", False, True),  # no #
        ("19-3=16", "16", False, True),
        ("#16 ", "16", False, True),  # something after the number
        ("#16;", "16", False, True),
        ("# 16", "16", False, True),
        ("#016", "16", False, True),  # leading zero: ill formed, same value
        ("#1#16", "16", False, True),  # two answers
        ("##16", "16", False, True),
        ("#17", "16", False, False),
        ("#161", "16", False, False),
        ("#16#17", "16", False, False),  # the last number counts
        ("#16-3", "16", False, False),
        ("19-16", "16", False, True),  # a minus after a digit is an operator, not a sign
        ("19--16", "16", False, False),  # the second one is a sign
        ("#-0", "0", False, True),
        ("#1<pad>6", "16", False, False),
        ("#" + "9" * 19, "9" * 19, False, True),  # more digits than any answer has
        ("x" * 1000 + "#16", "16", True, True),
        ("#16" + "x" * WINDOW, "16", False, False),  # outside the window
    ],
)
def test_cases(response, answer, strict, lenient):
    assert grade(response, answer) == Grade(strict, lenient)


@given(st.text(alphabet="0123456789-#+=; ", max_size=40), st.integers(-999, 999))
def test_strict_implies_lenient(response, answer):
    result = grade(response, str(answer))
    assert result.lenient or not result.strict


@given(st.text(max_size=400))
def test_any_text_is_graded(response):
    assert grade(response, "16").strict in (True, False)


@given(st.text(alphabet="0123456789+-= ", max_size=20), st.integers(-999, 999))
def test_a_well_formed_answer_is_right_after_any_work(work, answer):
    assert grade(f"{work}#{answer}", str(answer)) == Grade(True, True)


@pytest.mark.parametrize(
    "response", ["9" * 10**6, "#" * 10**6, "-" * 10**6, "-9" * 10**6, "# " * 10**6 + "16"]
)
def test_time_is_bounded(response):
    started = time.perf_counter()
    grade(response, "16")
    assert time.perf_counter() - started < 0.1

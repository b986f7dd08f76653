r"""The graders of `tiny-math` and `tiny-sort`: verdicts derived by hand from the rules in their modules."""

import pytest

from llm_runs.graders import load_grader
from llm_runs.graders.sorting import score


@pytest.mark.parametrize(
    ("word", "points"),
    [
        ("abcd", 1.0),
        ("abd", 0.5),  # in order, c is missing
        ("abcdx", 0.5),  # in order, x is none of the answer's
        ("abdx", 0.5),  # both
        ("ab", 0.0),  # two are missing
        ("abcdxy", 0.0),  # two too many
        ("acbd", 0.0),  # not in order
        ("abccd", 0.0),  # c stands there twice
        ("ABCD", 0.0),  # capitals are other letters
        ("abc d", 0.0),  # a blank is no letter in order
        ("", 0.0),
    ],
)
def test_partially_correct_is_in_order_with_one_letter_missing_or_foreign(word, points):
    assert score(word, "abcd") == points


@pytest.mark.parametrize(
    ("response", "strict", "lenient", "points"),
    [
        ("=abcd", True, True, 1.0),
        ("d,bd,bcd=abcd", True, True, 1.0),
        ("=abd", False, False, 0.5),
        ("=abd=abcd", True, True, 1.0),  # the last mark counts
        ("=abcd=abd", False, False, 0.5),
        ("=bacd", False, False, 0.0),
        ("abcd", False, True, 0.0),  # right, without its mark
        ("d,bd,bcd,abcd", False, True, 0.0),
        ("=abcd.", False, True, 0.0),  # the word reaches to the end of the response
        ("=abcd and more", False, False, 0.0),
        ("=", False, False, 0.0),
        ("", False, False, 0.0),
    ],
)
def test_sorting(response, strict, lenient, points):
    grade = load_grader("sorting").grade(response, "abcd")
    assert (grade.strict, grade.lenient, grade.score) == (strict, lenient, points)


@pytest.mark.parametrize(
    ("response", "answer", "strict", "lenient"),
    [
        (r"\boxed{2/3}", "2/3", True, True),
        (r"(6*2)/(6*3), \boxed{2/3}", "2/3", True, True),
        (r"\boxed{\frac{2}{3}}", "2/3", True, True),  # one normal form
        (r"\boxed{4/6}", "2/3", False, False),  # equal, but written differently: no math-verify here
        (r"\boxed{5}, \boxed{6}", "5", False, False),  # the last box counts
        (r"\boxed{5}, \boxed{6", "5", False, True),  # the last one is never closed; the last closed one
        ("3x=15, 5", "5", False, True),  # the last number, without a box
        ("(6*2)/(6*3), 2/3", "2/3", False, True),
        ("5 or 6", "5", False, False),
        (r"\boxed{x=5}", "5", True, True),
        (r"\boxed{}", "5", False, False),
        ("", "5", False, False),
    ],
)
def test_boxed(response, answer, strict, lenient):
    grade = load_grader("boxed").grade(response, answer)
    assert (grade.strict, grade.lenient, grade.score) == (strict, lenient, float(strict))


@pytest.mark.parametrize("name", ["boxed", "sorting"])
@pytest.mark.parametrize("text", [r"\boxed{" * 20_000, "=" * 100_000, "{" * 100_000, "a" * 100_000])
def test_long_and_hostile_responses_are_graded(name, text):
    grade = load_grader(name).grade(text, "abcd")
    assert (grade.strict, grade.lenient) == (False, False)

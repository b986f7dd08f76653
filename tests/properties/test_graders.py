"""Whatever a model writes is graded: no error, strict implies lenient, a batch is its members."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_runs.graders import Gsm8k, Mathematics
from llm_runs.graders.gsm8k import WINDOW
from llm_runs.graders.latex import LONGEST, last_box, last_expression, normal_form, numeral, same, spelled

WORDS = r"""
0 1 7 12 x y + - = / . , ( ) [ ] { } | ^ _ $ % # \{ \} \\ \( \) \[ \] ####
√ ² ₁ ° € − ½ , {,} \overline{ _5 _{12}
\boxed{ \boxed \frac \frac{ \sqrt{ \text{ \pi \left( \right) \circ \cup \infty \le
"""
PIECES = [*WORDS.split(), " ", "\n", "#### ", "\x00", "\u202e", "\u0667", "\ud800", "$\\boxed{7}$", "#### 7"]
TEX = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
ANYTHING = TEX | st.text(max_size=400)


@given(ANYTHING, ANYTHING)
def test_gsm8k_never_fails_and_strict_implies_lenient(response, answer):
    grade = Gsm8k().grade(response, answer)
    assert grade.lenient or not grade.strict


@given(st.text(max_size=200), st.integers(-(10**9), 10**9))
def test_a_marked_number_is_right_after_anything(work, number):
    assert Gsm8k().grade(f"{work}\n#### {number}", str(number)).strict
    assert Gsm8k().grade(f"{work}\n#### {number:,}", str(number)).strict
    assert not Gsm8k().grade(f"{work}\n#### {number + 1}", str(number)).lenient


@given(ANYTHING, st.text(max_size=100))
def test_only_the_window_counts_strictly(response, before):
    tail = response[-WINDOW:].rjust(WINDOW)
    assert Gsm8k().grade(tail, "7").strict == Gsm8k().grade(before + tail, "7").strict


@given(st.integers(1, 10**9), st.sampled_from([",", "{,}", r",\!", r",\! "]))
def test_thousands_are_read_however_they_are_set_apart(number, comma):
    text = f"{number:,}".replace(",", comma)
    assert same(text, str(number))
    assert Gsm8k().grade(f"it is {text} eggs", str(number)).lenient
    assert number < 1000 or not same(f"{number:,}".replace(",", ", "), str(number))


@given(st.integers(-999, 999), st.integers(2, 16), st.integers(2, 16))
def test_numerals_are_alike_in_one_base_only(number, one, other):
    text = f"{number}_{{{one}}}"
    assert numeral(text) == (str(number), one)
    assert same(text, f"{number}_{{{other}}}") == (one == other)


@given(ANYTHING)
def test_scanners_never_fail(text):
    content, is_last = last_box(text)
    assert content is None or f"{{{content}}}" in text
    assert content is not None or not is_last
    expression = last_expression(text)
    assert expression is None or (expression in text and len(expression) <= LONGEST)
    assert isinstance(normal_form(text), tuple)
    assert spelled(spelled(text)) == spelled(text)


@given(
    st.recursive(
        st.sampled_from(["x", "12", r"\pi", r"\{"]),
        lambda s: s.map("{{{}}}".format) | st.tuples(s, s).map("".join),
    ),
    TEX,
)
def test_a_box_of_balanced_braces_is_found_whole(content, before):
    text = rf"{before} \boxed{{{content}}} ."
    assert last_box(text) == (content, True)


@pytest.fixture(scope="module")
def mathematics():
    with Mathematics(timeout_s=1) as grader:
        yield grader


@settings(max_examples=8)
@given(
    st.lists(st.tuples(ANYTHING, st.sampled_from(["7", r"\frac{1}{2}", "(1, 2)", "x+1", ""])), max_size=12)
)
def test_mathematics_never_fails_and_strict_implies_lenient(mathematics, rows):
    responses, answers = [r for r, _ in rows], [a for _, a in rows]
    grades = mathematics.grade_many(responses, answers)
    assert len(grades) == len(rows)
    assert all(grade.lenient or not grade.strict for grade in grades)
    assert all(not grade.lenient for grade in grades if grade.timed_out)


@settings(max_examples=5)
@given(st.permutations([(rf"\boxed{{{k}+{k}}}", str(2 * (k % 4))) for k in range(8)]))
def test_a_batch_is_its_members_in_order(mathematics, rows):
    grades = mathematics.grade_many([r for r, _ in rows], [a for _, a in rows])
    # k + k = 2 (k mod 4) for k = 0..3 alone, and never written so
    assert [g.lenient for g in grades] == [int(r.split("+")[1][:-1]) < 4 for r, _ in rows]
    assert not any(g.strict or g.timed_out for g in grades)

"""GSM8K and MATH style responses with hand-derived verdicts, strict and lenient."""

import pytest

from banditrft.errors import InputError
from llm_runs.graders import GRADERS, Grade, Gsm8k, Mathematics, load_grader
from llm_runs.graders.gsm8k import WINDOW
from llm_runs.graders.latex import last_box, last_expression, normal_form, same

RIGHT, FORM, WRONG = Grade(True, True), Grade(False, True), Grade(False, False)
WORKED = "She sold 48/2 = <<48/2=24>>24 clips in May.\nIn all 48+24 = <<48+24=72>>72.\n#### 72"


@pytest.mark.parametrize(
    ("response", "answer", "grade"),
    [
        (WORKED, WORKED, RIGHT),
        ("#### 72", "72", RIGHT),
        ("#### 72 clips, 3 boxes", "72", RIGHT),  # what follows the number does not matter
        ("#### -3", "-3", RIGHT),
        ("#### 1,234", "1234", RIGHT),  # commas go, here ...
        ("#### 1234", "so\n#### 1,234", RIGHT),  # ... and in the answer
        ("#### 72,", "72", RIGHT),  # even an idle one
        ("#### 71\n#### 72", "72", RIGHT),  # the last mark counts
        ("##### 72", "72", RIGHT),  # its last four hashes are four hashes
        ("#### 72\n#### none", "72", RIGHT),  # a mark without a number is none
        ("#### 72\n#### 71", "72", WRONG),
        ("#### 72.", "72", FORM),  # says "72.", which is not the text "72"
        ("#### 72.00", "72", FORM),
        ("#### 072", "72", FORM),
        ("#### $72", "72", FORM),  # a dollar is none of the characters
        ("####72", "72", FORM),  # exactly one space
        ("####  72", "72", FORM),
        ("#### \n72", "72", FORM),
        ("### 72", "72", FORM),
        ("The answer is 72.", "72", FORM),
        ("It costs $1,234.50 in all.", "1234.5", FORM),
        ("-$5", "-5", FORM),
        ("it is \u22125", "-5", FORM),  # the sign of typesetters
        ("12-5", "5", FORM),  # a minus after a digit is an operator
        ("12-5", "-5", WRONG),
        ("12--5", "-5", FORM),  # the second one is a sign
        ("we get .5", "0.5", FORM),
        ("#### -0", "0", FORM),
        (r"so 1{,}234 in all", "1234", FORM),
        (r"so 1,\!234 in all", "1234", FORM),
        (r"so 1{,}234 in all", "234", WRONG),
        ("it is 3/4", "4", WRONG),  # a quotient is one number
        ("it is 3/4", "0.75", FORM),
        (r"it is -\frac{3}{4}", "-0.75", FORM),
        (r"it is \$8/4 each", "2", FORM),
        ("on 3/4/2024", "2024", FORM),  # a date is none
        ("it is 3/0", "3", WRONG),
        ("it costs €18.", "18", FORM),
        ("9" * 5000, "9" * 5000, WRONG),  # no number: it has too many digits
        ("pages 3,4", "4", FORM),  # no thousands, so two numbers
        ("#### 72 " + "x" * WINDOW, "72", FORM),  # the mark lies outside the window
        ("#### 72" + "x" * (WINDOW - 7), "72", RIGHT),  # just inside
        ("\u0664\u0662", "42", WRONG),  # Arabic digits are no ASCII digits
        ("seventy-two", "72", WRONG),
        ("", "72", WRONG),
        ("#### 72", "no number", WRONG),
        ("", "", WRONG),
    ],
)
def test_gsm8k(response, answer, grade):
    assert Gsm8k().grade(response, answer) == grade


def test_gsm8k_reference():
    assert Gsm8k().reference(WORKED) == "72"
    assert Gsm8k().reference(" $1,000 ") == "1000"
    with pytest.raises(InputError, match="answer: must be a number or end in `#### number`, got 'two'"):
        Gsm8k().reference("two")


@pytest.mark.parametrize(
    ("text", "content", "is_last"),
    [
        (r"\boxed{5}", "5", True),
        (r"\boxed {5}.", "5", True),
        (r"\boxed{1} or \boxed{2}", "2", True),
        (r"\boxed{\frac{1}{2}}}", r"\frac{1}{2}", True),
        (r"\boxed{\boxed{5}+1}", "5", True),  # the inner one opens last
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}", True),
        (r"\boxed{\left\{ x \right.}", r"\left\{ x \right.", True),  # as TeX reads it; counting braces fails
        (r"{ \boxed{5}", "5", True),  # an idle brace before
        (r"} \boxed{5}", "5", True),
        (r"\\boxed{5}", "5", True),  # escaped once too often
        (r"\boxed{1} \boxed{2", "1", False),  # cut off
        (r"\boxed{2", None, False),
        (r"\boxed 5", None, False),
        (r"boxed{5}", None, False),
        ("", None, False),
    ],
)
def test_last_box(text, content, is_last):
    assert last_box(text) == (content, is_last)


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        (r"so $x = 3$, and $\frac{1}{2}$.", r"\frac{1}{2}"),
        (r"$$x^2$$", "x^2"),
        (r"\[ x^2 \]", "x^2"),
        (r"\(x\) then \(y\)", "y"),
        (r"with $x = 3$ we get 1,200.50 dollars", "1,200.50"),
        ("about 3/4 of it", "3/4"),
        ("it is -2", "-2"),
        ("it costs $18.", "18"),  # a single dollar is money
        (r"it costs $\$23{,}000$", r"\$23{,}000"),
        (r"\[ 5", "5"),
        ("no idea", None),
    ],
)
def test_last_expression(text, expression):
    assert last_expression(text) == expression


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\dfrac{1}{2}", r"\frac12"),
        (r"\tfrac 1 2", r"\frac{1}{2}"),
        (r"\frac{10}{23}", r"10/23"),
        ("-3/4", r"-\frac{3}{4}"),
        ("0.5", r"\frac{1}{2}"),
        (".5", "0.5"),
        ("x+.5", "x + 0.5"),
        (r"\sqrt3", r"\sqrt{3}"),
        ("x^{2}", "x^2"),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\frac{\pi}2)"),
        (r"10,\!080", "10080"),
        (r"1{,}000{,}000", "1,000,000"),
        (r"111, \! 111", "111111"),
        ("√5", r"\sqrt5"),
        ("11√10", r"11\sqrt{10}"),
        ("√(x+1)", r"\sqrt{x+1}"),
        ("∛2", r"\sqrt[3]{2}"),
        ("x²", "x^2"),
        ("x⁻¹", "x^{-1}"),
        ("a₁₂", "a_{12}"),
        ("−5", "-5"),
        ("90°", "90"),
        ("€18", "18"),
        ("2π", r"2\pi"),
        ("(−∞,2]", r"(-\infty,2]"),
        ("x ≥ 2", r"x \geq 2"),
        ("½", r"\frac12"),
        (r"0.\overline{3}", r"\frac{3}{9}"),
        (r"-0.1\overline{6}", r"-\frac{15}{90}"),
        (r"\$18.90", "18.90"),
        (r"25\%", "25"),
        (r"90^\circ", "90"),
        (r"90^{\circ}", "90"),
        (r"15\mbox{ cm}^2", "15"),
        (r"864 \text{ inches}^{2}", "864"),
        (r"\frac{11}{15}\text{ days}", r"\frac{11}{15}"),
        (r"\text{(C)}", "(C)"),
        (r"\textbf{Evelyn}", "Evelyn"),
        (r"7\text{ hours}.", "7"),
        ("7.", "7"),
        (r"x = 5", "5"),
        (r"\theta = 5", "5"),
        (r"x \le 2", r"x\leq 2"),
    ],
)
def test_written_alike(one, other):
    assert normal_form(one) == normal_form(other)
    assert same(one, other)


def test_a_list_is_alike_with_and_without_its_spaces():
    assert same("81,256", "81, 256")
    assert same("32, 349", "32,349")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2", "4/2"),  # equal, but written differently
        ("x+y", "y+x"),
        (r"\frac{1}{23}", r"\frac{12}{3}"),  # the braces that matter stay
        ("x^{10}", "x^10"),  # the latter is x^1 0
        (r"\text{odd}", r"\text{even}"),  # alone, a text is no unit
        (r"x = \text{odd}", r"x = \text{even}"),  # nor after a relation
        (r"\text{A}, \text{B}", r"\text{A}, \text{C}"),
        (r"3 \text{ or } 4", r"3 \text{ or } 5"),  # nor where something follows
        ("a = b = 5", "5"),  # two equals signs
        ("2x = 10", "10"),
        ("12,34", "1234"),
        ("32, 349", "32349"),  # a list is no number
        (r"32,\ 349", "32349"),
        ("81, 256", "81256"),
        ("204_6", "204_5"),
        ("", ""),  # an empty answer is never given
        ("{}", ""),
    ],
)
def test_written_differently(one, other):
    assert not same(one, other)


@pytest.fixture(scope="module")
def mathematics():
    with Mathematics(timeout_s=30) as grader:
        yield grader


CASES = [
    (r"Hence $\boxed{\frac{1}{2}}$.", r"\frac12", RIGHT),
    (r"\boxed{7}", r"We find that it is $\boxed{7}$.", RIGHT),  # a worked answer
    (r"\boxed{1} no, \boxed{7}", "7", RIGHT),
    (r"\boxed{\frac{2}{4}}", r"\frac12", FORM),  # equal, not alike
    (r"\boxed{y+x}", "x+y", FORM),
    (r"\boxed{\{2, 1\}}", r"\{1, 2\}", FORM),  # sets have no order
    (r"\boxed{2\sqrt{2}}", r"\sqrt{8}", FORM),
    (r"so $x = 7$.", "7", FORM),  # no box
    (r"the answer is \(\frac{14}{2}\)", "7", FORM),
    ("it is 7", "7", FORM),
    (r"\boxed 7", "7", FORM),
    (r"\boxed{7} and then \boxed{7", "7", FORM),  # the last box is not closed
    (r"\boxed{8} is not 7", "7", WRONG),  # the box counts, not the last number
    (r"\boxed{(1,2)}", "(2,1)", WRONG),
    (r"\boxed{32, 349}", "32349", WRONG),
    (r"\boxed{81256}", "81, 256", WRONG),
    (r"\boxed{81,256}", "81, 256", RIGHT),
    (r"\boxed{204_6}", "204_5", WRONG),  # math-verify drops bases
    (r"\boxed{204_{5}}", "204_5", RIGHT),
    (r"\boxed{204}", "204_5", FORM),  # a base that is not written
    (r"\boxed{0.00000003}", "0.00000002", WRONG),  # math-verify rounds to six decimals
    (r"\boxed{(0.00000003, 1)}", "(0.00000002, 1)", WRONG),
    (r"\boxed{\frac{1}{2006!}}", r"\frac{1}{2004!}", WRONG),
    (r"\boxed{0.00000000001}", "0", WRONG),
    (r"\boxed{0.333333}", r"\frac13", FORM),
    (r"\boxed{0.3333}", r"\frac13", WRONG),
    (r"\boxed{0.\overline{3}}", r"\frac13", FORM),
    (r"\boxed{10\%}", "0.1", FORM),
    (r"\boxed{5 cm}", "5", FORM),
    (r"\boxed{5 dollars}", "5", FORM),
    (r"\boxed{90°}", "90", RIGHT),
    (r"\boxed{2√2}", r"\sqrt{8}", FORM),
    (r"\boxed{}", "7", WRONG),
    (r"\boxed{}", "", WRONG),
    ("", "7", WRONG),
]


def test_mathematics(mathematics):
    responses, answers, grades = zip(*CASES, strict=True)
    assert mathematics.grade_many(responses, answers) == list(grades)


def test_mathematics_reference(mathematics):
    assert mathematics.reference(r" So it is $\boxed{ 7 }$.") == "7"
    assert mathematics.reference(" 7 ") == "7"


@pytest.mark.parametrize(
    ("name", "response", "answer"),
    [("arithmetic", "19-3#16", "16"), ("gsm8k", "#### 16", "16"), ("math", r"\boxed{16}", "16")],
)
def test_graders_by_name(name, response, answer):
    assert name in GRADERS
    with load_grader(name) as grader:
        assert grader.grade(response, grader.reference(answer)) == RIGHT


def test_unknown_grader():
    with pytest.raises(
        InputError,
        match=r"^grader: must be one of arithmetic, .*gsm8k, math, .*or module:Class, got 'chess'$",
    ):
        load_grader("chess")


def test_one_answer_for_each_response(mathematics):
    with pytest.raises(ValueError, match="zip"):
        mathematics.grade_many(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="zip"):
        Gsm8k().grade_many(["a", "b"], ["a"])

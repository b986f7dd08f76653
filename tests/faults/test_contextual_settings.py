"""Bad settings of the contextual world: one line that names the field, the constraint and the value."""

import pytest

from banditrft.design import Design, parse
from banditrft.errors import InputError
from banditrft.predict import predict_world
from banditrft.worlds import ContextualWorld

BAD: dict[str, tuple[dict[str, object], str]] = {
    "falling range": (
        {"base_pass_at_1": [0.6, 0.1]},
        r"base_pass_at_1: the range must rise, got \[0.6, 0.1\]",
    ),
    "certain base": ({"base_pass_at_1": 1.0}, "base_pass_at_1: .* less than 1"),
    "word": ({"base_pass_at_1": "some"}, "base_pass_at_1"),
    "no base weights": (
        {"transfer": 0.0, "misalignment": 0.0},
        "alignment, misalignment: base weights must be at least 1e-06 long",
    ),
    "no items": ({"train_items": 0}, "train_items"),
    "too many": (
        {"train_items": 10**6, "dimension": 1000},
        "train_items: times dimension must be at most 1e",
    ),
    "negative spread": ({"offset_spread": -1.0}, "offset_spread"),
    "negative noise": ({"arm_noise": -0.1}, "arm_noise"),
    "share": ({"partial": 1.5}, "partial"),
    "negative draw": ({"draw": -1}, "draw: .* greater than or equal to 0"),
    "draw and file": ({"features": "f.npz", "draw": 0}, "draw: decided by the file of features"),
    "file and draw": (
        {"features": "f.npz", "transfer": 1.0, "dimension": 8},
        "dimension, transfer: decided by the file of features",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_settings(case: str) -> None:
    fields, message = BAD[case]
    with pytest.raises(InputError, match=message):
        parse(ContextualWorld, {"seeds": 1, **fields})


def test_offsets_alone_may_spread_queries() -> None:
    assert ContextualWorld(seeds=1, transfer=0.0, misalignment=0.0, offset_spread=1.0).one_base() == 0.1


def test_one_base_is_one() -> None:
    with pytest.raises(InputError, match=r"base_pass_at_1: one value is needed here"):
        ContextualWorld(seeds=1, base_pass_at_1=(0.1, 0.2)).one_base()
    with pytest.raises(InputError, match=r"features: the base Pass@1 of world 'contextual' lies in its file"):
        ContextualWorld(seeds=1, features="f.npz").one_base()


@pytest.mark.parametrize("more", [{}, {"train_items": 4}])
def test_a_shared_draw_has_no_closed_form(more: dict[str, int]) -> None:
    """Closed forms average over draws; of one draw they would be wrong numbers."""
    world = ContextualWorld(seeds=4, draw=0, **more)
    with pytest.raises(InputError, match="draw: the closed forms"):
        predict_world(Design(learning_rate=0.01, rounds=20, optimizer="sgd"), world)

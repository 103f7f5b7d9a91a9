"""Children that learn from both parents."""

import pytest
import torch

from safecross import initialise, stack
from safecross.crossover.distillation import TARGETS, distil


def chance() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def parents(make_network):
    return make_network((3, 8, 2), 0), make_network((3, 8, 2), 2)


@pytest.fixture
def seen(make_examples):
    """Draw inputs of two places that do not touch: each parent's own."""
    return make_examples(200, 3) + 1.5, make_examples(200, 3, 1) - 1.5


def apart(one, other, x, targets="actions") -> float:
    ends = [z.tanh() if targets == "actions" else z.softmax(-1) for z in (one(x), other(x))]
    return float((ends[0] - ends[1]).abs().mean())


@pytest.mark.parametrize("targets", TARGETS)
def test_a_child_does_as_each_parent_does_where_that_parent_was(parents, seen, targets):
    a, b = parents
    child = distil(a, a, b, *seen, chance(), targets=targets, steps=800, learning_rate=0.01)
    for parent, x in zip(parents, seen, strict=True):
        assert apart(child, parent, x, targets) < 0.1
    assert apart(a, b, seen[1], targets) > 0.2, "else the start had nothing to learn"


def test_the_share_says_whom_the_child_follows(parents, seen):
    a, b = parents
    x = seen[0]  # both were here, and disagree
    found = [distil(a, a, b, x, x, chance(), t=t, steps=300, learning_rate=0.01) for t in (0, 1)]
    assert apart(found[0], a, x) < 1e-3 and apart(found[0], b, x) > 0.1
    assert apart(found[1], b, x) < 0.1 < apart(found[1], a, x)


def test_no_steps_leave_the_start(parents, seen):
    a, b = parents
    child = distil(b, a, b, *seen, chance(), steps=0)
    assert torch.equal(child.weights[0], b.weights[0])
    again = [distil(a, a, b, *seen, chance(), steps=5).weights[0] for _ in range(2)]
    assert torch.equal(*again) and not torch.equal(again[0], a.weights[0])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"t": 1.5}, ValueError, r"t must be a number in \[0, 1\]; found 1.5"),
        ({"targets": "action"}, ValueError, "unknown target 'action'.*actions"),
        ({"steps": -1}, ValueError, "steps must be a whole number >= 0; found -1"),
        ({"batch_size": 0}, ValueError, "batch_size must be a whole number >= 1; found 0"),
        ({"learning_rate": -1}, ValueError, "learning_rate must be positive and finite; found -1"),
        ({"rng": 3}, TypeError, "rng must be a torch.Generator; found 3"),
        ({"seen_b": torch.ones(4, 5)}, ValueError, "examples must have 3 columns"),
        ({"start": initialise([3, 5, 2], 0)}, ValueError, "architecture"),
        ({"start": stack([initialise([3, 8, 2], 0)])}, ValueError, "expected single networks"),
    ],
)
def test_what_cannot_be_distilled_is_told(parents, seen, change, error, message):
    a, b = parents
    given = {"start": a, "parent_a": a, "parent_b": b, "seen_a": seen[0], "seen_b": seen[1]}
    with pytest.raises(error, match=message):
        distil(**{**given, "rng": chance(), **change})

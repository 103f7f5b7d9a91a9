"""Interpolation, curves equal to full forward passes, barriers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from safecross import (
    GRID,
    SOFTMAX,
    FirstLayer,
    Network,
    accuracy,
    align,
    barrier,
    cross_entropy,
    crossover_curve,
    evaluate,
    interpolate,
    stack,
)
from safecross.crossover import curve as crossover

WIDTHS = [(4, 3), (4, 5, 3), (4, 5, 6, 3), (4, 5, 2, 6, 3)]
each_widths = pytest.mark.parametrize("widths", WIDTHS, ids=str)
POINTS = [-0.25, 0.0, 0.3, 0.5, 1.0, 1.25]


@pytest.fixture
def measured(make_examples):
    """Examples whose number no block of rows divides, and their labels."""
    return make_examples(53, 4), torch.arange(53) % 3


def parents(make_network, widths, dtype=torch.float32, device="cpu"):
    return [make_network(widths, seed, dtype, device) for seed in (0, 1)]


def same(theta: Network, other: Network) -> bool:
    pairs = zip(theta.weights + theta.biases, other.weights + other.biases, strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# Offspring


def test_the_papers_grid():
    assert len(GRID) == 31
    np.testing.assert_allclose(GRID, np.linspace(-0.25, 1.25, 31), atol=1e-12)
    assert {0.0, 0.5, 1.0} <= set(GRID)


@given(st.floats(-2, 3), st.sampled_from(WIDTHS))
def test_the_offspring_is_the_weighted_mean(make_network, t, widths):
    a, b = parents(make_network, widths, torch.float64)
    offspring = interpolate(a, b, t)
    for name in ("weights", "biases"):
        for found, wa, wb in zip(*(getattr(n, name) for n in (offspring, a, b)), strict=True):
            torch.testing.assert_close(found, wa + t * (wb - wa))


@each_widths
def test_the_parents_are_at_the_ends(make_network, widths):
    a, b = parents(make_network, widths)
    assert same(interpolate(a, b, 0), a)
    assert same(interpolate(a, b, 1), b)
    assert not same(interpolate(a, b, 0.5), a)


def test_a_grid_gives_a_population(make_network, device):
    a, b = parents(make_network, (4, 5, 3), device=device)
    population = interpolate(a, b, POINTS)
    assert population.batch_shape == (6,)
    for i, t in enumerate(POINTS):
        assert same(population[i], interpolate(a, b, t))


# Curves


@each_widths
@pytest.mark.parametrize("operator", [None, "sc-pwc", "sc-pwc-semi", "sc-pwc-semi-b"])
@pytest.mark.parametrize("rows", [1000, 53, 20, 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_curve_is_that_of_full_forward_passes(
    make_network, measured, monkeypatch, widths, operator, rows, dtype
):
    monkeypatch.setattr(crossover, "_CELLS", rows * max(widths[1:]))
    (a, b), (x, y) = parents(make_network, widths, dtype), measured
    alignment = align(a, b, x, operator) if operator else None
    curve = crossover_curve(a, b, x, y, alignment=alignment, t=POINTS)
    if alignment is not None:
        a, b = alignment.apply(a, b)
    full = [evaluate(interpolate(a, b, t), x, y) for t in POINTS]
    np.testing.assert_allclose(curve.loss, [loss for loss, _ in full], atol=1e-6, rtol=0)
    np.testing.assert_allclose(curve.accuracy, [share for _, share in full])
    assert curve.t.tolist() == POINTS


def test_a_curve_on_more_examples_than_a_block_of_rows(make_network, make_examples, device):
    a, b = parents(make_network, (4, 5, 3), device=device)
    x = make_examples(2 * (crossover._CELLS // 5) + 1, 4)
    y = torch.arange(len(x)) % 3
    curve = crossover_curve(a, b, x, y, t=[0.5])
    loss, share = evaluate(interpolate(a, b, 0.5), x, y)
    assert curve.loss[0] == pytest.approx(loss.item(), abs=1e-6)
    assert curve.accuracy[0] == pytest.approx(share.item(), abs=1e-3)


@pytest.mark.parametrize("softmax", SOFTMAX)
def test_a_curve_by_each_softmax(make_network, measured, monkeypatch, softmax):
    monkeypatch.setattr(
        crossover, "_CELLS", 100
    )  # 20 examples; the matrix's sum runs over all blocks
    (a, b), (x, y) = parents(make_network, (4, 5, 3)), measured
    curve = crossover_curve(a, b, x, y, t=[0.3], softmax=softmax)
    logits = interpolate(a, b, 0.3)(x)
    assert curve.loss[0] == pytest.approx(cross_entropy(logits, y, softmax).item(), abs=1e-6)
    assert curve.accuracy[0] == accuracy(logits, y)


@each_widths
def test_one_first_layer_serves_many_curves(make_network, measured, widths):
    (a, b), (x, y) = parents(make_network, widths), measured
    first = FirstLayer(a, b, x)
    kept = first.za.clone(), first.zb.clone()
    for operator in ("naive", "sc-pwc", "bias-sort", "naive"):
        alignment = align(a, b, x, operator)
        ours = crossover_curve(a, b, x, y, alignment=alignment, first=first)
        alone = crossover_curve(a, b, x, y, alignment=alignment)
        assert ours.loss.tolist() == alone.loss.tolist()
    assert torch.equal(first.za, kept[0])
    assert torch.equal(first.zb, kept[1])


def test_a_curve_defaults_to_the_papers_grid_and_takes_one_point(make_network, measured):
    (a, b), (x, y) = parents(make_network, (4, 5, 3)), measured
    curve = crossover_curve(a, b, x, y)
    assert curve.t.tolist() == list(GRID)
    assert crossover_curve(a, b, x, y, t=0.5).loss == pytest.approx(curve.loss[15])
    assert curve.barrier == barrier(curve.t, curve.loss)


def test_a_curve_leaves_the_parents_alone(make_network, measured):
    (a, b), (x, y) = parents(make_network, (4, 5, 3)), measured
    kept = x.clone()
    crossover_curve(a, b, x, y, alignment=align(a, b, x, "sc-pwc"))
    for theta, fresh in zip((a, b), parents(make_network, (4, 5, 3)), strict=True):
        assert same(theta, fresh)
    assert torch.equal(x, kept)


# Barriers


@pytest.mark.parametrize(
    ("t", "loss", "expected"),
    [
        ([0, 0.5, 1], [1, 4, 2], 2.5),
        ([0, 0.25, 1], [1, 4, 2], 2.75),
        ([1, 0.25, 0], [2, 4, 1], 2.75),  # in any order
        ([0, 0.5, 1], [1, 0, 2], 0.0),  # never below 0: the ends are on the line
        ([-0.25, 0, 0.5, 1, 1.25], [99, 1, 2, 1, 99], 1.0),  # outside [0, 1] does not count
        ([0, 1], [3, 5], 0.0),
    ],
)
def test_barriers_by_hand(t, loss, expected):
    assert barrier(t, loss) == pytest.approx(expected)


@pytest.mark.parametrize("t", [[0, 0.5], [0.5, 1], [0.1, 0.9], []])
def test_a_barrier_needs_both_parents(t):
    with pytest.raises(ValueError, match="t = 0 and t = 1 among them; found"):
        barrier(t, np.ones(len(t)))


def test_a_barrier_needs_one_loss_for_each_t():
    with pytest.raises(ValueError, match=r"one loss for each t.* found 2 losses"):
        barrier([0, 0.5, 1], [1, 2])


# Bad input


@pytest.mark.parametrize(
    "t", [np.nan, [0, np.inf], [-np.inf], [], [[0.0, 1.0]]], ids=["nan", "inf", "-inf", "0", "2-d"]
)
def test_t_must_be_finite_numbers(make_network, measured, t):
    a, b = parents(make_network, (4, 5, 3))
    for use in (lambda: interpolate(a, b, t), lambda: crossover_curve(a, b, *measured, t=t)):
        with pytest.raises(ValueError, match="t must be one finite number or a non-empty list"):
            use()


def test_parents_must_share_their_architecture(make_network, measured):
    a, b = make_network((4, 5, 3)), make_network((4, 6, 3))
    for use in (
        lambda: interpolate(a, b, 0.5),
        lambda: crossover_curve(a, b, *measured),
        lambda: FirstLayer(a, b, measured[0]),
    ):
        with pytest.raises(ValueError, match="same architecture; found 4-5-3 and 4-6-3"):
            use()


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.zeros(0, 4), [], "the batch of examples must be a matrix"),
        (torch.zeros(3, 5), [0, 1, 2], "examples must have 4 columns"),
        (torch.full((2, 4), float("nan")), [0, 1], "the batch of examples must be finite"),
        (torch.zeros(3, 4), [0, 1], "one integer label for each of the 3 examples"),
        (torch.zeros(2, 4), [0, 3], r"labels must lie in \[0, 3\); found 0 to 3"),
    ],
)
def test_data_that_do_not_fit_are_refused(make_network, x, y, message):
    with pytest.raises(ValueError, match=message):
        crossover_curve(*parents(make_network, (4, 5, 3)), x, y)


def test_the_first_layer_of_other_parents_is_refused(make_network, measured):
    (a, b), (x, y) = parents(make_network, (4, 5, 3)), measured
    for other in ((b, a, x), (a, a, x), (a, b, x.flip(0))):
        with pytest.raises(ValueError, match="first must be made of the very networks and"):
            crossover_curve(a, b, x, y, first=FirstLayer(*other))


@each_widths
def test_a_first_layer_gives_the_layers_of_its_parents(make_network, measured, widths):
    (a, b), (x, _) = parents(make_network, widths), measured
    for ours, theta in zip(FirstLayer(a, b, x).layers(), (a, b), strict=True):
        for found, expected in zip(ours, theta.layers(x), strict=True):
            assert found.is_contiguous()
            torch.testing.assert_close(found, expected)


def test_an_unknown_softmax_is_refused(make_network, measured):
    with pytest.raises(ValueError, match="unknown softmax 'row'"):
        crossover_curve(*parents(make_network, (4, 5, 3)), *measured, softmax="row")


def test_populations_of_two_sizes_and_other_alignments_are_told(make_network, make_examples):
    many = [stack([make_network((4, 5, 3), seed) for seed in range(n)]) for n in (2, 3)]
    with pytest.raises(ValueError, match="populations must be of one size to be mated; found"):
        interpolate(*many, 0.5)
    one, x = make_network((4, 5, 3), 0), make_examples(6, 4)
    with pytest.raises(TypeError, match="expected an Alignment; found 'sc-pwc'"):
        crossover_curve(one, one, x, [0] * 6, alignment="sc-pwc")

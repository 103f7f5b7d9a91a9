"""Loss and accuracy against PyTorch, scikit-learn and the formulas of the authors' notebook."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss
from torch.nn import functional

from safecross import (
    SOFTMAX,
    accuracy,
    cross_entropy,
    evaluate,
    stack,
)


@pytest.fixture
def logits(make_examples):
    return 3 * make_examples(50, 4, seed=1, dtype=torch.float64)


@pytest.fixture
def labels():
    return torch.randint(4, (50,), generator=torch.Generator().manual_seed(2))


def notebook_shares(logits: torch.Tensor) -> np.ndarray:
    """Divide by the sum over the whole matrix and clip, as the authors' notebook does."""
    z = np.exp(logits.numpy())
    return np.clip(z / z.sum(), 1e-15, 1 - 1e-15)


def test_the_loss_is_that_of_pytorch(logits, labels):
    expected = functional.cross_entropy(logits, labels).item()
    assert cross_entropy(logits, labels).item() == pytest.approx(expected, abs=1e-12)
    assert cross_entropy(logits.float(), labels).item() == pytest.approx(expected, abs=1e-6)
    assert cross_entropy(logits.tolist(), labels.tolist()).item() == pytest.approx(expected)


def test_loss_and_accuracy_are_those_of_scikit_learn(logits, labels):
    expected = log_loss(labels, logits.softmax(-1), labels=range(4))
    assert cross_entropy(logits, labels).item() == pytest.approx(expected, abs=1e-12)
    assert accuracy(logits, labels).item() == accuracy_score(labels, logits.argmax(-1))


@pytest.mark.parametrize("softmax", ["matrix", "matrix-renormalised"])
def test_the_softmax_of_the_notebook(logits, labels, softmax):
    shares = notebook_shares(logits)
    if softmax == "matrix-renormalised":
        shares = shares / shares.sum(axis=1, keepdims=True)
    expected = -np.log(shares[np.arange(50), labels]).mean()
    assert cross_entropy(logits, labels, softmax).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("softmax", ["matrix", "matrix-renormalised"])
def test_the_softmax_of_the_notebook_clips(softmax):
    """An example 100 nats below the others has shares of 1e-15, alike after renormalising."""
    loss = cross_entropy([[100.0, 100.0], [0.0, -1.0]], [0, 0], softmax).item()
    last = np.log(2) if softmax == "matrix-renormalised" else -np.log(1e-15)
    assert loss == pytest.approx((np.log(2) + last) / 2)


def test_huge_logits_give_finite_losses():
    for softmax in SOFTMAX:
        assert torch.isfinite(cross_entropy([[1e4, 0.0], [0.0, 1e4]], [0, 0], softmax))
    assert cross_entropy([[1e4, 0.0]], [1]).item() == pytest.approx(1e4)


@pytest.mark.parametrize("softmax", SOFTMAX)
def test_the_mean_is_taken_in_float64(softmax):
    """Of these losses float32 keeps the large one only: its 24 bits end at 2e-3."""
    logits, y = torch.zeros(9, 2), torch.tensor([1] + [0] * 8)
    logits[0, 0] = 3e4
    logits[1:, 1] = torch.linspace(-7, -8, 8)
    if softmax == "example":
        shares = logits.numpy() - logits.logsumexp(-1, keepdim=True).numpy()
    else:
        shares = notebook_shares(logits.double() - 3e4)
        if softmax == "matrix-renormalised":
            shares = shares / shares.sum(axis=1, keepdims=True)
        shares = np.log(shares)
    expected = -shares[np.arange(9), y].astype(np.float64).sum() / 9
    assert cross_entropy(logits, y, softmax).item() == pytest.approx(expected, rel=1e-13)


def test_losses_by_hand():
    assert cross_entropy(torch.zeros(3, 5), [0, 4, 2]).item() == pytest.approx(np.log(5))
    assert cross_entropy([[np.log(3.0), 0.0]], [0]).item() == pytest.approx(np.log(4 / 3))
    assert accuracy([[0.0, 1.0], [2.0, 1.0], [0.0, 3.0]], [1, 1, 1]).item() == pytest.approx(2 / 3)


@pytest.mark.parametrize("softmax", SOFTMAX)
def test_a_population_gets_one_number_each(logits, labels, softmax):
    several = torch.stack([logits, -logits, 2 * logits])
    losses, shares = cross_entropy(several, labels, softmax), accuracy(several, labels)
    assert losses.dtype == shares.dtype == torch.float64
    for i, one in enumerate(several):
        assert losses[i].item() == pytest.approx(cross_entropy(one, labels, softmax).item())
        assert shares[i] == accuracy(one, labels)


def test_evaluate_measures_a_network_and_a_population(make_network, make_examples, labels, device):
    theta = [make_network([3, 5, 4], seed, device=device) for seed in (0, 1)]
    x = make_examples(50, 3)
    for one in theta:
        loss, share = evaluate(one, x, labels)
        expected = functional.cross_entropy(one(x.to(device)), labels.to(device)).item()
        assert loss.item() == pytest.approx(expected, abs=1e-6)
        assert share == accuracy(one(x), labels)
    losses, shares = evaluate(stack(theta), x, labels)
    torch.testing.assert_close(losses[1], loss)
    assert shares[1] == share


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (
            [0, 1],
            r"one integer label for each of the 3 examples; found .* shape \(2,\)",
        ),
        ([0.0, 1.0, 1.0], "one integer label for each .* found torch.float32"),
        ([[0], [1], [1]], r"one integer label .* shape \(3, 1\)"),
        ([0, 1, 2], r"labels must lie in \[0, 2\); found 0 to 2"),
        ([-1, 1, 1], r"labels must lie in \[0, 2\); found -1 to 1"),
    ],
)
@pytest.mark.parametrize("measure", [cross_entropy, accuracy])
def test_labels_that_do_not_fit_are_refused(measure, y, message):
    with pytest.raises(ValueError, match=message):
        measure(torch.zeros(3, 2), y)


def test_logits_that_are_not_numbers_and_unknown_variants_are_refused():
    with pytest.raises(ValueError, match="logits must be finite"):
        cross_entropy([[float("nan"), 0.0]], [0])
    with pytest.raises(ValueError, match="logits must be a matrix"):
        accuracy(torch.zeros(0, 2), [])
    with pytest.raises(ValueError, match="unknown softmax 'matrx': did you mean 'matrix'"):
        cross_entropy([[0.0, 0.0]], [0], "matrx")


def test_the_softmax_of_the_notebook_clips_shares_of_1_too():
    loss = cross_entropy([[800.0, 0.0]], [0], "matrix").item()
    assert loss == pytest.approx(1e-15, abs=2e-16)


def test_labels_of_a_population_are_held_against_the_classes():
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 3\); found 3 to 3"):
        accuracy(torch.zeros(2, 9, 3), [3] * 9)


@pytest.mark.parametrize("theta", [3, None, "mlp"])
def test_what_cannot_be_called_is_no_network(theta):
    with pytest.raises(TypeError, match="expected a Network; found"):
        evaluate(theta, [[1.0, 2.0]], [0])

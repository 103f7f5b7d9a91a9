"""Loss and accuracy of logits, with the authors' softmax as a named variant."""

import torch

from .. import checks
from .network import Network

__all__ = ["SOFTMAX", "accuracy", "cross_entropy", "evaluate"]


def _by_example(logits: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    losses = logits.logsumexp(-1) - logits.gather(-1, true).squeeze(-1)
    return losses.double().mean(-1)


#: How logits become probabilities, by name: a function of the logits and of the true classes'
#: places, which returns the loss. Over each example's classes (the paper); the authors' notebook
#: has two more, of all examples and classes together.
SOFTMAX = {"example": _by_example}


def cross_entropy(logits, y, softmax: str = "example") -> torch.Tensor:
    r"""Return the mean cross-entropy.

    .. math:: \mathcal{L} = -\frac1n \sum_i \log p_{i,y_i}, \qquad
              p_{ij} = \frac{e^{z_{ij}}}{\sum_k e^{z_{ik}}}

    Parameters
    ----------
    logits : array_like, shape (..., n, classes)
        Outputs of a network before the softmax.
    y : array_like of int, shape (n,)
        Labels in [0, classes).
    softmax : {"example", "matrix-renormalised", "matrix"}
        ``"matrix"`` divides by the sum over all i and k instead, as the authors' notebook does,
        and clips to [1e-15, 1 - 1e-15]; ``"matrix-renormalised"`` then divides each example's
        probabilities by their sum, as scikit-learn's ``log_loss`` did until version 1.5.

    Returns
    -------
    torch.Tensor, shape (...), float64
        In nats.

    Raises
    ------
    ValueError
        If the sizes differ, a label leaves its range, or `softmax` is unknown.

    Examples
    --------
    >>> cross_entropy([[0.0, 0.0]], [1])
    tensor(0.6931, dtype=torch.float64)
    """
    logits, y = _checked(logits, y)
    if softmax not in SOFTMAX:
        raise ValueError(checks.unknown("softmax", softmax, SOFTMAX))
    true = y.expand(logits.shape[:-1]).unsqueeze(-1)
    return SOFTMAX[softmax](logits, true)


def accuracy(logits, y) -> torch.Tensor:
    r"""Return the share of examples whose largest logit is the label's.

    .. math:: \mathcal{A} = \frac1n \sum_i [\arg\max_j z_{ij} = y_i]

    Parameters
    ----------
    logits : array_like, shape (..., n, classes)
        Outputs of a network.
    y : array_like of int, shape (n,)
        Labels in [0, classes).

    Returns
    -------
    torch.Tensor, shape (...), float64
        In [0, 1].

    Raises
    ------
    ValueError
        If the sizes differ or a label leaves its range.

    Examples
    --------
    >>> accuracy([[0.0, 1.0], [2.0, 1.0]], [1, 1])
    tensor(0.5000, dtype=torch.float64)
    """
    logits, y = _checked(logits, y)
    return (logits.argmax(-1) == y).double().mean(-1)


@torch.no_grad()
def evaluate(theta: Network, x, y) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean cross-entropy loss and the accuracy of a network on a set of examples.

    Parameters
    ----------
    theta : Network
        One network, or a population.
    x : array_like, shape (n, m)
        Examples.
    y : array_like of int, shape (n,)
        Labels.

    Returns
    -------
    loss, accuracy : torch.Tensor, shape (...), float64
        In nats, and as a share in [0, 1]; scalars for a single network.

    Raises
    ------
    ValueError
        If the sizes of `x` and `y` differ or the data are unusable.
    TypeError
        If `theta` is no network.

    Examples
    --------
    >>> theta = Network([torch.eye(2)], [torch.zeros(2)])
    >>> evaluate(theta, [[1.0, 0.0], [0.0, 1.0]], [0, 0])
    (tensor(0.8133, dtype=torch.float64), tensor(0.5000, dtype=torch.float64))
    """
    if not callable(theta):
        raise TypeError(f"expected a Network; found {checks.shown(theta)}")
    logits = theta(x)
    return cross_entropy(logits, y), accuracy(logits, y)


def _checked(logits, y) -> tuple[torch.Tensor, torch.Tensor]:
    logits = checks.as_matrix("logits", logits)
    return logits, checks.as_labels(y, *logits.shape[-2:]).to(logits.device)

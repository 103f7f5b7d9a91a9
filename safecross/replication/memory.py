"""How much memory the pairs of an experiment take, before any of it is taken."""

from collections.abc import Sequence
from itertools import pairwise

from ..alignment.correlation import alignment_memory
from ..alignment.registry import get_operator
from ..alignment.spelling import parse_operator, split_after
from .config import Config

__all__ = ["pair_memory"]

#: Bytes of a process that has PyTorch loaded.
PROCESS = 400 * 2**20

#: Bytes of a float32 and of a float64.
SINGLE, DOUBLE = 4, 8


def pair_memory(
    config: Config, widths: Sequence[int], n_train: int, n_validation: int, together: int = 1
) -> int:
    """Return about how many bytes a process takes at most that computes pairs of a config.

    It is a process with PyTorch and the largest of three: the data while they are read; the data
    and the training of the parents; the data and the measuring of a pair.

    Parameters
    ----------
    config : Config
        The experiment.
    widths : sequence of int
        Inputs, hidden widths, outputs.
    n_train, n_validation : int
        Examples.
    together : int
        Pairs whose parents are trained as one population; 0 if they are trained elsewhere, as on
        a GPU.

    Returns
    -------
    int
        Bytes; an estimate from above, seldom more than twice what is taken.

    Examples
    --------
    >>> config = Config("mnist", (60_000,), 1, 1, ("sc-cca",))
    >>> pair_memory(config, (784, 60_000, 10), 60_000, 10_000) / 2**30 > 400
    True
    """
    pixels = (n_train + n_validation) * widths[0]
    # While they are read and put in order they are there twice, once more if standardised.
    copies = 1 if config.inputs == "unit" else 2
    data = copies * SINGLE * pixels
    training = _training(config, widths, n_train, together)
    measuring = _measuring(config, widths, n_train, n_validation)
    return PROCESS + data + max(SINGLE * pixels, training, measuring)


def _parameters(widths: Sequence[int]) -> int:
    return sum(p * q + q for p, q in pairwise(widths))


def _training(config: Config, widths: Sequence[int], n_train: int, together: int) -> int:
    networks = 1 if together == 1 else 2 * together
    # Initial weights, alone and stacked; weights, their gradient and two moments; the result.
    weights = 7 * networks * _parameters(widths)
    batch = min(config.batch_size, n_train)
    # Activations and the gradients with respect to them.
    passes = 3 * networks * batch * sum(widths)
    return SINGLE * (weights + passes + n_train * widths[-1])


def _measuring(config: Config, widths: Sequence[int], n_train: int, n_validation: int) -> int:
    batch, n = _examples(config, n_train, n_validation)
    # Parents, and parents aligned; the layers above the first for each t, and two terms of one.
    above = [p * q + q for p, q in pairwise(widths[1:])]
    weights = 4 * _parameters(widths) + len(config.t) * (sum(above) + 2 * max(above, default=0))
    # Of both parents: the first layer before its ReLU, twice; all layers; those on the batch.
    layers = 2 * (n * (2 * widths[1] + sum(widths[1:])) + batch * sum(widths[1:-1]))
    # Logits for each t and their exponentials; shares over the whole matrix are float64.
    logits = len(config.t) * n * widths[-1]
    shares = 0 if config.softmax == "example" else 3 * logits
    return (
        SINGLE * (weights + layers + 2 * logits)
        + DOUBLE * shares
        + _statistics(config, widths[1:-1], batch)
    )


def _examples(config: Config, n_train: int, n_validation: int) -> tuple[int, int]:
    """Return how many examples a config aligns on, and on how many it measures the loss."""
    if config.align_split == "held-out":
        batch = config.align_n or n_validation // 2
        return batch, n_validation - batch
    whole = n_train if config.align_split == "train" else n_validation
    return config.align_n or whole, n_validation


def _statistics(config: Config, hidden: Sequence[int], batch: int) -> int:
    """Return the bytes of what operators keep of the layers and work with."""
    widest = max(hidden, default=0)
    columns, squares = 2 * batch * sum(hidden), sum(h**2 for h in hidden)
    # All methods that do a CCA, and no others, choose between standardised and centred views.
    kinds = (parse_operator(split_after(o)[0]) for o in config.operators)
    cca = [options for name, options in kinds if "standardise" in get_operator(name).options]
    if not cca:  # correlations between the networks; one-to-one matching copies them
        return DOUBLE * (columns + squares + 2 * widest**2)
    # Correlations between and within, and of each kind of views the eigenvectors of both and what
    # is between them; and the weights of each operator.
    scales = len({options.get("standardise", True) for options in cca})
    kept = columns + (3 + 3 * scales + 2 * len(cca)) * squares
    # Of what the widest layer takes, this is counted already: activations, columns, 6 squares.
    counted = 3 * batch * widest + 6 * widest**2
    return DOUBLE * (kept - counted) + alignment_memory(batch, widest)

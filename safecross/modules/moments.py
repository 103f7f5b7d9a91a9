"""Statistics of two layers from batches of their activations, in one pass."""

import torch

from ..alignment.correlation import LayerPair

__all__ = ["Moments", "StreamedPair"]


class Moments:
    r"""First and second moments of two layers on the same examples, summed up batch by batch.

    .. math:: S_{ab} = \sum_i (h^i_a - c_a)(h^i_b - c_b)^\top - \frac1n s_a s_b^\top

    where :math:`c` are the means of the first batch, which keep the sums small, and :math:`s` the
    sums of what is left.

    Examples
    --------
    >>> moments = Moments()
    >>> moments.add(torch.tensor([[1.0], [1.0]]), torch.tensor([[3.0, 1.0], [3.0, 1.0]]))
    >>> moments.add(torch.tensor([[3.0], [3.0]]), torch.tensor([[5.0, 0.0], [5.0, 0.0]]))
    >>> StreamedPair(moments).between
    tensor([[ 1., -1.]], dtype=torch.float64)
    """

    def __init__(self):
        self.n = 0
        self.sizes: tuple[int, int] = (0, 0)

    def add(self, la: torch.Tensor, lb: torch.Tensor) -> None:
        """Add a batch.

        Parameters
        ----------
        la, lb : torch.Tensor, shapes (n, p) and (n, q)
            Activations of both layers.
        """
        both = torch.cat([la, lb], dim=-1)
        low, high = both.amin(0), both.amax(0)
        both = both.double()
        if not self.n:
            self.sizes = (la.shape[1], lb.shape[1])
            self.centre, self.low, self.high = both.mean(0), low, high
            self.sums = both.new_zeros(both.shape[1])
            self.products = both.new_zeros(both.shape[1], both.shape[1])
        both -= self.centre
        self.n += len(both)
        self.low, self.high = torch.minimum(self.low, low), torch.maximum(self.high, high)
        self.sums += both.sum(0)
        self.products.addmm_(both.mT, both)

    def deviations(self) -> torch.Tensor:
        """Return the centred products of all columns of both layers; dead ones are 0.

        A neuron is dead if it is constant on all batches, whatever rounding makes of its variance.
        """
        centred = self.products - torch.outer(self.sums, self.sums) / self.n
        alive = self.low != self.high
        return centred * torch.outer(alive, alive)


class StreamedPair(LayerPair):
    """A `LayerPair` from moments, for layers whose activations do not fit in memory.

    Parameters
    ----------
    moments : Moments
        Of all batches.
    """

    def __init__(self, moments: Moments):
        centred = moments.deviations()
        norms = centred.diagonal().clamp(min=0).sqrt()
        scaled = torch.where(norms > 0, 1 / norms, 0.0)
        correlations = (scaled[:, None] * centred * scaled).clamp_(-1, 1)
        p = moments.sizes[0]
        a, b = slice(0, p), slice(p, None)
        means = moments.centre + moments.sums / moments.n
        scale = norms / max(moments.n - 1, 1) ** 0.5
        self.__dict__.update(
            _moments=moments,
            _kept={},
            mean_a=means[a],
            mean_b=means[b],
            scale_a=scale[a],
            scale_b=scale[b],
            within_a=correlations[a, a],
            within_b=correlations[b, b],
            between=correlations[a, b],
        )

    @property
    def n(self) -> int:
        """Number of examples: of a convolution, images times positions."""
        return self._moments.n

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of neurons p and q."""
        return self._moments.sizes

    def _check_memory(self) -> None:
        """Find nothing wrong: the covariances, which are the largest, are there."""

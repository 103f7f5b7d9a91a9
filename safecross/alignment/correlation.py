"""Correlation of neurons, within a network and between two (Section 3.3)."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
import psutil
import torch

from .. import checks

__all__ = ["LayerPair", "alignment_memory", "correlation", "standardised"]

T = TypeVar("T")

_EXTREME = 400  # exponents of 2 beyond which squares come near the ends of float64's range


def correlation(la, lb=None) -> torch.Tensor:
    r"""Return the correlations of the columns of `la` with those of `lb` (or its own).

    .. math:: \hat\Sigma^{ij}_{a,b} = \frac{(h^i_a)^\top h^j_b}
              {\sqrt{\widehat{\mathrm{Var}}(h^i_a)\, \widehat{\mathrm{Var}}(h^j_b)}}

    for mean-centred columns h, the factor 1/(n - 1) being that of the variances.

    Parameters
    ----------
    la : array_like, shape (..., n, p)
        Activations of a layer on n examples.
    lb : array_like, shape (..., n, q), optional
        Activations of the other network's layer on the same examples; `la` itself by default.

    Returns
    -------
    torch.Tensor, shape (..., p, q), float64
        In [-1, 1]. A dead neuron, one that is constant on the batch, has correlation 0 with
        every neuron, itself included, never NaN.

    Raises
    ------
    ValueError
        If a matrix is empty, not real or not finite, or the numbers of examples differ.

    Notes
    -----
    Computed in float64 whatever the input, also where squares leave its range; gradients do not
    pass. Source: Section 3.3; the paper does not mention dead
    neurons.

    Examples
    --------
    >>> la = [[1.0, 5.0], [1.0, 5.0], [3.0, 5.0], [3.0, 5.0]]
    >>> correlation(la, [[-1.0], [-1.0], [-3.0], [-3.0]])
    tensor([[-1.],
            [ 0.]], dtype=torch.float64)
    """
    la, lb = _layers(la, la if lb is None else lb)
    za, _ = standardised(la)
    return _correlations(za, za if lb is la else standardised(lb)[0])


def _correlations(za: torch.Tensor, zb: torch.Tensor) -> torch.Tensor:
    return (za.mT @ zb).clamp_(-1, 1)


@dataclass(frozen=True, eq=False)
class LayerPair:
    """Two layers seen on the same examples, with the statistics that operators share.

    Each statistic is computed when it is first asked for and then kept, so that operators which
    look at the same pair of layers pay for it once.

    Parameters
    ----------
    la : array_like, shape (n, p)
        Activations of the layer in network a.
    lb : array_like, shape (n, q)
        Activations of the layer in network b on the same n examples.

    Raises
    ------
    ValueError
        If a matrix is empty, not real or not finite, or the numbers of examples differ.

    Examples
    --------
    >>> la, lb = [[1.0], [1.0], [3.0], [3.0]], [[3.0, 1.0], [3.0, 1.0], [5.0, 0.0], [5.0, 0.0]]
    >>> LayerPair(la, lb).between
    tensor([[ 1., -1.]], dtype=torch.float64)
    """

    la: torch.Tensor
    lb: torch.Tensor
    _kept: dict = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self):
        for name, layer in zip(("la", "lb"), _layers(self.la, self.lb, single=True), strict=True):
            object.__setattr__(self, name, layer)

    @property
    def n(self) -> int:
        """Number of examples."""
        return self.la.shape[0]

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of neurons p and q."""
        return self.la.shape[1], self.lb.shape[1]

    @cached_property
    def scale_a(self) -> torch.Tensor:
        """Sample standard deviations of a's neurons, shape (p,), float64; 0 for dead ones."""
        return self._view_a[1]

    @cached_property
    def scale_b(self) -> torch.Tensor:
        """Sample standard deviations of b's neurons, shape (q,), float64; 0 for dead ones."""
        return self._view_b[1]

    @cached_property
    def mean_a(self) -> torch.Tensor:
        """Means of a's neurons, shape (p,), float64."""
        return self.la.double().mean(0)

    @cached_property
    def mean_b(self) -> torch.Tensor:
        """Means of b's neurons, shape (q,), float64."""
        return self.lb.double().mean(0)

    @cached_property
    def within_a(self) -> torch.Tensor:
        """Correlations within network a, shape (p, p), float64."""
        return _correlations(self._view_a[0], self._view_a[0])

    @cached_property
    def within_b(self) -> torch.Tensor:
        """Correlations within network b, shape (q, q), float64."""
        return _correlations(self._view_b[0], self._view_b[0])

    @cached_property
    def between(self) -> torch.Tensor:
        """Correlations between the networks, shape (p, q), float64."""
        return _correlations(self._view_a[0], self._view_b[0])

    @cached_property
    def _view_a(self) -> tuple[torch.Tensor, torch.Tensor]:
        return standardised(self.la)

    @cached_property
    def _view_b(self) -> tuple[torch.Tensor, torch.Tensor]:
        return standardised(self.lb)

    def keep(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return what is kept under a key; computed when it is first asked for.

        Parameters
        ----------
        key : hashable
            What it is, with all that it depends on besides the two layers.
        compute : callable
            Makes it.

        Examples
        --------
        >>> pair = LayerPair([[1.0], [2.0]], [[1.0], [2.0]])
        >>> pair.keep("answer", lambda: 42), pair.keep("answer", lambda: 43)
        (42, 42)
        """
        if key not in self._kept:
            self._kept[key] = compute()
        return self._kept[key]

    def bases(self, standardise: bool) -> tuple[torch.Tensor, ...]:
        """Return the eigenpairs of both views and the cross-covariance in their coordinates.

        Parameters
        ----------
        standardise : bool
            Of views with columns of unit variance (Section 3.2), or only mean-centred.

        Returns
        -------
        eigenvalues_a, vectors_a, eigenvalues_b, vectors_b, cross : torch.Tensor, float64
            Shapes (p,), (p, p), (q,), (q, q), (p, q); eigenvalues in decreasing order.

        Raises
        ------
        MemoryError
            If less memory is free than `alignment_memory` says that it needs.
        ValueError
            If `standardise` is not a bool, or float64 does not hold the variance of a view that
            is only centred.
        """
        standardise = checks.as_flag("standardise", standardise)
        return self.keep(("bases", standardise), lambda: self._find_bases(standardise))

    def _find_bases(self, standardise: bool) -> tuple[torch.Tensor, ...]:
        self._check_memory()
        one_a, one_b = torch.ones_like(self.scale_a), torch.ones_like(self.scale_b)
        da, db = (one_a, one_b) if standardise else (self.scale_a, self.scale_b)
        for side, scale in (("a", da.max()), ("b", db.max())):
            if scale and not 2.0**-_EXTREME < scale < 2.0**_EXTREME:
                raise ValueError(
                    f"centred columns of {side} have deviations up to {float(scale):.1e}, whose "
                    "square float64 does not hold: scale the columns, or standardise them"
                )
        values_a, vectors_a = _eigenpairs(da[:, None] * self.within_a * da)
        values_b, vectors_b = _eigenpairs(db[:, None] * self.within_b * db)
        cross = vectors_a.mT @ (da[:, None] * self.between * db) @ vectors_b
        # All that is asked of the columns is there now, and they are the largest of it.
        self.__dict__.pop("_view_a", None)
        self.__dict__.pop("_view_b", None)
        return values_a, vectors_a, values_b, vectors_b, cross

    def _check_memory(self) -> None:
        if self.la.device.type != "cpu":
            return
        widest, held = max(self.sizes), 8 * self.n * max(self.sizes)  # the activations are there
        needed = alignment_memory(self.n, widest) - held
        free = psutil.virtual_memory().available
        if needed > free:
            raise MemoryError(
                f"the covariances and eigenvectors of layers of {widest} neurons on {self.n} "
                f"examples need about {needed / 2**30:.1f} GiB; found {free / 2**30:.1f} GiB free. "
                "Align on fewer examples, run fewer workers, or use sc-pwc, which needs less"
            )


def alignment_memory(n: int, width: int) -> int:
    r"""Return about how many bytes SC-CCA, the most demanding operator, takes for one layer.

    .. math:: 8\, (4 n h + 14 h^2)

    for both networks' activations in float32 and, standardised, in float64; their covariances and
    eigenvectors; and what the decompositions work with.

    Parameters
    ----------
    n : int
        Examples.
    width : int
        Neurons h of the layer.

    Examples
    --------
    >>> alignment_memory(10_000, 4096) / 2**30 < 8
    True
    """
    return 8 * (4 * n * width + 14 * width**2)


def _eigenpairs(covariance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    values, vectors = torch.linalg.eigh(covariance)
    return values.flip(-1).clamp_(min=0), vectors.flip(-1)


def standardised(layer: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return centred columns of unit Euclidean norm, and their deviations; dead ones are 0.

    Parameters
    ----------
    layer : torch.Tensor, shape (..., n, p)
        Activations.

    Returns
    -------
    columns : torch.Tensor, shape (..., n, p), float64
        Their products are correlations.
    deviations : torch.Tensor, shape (..., p), float64
        Of samples.

    Examples
    --------
    >>> standardised(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))[1]
    tensor([1.4142, 0.0000], dtype=torch.float64)
    """
    top, bottom = layer.amax(-2, keepdim=True), layer.amin(-2, keepdim=True)
    # Rounding gives a constant column a tiny spread of its own: it is set to exactly 0.
    dead = top == bottom
    columns = layer.to(torch.float64, copy=True)
    exponents = torch.frexp(torch.maximum(top.abs(), bottom.abs()).double()).exponent
    # Squares of such columns would be 0 or infinite. What is scaled here has the same correlations.
    exponents = exponents.clamp(-1000, 1000) * (exponents.abs() > _EXTREME)
    extreme = bool(exponents.any())
    if extreme:
        columns.mul_(torch.exp2(-exponents.double()))
    columns.sub_(columns.mean(-2, keepdim=True))
    if bool(dead.any()):
        columns.mul_(~dead)
    norms = _norms(columns)
    columns.div_(torch.where(norms > 0, norms, 1.0))
    deviations = norms / max(layer.shape[-2] - 1, 1) ** 0.5
    if extreme:
        deviations.mul_(torch.exp2(exponents.double()))
    return columns, deviations.squeeze(-2)


def _norms(columns: torch.Tensor) -> torch.Tensor:
    """Return the Euclidean norms of columns, shape (..., 1, p), summed from the first row on.

    NumPy adds whole rows, in the order in which PyTorch goes down each column: the same bits,
    measured twenty times as fast for 10,000 rows of 512.
    """
    if not columns.is_cpu:
        return torch.linalg.vector_norm(columns, dim=-2, keepdim=True)
    values = columns.numpy()
    squares = np.einsum("...ij,...ij->...j", values, values)
    return torch.from_numpy(np.sqrt(squares)).unsqueeze(-2)


def _layers(la, lb, single: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Return both layers as matrices without gradients; one object if they are one."""
    a = checks.as_matrix("activations of a", la).detach()
    b = a if lb is la else checks.as_matrix("activations of b", lb).detach()
    for layer in (a, b) if single else ():
        if layer.ndim != 2:
            raise ValueError(f"a layer pair holds one pair; found shape {tuple(layer.shape)}")
    _check_examples(a, b)
    return a, b


def _check_examples(la: torch.Tensor, lb: torch.Tensor) -> None:
    if la.shape[:-1] != lb.shape[:-1]:
        raise ValueError(
            "both layers must be seen on the same examples; found "
            f"{la.shape[-2]} and {lb.shape[-2]} rows (shapes {tuple(la.shape)}, {tuple(lb.shape)})"
        )

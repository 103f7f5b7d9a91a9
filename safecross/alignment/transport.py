"""Aligning by optimal transport, exact or entropic (OT fusion)."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from scipy.optimize import linear_sum_assignment, linprog

from .. import checks
from .maps import Linear
from .problem import Problem
from .registry import Method, register
from .responses import response_distances

__all__ = [
    "COSTS",
    "DIVISIONS",
    "OptimalTransport",
    "exact_transport",
    "sinkhorn",
    "sinkhorn_rounds",
    "transport_map",
]

#: What neurons are compared by.
COSTS = ("activations", "weights")

#: What the side that reads is divided by.
DIVISIONS = ("source", "target")


@register(
    "ot",
    source="OT fusion, Singh and Jaggi 2020, Algorithm 1",
    needs="activations",
    cost="n h^2 + h^3; entropic n h^2 + h^2 a sweep",
    one_to_one=False,
    soft=True,
    equal_widths=False,
)
@dataclass(frozen=True)
class OptimalTransport(Method):
    r"""Transport of b's neurons to a's at the least cost (OT fusion).

    .. math:: \min_{T \ge 0} \sum_{ij} C_{ij} T_{ij} - \mathrm{reg}\, \max(C)\, H(T), \qquad
              \sum_j T_{ij} = \tfrac1p, \quad \sum_i T_{ij} = \tfrac1q

    Parameters
    ----------
    cost : {"activations", "weights"}
        Distance of the neurons' responses, or of their incoming weights and biases, those of b
        with the layers before already transported.
    reg : float
        Entropy's share, >= 0, of the largest cost; 0 is exact transport.
    division : {"source", "target"}
        See `transport_map`; ``"target"`` is the original's.
    sweeps : int
        Most rounds of the entropic solver.

    Notes
    -----
    Between layers of equal width exact transport is an assignment. The original leaves out
    biases; here they move with their neurons and count among the weights.
    """

    cost: str = "activations"
    reg: float = 0.0
    division: str = "source"
    sweeps: int = 2000

    def __post_init__(self):
        for name, known in (("cost", COSTS), ("division", DIVISIONS)):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in known:
                raise ValueError(checks.unknown(name, value, known))
        if not 0 <= checks.as_number(self.reg) < float("inf"):
            raise ValueError(f"reg must be finite and >= 0; found {checks.shown(self.reg)}")
        checks.whole_number("sweeps", self.sweeps, 1)

    @property
    def needs(self) -> str:
        """What it is compared by."""
        return self.cost

    def __call__(self, problem: Problem) -> list[Linear]:
        """Return the map of each hidden layer.

        Raises
        ------
        ValueError
            If the entropic solver does not converge, or weights of a module are compared.
        """
        if self.cost == "weights":
            return self._by_weights(problem)
        return [self._map(response_distances(pair).sqrt()) for pair in problem.pairs]

    def _by_weights(self, problem: Problem) -> list[Linear]:
        a, b = problem.theta_a, problem.theta_b
        if not hasattr(a, "weights"):
            raise ValueError("ot compares the weights of Networks only; for modules: activations")
        maps, back = [], None
        for d in range(len(problem.widths_a)):
            incoming = b.weights[d].double()
            incoming = incoming if back is None else back.mT.to(incoming.device) @ incoming
            sides = ((a.weights[d].double(), a.biases[d]), (incoming, b.biases[d]))
            rows = [torch.cat([w, bias.double()[None]]).mT for w, bias in sides]
            maps.append(self._map(torch.cdist(*rows)))
            back = maps[-1].back
        return maps

    def _map(self, cost: torch.Tensor) -> Linear:
        cost = cost.cpu().numpy()
        if self.reg:
            coupling = sinkhorn(cost, self.reg * (cost.max() or 1.0), self.sweeps)
        else:
            coupling = exact_transport(cost)
        return transport_map(coupling, self.division)


def exact_transport(cost) -> np.ndarray:
    """Return the coupling of least cost between uniform marginals.

    Parameters
    ----------
    cost : array_like, shape (p, q)
        Finite costs.

    Returns
    -------
    numpy.ndarray, shape (p, q)
        Rows sum to 1 / p and columns to 1 / q. With p = q it is an assignment; else a linear
        programme, which takes about a second for 512 and 256 neurons.

    Raises
    ------
    ValueError
        If the costs are not finite.

    Examples
    --------
    >>> exact_transport([[0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 1.0]])
    array([[0.25, 0.  , 0.  , 0.25],
           [0.  , 0.25, 0.25, 0.  ]])
    """
    cost = _costs(cost)
    p, q = cost.shape
    if p == q:
        coupling = np.zeros((p, q))
        coupling[linear_sum_assignment(cost)] = 1 / p
        return coupling
    rows = sparse.kron(sparse.eye(p), np.ones((1, q)))
    columns = sparse.kron(np.ones((1, p)), sparse.eye(q))
    # Whole numbers as marginals: their sums are equal to the last bit.
    sums = np.concatenate([np.full(p, q), np.full(q, p)])
    found = linprog(
        cost.ravel(), A_eq=sparse.vstack([rows, columns]).tocsr(), b_eq=sums, method="highs"
    )
    if not found.success:
        raise ValueError(f"the transport was not solved: {found.message}")
    return np.abs(found.x.clip(min=0)).reshape(p, q) / (p * q)  # rounding leaves -0.0


def sinkhorn(cost, reg: float, sweeps: int = 2000, tolerance: float = 1e-6) -> np.ndarray:
    r"""Return the entropic coupling between uniform marginals, by Sinkhorn's rounds.

    .. math:: T_{ij} = \exp\frac{f_i + g_j - C_{ij}}{\mathrm{reg}}, \qquad
              f_i = -\mathrm{reg}\,\log\Big(p \sum_j \exp\frac{g_j - C_{ij}}{\mathrm{reg}}\Big)

    and g likewise, in turns and in logarithms, where small regularisation does not overflow.

    Parameters
    ----------
    cost : array_like, shape (p, q)
        Finite costs.
    reg : float
        Weight of the entropy, > 0, in the unit of the costs.
    sweeps : int
        Most rounds.
    tolerance : float
        Largest sum of errors of the row sums, whose total is 1.

    Returns
    -------
    numpy.ndarray, shape (p, q)
        Its columns sum to 1 / q exactly, its rows to 1 / p up to the tolerance.

    Raises
    ------
    ValueError
        If it has not converged after all rounds; the message says what to change.

    Examples
    --------
    >>> sinkhorn([[0.0, 1.0], [1.0, 0.0]], reg=0.1).round(4)
    array([[0.5, 0. ],
           [0. , 0.5]])
    """
    scaled = torch.from_numpy(-_costs(cost) / reg)
    coupling, _, error = sinkhorn_rounds(scaled, sweeps, tolerance)
    if error <= tolerance:
        return coupling.numpy()
    raise ValueError(
        f"the transport did not converge in {sweeps} sweeps: its marginals are off by {error:.1e}, "
        f"tolerance {tolerance:.0e}; give a larger reg, or more sweeps"
    )


def sinkhorn_rounds(
    scaled: torch.Tensor, sweeps: int, tolerance: float, g: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Return the coupling of some of Sinkhorn's rounds, whether they converged or not.

    Parameters
    ----------
    scaled : torch.Tensor, shape (p, q)
        Minus the costs, in units of the regularisation.
    sweeps : int
        Most rounds.
    tolerance : float
        Of the sum of errors of the row sums, below which they end.
    g : torch.Tensor, shape (q,), optional
        Where they start, such as the end of rounds on costs that differ little.

    Returns
    -------
    coupling : torch.Tensor, shape (p, q)
        See `sinkhorn`.
    g : torch.Tensor, shape (q,)
        Where they ended, in units of the regularisation.
    error : float
        Sum of errors of the row sums.

    Examples
    --------
    >>> coupling, g, error = sinkhorn_rounds(torch.zeros(2, 2), 1, 1e-6)
    >>> coupling.tolist()
    [[0.25, 0.25], [0.25, 0.25]]
    """
    p, q = scaled.shape
    g = scaled.new_zeros(q) if g is None else g
    for _ in range(sweeps):
        f = -torch.logsumexp(scaled + g, 1) - np.log(p)
        mixed = scaled + f[:, None]
        g = -torch.logsumexp(mixed, 0) - np.log(q)
        coupling = (mixed + g).exp()
        error = float((coupling.sum(1) - 1 / p).abs().sum())
        if error <= tolerance:
            break
    return coupling, g, error


def transport_map(coupling, division: str = "source") -> Linear:
    r"""Return the map of b into a's frame that a coupling is.

    .. math:: M = \mathrm{diag}(p)\, T, \qquad
              B = q\, T^\top \; (\text{source}) \quad \text{or} \quad
              B = p\, T^\top \; (\text{target})

    New neurons are means of old ones, so what writes them is divided by the target's marginal
    1 / p. What reads them sums over the old ones, each of which must be handed out whole: that is
    the source's marginal 1 / q. The original divides both sides by the target's, which is the
    same for equal widths, and otherwise weakens or strengthens all that comes after.

    Parameters
    ----------
    coupling : array_like, shape (p, q)
        With uniform marginals.
    division : {"source", "target"}
        What the side that reads is divided by.

    Examples
    --------
    >>> twins = [[0.5, 0.5]]  # two neurons become one
    >>> transport_map(twins).back.tolist(), transport_map(twins, "target").back.tolist()
    ([[1.0], [1.0]], [[0.5], [0.5]])
    """
    coupling = torch.as_tensor(coupling, dtype=torch.float64)
    p, q = coupling.shape
    return Linear(p * coupling, (q if division == "source" else p) * coupling.mT)


def _costs(cost) -> np.ndarray:
    found = checks.as_array("costs", cost).astype(np.float64, copy=False)
    if found.ndim != 2 or 0 in found.shape or not np.all(np.isfinite(found)):
        raise ValueError(f"costs must be a finite matrix (p, q); found shape {found.shape}")
    return found

"""The same three functions for networks of the paper and for any PyTorch module."""

from torch import nn

from . import modules
from .alignment import operators
from .crossover import curve as crossover

__all__ = ["align", "crossover_curve", "interpolate"]


def align(theta, other=None, x=None, operator="sc-pwc", *, y=None, to=None, spec=None, **options):
    """Return how an operator pairs the neurons of two networks.

    Parameters
    ----------
    theta : Network or torch.nn.Module
        Network a; or the module that will be moved.
    other : Network, optional
        Network b.
    x : array_like, torch.Tensor or iterable of batches
        The examples on which neurons are compared; methods that need weights only do without.
    operator : str or Method
        A name in `METHODS`, or one of its dataclasses.
    y : array_like of int, shape (n,), optional
        Labels of the examples, for methods that need gradients of the loss.
    to : torch.nn.Module, optional
        The module whose order of neurons is wanted.
    spec : Spec, optional
        Groups of the modules, as `trace` returns them.
    **options
        The operator's options.

    Returns
    -------
    Alignment or Move
        Of networks `safecross.alignment.operators.align`; of modules `safecross.modules.align`.

    Raises
    ------
    TypeError
        If a module comes without `to` or `spec`, or a network with them.
    ValueError
        As these raise.

    Examples
    --------
    >>> import torch
    >>> from safecross import initialise, permute
    >>> theta, x = initialise([5, 3, 2], seed=0), torch.rand(50, 5)
    >>> align(theta, permute(theta, [[2, 0, 1]]), x).lists_b
    [array([1, 2, 0])]
    """
    if isinstance(theta, nn.Module):
        if to is None or spec is None or other is not None:
            raise TypeError(
                "modules are aligned by align(model_b, to=model_a, x=examples, spec=spec), the "
                "spec being that of trace(model_a, example)"
            )
        return modules.align(theta, to, x, spec, operator, y=y, **options)
    if to is not None or spec is not None:
        raise TypeError("to and spec are for modules; networks: align(theta_a, theta_b, x)")
    return operators.align(theta, other, x, operator, y=y, **options)


def interpolate(parent_a, parent_b, t, data=None):
    """Return the offspring of an arithmetic crossover.

    Parameters
    ----------
    parent_a, parent_b : Network or torch.nn.Module
        Both of one kind and structure.
    t : float or sequence of float
        Crossover point; of networks also a grid.
    data : optional
        Of modules, examples on which batch norms are estimated anew.

    Returns
    -------
    Network or torch.nn.Module
        As `safecross.crossover.interpolate` or `safecross.modules.interpolate`.

    Examples
    --------
    >>> import torch
    >>> interpolate(nn.Linear(2, 2), nn.Linear(2, 2), 0.5)
    Linear(in_features=2, out_features=2, bias=True)
    """
    if isinstance(parent_a, nn.Module):
        return modules.interpolate(parent_a, parent_b, t, data)
    return crossover.interpolate(parent_a, parent_b, t)


def crossover_curve(parent_a, parent_b, x, y, **options):
    """Return loss and accuracy of the offspring on a grid of t.

    Parameters
    ----------
    parent_a, parent_b : Network or torch.nn.Module
        Both of one kind and structure.
    x, y
        Examples and their labels.
    **options
        ``alignment``, ``t`` and more, as of `safecross.crossover.crossover_curve` or
        `safecross.modules.crossover_curve`.

    Returns
    -------
    Curve
        One loss and one accuracy for each t.
    """
    curve = modules if isinstance(parent_a, nn.Module) else crossover
    return curve.crossover_curve(parent_a, parent_b, x, y, **options)

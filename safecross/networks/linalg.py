"""Matrix products by the fastest library at hand; everything heavy in the package goes through."""

import time
from functools import cache

import torch

__all__ = ["affine", "product", "product_rate"]


_SMALL = 2**21  # multiplications


@cache
def _onednn():
    """Return PyTorch's float32 oneDNN product, or None where this build has none.

    PyTorch sends float32 matrix products on the CPU to MKL, which on non-Intel processors uses
    half the width of the vector units: there oneDNN, which the same build contains, was measured
    to be about twice as fast (402 against 177 GFLOP/s on two cores of an AMD EPYC).
    The operator is PyTorch's own but not public, hence the guard and the equal path without it.
    """
    if not torch.backends.mkldnn.is_available():
        return None
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)


def _fits(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Return whether oneDNN takes these: two float32 matrices on the CPU, without autograd."""
    return (
        a.dtype == b.dtype == torch.float32
        and a.ndim == b.ndim == 2
        and a.is_cpu
        and b.is_cpu
        and not torch.is_grad_enabled()
        and _onednn() is not None
    )


def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the matrix product ``a @ b``.

    Parameters
    ----------
    a : torch.Tensor, shape (..., n, m)
        Left factor.
    b : torch.Tensor, shape (..., m, p)
        Right factor, of the same dtype and device.

    Returns
    -------
    torch.Tensor, shape (..., n, p)
        The product; of large float32 matrices on the CPU outside of autograd by oneDNN, else by
        `torch.matmul`.

    Examples
    --------
    >>> product(torch.eye(2), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[1., 2.],
            [3., 4.]])
    """
    # Below a few million operations oneDNN takes longer to prepare than MKL to multiply.
    if a.numel() * b.shape[-1] > _SMALL and _fits(a, b):
        return _onednn()(a, b.t(), None, "none", [], "")
    return a @ b


def affine(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Return ``x @ weight + bias``, one layer before its activation function.

    Parameters
    ----------
    x : torch.Tensor, shape (..., n, m)
        Inputs.
    weight : torch.Tensor, shape (..., m, p)
        Weight matrix, rows inputs and columns outputs (Section 4).
    bias : torch.Tensor, shape (..., p)
        Biases.

    Returns
    -------
    torch.Tensor, shape (..., n, p)
        The pre-activations.

    Examples
    --------
    >>> affine(torch.ones(1, 2), torch.eye(2), torch.tensor([0.5, -0.5]))
    tensor([[1.5000, 0.5000]])
    """
    if _fits(x, weight):
        linear, p = _onednn(), weight.shape[1]
        # oneDNN fills vectors of 16 outputs. Turned round they are filled with examples: the same
        # sums, sooner where few outputs leave much of a vector empty (1.14 times for 100 of them).
        if p % 16 and p < 256 and x.numel() * p > _SMALL:
            turned = linear(weight.t(), x, None, "none", [], "")
            return turned.add_(bias.unsqueeze(-1)).t().contiguous()
        return linear(x, weight.t(), bias, "none", [], "")
    if x.ndim == weight.ndim == 2:
        return torch.addmm(bias, x, weight)
    return x @ weight + bias.unsqueeze(-2)


@torch.no_grad()
def product_rate(size: int = 2048, dtype: torch.dtype = torch.float32, repeats: int = 5) -> float:
    r"""Measure the rate of large matrix products, the machine's own limit for training.

    .. math:: 2 m^3 / \min_i s_i

    for square matrices of size m, over the seconds :math:`s_i` of the fastest of `repeats`
    products by `torch.matmul` and by `product`, whichever is faster.

    Parameters
    ----------
    size : int
        Rows and columns m.
    dtype : torch.dtype
        Of the matrices.
    repeats : int
        Products timed, after one that is not.

    Returns
    -------
    float
        Operations a second, with the threads that PyTorch has now.

    Examples
    --------
    >>> product_rate(64) > 0
    True
    """
    a = torch.ones(size, size, dtype=dtype)
    fastest = float("inf")
    for multiply in (torch.matmul, product):
        for repeat in range(repeats + 1):
            start = time.perf_counter()
            multiply(a, a)
            if repeat:
                fastest = min(fastest, time.perf_counter() - start)
    return 2 * size**3 / fastest

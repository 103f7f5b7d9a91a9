"""Products are `torch.matmul`, whatever library computes them."""

import pytest
import torch

from safecross.networks import linalg
from safecross.networks.linalg import affine, product, product_rate

SHAPES = [((1, 1), (1, 1)), ((5, 7), (7, 3)), ((64, 1), (1, 9)), ((4, 5, 7), (4, 7, 3))]


@pytest.fixture(params=["library", "no oneDNN", "autograd"])
def path(request, monkeypatch):
    """Go through each of the ways a product can take."""
    if request.param == "no oneDNN":
        monkeypatch.setattr(linalg, "_onednn", lambda: None)
    with torch.set_grad_enabled(request.param == "autograd"):
        yield request.param


def draw(*shape, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=dtype)


def laid_out(matrix: torch.Tensor, layout: str) -> torch.Tensor:
    """Return an equal matrix with other strides."""
    if layout == "transposed":
        return matrix.mT.contiguous().mT
    if layout == "strided":
        wide = matrix.new_full((*matrix.shape[:-1], 2 * matrix.shape[-1]), float("nan"))
        wide[..., ::2] = matrix
        return wide[..., ::2]
    return matrix


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layout", ["contiguous", "transposed", "strided"])
def test_products_are_those_of_matmul(path, shapes, dtype, layout):
    a, b = (draw(*shape, dtype=dtype) for shape in shapes)
    bias = draw(*shapes[1][:-2], shapes[1][-1], dtype=dtype)
    x, w = laid_out(a, layout), laid_out(b, layout)
    torch.testing.assert_close(product(x, w), a @ b)
    torch.testing.assert_close(affine(x, w, bias), a @ b + bias.unsqueeze(-2))
    torch.testing.assert_close(product(w.mT, x.mT), (a @ b).mT)


@pytest.mark.parametrize("outputs", [100, 112, 260])  # only the first is turned round
@pytest.mark.parametrize("layout", ["contiguous", "transposed"])
def test_large_layers_of_any_width(path, outputs, layout):
    x, w, bias = draw(64, 700), draw(700, outputs), draw(outputs)
    found = affine(laid_out(x, layout), laid_out(w, layout), bias)
    expected = x.double() @ w.double() + bias.double()
    torch.testing.assert_close(found.double(), expected, atol=1e-4, rtol=0)
    assert found.is_contiguous()


def test_a_product_leaves_its_factors_alone(path):
    x, w, bias = draw(5, 7), draw(7, 3), draw(3)
    before = [t.clone() for t in (x, w, bias)]
    product(x, w)
    affine(x, w, bias).relu_()
    assert all(torch.equal(t, kept) for t, kept in zip((x, w, bias), before, strict=True))


def test_gradients_flow_through_both():
    x, w, bias = (draw(*shape).requires_grad_() for shape in ((5, 7), (7, 3), (3,)))
    (product(x, w) * affine(x, w, bias)).sum().backward()
    found = [t.grad.clone() for t in (x, w, bias)]
    expected = torch.autograd.grad(((x @ w) * (x @ w + bias)).sum(), (x, w, bias))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_float32_on_the_cpu_takes_the_fast_path_and_only_outside_of_autograd(monkeypatch):
    calls = []
    monkeypatch.setattr(
        linalg, "_onednn", lambda: lambda a, bt, *rest: calls.append(a.shape) or a @ bt.T
    )
    with torch.no_grad():
        product(draw(64, 256), draw(256, 129))
        assert len(calls) == 1
        product(draw(64, 256), draw(256, 128))  # too small to be worth it
        affine(draw(5, 7), draw(7, 3), draw(3))
        assert len(calls) == 2
        for outputs in (100, 112, 260):
            affine(draw(64, 700), draw(700, outputs), draw(outputs))
        assert calls[2:] == [(100, 700), (64, 700), (64, 700)]
        product(draw(5, 7, dtype=torch.float64), draw(7, 3, dtype=torch.float64))
        product(draw(2, 5, 7), draw(2, 7, 3))
    product(draw(64, 256), draw(256, 129))
    assert len(calls) == 5


def test_products_on_a_device(device):
    a, b, bias = draw(5, 7).to(device), draw(7, 3).to(device), draw(3).to(device)
    with torch.no_grad():
        torch.testing.assert_close(product(a, b), a @ b)
        torch.testing.assert_close(affine(a, b, bias), a @ b + bias)


def test_the_rate_is_of_the_fastest_product(monkeypatch):
    ticks = iter(range(10**6))
    monkeypatch.setattr(linalg.time, "perf_counter", lambda: next(ticks))
    assert product_rate(8, repeats=2) == 2 * 8**3  # each product takes one tick


@pytest.mark.parametrize("shapes", [((3, 4), (6, 2)), ((3, 6), (4, 2)), ((3, 1), (4, 2))], ids=str)
def test_factors_that_do_not_fit_are_refused(path, shapes):
    a, b = (draw(*shape) for shape in shapes)
    for multiply in (product, lambda x, w: affine(x, w, torch.zeros(2))):
        with pytest.raises(RuntimeError):
            multiply(a, b)

"""What several test files share: settings of hypothesis, networks with biases, devices."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import HealthCheck, settings

from safecross import Network, initialise

settings.register_profile(
    "safecross",
    deadline=None,
    derandomize=True,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("safecross")


def _network(widths: Sequence[int], seed: int = 0, dtype=torch.float32, device="cpu") -> Network:
    theta = initialise(widths, seed)
    generator = torch.Generator().manual_seed(seed + 1000)
    biases = [0.5 * torch.randn(b.shape, generator=generator) for b in theta.biases]
    return Network(theta.weights, biases).to(device, dtype)


def _examples(n: int, m: int, seed: int = 0, dtype=torch.float32) -> torch.Tensor:
    return torch.randn(n, m, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture(scope="session")
def make_network():
    """Draw a network whose biases are not 0, as those of a trained one."""
    return _network


@pytest.fixture(scope="session")
def make_examples():
    """Draw examples from a standard normal distribution."""
    return _examples


@pytest.fixture(
    params=[
        "cpu",
        pytest.param(
            "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
        ),
    ]
)
def device(request) -> str:
    """Name each kind of device that there is."""
    return request.param

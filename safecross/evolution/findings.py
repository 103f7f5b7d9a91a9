"""The questions asked of populations, and the rules that answer them."""

from .runs import SWING_UP, EvolutionConfig

__all__ = ["ARMS", "SIGMAS", "tuning_config"]

#: Ways to make children whose step size is tuned, each for itself.
ARMS = ("mutation", "naive/neuron", "sc-pwc/neuron", "naive/arithmetic", "sc-pwc/arithmetic")

#: Step sizes that are tried.
SIGMAS = (0.01, 0.03, 0.1, 0.3)


def tuning_config() -> EvolutionConfig:
    """Return the experiment that chooses each arm's step size, on seeds of its own."""
    arms = tuple(f"{arm}:sigma={sigma}" for arm in ARMS for sigma in SIGMAS)
    return EvolutionConfig(SWING_UP, arms, n_runs=5, generations=80, seed=1)

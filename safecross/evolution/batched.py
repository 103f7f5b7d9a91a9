"""Tasks of gymnax for the genetic algorithm: all members and episodes at once, compiled by JAX.

gymnax and JAX are imported when a task is made.
"""

import functools
import math
from importlib.metadata import version

import numpy as np
import torch

from .. import checks
from ..networks.network import Network
from .adapters import library
from .population import check_population
from .tasks import Evaluation

__all__ = ["GYMNAX", "Gymnax", "environment"]

#: What the name of a task of an experiment starts with if it is an environment of gymnax.
GYMNAX = "gymnax:"

#: The version of gymnax that experiments are of: another one's environments may differ.
VERSION = "1.0.1"


class Gymnax:
    r"""An environment of gymnax, such as ``Pendulum-v1`` or ``Breakout-MinAtar``.

    A network reads the flattened observation. Of discrete actions the one with the largest output
    is taken; a continuous one is :math:`l + (h - l)(1 + \tanh z)/2` for an output z and its bounds
    l and h. Fitness is the mean over episodes of the rewards' sum, until the episode ends.

    Parameters
    ----------
    name : str
        Of the environment.
    episodes : int
        Each from its own start, the same for all members.
    steps : int
        At most, in each episode.
    every : int
        How many steps lie between two states that are kept for alignment; it divides `steps`.

    Raises
    ------
    ValueError
        If there is no such environment or a number leaves its range.
    ImportError
        If gymnax is not installed.

    Notes
    -----
    ``steps`` of an evaluation counts steps until the episodes' ends. An environment starts anew
    after an end; of that only states are kept, and no rewards.
    """

    def __init__(self, name: str, episodes: int = 4, steps: int = 200, every: int = 5):
        gymnax = library("gymnax")
        if name not in gymnax.registered_envs:
            raise ValueError(checks.unknown("environment", name, gymnax.registered_envs))
        self.name = name
        self.episodes = checks.whole_number("episodes", episodes, 1)
        self.steps = checks.whole_number("steps", steps, 1)
        if self.steps % checks.whole_number("every", every, 1):
            raise ValueError(f"every must divide steps; found {every} and {steps}")
        environment, params = gymnax.make(name)
        self.n_inputs = math.prod(environment.observation_space(params).shape)
        self.n_outputs, act = _actions(environment.action_space(params))
        self._play = _compiled(environment, params, act, self.steps, every)

    def __call__(self, population: Network, rng: torch.Generator) -> Evaluation:
        """Return the members' mean return; all meet the same chance."""
        jax = library("jax")
        if check_population("the population", population).widths[0] != self.n_inputs:
            raise ValueError(f"{self.name} has {self.n_inputs} inputs; found {population!r}")
        seed = int(torch.randint(2**31 - 1, (), generator=rng))
        keys = jax.random.split(jax.random.key(seed), self.episodes)
        layers = zip(population.weights, population.biases, strict=True)
        arrays = [(w.detach().cpu().numpy(), b.detach().cpu().numpy()) for w, b in layers]
        returns, seen, steps = map(np.array, self._play(arrays, keys))
        fitness = torch.from_numpy(returns).double().mean(-1)
        return Evaluation(fitness, torch.from_numpy(seen).flatten(0, 2), int(steps.sum()))


@functools.lru_cache(maxsize=4)
def environment(name: str, episodes: int) -> Gymnax:
    """Return the task of an experiment, compiled once.

    Parameters
    ----------
    name : str
        `GYMNAX` and the environment's name, such as ``gymnax:Pendulum-v1``.
    episodes : int
        Of one evaluation, each of at most 200 steps.

    Raises
    ------
    ValueError
        If another version of gymnax is installed than `VERSION`, or there is no such environment.
    ImportError
        If gymnax is not installed.
    """
    library("gymnax")
    found = version("gymnax")
    if found != VERSION:
        raise ValueError(f"expected gymnax {VERSION}, which {name} is of; found {found}")
    return Gymnax(name.removeprefix(GYMNAX), episodes)


def _actions(space):
    """Return how many outputs a network needs, and a function of them that is the action."""
    jnp, spaces = library("jax.numpy"), library("gymnax.environments.spaces")
    if isinstance(space, spaces.Discrete):
        return space.n, jnp.argmax
    span = space.high - space.low

    def act(outputs):
        return space.low + span * (1 + jnp.tanh(outputs.reshape(space.shape))) / 2

    return math.prod(space.shape), act


def _compiled(environment, params, act, steps: int, every: int):
    """Return a function of networks and episodes' keys: returns, states kept, steps taken."""
    jax, jnp = library("jax"), library("jax.numpy")

    def step(network, carry, key):
        observation, state, alive = carry
        action = act(_outputs(network, observation.reshape(-1)))
        observation, state, reward, *ends, _ = environment.step(key, state, action, params)
        after = alive & ~jnp.logical_or(*ends)
        return (observation, state, after), (jnp.where(alive, reward, 0.0), alive)

    def episode(network, key):
        def several(carry, keys):
            seen = carry[0].reshape(-1).astype(jnp.float32)
            carry, (rewards, alive) = jax.lax.scan(lambda c, k: step(network, c, k), carry, keys)
            return carry, (seen, rewards.sum(), alive.sum())

        keys = jax.random.split(key, 1 + steps)
        start = (*environment.reset(keys[0], params), jnp.bool(True))
        keys = keys[1:].reshape(-1, every)
        _, (seen, rewards, alive) = jax.lax.scan(several, start, keys)
        return rewards.sum(), seen, alive.sum()

    members = jax.vmap(jax.vmap(episode, (None, 0)), (0, None))
    return jax.jit(members)


def _outputs(network, x):
    relu = library("jax.nn").relu
    *hidden, (weight, bias) = network
    for rows, offset in hidden:
        x = relu(x @ rows + offset)
    return x @ weight + bias

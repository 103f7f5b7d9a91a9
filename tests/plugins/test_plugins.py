"""The plug-ins in real runs of their libraries: `make test-evolution` has them, `make test` not.

The first population are copies of one network, each with its neurons in an order of its own.
Children of aligned parents compute what that network does, whatever is selected; those of the
libraries' own crossovers do not.
"""

import numpy as np
import pytest
import torch

from safecross import initialise, stack
from safecross.evolution.adapters import (
    Layout,
    evosax_algorithm,
    evotorch_crossover,
    pygad_crossover,
    qdax_variation,
)
from safecross.evolution.population import scramble

pytestmark = pytest.mark.plugins

WIDTHS, MEMBERS = (4, 8, 6, 2), 12


@pytest.fixture
def theta():
    return initialise(WIDTHS, 0)


@pytest.fixture
def x():
    return torch.randn(200, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def mixed(theta):
    return scramble(stack([theta] * MEMBERS), torch.Generator().manual_seed(1))


def computes(population, theta, x) -> bool:
    expected = theta(x).expand(population.batch_shape[0], -1, -1)
    return torch.allclose(population.to(torch.float32)(x), expected, atol=1e-3)


@pytest.mark.parametrize(
    ("crossover", "kept"),
    [("aligned", True), ("naive", False), ("single_point", False), ("uniform", False)],
)
def test_pygad(theta, x, mixed, crossover, kept):
    import pygad

    layout = Layout(WIDTHS)
    own = {
        "aligned": pygad_crossover(layout, x),
        "naive": pygad_crossover(layout, x, method="naive"),
    }
    run = pygad.GA(
        num_generations=3,
        num_parents_mating=6,
        fitness_func=lambda ga, solution, i: float(np.random.default_rng(i).random()),
        initial_population=layout.vectors(mixed).double().numpy(),
        crossover_type=own.get(crossover, crossover),
        mutation_type=None,
        keep_elitism=1,
        suppress_warnings=True,
        random_seed=0,
    )
    run.run()
    assert run.generations_completed == 3
    assert computes(layout.population(run.population), theta, x) is kept


@pytest.mark.parametrize(("method", "kept"), [("sc-pwc", True), ("naive", False), (None, False)])
def test_evotorch(theta, x, mixed, method, kept):
    from evotorch import Problem
    from evotorch.algorithms import GeneticAlgorithm
    from evotorch.operators import GaussianMutation, OnePointCrossOver

    layout = Layout(WIDTHS)

    class Copies(Problem):
        def __init__(self):
            super().__init__("max", solution_length=layout.size, initial_bounds=(0, 1), seed=0)

        def _fill(self, values):
            values[:] = layout.vectors(mixed)[: len(values)]

        def _evaluate_batch(self, solutions):
            solutions.set_evals(torch.rand(len(solutions)))

    problem = Copies()
    if method:
        crossover = evotorch_crossover(problem, layout, x, method=method)
    else:
        crossover = OnePointCrossOver(problem, tournament_size=4)
    still = GaussianMutation(problem, stdev=0.0)
    run = GeneticAlgorithm(problem, popsize=MEMBERS, operators=[crossover, still], re_evaluate=True)
    run.run(3)
    assert run.step_count == 3
    population = layout.population(run.population.values.clone())
    assert computes(population, theta, x) is kept


def _trees(mixed):
    import jax.numpy as jnp

    layers = zip(mixed.weights, mixed.biases, strict=True)
    return {
        "params": {
            f"Dense_{i}": {"kernel": jnp.asarray(w.numpy()), "bias": jnp.asarray(b.numpy())}
            for i, (w, b) in enumerate(layers)
        }
    }


def _network(tree, layout):
    import jax
    from jax.flatten_util import ravel_pytree

    return layout.population(np.asarray(jax.vmap(lambda g: ravel_pytree(g)[0])(tree)))


def test_the_layout_of_a_tree_is_that_of_ravel_pytree(mixed):
    tree = _trees(mixed)
    layout = Layout.of_tree(tree)
    assert layout == Layout(WIDTHS, "jax")
    back = _network(tree, layout)
    assert all(torch.equal(a, b) for a, b in zip(back.weights, mixed.weights, strict=True))


@pytest.mark.parametrize(("method", "kept"), [("sc-pwc", True), ("naive", False)])
def test_qdax(theta, x, mixed, method, kept):
    import jax
    import jax.numpy as jnp
    from qdax.core.containers.mapelites_repertoire import compute_euclidean_centroids
    from qdax.core.emitters.standard_emitters import MixingEmitter
    from qdax.core.map_elites import MAPElites

    tree = _trees(mixed)
    layout = Layout.of_tree(tree)
    variation = qdax_variation(layout, x.numpy(), method=method)

    def scoring(genotypes, key):
        n = genotypes["params"]["Dense_0"]["bias"].shape[0]
        fitness, places = jax.random.uniform(key, (n,)), jax.random.uniform(key, (n, 2))
        return fitness, places, {}

    emitter = MixingEmitter(lambda g, key: g, variation, 1.0, batch_size=8)
    run = MAPElites(scoring, emitter, lambda repertoire: {})
    centroids = compute_euclidean_centroids((4, 4), 0.0, 1.0)
    repertoire, state, *_ = run.init(tree, centroids, jax.random.key(0))
    update = jax.jit(run.update)
    for i in range(4):
        repertoire, state, *_ = update(repertoire, state, jax.random.key(i + 1))
    filled = repertoire.fitnesses.reshape(-1) > -jnp.inf
    kept_tree = jax.tree.map(lambda part: part[filled], repertoire.genotypes)
    assert int(filled.sum()) > 8
    assert computes(_network(kept_tree, layout), theta, x) is kept


@pytest.mark.parametrize("kind", ["aligned", "naive", "its own"])
def test_evosax(theta, x, mixed, kind):
    import jax
    import jax.numpy as jnp
    import optax
    from evosax.algorithms import SimpleGA

    tree = _trees(mixed)
    layout = Layout.of_tree(tree)
    classes = {
        "aligned": evosax_algorithm(layout, x.numpy()),
        "naive": evosax_algorithm(layout, x.numpy(), method="naive"),
        "its own": SimpleGA,
    }
    single = jax.tree.map(lambda part: part[0], tree)
    run = classes[kind](MEMBERS, single, std_schedule=optax.constant_schedule(0.0))
    params = run.default_params.replace(crossover_rate=0.5)
    state = run.init(jax.random.key(0), tree, jnp.arange(float(MEMBERS)), params)
    ask, tell = jax.jit(run.ask), jax.jit(run.tell)
    for i in range(3):
        population, state = ask(jax.random.key(i), state, params)
        fitness = jax.random.uniform(jax.random.key(10 + i), (MEMBERS,))
        state, *_ = tell(jax.random.key(i), population, fitness, state, params)
    assert computes(_network(population, layout), theta, x) is (kind == "aligned")

"""The plug-ins in real runs of their libraries: `make test-evolution` has them, `make test` not.

The first population are copies of one network, each with its neurons in an order of its own.
Children of aligned parents compute what that network does, whatever is selected; those of the
libraries' own crossovers do not.
"""

import re
import sysconfig
from functools import partial
from importlib.metadata import distributions
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from packaging.utils import canonicalize_name

from safecross import initialise, stack
from safecross.evolution.adapters import (
    evosax_algorithm,
    evotorch_crossover,
    pygad_crossover,
    qdax_variation,
)
from safecross.evolution.layouts import Layout, population_of_tree, tree_of_population
from safecross.evolution.population import scramble

pytestmark = pytest.mark.plugins

WIDTHS, MEMBERS = (4, 8, 6, 2), 12

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ("constraints.txt", "constraints-evolution.txt")


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


@pytest.fixture
def tree(mixed):
    import jax
    import jax.numpy as jnp

    like = {"params": {f"Dense_{d}": shape for d, shape in enumerate(_shapes(WIDTHS))}}
    return jax.tree.map(jnp.asarray, tree_of_population(mixed, like))


def _shapes(widths) -> list[dict]:
    return [{"kernel": np.zeros(shape), "bias": np.zeros(shape[1])} for shape in pairwise(widths)]


def test_the_layout_of_a_tree_is_that_of_ravel_pytree(mixed, tree):
    import jax
    from jax.flatten_util import ravel_pytree

    layout = Layout.of_tree(tree)
    assert layout == Layout(WIDTHS, "jax")
    rows = jax.vmap(lambda one: ravel_pytree(one)[0])(tree)
    assert np.array_equal(rows, layout.vectors(mixed))
    read = layout.population(rows), population_of_tree(tree)
    assert all(torch.equal(layout.vectors(one), layout.vectors(mixed)) for one in read)


def test_the_layout_is_that_of_flax(x):
    import flax.linen as nn
    import jax

    class Dense(nn.Module):
        @nn.compact
        def __call__(self, x):
            for width in WIDTHS[1:-1]:
                x = nn.relu(nn.Dense(width)(x))
            return nn.Dense(WIDTHS[-1])(x)

    one = Dense().init(jax.random.key(0), x.numpy())
    assert Layout.of_tree(one) == Layout(WIDTHS, "jax")
    population = population_of_tree(jax.tree.map(lambda part: part[None], one))
    expected = np.array(Dense().apply(one, x.numpy()))
    assert np.allclose(population(x)[0], expected, atol=1e-5)


def test_the_layout_is_that_of_evotorch_and_pygad(theta):
    from evotorch.neuroevolution.net import parameter_vector
    from pygad.torchga import model_weights_as_vector

    row = Layout(WIDTHS).vectors(stack([theta]))[0]
    assert torch.equal(parameter_vector(theta.to_torch()), row)
    assert np.array_equal(model_weights_as_vector(theta.to_torch()), row)


@pytest.mark.parametrize("kind", ["aligned", "naive", "its own"])
def test_qdax(theta, x, tree, kind):
    import jax
    import jax.numpy as jnp
    from qdax.core.containers.mapelites_repertoire import compute_euclidean_centroids
    from qdax.core.emitters.mutation_operators import isoline_variation
    from qdax.core.emitters.standard_emitters import MixingEmitter
    from qdax.core.map_elites import MAPElites

    layout = Layout.of_tree(tree)
    variation = {
        "aligned": qdax_variation(layout, x.numpy()),
        "naive": qdax_variation(layout, x.numpy(), method="naive"),
        "its own": partial(isoline_variation, iso_sigma=0.0, line_sigma=0.5),
    }[kind]

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
    assert computes(population_of_tree(kept_tree), theta, x) is (kind == "aligned")


@pytest.mark.parametrize("kind", ["aligned", "naive", "its own"])
def test_evosax(theta, x, tree, kind):
    import jax
    import jax.numpy as jnp
    import optax
    from evosax.algorithms import SimpleGA

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
    assert computes(population_of_tree(population), theta, x) is (kind == "aligned")


# What does not fit


def test_solutions_of_another_length_are_refused_by_evotorch(x):
    from evotorch import Problem

    problem = Problem("max", lambda v: v.sum(), solution_length=9, initial_bounds=(0, 1))
    with pytest.raises(ValueError, match=r"solutions of 108 entries.*\(4, 8, 6, 2\); found 9"):
        evotorch_crossover(problem, Layout(WIDTHS), x)


@pytest.mark.parametrize("other", [Layout(WIDTHS, "torch"), Layout((4, 8, 6, 3), "jax")])
def test_trees_of_another_layout_are_refused_by_qdax_and_evosax(x, tree, other):
    import jax

    with pytest.raises(ValueError, match=r"expected networks of Layout.*found a tree of Layout"):
        qdax_variation(other, x)(tree, tree, jax.random.key(0))
    single = jax.tree.map(lambda part: part[0], tree)
    run = evosax_algorithm(other, x)(MEMBERS, single)
    fitness = jax.numpy.zeros(MEMBERS)
    with pytest.raises(ValueError, match=r"expected networks of Layout.*found a tree of Layout"):
        run.init(jax.random.key(0), tree, fitness, run.default_params)


@pytest.mark.parametrize(
    "make", [qdax_variation, evosax_algorithm, partial(evotorch_crossover, None)]
)
def test_what_is_unusable_is_told_before_a_run(make, x):
    with pytest.raises(ValueError, match="did you mean 'sc-pwc'"):
        make(Layout(WIDTHS), x, method="sc-pcw")


# Chance and size


@pytest.mark.parametrize(("seeds", "same"), [((1, 1), True), ((1, 2), False)])
def test_the_chance_of_evotorch_is_its_problems(x, seeds, same):
    from evotorch import Problem

    layout = Layout(WIDTHS)
    parents = torch.rand(2, 5, layout.size, generator=torch.Generator().manual_seed(0))
    found = []
    for number, seed in enumerate(seeds):
        torch.manual_seed(number)
        problem = Problem(
            "max", lambda v: v.sum(), solution_length=layout.size, initial_bounds=(0, 1), seed=seed
        )
        crossover = evotorch_crossover(problem, layout, x, method="naive")
        found.append(crossover._do_cross_over(*parents).values.clone())
    assert torch.equal(*found) is same


def test_the_chance_of_jax_is_its_keys(x, tree):
    import jax

    variation = jax.jit(qdax_variation(Layout.of_tree(tree), x, method="naive"))
    other = jax.tree.map(lambda part: part[::-1], tree)
    rows = [
        Layout(WIDTHS).vectors(population_of_tree(variation(tree, other, jax.random.key(seed))))
        for seed in (0, 0, 1)
    ]
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])


def test_large_populations_do_not_block_the_way_to_the_host():
    import jax

    widths = (100, 256, 256, 10)
    layout = Layout(widths, "jax")
    rows = jax.random.normal(jax.random.key(0), (32, layout.size))
    like = {f"Dense_{d}": shape for d, shape in enumerate(_shapes(widths))}
    tree = tree_of_population(layout.population(rows), like)
    variation = qdax_variation(layout, np.eye(100), method="naive")

    def one(tree, key):
        return variation(tree, tree, key), None

    keys = jax.random.split(jax.random.key(1), 5)
    after, _ = jax.jit(lambda tree: jax.lax.scan(one, tree, keys))(tree)
    assert np.array_equal(layout.vectors(population_of_tree(after)), rows)


def test_all_that_the_environment_holds_of_its_own_is_pinned():
    text = "".join((ROOT / name).read_text() for name in CONSTRAINTS)
    pins = {canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}
    own = distributions(path=[sysconfig.get_path("purelib")])
    found = {canonicalize_name(one.metadata["Name"]) for one in own}
    assert {"jax", "ray", "brax", "gymnasium"} <= found
    assert found - pins == {"pip", "safecross"}

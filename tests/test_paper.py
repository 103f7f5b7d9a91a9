"""The configs of the book are those of Section 5, and what it leaves open is varied."""

import pytest

from safecross.alignment.operators import OPERATORS
from safecross.alignment.registry import METHODS
from safecross.alignment.spelling import parse_operator, split_after
from safecross.crossover.curve import GRID
from safecross.replication import paper
from safecross.replication.config import Config
from safecross.replication.paper import (
    COUNT_EPOCHS,
    DIRECTIONS,
    FASHION_PAIRS,
    MAIN,
    METHOD_PAIRS,
    RANKING_CELLS,
    RIDGES,
    cell_config,
    main_config,
    methods_config,
    published_configs,
    sc_cca,
    sweep_config,
    variant_config,
    variants,
)
from safecross.runs import record_name

DATASETS = ("mnist", "cifar10", "mnist5k", "own.npz")
KINDS = (main_config, sweep_config, variant_config, cell_config, methods_config)


def test_the_architectures_and_pairs_are_section_5s():
    mnist, cifar10 = main_config("mnist"), main_config("cifar10")
    assert (mnist.hidden, cifar10.hidden) == ((512,), (100, 100, 100))
    assert mnist.n_pairs == cifar10.n_pairs == 200
    assert mnist.t == GRID
    assert (GRID[0], GRID[-1]) == (-0.25, 1.25)
    assert mnist.output_bias and mnist.softmax == "example"


def test_sc_cca_is_what_section_5_2_1_settles():
    assert parse_operator(sc_cca("mnist")) == ("sc-cca", {"directions": 256})
    assert parse_operator(sc_cca("cifar10")) == ("sc-cca", {})
    for dataset, fields in MAIN.items():
        assert parse_operator(sc_cca(dataset))[1].get("directions", 1) <= max(fields["hidden"])


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_main_experiment_has_every_operator(dataset):
    config = main_config(dataset)
    assert {parse_operator(op)[0] for op in config.operators} == set(OPERATORS)
    assert sc_cca(dataset) in config.operators


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_sweep_has_every_penalty_and_number_of_directions(dataset):
    config = sweep_config(dataset)
    options = [parse_operator(op)[1] for op in config.operators]
    assert {o["ridge"] for o in options if "ridge" in o} == set(RIDGES) == {0.01, 0.1, 1}
    found = {o["directions"] for o in options if "directions" in o}
    assert set(DIRECTIONS.get(dataset, ())) <= found
    assert max(found) <= max(config.hidden)
    for penalty in ({}, {"penalty": "kernel"}):
        for views in ({}, {"standardise": False}):
            assert all({"ridge": ridge, **penalty, **views} in options for ridge in RIDGES)
    for name, value in (
        ("rule", "rank"), ("leftover", "correlation"), ("standardise", False),
        ("weights", "deflated"),
    ):  # fmt: skip
        assert any(o.get(name) == value for o in options)


def test_the_sweep_keeps_to_narrower_layers():
    found = [parse_operator(op)[1] for op in sweep_config("own.npz", hidden=(8,)).operators]
    assert {o["directions"] for o in found if "directions" in o} == {2, 8}


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("dataset", DATASETS)
def test_any_field_can_be_set_otherwise(make, dataset):
    changes = {"hidden": (300, 200), "epochs": 7, "t": (0, 0.5, 1), "learning_rate": 0.1}
    config = make(dataset, 3, 4, **changes)
    assert isinstance(config, Config)
    assert (config.dataset, config.n_pairs, config.seed) == (dataset, 3, 4)
    assert {field: getattr(config, field) for field in changes} == changes


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_variants_are_configs_unlike_one_another(dataset, own_data):
    if dataset == "own.npz":  # how large its batches are depends on the file
        dataset = str(own_data)
    configs = [variant_config(dataset, **changes) for changes in variants(dataset).values()]
    assert len({config.hash() for config in configs}) == len(variants(dataset)) >= 7
    assert configs[0].to_dict() == variant_config(dataset).to_dict()


def test_the_variants_share_their_parents():
    configs = [variant_config("mnist", **changes) for changes in variants("mnist").values()]
    assert len({config.parents_hash("f00") for config in configs}) == 1


def test_the_cells_are_other_networks_than_the_main_experiments():
    configs = [cell_config(**changes) for changes in RANKING_CELLS.values()]
    main = main_config("cifar10").parents_hash("f00")
    assert main not in {config.parents_hash("f00") for config in configs}
    # The paper's own condition is among them, under its name.
    assert cell_config(**RANKING_CELLS["3 epochs"]).hash() == cell_config().hash()
    assert len({config.hash() for config in configs}) == len(RANKING_CELLS)


def test_the_counts_are_taken_at_several_training_lengths():
    configs = [cell_config("mnist", epochs=epochs) for epochs in COUNT_EPOCHS]
    assert sorted({config.epochs for config in configs}) == list(COUNT_EPOCHS)
    assert all(sc_cca("mnist") in config.operators for config in configs)


def test_what_is_published_is_told_apart_and_has_every_kind():
    configs = published_configs()
    names = [record_name(config) for config in configs]
    assert len(set(names)) == len(configs)
    for config in (main_config("cifar10"), sweep_config("mnist"), cell_config(epochs=1)):
        assert config in configs


def test_alignment_batches_are_no_larger_than_the_data(own_data):
    sizes = [changes.get("align_n") for changes in variants(str(own_data)).values()]
    assert {60, 40} == set(filter(None, sizes))  # of 60 + 40 examples
    assert {10_000, 1_000} == {c["align_n"] for c in variants("mnist").values() if "align_n" in c}


def test_the_third_data_set_has_mnists_settings():
    fashion = main_config("fashion-mnist", FASHION_PAIRS)
    assert fashion == main_config("mnist", FASHION_PAIRS).replace(dataset="fashion-mnist")
    assert fashion in published_configs()


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
def test_every_method_faces_the_pairs_of_the_main_experiment(dataset):
    config = methods_config(dataset)
    main = main_config(dataset)
    assert config.parents_hash("x") == main.parents_hash("x")
    assert config.n_pairs == METHOD_PAIRS <= main.n_pairs
    assert config.align_split == "train"
    named = {parse_operator(split_after(operator)[0])[0] for operator in config.operators}
    newer = {"ste", "sinkhorn"}  # than the published records
    assert named >= {name for name, method in METHODS.items() if method.one_to_one} - newer
    assert config in published_configs()


def test_cells_of_one_size_differ_in_nothing_else():
    for what, size in (("width", lambda c: c.hidden[0]), ("depth", lambda c: len(c.hidden))):
        configs = {n: cell_config(hidden=hidden) for n, hidden in paper.SIZES[what].items()}
        assert [size(config) for config in configs.values()] == list(configs) == sorted(configs)
        assert len({config.replace(hidden=(1,)) for config in configs.values()}) == 1
        assert set(configs.values()) <= set(published_configs())
        # Cells of the ranking are among them, not once more.
        assert cell_config(**paper.RANKING_CELLS["3 epochs"]) in configs.values()


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
def test_every_method_faces_the_pairs_of_the_others(dataset):
    one, more = paper.methods_config(dataset), paper.more_methods_config(dataset)
    assert one.replace(operators=more.operators) == more
    named = {
        parse_operator(split_after(operator)[0])[0]
        for config in (one, more)
        for operator in config.operators
    }
    assert named == set(METHODS), "the book compares every method that there is"
    assert set(one.operators) & set(more.operators) == {"sc-pwc"}

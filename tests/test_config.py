"""A config is checked, frozen, and named by what it says."""

import dataclasses
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safecross.alignment.spelling import AFTER, literal, parse_operator, split_after
from safecross.crossover.curve import GRID
from safecross.networks.metrics import SOFTMAX
from safecross.networks.training import PRODUCTS
from safecross.replication.config import ALIGN_SPLITS, INPUTS, Config
from safecross.runs.config import network_seed

BASE = Config("mnist5k", (16, 8), 2, 3, ("naive", "sc-cca:directions=4"))

# A valid change of each field.
CHANGES = {
    "dataset": "mnist",
    "hidden": (8, 16),
    "epochs": 3,
    "n_pairs": 4,
    "operators": ("sc-cca:directions=4", "naive"),
    "seed": 1,
    "batch_size": 64,
    "learning_rate": 2e-3,
    "products": "bfloat16",
    "inputs": "standardised",
    "t": (0, 0.5, 1),
    "align_split": "train",
    "align_n": 10,
    "softmax": "matrix",
    "output_bias": False,
}


def test_it_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        BASE.epochs = 3


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("hidden", "16,8", "hidden must be a list; found '16,8'"),
        ("hidden", 16, "hidden must be a list; found 16"),
        ("hidden", (16, 0), "each width in hidden must be a whole number >= 1; found 0"),
        ("hidden", (16, 2.5), "each width in hidden must be a whole number >= 1; found 2.5"),
        ("hidden", (True,), "each width in hidden must be a whole number >= 1; found True"),
        ("epochs", -1, "epochs must be a whole number >= 0; found -1"),
        ("epochs", 1.0, "epochs must be a whole number >= 0; found 1.0"),
        ("n_pairs", 0, "n_pairs must be a whole number >= 1; found 0"),
        ("n_pairs", 1.5, "n_pairs must be a whole number >= 1; found 1.5"),
        ("seed", -1, "seed must be a whole number >= 0; found -1"),
        ("seed", None, "seed must be a whole number >= 0; found None"),
        ("batch_size", 0, "batch_size must be a whole number >= 1; found 0"),
        ("learning_rate", 0, "learning_rate must be positive and finite; found 0.0"),
        ("learning_rate", float("nan"), "learning_rate must be positive and finite; found nan"),
        ("learning_rate", float("inf"), "learning_rate must be positive and finite; found inf"),
        ("learning_rate", "fast", "learning_rate must be a number; found 'fast'"),
        ("learning_rate", None, "learning_rate must be a number; found None"),
        ("products", "float16", "unknown products 'float16': did you mean 'bfloat16' or 'float32'"),
        ("inputs", "units", "unknown inputs 'units': did you mean 'unit'"),
        ("t", (0, 1), r"t must be finite and hold 0, 0\.5 and 1; found \(0\.0, 1\.0\)"),
        ("t", (0, 0.5, 1, float("nan")), r"t must be finite and hold 0, 0\.5 and 1"),
        ("t", (0, 0.5, 1, 1), "t must hold no point twice"),
        ("t", (0, "half", 1), "t must be a number; found 'half'"),
        ("t", 0.5, r"t must be a list; found 0\.5"),
        ("align_split", "test", "unknown align_split 'test'"),
        ("align_n", 1, "align_n must be a whole number >= 2; found 1"),
        ("softmax", "examples", "unknown softmax 'examples': did you mean 'example'"),
        ("output_bias", 0, "output_bias must be true or false; found 0"),
        ("operators", (), "operators must name at least one, none twice"),
        ("operators", ("naive", "naive"), "operators must name at least one, none twice"),
        ("operators", "naive", "operators must be a list; found 'naive'"),
        ("operators", ("naive", 3), "operators must be strings; found 3"),
        ("operators", ("sc-pcw",), "unknown operator 'sc-pcw': did you mean 'sc-pwc'"),
        ("output_bias", "no", "output_bias must be true or false; found 'no'"),
        ("dataset", None, "dataset must be a name or a path; found None"),
        ("dataset", 5, "dataset must be a name or a path; found 5"),
        ("n_pairs", 2**70, "n_pairs must be at most 2147483647; found 1180591620717411303424"),
        ("learning_rate", 10**400, "learning_rate must be a number; found 1000"),
        ("learning_rate", True, "learning_rate must be a number; found True"),
        ("learning_rate", 1j, "learning_rate must be a number; found 1j"),
        ("t", (0, 0.5, 1, 10**400), "t must be a number; found 1000"),
        ("t", {0: 1}, "t must be a list; found {0: 1}"),
        ("hidden", {5: 1}, "hidden must be a list; found {5: 1}"),
        ("hidden", {5, 6}, "hidden must be a list; found {5, 6}"),
    ],
)
def test_each_field_is_checked(field, value, message):
    with pytest.raises(ValueError, match=message):
        BASE.replace(**{field: value})


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("products", PRODUCTS),
        ("inputs", INPUTS),
        ("align_split", ALIGN_SPLITS),
        ("softmax", SOFTMAX),
    ],
)
def test_each_choice_is_accepted(field, values):
    assert [getattr(BASE.replace(**{field: value}), field) for value in values] == list(values)


def test_the_grid_is_the_papers_by_default():
    assert BASE.t == GRID


def test_the_hash_is_the_one_that_records_have():
    # If this fails, every record on anybody's disk has lost its name: count up _FORMAT if meant.
    assert BASE.hash() == "99c614fb0716"
    assert BASE.hash("0" * 64) == "77400c2eba21"
    assert BASE.parents_hash("0" * 64) == "bd6dfa48554e"


def test_the_hash_does_not_depend_on_how_the_values_are_written():
    same = Config(
        operators=["naive", "sc-cca:directions=4"],
        t=np.array(GRID),
        n_pairs=np.int64(3),
        epochs=np.int32(2),
        hidden=np.array([16, 8]),
        learning_rate="1e-3",
        dataset="mnist5k",
    )
    assert same == BASE
    assert same.hash() == BASE.hash()
    assert BASE.replace(t=(0, 0.5, 1)).hash() == BASE.replace(t=[0.0, 0.5, 1.0]).hash()


def test_every_field_changes_the_hash():
    assert set(CHANGES) == {field.name for field in dataclasses.fields(Config)}
    hashes = {BASE.replace(**{field: value}).hash() for field, value in CHANGES.items()}
    assert len(hashes | {BASE.hash()}) == len(CHANGES) + 1


def test_a_fingerprint_stands_for_the_path_of_ones_own_file():
    here, there = (BASE.replace(dataset=path) for path in ("own.npz", "/elsewhere/moved.npz"))
    assert here.hash() != there.hash()
    assert here.hash("f00") == there.hash("f00") != here.hash("ba5")


def test_configs_share_parents_if_they_train_them_alike():
    shared = {"n_pairs", "operators", "t", "align_split", "align_n", "softmax", "output_bias"}
    for field, value in CHANGES.items():
        same = BASE.replace(**{field: value}).parents_hash("f00") == BASE.parents_hash("f00")
        assert same == (field in shared | {"dataset"}), field
    assert BASE.parents_hash("f00") != BASE.parents_hash("ba5")


@given(
    st.builds(
        Config,
        dataset=st.sampled_from(["mnist", "own.npz"]),
        hidden=st.lists(st.integers(1, 999), max_size=3),
        epochs=st.integers(0, 99),
        n_pairs=st.integers(1, 999),
        operators=st.permutations(["naive", "sc-pwc", "sc-cca:ridge=0.1"]),
        seed=st.integers(0, 2**70),
        learning_rate=st.floats(1e-9, 1e3),
        t=st.sets(st.floats(-9, 9), max_size=5).map(lambda t: sorted(t | {0.0, 0.5, 1.0})),
        align_n=st.none() | st.integers(2, 99),
    )
)
def test_a_config_comes_back_from_its_values_in_any_order(config):
    values = json.loads(json.dumps(config.to_dict()))
    again = Config.from_dict(dict(reversed(values.items())))
    assert again == config
    assert again.hash() == config.hash()


def test_an_unknown_field_gets_the_nearest_names():
    message = "unknown field of a config 'epoch': did you mean 'epochs'"
    with pytest.raises(ValueError, match=message):
        Config.from_dict({**BASE.to_dict(), "epoch": 3})


def test_a_flag_of_numpy_gives_the_same_hash():
    assert BASE.replace(output_bias=np.True_).hash() == BASE.hash()


# Operators in one word


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("naive", "naive", {}),
        ("sc-cca:ridge=0.1", "sc-cca", {"ridge": 0.1}),
        ("sc-cca:directions=0.99,rule=rank", "sc-cca", {"directions": 0.99, "rule": "rank"}),
        ("sc-cca:standardise=false", "sc-cca", {"standardise": False}),
        ("sc-cca:standardise=False", "sc-cca", {"standardise": False}),
    ],
)
def test_an_operator_is_read_from_one_word(text, name, options):
    assert parse_operator(text) == (name, options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sc-ccc", "unknown operator 'sc-ccc': did you mean 'sc-cca'"),
        ("", "unknown operator ''"),
        ("naive:ridge=1", "unknown option of operator 'naive' 'ridge'"),
        ("sc-cca:rigde=1", "unknown option of operator 'sc-cca' 'rigde': did you mean 'ridge'"),
        ("sc-cca:ridge", "expected option=value in operator 'sc-cca:ridge'; found 'ridge'"),
        ("sc-cca:ridge=1,ridge=2", "expected each option once .*; found two ridge"),
        (None, "operators must be strings; found None"),
        ("sc-cca:ridge=", "expected option=value in operator 'sc-cca:ridge='; found 'ridge='"),
    ],
)
def test_a_mistaken_operator_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_operator(text)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("7", 7),
        ("-1.5", -1.5),
        ("1e-3", 1e-3),
        ("True", True),
        ("null", None),
        ("a b", "a b"),
        ("[]", "[]"),
        ('{"a": 1}', '{"a": 1}'),
        ("[" * 100_000, "[" * 100_000),
    ],
    ids=lambda value: str(value)[:9],
)
def test_a_word_becomes_a_value(word, value):
    assert literal(word) == value
    assert type(literal(word)) is type(value)


# Seeds


def test_a_networks_seed_depends_on_the_experiments_seed_and_its_number_alone():
    seeds = [network_seed(BASE, i) for i in range(1000)]
    others = [network_seed(BASE.replace(seed=1), i) for i in range(1000)]
    assert len({*seeds, *others}) == 2000
    assert all(0 <= seed < 2**63 for seed in seeds)
    changed = [BASE.replace(**{f: v}) for f, v in CHANGES.items() if f != "seed"]
    assert {network_seed(config, 999) for config in changed} == {seeds[999]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sc-cca:leftover=bogus", "unknown leftover rule 'bogus'"),
        ("sc-cca:rule=[1]", "unknown rule of Algorithm 1"),
        ("sc-cca:standardise=no", "standardise must be true or false; found 'no'"),
        ("sc-cca:penalty=kernl", "unknown penalty 'kernl': did you mean 'kernel'"),
        ("sc-cca:weights=1", "unknown weights 1"),
        ("sc-cca:ridge=abc", "ridge must be finite and >= 0; found 'abc'"),
        ("sc-cca:ridge=null", "ridge must be finite and >= 0; found None"),
        ("sc-cca:ridge=[]", "ridge must be finite and >= 0; found '[]'"),
        ("sc-cca:ridge={}", "ridge must be finite and >= 0; found '{}'"),
        ("sc-cca:ridge=" + "[" * 100_000, "ridge must be finite and >= 0; found '[[["),
        ("sc-cca:ridge=" + "1" * 400, "ridge must be finite and >= 0; found 111"),
        ("sc-cca:standardise=0", "standardise must be true or false; found 0"),
        ("sc-cca:directions=0", "directions must be a whole number >= 1; found 0"),
        ("sc-cca:directions=1.5", "found 1.5"),
    ],
)
def test_values_of_options_are_checked_before_anything_is_trained(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Config("mnist5k", (4,), 1, 1, (text,))


def test_what_follows_an_operator_is_read_apart():
    assert AFTER == ("repair", "reestimate")
    assert split_after("sc-cca:ridge=1e+3+repair") == ("sc-cca:ridge=1e+3", "repair")
    assert split_after("naive+repairs") == ("naive+repairs", "")
    assert Config("mnist", (4,), 1, 1, ("naive", "naive+repair")).operators[1] == "naive+repair"
    with pytest.raises(ValueError, match=r"networks have no batch norms; found .*naive.reest"):
        Config("mnist", (4,), 1, 1, ("naive+reestimate",))
    with pytest.raises(ValueError, match=r"unknown operator 'naive.repairs'"):
        Config("mnist", (4,), 1, 1, ("naive+repairs",))

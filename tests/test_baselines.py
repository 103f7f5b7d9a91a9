"""What else is made of two parents, beside their child."""

import numpy as np
import pandas as pd
import pytest
import torch

from safecross import ensemble_curve, load_data, train
from safecross.networks.metrics import accuracy, cross_entropy
from safecross.replication.baselines import (
    BASELINES,
    Baselines,
    BaselinesConfig,
    baselines_config,
    baselines_family,
)
from safecross.replication.config import Config
from safecross.replication.pairs import train_parents
from safecross.replication.paper import methods_config
from safecross.runs import load_record, run, verify
from safecross.runs.config import network_seed


@pytest.fixture
def config(own_data) -> BaselinesConfig:
    return BaselinesConfig(str(own_data), (5, 4), 3, 2, batch_size=16, align_n=40)


@pytest.fixture
def pairs(own_data) -> Config:
    """Describe the experiment on the same pairs that only crosses them over."""
    return Config(
        own_data, (5, 4), 3, 2, ("sc-pwc",), t=(0, 0.5, 1), batch_size=16,
        align_split="train", align_n=40,
    )  # fmt: skip


def test_the_child_and_its_parents_are_those_of_the_other_experiment(config, pairs, runs):
    ours, theirs = run(config, workers=1), run(pairs, workers=1)
    for column in ("seed_a", "seed_b", "loss_a", "loss_b", "accuracy_a", "accuracy_b"):
        assert np.allclose(ours.tables["pairs"][column], theirs.pairs[column], rtol=1e-6)
    made = ours.tables["results"].pivot(index="pair", columns="what", values="loss")
    assert np.allclose(made["child"], theirs.at(0.5)["sc-pwc"], rtol=1e-5)
    assert (made["child"] != made["distilled child"]).all()


def test_each_baseline_is_what_its_name_says(config, pairs):
    found = Baselines(config).compute_again(1)
    (a, _), (b, _) = train_parents(pairs, (2, 3))
    data = load_data(config.dataset)
    (x, y), test = data.split("train"), data.split("validation")
    assert found["parents"][1].tolist() == pytest.approx(_scores(b, test))
    curve = ensemble_curve(a, b, *test, t=0.5)
    assert found["result.ensemble"].tolist() == pytest.approx([curve.loss[0], curve.accuracy[0]])
    seed = network_seed(config, 2)
    longer = train(x, y, config.hidden, seed, epochs=6, batch_size=16)
    assert found["result.trained longer"].tolist() == pytest.approx(_scores(longer, test))
    assert found["result.trained longer"].tolist() != found["parents"][0].tolist()


def test_a_distilled_network_comes_nearer_to_both_parents(config, pairs):
    (a, _), (b, _) = train_parents(pairs, (0, 1))
    x = load_data(config.dataset).split("train")[0]
    rng = torch.Generator().manual_seed(0)
    longer = config.replace(epochs=200)

    def apart(network):
        goal = torch.stack([a(x).softmax(-1), b(x).softmax(-1)]).mean(0)
        return float((goal * (goal.log() - network(x).log_softmax(-1))).sum(-1).mean())

    assert apart(Baselines(longer)._distilled(a, a, b, x, rng)) < 0.7 * apart(a)


def _scores(network, test) -> list[float]:
    logits = network(test[0])
    return [float(cross_entropy(logits, test[1])), float(accuracy(logits, test[1]))]


def test_a_record_is_verified_and_a_changed_one_is_noticed(config, runs):
    record = run(config, workers=1)
    read = load_record(record.folder).config
    assert read.replace(dataset=config.dataset) == config
    table = verify(record, n_pairs=2, tolerance=1e-6, dataset=config.dataset)
    assert table["ok"].all() and len(table)
    rows = record.tables["results"]
    assert len(rows) == 2 * len(BASELINES) and rows.notna().all(axis=None)
    assert set(rows["what"]) == set(BASELINES)
    for name in ("results", "pairs"):
        column = "loss" if name == "results" else "loss_b"
        changed = record.tables[name].assign(**{column: record.tables[name][column] + 0.1})
        other = Baselines(config).differences(
            _With(record, {**record.tables, name: changed}), 1, Baselines(config).compute_again(1)
        )
        assert max(apart for _, _, apart, _ in other) > 0.05


class _With:
    """A record with other tables."""

    def __init__(self, record, tables):
        self.config, self.tables = record.config, tables


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number >= 1; found 0"),
        ({"hidden": (0,)}, "each width must be a whole number >= 1; found 0"),
        ({"batch_size": 1}, "batch_size must be a whole number >= 2; found 1"),
        ({"learning_rate": "fast"}, "learning_rate must be a number"),
    ],
)
def test_bad_settings_are_told(config, change, message):
    with pytest.raises(ValueError, match=message):
        config.replace(**change)


def test_the_family_compares_all_with_the_child_and_training_with_what_it_started_from():
    config = baselines_config("mnist")
    assert (config.hidden, config.epochs) == (methods_config("mnist").hidden, 5)
    rng = np.random.default_rng(0)
    worth = dict(zip(BASELINES, (0.5, 0.2, 0.3, 0.3, 0.3), strict=True))
    rows = [
        (pair, what, worth[what] + 0.01 * rng.normal(), 0.9)
        for pair in range(20)
        for what in BASELINES
    ]
    parents = [(pair, 0, 0, 0.4 + 0.01 * rng.normal(), 0.4, 0.9, 0.9) for pair in range(20)]
    record = _With(
        type("record", (), {"config": config}),
        {
            "results": pd.DataFrame(rows, columns=Baselines.schema["results"]),
            "pairs": pd.DataFrame(parents, columns=Baselines.schema["pairs"]),
        },
    )
    found = {(r.first, r.second): r.verdict for r in baselines_family(record).itertuples()}
    assert len(found) == 11
    assert {v for (_, second), v in found.items() if second == "child"} == {"lower"}
    assert found["trained longer", "first parent"] == "lower"
    assert found["distilled", "ensemble"] == "higher"
    assert found["distilled child", "distilled"] == "no difference"
    flat = baselines_family(record, "accuracy")
    assert set(flat["verdict"]) == {"no difference"}

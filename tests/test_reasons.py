"""What is measured to ask why: matchings of the same neurons, and a loss taken apart."""

import numpy as np
import pytest
import torch

from safecross import (
    LayerPair,
    cross_entropy,
    match_one_to_one,
    store,
)
from safecross.book.results import split_names
from safecross.replication.reasons import (
    chosen_and_left,
    load_reasons,
    measure_pair,
    softmax_parts,
)
from safecross.store import DamagedFile, load_sealed


@pytest.fixture
def layers(make_examples) -> LayerPair:
    a = make_examples(200, 8).relu()
    return LayerPair(a, a[:, torch.randperm(8, generator=torch.Generator().manual_seed(0))] + 0.1)


def test_the_same_neurons_are_paired_in_four_ways(layers):
    found = chosen_and_left(layers, "sc-cca:directions=5")
    between = layers.between.numpy()
    chosen = {how: (set(m.la[:5]), set(m.lb[:5])) for how, (m, _, _) in found.items()}
    assert len(chosen) == 4 and all(sets == chosen["components, index"] for sets in chosen.values())
    for how, (matching, mean, left) in found.items():
        assert sorted(matching.la) == sorted(matching.lb) == list(range(8))
        pairs = between[matching.la, matching.lb]
        assert (mean, left) == (pytest.approx(pairs[:5].mean()), pytest.approx(pairs[5:].mean()))
        if how.startswith("correlation"):
            la, lb = (sorted(side) for side in chosen[how])
            block = between[np.ix_(la, lb)]
            best = match_one_to_one(block)
            assert mean == pytest.approx(block[best.la, best.lb].mean())
    assert found["correlation, index"][1] >= found["components, index"][1]
    assert found["components, correlation"][2] >= found["components, index"][2]


def test_components_for_all_neurons_leave_none(layers):
    assert all(np.isnan(left) for _, _, left in chosen_and_left(layers, "sc-cca").values())


def test_the_loss_over_the_whole_matrix_is_the_sum_of_its_parts(make_examples):
    logits, y = make_examples(50, 10, dtype=torch.float64), torch.arange(50) % 10
    for scale in (0.1, 1.0, 3.0):
        parts = softmax_parts(scale * logits, y)
        total = parts["usual"] + parts["log n"] + parts["unevenness"]
        assert total == pytest.approx(parts["matrix"], abs=1e-9)
        assert parts["matrix"] == pytest.approx(float(cross_entropy(scale * logits, y, "matrix")))
        assert parts["unevenness"] >= 0
    even = [softmax_parts(scale * logits, y)["even scale"] for scale in (0.1, 3.0)]
    assert even[0] == pytest.approx(even[1])


def test_every_child_of_a_pair_is_measured(make_network, make_examples):
    a, b = (make_network((6, 8, 3), seed) for seed in (0, 1))
    rows = measure_pair(a, b, make_examples(60, 6), torch.arange(60) % 3, "sc-cca:directions=4")
    losses = {row["child"]: row["loss"] for row in rows}
    assert set(losses) == set(load_reasons()["child"]) and len(set(losses.values())) > 3


def test_the_file_is_of_the_first_pairs_of_both_data_sets(tmp_path):
    table = load_reasons()
    assert set(table["data set"]) == {"mnist", "cifar10"}
    assert (table.groupby(["data set", "child"])["pair"].apply(list).str.len() == 20).all()
    store.save_json(tmp_path / "a.json", store.sealed({"rows": []}))
    assert load_sealed(tmp_path / "a.json")["rows"] == []
    store.save_json(tmp_path / "a.json", {**store.sealed({"rows": []}), "rows": [1]})
    with pytest.raises(DamagedFile, match="is not what its SHA-256"):
        load_sealed(tmp_path / "a.json")


def test_names_of_data_sets_are_split_at_commas_but_not_within_a_file():
    assert split_names("mnist,cifar10") == ["mnist", "cifar10"]
    assert split_names("folder/a,b.npz, mnist") == ["folder/a,b.npz", "mnist"]

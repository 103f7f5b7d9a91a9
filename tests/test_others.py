"""Results of others beside ours: what agrees is told by a rule."""

import pytest

from safecross.replication.others import REPAIR_OPERATORS, REPAIR_ROWS, repair_config, repair_table

ROW = "7 layers of 128, MNIST"


def made(make_record, aligned):
    accuracy = {"naive": 0.1, "sc-pwc": aligned, "sc-pwc+repair": 0.83}
    loss = {name: [1.0] * len(aligned) for name in REPAIR_OPERATORS}
    return make_record(loss, accuracy, parents_accuracy=0.9)


def test_a_row_is_trained_as_the_table_says():
    for row, (dataset, hidden, theirs) in REPAIR_ROWS.items():
        config = repair_config(row)
        assert (config.dataset, config.hidden, config.epochs) == (dataset, hidden, 100)
        assert config.n_pairs >= 5
        assert config.align_split == "train", "what measures the loss is not looked at before"
        assert len(theirs) == 4


def test_one_published_pair_agrees_if_it_could_be_one_of_ours(make_record):
    # 71.7 is published; ours scatter around it, then lie above, then below.
    for around, verdict in ((0.717, "agrees"), (0.90, "lower"), (0.50, "higher")):
        values = [around - 0.01, around, around + 0.01, around - 0.005, around + 0.005]
        found = repair_table({ROW: made(make_record, values)}).set_index("what")
        assert found.loc["aligned", "verdict"] == verdict
        assert found.loc["aligned", "theirs"] == 71.7
        assert found.loc["aligned", "ours"] == pytest.approx(100 * around)
    # Pairs that scatter widely contradict less.
    wide = made(make_record, [0.5, 0.6, 0.9, 0.8, 0.7])
    assert repair_table({ROW: wide}).set_index("what").loc["aligned", "verdict"] == "agrees"


def test_what_they_do_not_give_has_no_row(make_record):
    found = repair_table({ROW: made(make_record, [0.7] * 5)})
    assert found["what"].tolist() == ["parents", "aligned", "aligned + REPAIR"]
    assert found.set_index("what").loc["parents", "verdict"] == "higher", "96.5 against 90"

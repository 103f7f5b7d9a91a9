"""The rules for pairs of modules, on records of known numbers."""

from dataclasses import replace

import pandas as pd
import pytest

from safecross.alignment.spelling import parse_operator, split_after
from safecross.modules.findings import (
    ANSWERS,
    MODULES,
    field_config,
    loses_less,
    lost,
    module_configs,
    order,
    orders,
    shares,
)
from safecross.runs import load_or_run, record_name


def made(make_record, **accuracy):
    loss = dict.fromkeys(accuracy, 1.0)
    return make_record(loss, accuracy, parents_accuracy=0.9, parents=[1.0] * 3)


@pytest.mark.parametrize(
    ("values", "answer", "wins"),
    [
        ([0.6, 0.7, 0.8], "yes", 3),
        ([0.4, 0.3, 0.2], "no", 0),
        ([0.6, 0.4, 0.8], "undecided", 2),
        ([0.6, 0.5, 0.8], "undecided", 2),
        ([0.5, 0.5, 0.5], "undecided", 0),
    ],
)
def test_all_pairs_must_agree(make_record, values, answer, wins):
    record = made(make_record, **{"sc-pwc": values, "sc-cca": [0.5] * 3})
    found = order(record, "sc-pwc", "sc-cca")
    assert (found.answer, found.wins, found.pairs) == (answer, wins, 3)
    assert found.difference.value == pytest.approx(sum(values) / 3 - 0.5)
    assert answer in ANSWERS


def test_operators_that_a_record_lacks_are_left_out(make_record):
    record = made(make_record, **{"sc-pwc": [0.6] * 3, "naive": [0.5] * 3})
    table = orders({"x": record}, [("sc-pwc", "naive"), ("sc-cca", "naive")])
    assert table[["network", "question", "wins", "answer"]].to_numpy().tolist() == [
        ["x", "sc-pwc above naive", 3, "yes"]
    ]


def test_shares_are_of_what_naive_crossover_loses(make_record):
    accuracy = {"naive": [0.1, 0.3, 0.5], "sc-pwc": [0.5, 0.6, 0.7]}
    record = made(make_record, **accuracy)
    table = record.curves
    again = table.assign(
        operator=table["operator"] + "+reestimate", accuracy=table["accuracy"] + 0.1
    )

    class _Config:
        operators = (*record.config.operators, "naive+reestimate", "sc-pwc+reestimate")
        t = record.config.t

    both = replace(
        record, config=_Config, tables={**record.tables, "curves": pd.concat([table, again])}
    )
    found = {what: share.value for what, share in shares(both).items()}
    assert found == pytest.approx(
        {
            "alignment alone": 0.5,
            "new statistics alone": (0.1 / 0.8 + 0.1 / 0.6 + 0.1 / 0.4) / 3,
            "both": (0.5 / 0.8 + 0.4 / 0.6 + 0.3 / 0.4) / 3,
        }
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "answer"),
    [
        ([0.85, 0.86, 0.87], [0.8, 0.81, 0.84], "yes"),
        ([0.6, 0.5, 0.7], [0.8, 0.81, 0.84], "no"),
        ([0.85, 0.86, 0.82], [0.8, 0.81, 0.84], "undecided"),
    ],
)
def test_one_network_loses_less_if_each_pair_does(make_record, ours, theirs, answer):
    first, second = (made(make_record, **{"sc-pwc": values}) for values in (ours, theirs))
    assert lost(first, "sc-pwc").tolist() == pytest.approx([0.9 - value for value in ours])
    assert loses_less(first, second, "sc-pwc") == answer


def test_published_networks_face_the_operators_of_the_paper():
    assert module_configs()[:-2] == list(MODULES.values())
    assert record_name(module_configs()[-1]) == "cifar10-24c2ca44855d"  # the first three
    for config in MODULES.values():
        named = {parse_operator(split_after(operator)[0])[0] for operator in config.operators}
        assert named == {"naive", "sc-pwc-greedy", "sc-cca", "sc-pwc"}
        norms = any(operator.endswith("+reestimate") for operator in config.operators)
        assert norms == config.architecture.startswith(("vgg", "resnet"))


def test_all_records_of_the_convolutional_network_are_of_the_same_pairs():
    assert (
        record_name(field_config()) == "cifar10-7c6fb1523474" and field_config() in module_configs()
    )
    ten, three = (load_or_run(c) for c in (MODULES["vgg7 on CIFAR-10"], module_configs()[-1]))
    field = load_or_run(field_config())
    first = ten.curves[ten.curves["pair"] < 3].reset_index(drop=True)
    pd.testing.assert_frame_equal(first, three.curves.reset_index(drop=True))
    both = first.merge(field.curves, on=["pair", "operator", "t"], suffixes=("", " again"))
    assert set(both["operator"]) == {"sc-pwc+reestimate"} and len(both) == 3 * 3
    assert (both["loss"] == both["loss again"]).all()
    assert all(operator.endswith("+reestimate") for operator in field.config.operators)

"""What all findings use: words and numbers from records, checked before they are said."""

import pandas as pd
import pytest

from safecross.book.findings.published import (
    FINDINGS,
    PICTURE,
    Published,
    accuracy_of,
    ahead_by,
    bartlett,
    bullets,
    cca_of,
    dead_of,
    finding,
    in_points,
    inside,
    leftover_of,
    loss_of,
    mean_of,
    must,
    parents_of,
    tally,
)
from safecross.book.findings.writing import pages
from safecross.replication import paper
from safecross.runs import committed_folder

ROOT = committed_folder().parents[1]


@pytest.fixture(scope="module")
def found() -> Published:
    return Published()


def test_means_are_those_of_the_record(found):
    record = found.main("fashion-mnist")
    assert loss_of(record, "naive") == pytest.approx(record.at(0.5)["naive"].mean())
    accuracies = record.at(0.5, "accuracy")
    assert accuracy_of(record, "sc-pwc") == pytest.approx(accuracies["sc-pwc"].mean())
    ahead = ahead_by(record, "sc-pwc", "naive")
    assert ahead.value == pytest.approx((accuracies["sc-pwc"] - accuracies["naive"]).mean())
    assert in_points(ahead).startswith(f"{100 * ahead.value:.1f} points of accuracy (95% interval")
    sides = record.pairs[["loss_a", "loss_b"]]
    assert parents_of(record, "loss") == pytest.approx(sides.to_numpy().mean())
    assert cca_of(record) == paper.sc_cca("fashion-mnist")
    assert 0 <= dead_of(record, 1) <= 1


def test_a_record_is_read_once(found):
    assert found.main("fashion-mnist") is found.main("fashion-mnist")


def test_counts_of_the_paper_are_inside_some_lengths_of_training(found):
    near = inside(found, 203, "row maxima above 0.7")
    assert near and all(count.low <= 203 <= count.high for count in near.values())
    assert not inside(found, 10**6, "row maxima above 0.7")
    assert len(bartlett(found)) == len(found.counts)


def test_a_sentence_that_the_records_do_not_support_is_not_written():
    must(True, "it holds")
    for holds in (False, None):
        with pytest.raises(ValueError, match="the records do not support the sentence 'x'"):
            must(holds, "x")


def test_words(found):
    assert bullets("a", "b") == "- a\n- b"
    verdicts = found.claims["verdict"].value_counts()
    assert tally(found).startswith(
        f"Of {verdicts.sum()} claims of the paper, {verdicts['replicates']}"
    )
    base, other = leftover_of("cifar10")
    assert other == f"{base}:leftover=correlation"
    table = pd.DataFrame(
        {"data set": ["a", "a", "b"], "child": ["c", "c", "c"], "x": [1.0, 3.0, 9.0]}
    )
    assert mean_of(table, "a", "c", "x") == 2.0


def test_a_finding_is_entered_by_its_name(monkeypatch):
    monkeypatch.delitem(FINDINGS, "landing")
    before = dict(FINDINGS)
    try:
        assert finding("landing")(len) is len
        assert FINDINGS["landing"] is len
    finally:
        del FINDINGS["landing"]
    assert before == FINDINGS


def test_pages_and_picture_are_there():
    assert (ROOT / PICTURE).is_file()
    assert {ROOT / "README.md", ROOT / "book" / "index.md"} < set(pages(ROOT))

"""Chapters get their records by data set, and say where these come from."""

import html
from dataclasses import replace
from functools import partial

import pytest

from safecross.book import plots, results
from safecross.book.results import (
    load_records,
    measured_and_published,
    roles,
    say_where,
)
from safecross.data.catalogue import KNOWN
from safecross.replication import paper
from safecross.replication.claims import CLAIMS, judge_claims
from safecross.runs import (
    Record,
    load_or_run,
    load_record,
    record_name,
)


@pytest.fixture
def shown(monkeypatch) -> list:
    """Collect what a chapter would display, as text."""
    found = []
    for module in (results, plots.page):
        monkeypatch.setattr(module, "display", lambda thing: found.append(thing.data))
    return found


@pytest.fixture
def main_record(make_record) -> Record:
    """Make a main record of MNIST's size with everything that the claims look at."""
    cca = paper.sc_cca("mnist")
    steps = ("first layer", "activations", "correlations", "covariances and eigenvectors")
    seconds = dict.fromkeys((*steps, f"align {cca}", "align sc-pwc"), 0.01)
    return make_record(
        {"naive": [0.24] * 200, cca: 0.19, "sc-pwc": 0.071},
        counts={
            "row maxima above 0.7": 203,
            "matched pairs above 0.7": 150,
            f"significant by Bartlett ({cca})": 247,
            f"canonical correlations above 0.7 ({cca})": 136,
        },
        seconds=seconds | {"train a": 2.0, "train b": 2.0},
    )


def test_records_are_computed_once_and_come_by_data_set(own_data, runs, monkeypatch):
    monkeypatch.setattr(results, "load_or_run", partial(load_or_run, workers=1))
    found = load_records(f"{own_data}", 2, 5, hidden="5,4", epochs=1)
    assert list(found) == ["own"]
    record = found["own"]
    expected = paper.main_config(str(own_data), 2, 5, hidden=(5, 4), epochs=1)
    assert record.config == expected.replace(dataset="own")
    again = load_record(runs / "records" / record_name(expected))
    assert again.manifest == record.manifest
    assert load_records(str(own_data), 2, 5, "5,4", 1)["own"].manifest == record.manifest


@pytest.mark.parametrize(("kind", "make"), [("main", "main_config"), ("sweep", "sweep_config")])
def test_several_data_sets_keep_their_order(monkeypatch, kind, make):
    monkeypatch.setattr(results, "load_or_run", lambda config: config)
    found = load_records("cifar10, mnist", 7, 3, kind=kind)
    assert list(found) == ["cifar10", "mnist"]
    assert found["mnist"] == getattr(paper, make)("mnist", 7, 3)
    # papermill hands in a single width as a number.
    assert load_records("mnist", 7, 3, hidden=64, kind=kind)["mnist"].hidden == (64,)


@pytest.mark.parametrize(
    "wrong", [{"n_pairs": 0}, {"seed": -1}, {"hidden": "a,b"}, {"epochs": -2}], ids=str
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError):
        load_records(**({"datasets": "mnist", "n_pairs": 1, "seed": 0} | wrong))


def test_a_file_may_have_a_comma_in_its_name(own_data, runs, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "load_or_run", lambda config: config)
    assert list(load_records("mnist,a, b.npz,cifar10", 1, 0)) == ["mnist", "a, b", "cifar10"]
    with pytest.raises(ValueError, match="expected the names of data sets"):
        load_records(" , ", 1, 0)


def test_a_record_that_is_not_published_is_said_to_be_ones_own(shown, small_record, tmp_path):
    say_where({"own": small_record})
    assert html.escape(small_record.describe()) in shown[0]
    assert "records of your own" in shown[0]
    say_where({"mnist": load_or_run(paper.main_config("mnist"))})
    assert "records of your own" not in shown[1]


def test_many_records_are_folded_and_few_are_not(shown, small_record):
    for n in (3, 4):
        say_where({str(i): small_record for i in range(n)})
    few, many = shown
    assert few.count('class="sc-origin"') == 3 and "<details" not in few
    assert many.count('class="sc-origin"') == 4 and many.startswith("<details")
    assert many.index("</details>") < many.index("records of your own")  # this is seen


def test_what_a_record_says_of_itself_is_no_markup(shown, small_record):
    named = {**small_record.manifest, "machine": "<script>alert(1)</script>", "sessions": []}
    say_where({"own": replace(small_record, manifest=named)})
    assert "<script>" not in shown[0] and "&lt;script&gt;" in shown[0]


def of(record, dataset):
    """Return the record as if it had been measured on a known data set."""
    known = {**record.manifest, "data_fingerprint": KNOWN[dataset].fingerprint}
    return replace(record, manifest=known)


def test_a_data_set_plays_its_role(small_record):
    found = roles(
        main={
            "mnist5k": of(small_record, "mnist5k"),  # not the paper's
            "cifar10": of(small_record, "cifar10"),
            "mnist.npz": small_record,  # a file of one's own, whatever its name
        },
        sweep={"mnist": of(small_record, "mnist")},
    )
    assert set(found) == {("cifar10", "main"), ("mnist", "sweep")}


def test_the_claims_of_a_chapter_are_displayed(shown, main_record):
    chapter = "09-figure-3"
    records = {("mnist", "main"): main_record}
    assert measured_and_published(records, chapter) is None  # a cell may end in it
    (page,) = shown
    judged = judge_claims(records, chapter)
    assert "200 pairs of MNIST, seed 0" in page
    assert all(verdict in page for verdict in judged["verdict"])
    assert page.count("<tr") == len(judged) + 1
    assert all(f'id="claim-{name}"' in page for name in judged["name"])


def test_all_claims_link_to_their_evidence(shown, main_record):
    records = {("mnist", "main"): main_record}
    measured_and_published(records)
    judged = judge_claims(records)
    for claim in judged.itertuples():
        assert f'<a href="{claim.chapter}.html#claim-{claim.name}">' in shown[0]
    assert all(claim in shown[0] for claim in judged["claim"])
    assert len(judged) > len(set(judged["chapter"])) > 1


def test_data_without_a_claim_are_said_to_have_none(shown):
    measured_and_published({})
    assert shown == ["None of the paper's claims in this chapter is about these data."]
    assert judge_claims({}).empty and "verdict" in judge_claims({})


def test_claims_have_names_that_differ():
    names = [claim.name for claim in CLAIMS]
    assert len(set(names)) == len(names) == 28

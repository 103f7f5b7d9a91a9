"""Chapters get their records by data set, and say where these come from."""

import html
from dataclasses import replace
from functools import partial

import pytest

from safecross import paper, plots, results
from safecross.claims import judge_claims
from safecross.data.catalogue import KNOWN
from safecross.experiment import Record, load_or_run, load_record, record_name
from safecross.findings import findings_text
from safecross.results import load_records, measured_and_published, roles, say_where


@pytest.fixture
def shown(monkeypatch) -> list:
    """Collect what a chapter would display, as text."""
    found = []
    for module in (results, plots):
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
    record = found[str(own_data)]
    assert list(found) == [str(own_data)]
    expected = paper.main_config(str(own_data), 2, 5, hidden=(5, 4), epochs=1)
    assert record.config == expected.replace(dataset="own")
    again = load_record(runs / "records" / record_name(expected))
    assert again.manifest == record.manifest
    assert load_records(str(own_data), 2, 5, "5,4", 1)[str(own_data)].manifest == record.manifest


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


def test_a_small_run_says_that_it_is_one(shown, small_record, main_record):
    say_where({"own": small_record})
    assert small_record.describe() in shown[0]
    assert "small run" in shown[0]
    say_where({"mnist": of(main_record, "mnist")})
    assert shown[1] == main_record.describe()
    say_where({"mnist": of(main_record, "mnist")}, full_pairs=201)
    assert "small run" in shown[2]


def of(record, dataset):
    """Return the record as if it had been measured on a known data set."""
    known = {**record.manifest, "data_fingerprint": KNOWN[dataset].fingerprint}
    return replace(record, manifest=known)


def test_a_data_set_plays_its_role(small_record):
    found = roles(
        main={
            "mnist5k": of(small_record, "mnist5k"),
            "cifar10": of(small_record, "cifar10"),
            "mnist.npz": small_record,  # a file of one's own, whatever its name
        },
        sweep={"mnist": of(small_record, "mnist")},
    )
    assert set(found) == {("mnist", "main"), ("cifar10", "main"), ("mnist", "sweep")}


def test_the_claims_of_a_chapter_are_displayed(shown, main_record):
    chapter = "09-figure-3"
    table = measured_and_published({("mnist", "main"): main_record}, chapter)
    assert set(table["chapter"]) == {chapter}
    (page,) = shown
    assert "200 pairs of mnist, seed 0" in page
    assert all(verdict in page for verdict in table["verdict"])
    assert page.count("<tr") == len(table) + 1


def test_all_claims_link_to_their_chapters(shown, main_record):
    table = measured_and_published({("mnist", "main"): main_record})
    assert all(f'<a href="{chapter}.html">' in shown[0] for chapter in table["chapter"])
    assert all(html.escape(claim) in html.escape(shown[0]) for claim in table["claim"])
    assert len(table) > len(set(table["chapter"])) > 1


def test_data_without_a_claim_are_said_to_have_none(shown):
    assert measured_and_published({}).empty
    assert shown == ["None of the paper's claims in this chapter is about these data."]


# The findings of the README


def test_the_findings_are_read_from_the_records(make_record, main_record):
    cifar10 = make_record(
        {"naive": [2.3] * 50, "sc-cca": 2.1, "sc-pwc": 1.8}
        | {"sc-pwc-semi": 2.4, "sc-pwc-semi-b": 2.0},
        accuracy={"naive": 0.12, "sc-cca": 0.24, "sc-pwc": 0.35}
        | {"sc-pwc-semi": 0.3, "sc-pwc-semi-b": 0.2},
        parents=1.59,
        parents_accuracy=0.43,
        counts={"row maxima above 0.7": 1, "significant by Bartlett (sc-cca)": 1},
        seconds=dict.fromkeys(set(main_record.timings["step"]) | {"align sc-cca"}, 1.0),
        dataset="cifar10",
    )
    names = ("significant by Bartlett", "canonical correlations above 0.7")
    counts = [
        make_record(
            {"naive": [0.2] * 9},
            counts={"row maxima above 0.7": maxima}
            | {
                f"{name} ({paper.sc_cca('mnist')})": count
                for name, count in zip(names, (t, c), strict=True)
            },
            epochs=epochs,
        )
        for epochs, maxima, t, c in ((5, 329.0, 246.0, 136.0), (30, 203.0, 241.0, 122.0))
    ]
    text = findings_text(main_record, cifar10, {}, counts, "picture.png")
    assert "](picture.png)" in text
    assert "**CIFAR-10**, 50 pairs: parents have loss 1.590 (accuracy 43.0%)" in text
    assert "naive 0.240 (50.0%), SC-CCA 0.190 (50.0%), SC-PwC 0.071 (50.0%)" in text
    assert "ranking on CIFAR-10 does not hold" in text
    assert "lengths of training of 5, 30 epochs: 203 lies in the 95% interval of neurons" in text
    assert "above .7 after 30 epochs (203.0 [203.0, 203.0]); 125 lies" in text
    assert "canonical correlations above .7 at no length. Bartlett's test" in text
    assert "counts 241 to 246." in text
    assert "in 50 of 50 pairs, by 11.0 points of accuracy (95% interval 11.0 to 11.0)" in text
    assert "a choosing, SC-CCA wins 50 pairs by loss, 0 by accuracy" in text
    assert "b choosing, SC-CCA wins 0 pairs by loss, 50 by accuracy" in text
    verdicts = judge_claims({("mnist", "main"): main_record, ("cifar10", "main"): cifar10})
    assert f"Of {len(verdicts)} claims" in text

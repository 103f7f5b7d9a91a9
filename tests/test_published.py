"""The published records are whole, small, and all that the book and the README say."""

import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from safecross import store
from safecross.book import findings
from safecross.book.build import list_chapters
from safecross.book.findings.writing import pages as all_pages
from safecross.evolution.findings import population_configs
from safecross.modules.findings import module_configs
from safecross.replication.baselines import baselines_config
from safecross.replication.paper import published_configs
from safecross.runs import committed_folder, load_record, record_name

ROOT = Path(__file__).parents[1]

#: Records of pairs that are crossed over, and all others.
CONFIGS = [*published_configs(), *module_configs()]
OTHERS = [*population_configs(), baselines_config("cifar10")]

#: Chapters after the sixth that train or evolve their own networks; all others read records.
LIVE = ("15-any-model", "18-populations")


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.hash())
def test_every_published_config_has_its_whole_record(config):
    record = load_record(committed_folder() / record_name(config))
    assert record.config == config
    assert record.at(0.5).shape == (config.n_pairs, len(config.operators))
    assert record.at(0.5).notna().all(axis=None)
    assert len(record.pairs) == config.n_pairs


@pytest.mark.parametrize("config", OTHERS, ids=lambda config: config.hash())
def test_every_other_record_is_whole(config):
    record = load_record(committed_folder() / record_name(config))
    assert record.config == config
    for table in record.tables.values():
        assert len(table) and table.notna().all(axis=None)


def test_nothing_else_is_published_and_all_is_small():
    names = {record_name(config) for config in [*CONFIGS, *OTHERS]}
    assert {path.name for path in committed_folder().glob("*/")} == names
    size = sum(path.stat().st_size for path in committed_folder().rglob("*") if path.is_file())
    assert size < 10e6


def test_the_same_parents_serve_all_records_of_a_seed():
    configs = [c for c in published_configs() if c.dataset == "mnist" and c.seed == 0]
    first, *others = (load_record(committed_folder() / record_name(c)).pairs for c in configs)
    for pairs in others:
        shared = first.iloc[: len(pairs)]
        assert (shared["seed_a"] == pairs["seed_a"]).all()


@pytest.mark.parametrize("path", sorted(committed_folder().glob("*.json")), ids=lambda p: p.name)
def test_the_files_beside_the_records_are_whole(path):
    assert store.load_json(path)


def test_every_page_says_what_the_records_say():
    assert findings.write_findings(ROOT, check=True) == []
    assert findings.main(["--check"]) == 0


@pytest.fixture
def pages(tmp_path) -> Path:
    """Copy the pages that hold findings."""
    for path in all_pages(ROOT):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    (tmp_path / "book" / "_static").mkdir()
    return tmp_path


def test_a_stale_page_is_noticed_and_written_again_with_the_picture(pages):
    before = {}
    for page in ("README.md", "notebooks/09-figure-3.py"):
        text = (pages / page).read_text(encoding="utf-8")
        before[page] = text
        stale = re.sub(r"0\.069", "0.169", text)
        assert stale != text
        (pages / page).write_text(stale, encoding="utf-8")
    assert findings.write_findings(pages, check=True) == list(before)
    assert findings.write_findings(pages) == list(before)
    for page, text in before.items():
        assert (pages / page).read_text(encoding="utf-8") == text
    assert (pages / "book" / "_static" / "main-result.png").stat().st_size > 10_000


def test_a_finding_that_no_page_shows_and_one_that_is_unknown_are_refused(pages):
    page = pages / "notebooks" / "14-scale.py"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("finding scale-short", "finding scale-shirt"), encoding="utf-8")
    with pytest.raises(ValueError, match="unknown finding 'scale-shirt'"):
        findings.write_findings(pages)
    page.write_text(text.replace("<!-- finding scale-short -->", ""), encoding="utf-8")
    with pytest.raises(ValueError, match="no page has a place for: scale-short"):
        findings.write_findings(pages)


class OtherWay(findings.Published):
    """The published records with losses of SC-PwC above all others."""

    def load(self, config):
        record = super().load(config)
        worst = record.curves["operator"].isin(["sc-pwc"])
        curves = record.curves.assign(
            loss=record.curves["loss"] + 9 * worst, accuracy=record.curves["accuracy"] - worst
        )
        return dataclasses.replace(record, tables={**record.tables, "curves": curves})


@pytest.mark.parametrize(
    "name",
    ["landing", "findings", "figure-3-answer", "figure-3-middle", "figure-3-fashion",
     "ranking-answer", "audit-answer", "sweep-answer"],
)  # fmt: skip
def test_a_sentence_is_not_written_once_the_records_stop_supporting_it(name):
    with pytest.raises(ValueError, match="the records do not support the sentence"):
        findings.FINDINGS[name](OtherWay())


def test_every_chapter_of_results_opens_with_its_answer(capsys):
    answers = findings.answers(ROOT)
    results = [c for c in list_chapters() if c >= "07" and c not in LIVE]
    assert list(answers) == results
    for text in answers.values():
        assert re.search(r"\d", text) or "none" in text
    findings.main(["--answers"])
    printed = capsys.readouterr().out
    assert all(text in printed for text in answers.values())

"""The published records are whole, small, and all that the book and the README say."""

from pathlib import Path

import pytest

from safecross import findings
from safecross.experiment import committed_folder, load_record, record_name
from safecross.paper import published_configs

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("config", published_configs(), ids=lambda config: config.hash())
def test_every_published_config_has_its_whole_record(config):
    record = load_record(committed_folder() / record_name(config))
    assert record.config == config
    assert record.at(0.5).shape == (config.n_pairs, len(config.operators))
    assert record.at(0.5).notna().all(axis=None)
    assert len(record.pairs) == config.n_pairs


def test_nothing_else_is_published_and_all_is_small():
    names = {record_name(config) for config in published_configs()}
    assert {path.name for path in committed_folder().glob("*/")} == names
    size = sum(path.stat().st_size for path in committed_folder().rglob("*") if path.is_file())
    assert size < 10e6


def test_the_same_parents_serve_all_records_of_a_seed():
    configs = [c for c in published_configs() if c.dataset == "mnist" and c.seed == 0]
    first, *others = (load_record(committed_folder() / record_name(c)).pairs for c in configs)
    for pairs in others:
        shared = first.iloc[: len(pairs)]
        assert (shared["seed_a"] == pairs["seed_a"]).all()


def test_readme_and_landing_page_say_what_the_records_say():
    assert findings.write_findings(ROOT, check=True) == []
    assert findings.main(["--check"]) == 0


def test_a_stale_page_is_noticed(tmp_path):
    for page in ("README.md", "book/index.md"):
        (tmp_path / page).parent.mkdir(exist_ok=True)
        text = (ROOT / page).read_text(encoding="utf-8")
        (tmp_path / page).write_text(text.replace("200 pairs", "201 pairs"), encoding="utf-8")
    assert findings.write_findings(tmp_path, check=True) == ["README.md", "book/index.md"]


def test_findings_are_written_with_their_picture(tmp_path):
    for page in ("README.md", "book/index.md"):
        (tmp_path / page).parent.mkdir(exist_ok=True)
        (tmp_path / page).write_text("top\n<!-- findings -->\n<!-- /findings -->\nend\n")
    (tmp_path / "book" / "_static").mkdir()
    assert findings.write_findings(tmp_path) == ["README.md", "book/index.md"]
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert text.startswith("top\n") and text.endswith("end\n") and "CIFAR-10" in text
    assert (tmp_path / "book" / "_static" / "main-result.png").stat().st_size > 10_000

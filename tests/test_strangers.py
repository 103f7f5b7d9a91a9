"""A record may come from a stranger: nothing in it is trusted, and damage never spreads."""

import logging
import random
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from safecross import store
from safecross.cli import main
from safecross.runs import (
    committed_folder,
    list_records,
    load_or_run,
    load_record,
    merge,
    publish,
    run,
)
from safecross.store import DamagedFile


@pytest.fixture
def theirs(small_run, runs) -> Path:
    """Copy a good record to where a stranger's would lie."""
    shutil.copytree(small_run, runs)
    (folder,) = (runs / "records").iterdir()
    return folder


def rewrite(folder: Path, change) -> None:
    """Change a manifest and make its checksum fit, as a stranger would."""
    manifest = store.load_json(folder / "manifest.json")
    change(manifest)
    store.save_json(folder / "manifest.json", store.sealed(manifest))


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


# Content never becomes a path


@pytest.mark.parametrize("key", ["../../../planted.py", "/tmp/planted.py", "manifest.json", "x.py"])
def test_a_file_that_is_no_table_is_neither_read_nor_published(theirs, tmp_path, key):
    target = (theirs / key).resolve()
    if not target.exists() and tmp_path in target.parents:
        target.write_text("planted")
    rewrite(theirs, lambda manifest: manifest["files"].update({key: "0" * 64}))
    before = files(tmp_path)
    with pytest.raises(DamagedFile, match=r"manifest\.json: not of a record \(its tables are"):
        publish(load_record(theirs))
    assert main(["publish", str(theirs)]) == 1
    assert files(tmp_path) == before


@pytest.mark.parametrize("name", ["../../elsewhere", "/tmp/elsewhere", "..", "other"])
def test_a_name_that_is_not_its_configs_is_refused(theirs, tmp_path, name):
    rewrite(theirs, lambda manifest: manifest.update(name=name))
    before = files(tmp_path)
    with pytest.raises(DamagedFile, match="its config is that of own-"):
        load_record(theirs)
    assert main(["publish", str(theirs)]) == 1
    assert files(tmp_path) == before


@pytest.mark.parametrize("dataset", ["../../own", "/tmp/own", "a/b/own"])
def test_a_data_set_that_is_a_path_is_refused(theirs, dataset):
    rewrite(theirs, lambda manifest: manifest["config"].update(dataset=dataset))
    with pytest.raises(DamagedFile, match="its data set is a path"):
        load_record(theirs)


def test_a_record_is_published_under_its_computed_name_with_its_tables_only(theirs):
    (theirs / "notes.txt").write_text("mine")
    target = publish(load_record(theirs))
    assert target == committed_folder() / theirs.name
    tables = {"curves.parquet", "pairs.parquet", "statistics.parquet", "timings.parquet"}
    assert {path.name for path in files(target)} == {*tables, "manifest.json"}


# A record is the one it says it is


def test_another_record_under_a_name_is_refused(theirs, small_config):
    other = run(small_config.replace(seed=5), workers=1)
    published = committed_folder() / theirs.name
    shutil.copytree(other.folder, published)
    with pytest.raises(DamagedFile, match=f"its folder's {theirs.name}"):
        load_or_run(small_config)
    assert main(["verify", str(published)]) == 1


def test_a_record_in_a_folder_of_another_name_is_refused(theirs, tmp_path):
    shutil.copytree(theirs, tmp_path / "renamed")
    with pytest.raises(DamagedFile, match="its folder's renamed"):
        load_record(tmp_path / "renamed")


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest["sessions"][0].update(wall_seconds=1.0),
        lambda manifest: manifest["sessions"].clear(),
        lambda manifest: manifest["packages"].update(torch="0.1"),
        lambda manifest: manifest.update(machine="a faster one"),
        lambda manifest: manifest.update(source_sha256=[]),
        lambda manifest: manifest.update(n_train=1),
        lambda manifest: manifest.pop("sha256"),
    ],
)
def test_metadata_are_under_a_checksum(theirs, change):
    manifest = store.load_json(theirs / "manifest.json")
    change(manifest)
    store.save_json(theirs / "manifest.json", manifest)
    with pytest.raises(DamagedFile, match="its content is not what its SHA-256"):
        load_record(theirs)


@pytest.mark.parametrize("table", ["curves", "pairs", "statistics", "timings"])
def test_no_flipped_bit_of_a_manifest_or_table_is_accepted_with_a_changed_meaning(theirs, table):
    whole = load_record(theirs)
    draw = random.Random(0)
    accepted = 0
    for path, flips in ((theirs / "manifest.json", 150), (theirs / f"{table}.parquet", 20)):
        content = path.read_bytes()
        for _ in range(flips):
            damaged = bytearray(content)
            damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
            path.write_bytes(damaged)
            try:
                record = load_record(theirs)
            except DamagedFile:
                continue
            accepted += 1  # white space of the JSON
            assert (record.manifest, record.config) == (whole.manifest, whole.config)
        path.write_bytes(content)
    assert accepted < 20


@pytest.mark.parametrize(
    ("name", "change", "found"),
    [
        ("pairs", lambda t: pd.concat([t, t]), "8 rows"),
        ("curves", lambda t: t.iloc[:-1], "79 rows"),
        ("timings", lambda t: t.drop(columns="step"), "64 rows of pair, seconds"),
        ("statistics", lambda t: t.rename(columns={"value": "values"}), "72 rows of .*values"),
    ],
)
def test_a_table_of_another_shape_is_refused_before_it_is_read(
    theirs, monkeypatch, name, change, found
):
    path = theirs / f"{name}.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)
    rewrite(theirs, lambda m: m["files"].update({path.name: store.file_hash(path)}))
    read = pd.read_parquet
    monkeypatch.setattr(pd, "read_parquet", lambda p: pytest.fail() if p == path else read(p))
    with pytest.raises(DamagedFile, match=rf"{name}\.parquet: expected .*; found {found}"):
        load_record(theirs)


def test_a_table_that_is_no_parquet_is_refused(theirs):
    path = theirs / "pairs.parquet"
    path.write_bytes(b"PAR1 is how it begins")
    rewrite(theirs, lambda m: m["files"].update({path.name: store.file_hash(path)}))
    with pytest.raises(DamagedFile, match=r"pairs\.parquet: expected 4 rows of"):
        load_record(theirs)


# Damage stays where it is

DEEP = "[" * 100_000 + "]" * 100_000
TOTALS = ["1e400", str(2**70), "1.5", "[1]", "true", '"4"', "-1", "null"]


@pytest.mark.parametrize(
    "text", [f'{{"n_pairs": {total}}}' for total in TOTALS] + ["", "{}", "[]", "7", DEEP]
)
def test_a_damaged_config_of_a_run_does_not_break_the_list(theirs, runs, text, capsys):
    broken = runs / "records" / "own-broken"
    broken.mkdir()
    (broken / "config.json").write_text(text)
    table = list_records().set_index("record")
    assert table.loc[theirs.name, "pairs"] == 4 and not table.loc[theirs.name, "problem"]
    assert pd.isna(table.loc["own-broken", "pairs"])
    assert "own-broken/config.json" in table.loc["own-broken", "problem"]
    assert main(["runs"]) == 0
    assert "own-broken/config.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(files=[]),
        lambda m: m.update(files=None),
        lambda m: m.update(sessions={"a": 1}),
        lambda m: m.update(sessions=[{}]),
        lambda m: m["config"].update(n_pairs=1e400),
        lambda m: m["config"].update(t=[[]]),
        lambda m: m["config"].update(operators=[{}]),
        lambda m: m.update(config=[]),
        lambda m: m.update(data_fingerprint=None),
    ],
)
def test_a_damaged_manifest_is_named_and_the_rest_goes_on(theirs, small_config, change, capsys):
    rewrite(theirs, change)
    with pytest.raises(DamagedFile, match=r"manifest\.json: not of a record"):
        load_record(theirs)
    assert main(["runs"]) == 0
    assert "not of a record" in capsys.readouterr().err
    assert load_or_run(small_config).folder == theirs  # put together again from its pairs


@pytest.mark.parametrize("text", ["{}", "", "[]", '{"pairs_computed": "4"}', DEEP])
def test_a_damaged_note_of_a_session_is_named_and_left_out(theirs, small_config, text, caplog):
    (theirs / "session-0-of-1-7.json").write_text(text)
    with caplog.at_level(logging.WARNING):
        record = merge(small_config)
    assert "session-0-of-1-7.json" in caplog.text
    assert record.manifest["sessions"] == load_record(theirs).manifest["sessions"]
    assert len(record.manifest["sessions"]) == 1 and np.isfinite(record.wall_seconds)

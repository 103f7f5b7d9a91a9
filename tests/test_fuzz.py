"""Two thousand damages to every kind of file that is read: refused, or without any effect."""

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from safecross.book.chapters import BookError, load_profile
from safecross.data import load_data
from safecross.networks.network import initialise, load_network
from safecross.runs import list_records, load_record
from safecross.runs.folder import session_notes
from safecross.store import DamagedFile

REFUSED = (DamagedFile, BookError, ValueError)
DAMAGES = 2_000
TABLES = ("curves", "pairs", "statistics", "timings")

ROOT = Path(__file__).parents[1]


class Kind(NamedTuple):
    """A kind of file: one that is whole, and what the package makes of it, to be compared."""

    path: Path
    read: Callable[[Path], object]


def of_data(path: Path):
    data = load_data(path)
    arrays = (data.x_train, data.y_train, data.x_test, data.y_test)
    return data.fingerprint, data.image_shape, [array.numpy().tobytes() for array in arrays]


def of_network(path: Path):
    network = load_network(path)
    return [tensor.numpy().tobytes() for tensor in (*network.weights, *network.biases)]


def of_record(path: Path):
    try:
        record = load_record(path.parent)
    except DamagedFile as error:  # a table that is not what the manifest says
        raise DamagedFile(f"{path.name}: {error}") from error
    tables = [record.tables[name].to_csv() for name in TABLES]
    return record.config, json.dumps(record.manifest, sort_keys=True), tables


def of_note(path: Path):
    notes = session_notes(path.parent)
    if path not in notes:
        raise DamagedFile(str(path))
    return json.dumps(notes[path], sort_keys=True)


def of_config(path: Path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAFECROSS_RUNS", str(path.parents[2]))
        row = list_records().set_index("record").loc[path.parent.name]
    if row["problem"]:
        raise DamagedFile(row["problem"])
    return row.to_json()


def of_profile(path: Path):
    return load_profile(path)


class Anything:
    """A checksum that fits whatever it is compared with."""

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False


@pytest.fixture(scope="module")
def kinds(small_run, tmp_path_factory) -> dict[str, Kind]:
    folder = tmp_path_factory.mktemp("fuzz")
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (40, 3, 3), np.uint8), np.arange(40) % 3
    for name, save in (("plain", np.savez), ("packed", np.savez_compressed)):
        save(folder / name, x_train=x[:24], y_train=y[:24], x_test=x[24:], y_test=y[24:])
    initialise([9, 5, 3], 0).save(folder / "network.safetensors")
    shutil.copy(ROOT / "book" / "profiles" / "quick.yaml", folder)
    for name in ("whole", "unfinished"):
        shutil.copytree(small_run, folder / name)
    (record,) = (folder / "whole" / "records").iterdir()
    (unfinished,) = (folder / "unfinished" / "records").iterdir()
    (unfinished / "manifest.json").unlink()
    (note,) = record.glob("session-*.json")
    return {
        "npz": Kind(folder / "plain.npz", of_data),
        "compressed npz": Kind(folder / "packed.npz", of_data),
        "safetensors": Kind(folder / "network.safetensors", of_network),
        **{table: Kind(record / f"{table}.parquet", of_record) for table in TABLES},
        "manifest": Kind(record / "manifest.json", of_record),
        "note": Kind(note, of_note),
        "config": Kind(unfinished / "config.json", of_config),
        "profile": Kind(folder / "quick.yaml", of_profile),
    }


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Return content with one bit flipped, or cut off in one of four."""
    if draw.random() < 0.25:
        return content[: draw.randrange(len(content))]
    changed = bytearray(content)
    changed[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def outcomes(kind: Kind, n: int, seed: int) -> Counter:
    """Return how many of n damages to a file were refused, without effect, or silently wrong."""
    content, draw = kind.path.read_bytes(), random.Random(seed)
    whole, found = kind.read(kind.path), Counter()
    try:
        for _ in range(n):
            kind.path.write_bytes(damaged(content, draw))
            try:
                found["without effect" if kind.read(kind.path) == whole else "wrong"] += 1
            except REFUSED as error:
                assert kind.path.name in str(error)
                found["refused"] += 1
    finally:
        kind.path.write_bytes(content)
    return found


def test_two_thousand_damages_are_refused_or_without_effect(kinds):
    found, each = Counter(), DAMAGES // len(kinds) + 1
    for seed, (name, kind) in enumerate(kinds.items()):
        here = outcomes(kind, each, seed)
        assert not here["wrong"], name
        assert here["refused"] > each / 2, name
        found += here
    assert found.total() >= DAMAGES


@pytest.mark.parametrize("name", ["safetensors", "manifest", "note", "profile"])
def test_without_their_checksums_damages_would_be_accepted(kinds, name, monkeypatch):
    """The same damages with the comparison switched off: it is the checksum that refuses them."""
    for module in ("store", "book.chapters"):
        monkeypatch.setattr(f"safecross.{module}.sealed", lambda content: content)
    monkeypatch.setattr("safecross.store._digest", lambda *_: Anything())
    assert outcomes(kinds[name], 300, 0)["wrong"] > 20

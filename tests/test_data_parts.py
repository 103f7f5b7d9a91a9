"""The parts that `load_data` is made of: reading, checking, ordering, naming arrays."""

import hashlib

import numpy as np
import pytest

from safecross import DataError, Dataset, load_data
from safecross.data.arrays import (
    KEYS,
    check_arrays,
    content_order,
    fingerprint_arrays,
    order_arrays,
    read_npz,
)
from safecross.data.catalogue import (
    KNOWN,
    check_known,
    find_known,
    find_places,
)


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (5, 2, 3), np.uint8),
        "y_train": np.array([0, 1, 2, 0, 1]),
        "x_test": rng.integers(0, 256, (4, 2, 3), np.uint8),
        "y_test": np.array([2, 1, 0, 1]),
    }


def test_arrays_come_back_from_a_file_and_load_as_a_data_set(arrays, tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, **arrays, more=np.zeros(3))
    found = read_npz(path)
    assert tuple(found) == KEYS
    assert all(np.array_equal(found[key], arrays[key]) for key in KEYS)
    data = load_data(path)
    assert isinstance(data, Dataset)
    ordered = order_arrays(check_arrays(arrays, path))
    assert data.fingerprint == fingerprint_arrays(ordered)
    expected = ordered["x_train"].reshape(5, -1).astype(np.float32) / 255
    np.testing.assert_array_equal(data.x_train, expected)


def test_checking_converts_what_is_exact_and_refuses_the_rest(arrays):
    wide = arrays | {key: arrays[key].astype(np.int64) for key in ("x_train", "x_test")}
    checked = check_arrays(wide, "here")
    assert [checked[key].dtype for key in KEYS] == [np.uint8, np.int64] * 2
    assert all(np.array_equal(checked[key], arrays[key]) for key in KEYS)
    with pytest.raises(DataError, match="here, y_test: expected 4 labels, one per image; found 3"):
        check_arrays(arrays | {"y_test": np.zeros(3, int)}, "here")


def test_the_order_is_that_of_the_digests(arrays):
    x, y = arrays["x_train"], arrays["y_train"]
    digests = [
        hashlib.sha256(image.tobytes() + int(label).to_bytes(8, "little")).hexdigest()
        for image, label in zip(x, y, strict=True)
    ]
    assert content_order(x, y).tolist() == np.argsort(digests).tolist()


def test_a_fingerprint_does_not_know_the_files_order_but_every_value(arrays):
    def name(arrays) -> str:
        return fingerprint_arrays(order_arrays(dict(arrays)))

    turned = {key: value[::-1] for key, value in arrays.items()}
    assert name(turned) == name(arrays)
    for key in KEYS:
        changed = arrays[key].copy()
        changed.flat[0] ^= 1
        assert name(arrays | {key: changed}) != name(arrays)


def test_a_known_data_set_is_held_against_its_entry(arrays):
    known = find_known("mnist5k")
    assert known is KNOWN["mnist5k"]
    with pytest.raises(DataError, match="unknown data set 'mnist5': did you mean 'mnist5k'"):
        find_known("mnist5")
    with pytest.raises(DataError, match=r"here: expected .*mnist5k.*; found"):
        check_known("mnist5k", arrays, "f00", "here")


def test_places_are_looked_at_in_the_order_that_is_promised(tmp_path, monkeypatch):
    monkeypatch.setenv("SAFECROSS_DATA", str(tmp_path / "shared"))
    monkeypatch.setenv("SAFECROSS_CACHE", str(tmp_path / "cache"))
    assert find_places("mnist", tmp_path / "mine") == [
        tmp_path / "mine" / "mnist.npz",
        tmp_path / "shared" / "mnist.npz",
        tmp_path / "cache" / "data" / "mnist.npz",
    ]
    assert find_places("mnist5k")[-1].name == "mnist_5k.csv.gz"

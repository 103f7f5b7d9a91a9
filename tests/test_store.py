"""Files are whole or are not there, and damage is noticed."""

import errno
import os
import stat
from pathlib import Path

import psutil
import pytest
import torch

from safecross.store import (
    DamagedFile,
    StoreError,
    file_hash,
    load_json,
    load_sealed,
    load_tensors,
    save_json,
    save_tensors,
    sealed,
    sweep,
    write_atomically,
)

TENSORS = {
    "w": torch.arange(6.0).view(2, 3),
    "b": torch.tensor([1, -2], dtype=torch.int64),
    "half": torch.tensor([0.5, 1.5], dtype=torch.bfloat16),
    "scalar": torch.tensor(3.0, dtype=torch.float64),
}


@pytest.fixture
def saved(tmp_path) -> Path:
    path = tmp_path / "t.safetensors"
    save_tensors(path, TENSORS, {"seed": 3})
    return path


def same(tensors: dict) -> bool:
    return tensors.keys() == TENSORS.keys() and all(
        tensors[k].dtype == t.dtype and torch.equal(tensors[k], t) for k, t in TENSORS.items()
    )


def test_tensors_and_metadata_come_back(saved):
    tensors, metadata = load_tensors(saved)
    assert same(tensors)
    assert metadata == {"seed": "3"}


def test_tensors_of_any_layout_and_with_gradients_are_written(tmp_path):
    odd = torch.arange(12.0).view(3, 4).T[::2].requires_grad_()
    save_tensors(tmp_path / "t", {"odd": odd, "again": odd}, {})
    assert torch.equal(load_tensors(tmp_path / "t")[0]["odd"], odd.detach())


def test_every_flipped_byte_of_the_data_is_noticed(saved):
    content = saved.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    size = sum(t.numel() * t.element_size() for t in TENSORS.values())
    assert len(content) == start + size
    for i in range(start, len(content)):
        saved.write_bytes(content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :])
        with pytest.raises(DamagedFile, match=r"expected SHA-256 .* of its content; found"):
            load_tensors(saved)


def test_no_flipped_byte_of_the_header_gives_other_tensors(saved):
    content = saved.read_bytes()
    for i in range(8 + int.from_bytes(content[:8], "little")):
        saved.write_bytes(content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :])
        try:
            assert same(load_tensors(saved)[0])
        except DamagedFile as error:
            assert str(saved) in str(error)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_noticed(saved, share):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DamagedFile, match="expected a safetensors file; found one that cannot be"):
        load_tensors(saved)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"shape":[2,3]', b'"shape":[3,2]'),
        (b'"shape":[2,3]', b'"shape":[6]  '),
        (b'"dtype":"BF16"', b'"dtype":"F16" '),
        (b'"half":', b'"help":'),
    ],
)
def test_shapes_types_and_names_are_under_the_checksum_too(saved, old, new):
    content = saved.read_bytes()
    assert content.count(old) == 1 and len(new) == len(old)
    saved.write_bytes(content.replace(old, new))
    with pytest.raises(DamagedFile, match=r"expected SHA-256 .* of its content; found"):
        load_tensors(saved)


def test_metadata_is_under_the_checksum_too(saved):
    content = saved.read_bytes()
    assert content.count(b'"seed":"3"') == 1
    saved.write_bytes(content.replace(b'"seed":"3"', b'"seed":"4"'))
    with pytest.raises(DamagedFile, match="expected SHA-256"):
        load_tensors(saved)


def test_a_file_of_other_software_is_read_as_it_is(tmp_path):
    from safetensors.torch import save_file

    save_file(TENSORS, tmp_path / "other.safetensors")
    tensors, metadata = load_tensors(tmp_path / "other.safetensors")
    assert same(tensors)
    assert metadata == {}


# Writing that fails


def fill_the_disk(temporary: Path) -> None:
    temporary.write_text("half of it")
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("old", ["what was there", None])
def test_a_failed_write_leaves_what_was_there(tmp_path, old):
    path = tmp_path / "a.txt"
    if old:
        path.write_text(old)
    with pytest.raises(StoreError, match=r"cannot write .*a\.txt: .*No space left.*Free some"):
        write_atomically(path, fill_the_disk)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == ({"a.txt": old} if old else {})


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_fills_up_late_loses_nothing(saved, monkeypatch, step):
    def fail(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(StoreError, match="No space left"):
        save_tensors(saved, {"w": torch.zeros(2)}, {})
    monkeypatch.undo()
    assert same(load_tensors(saved)[0])
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_another_error_while_writing_passes_and_leaves_nothing_behind(saved):
    with pytest.raises(KeyboardInterrupt):
        write_atomically(saved, lambda temporary: (_ for _ in ()).throw(KeyboardInterrupt))
    assert same(load_tensors(saved)[0])
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_the_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write(temporary: Path) -> None:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent  # else the move would not be one step

    write_atomically(path, write)
    assert path.read_text() == "new"


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match=r"cannot write .*choose a folder that can be written"):
        save_tensors(tmp_path / "file" / "t.safetensors", TENSORS, {})
    with pytest.raises(StoreError, match="cannot write"):
        save_json(tmp_path, {})  # a folder is in its place


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write it")
def test_a_read_only_folder_is_named(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(StoreError, match=r"cannot write .*Permission denied"):
        save_json(tmp_path / "a.json", {})
    tmp_path.chmod(stat.S_IRWXU)


def test_a_new_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "usual").write_text("")
    save_json(tmp_path / "ours", {})
    modes = {stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert len(modes) == 1


# JSON and hashes


def test_json_comes_back(tmp_path):
    content = {"b": [1, 2.5, None], "a": {"κ": "λ"}}
    save_json(tmp_path / "a.json", content)
    assert load_json(tmp_path / "a.json") == content
    again = tmp_path / "b.json"
    save_json(again, dict(reversed(content.items())))
    assert file_hash(again) == file_hash(tmp_path / "a.json")


@pytest.mark.parametrize("text", [b"{", b"", b"\xff\xfe", None])
def test_what_is_not_json_is_refused(tmp_path, text):
    path = tmp_path / "a.json"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(DamagedFile, match=r"a\.json: expected a JSON file; found"):
        load_json(path)


def test_the_hash_is_the_standard_one(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")  # the example of FIPS 180-4
    assert file_hash(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_writing_leaves_the_process_as_it_was(tmp_path):
    before = os.umask(0o077)
    try:
        descriptors = psutil.Process().num_fds()
        for i in range(3):
            save_json(tmp_path / "new" / "folders" / f"{i}.json", {})
        assert psutil.Process().num_fds() == descriptors
        assert os.umask(0o077) == 0o077
        assert stat.S_IMODE((tmp_path / "new" / "folders" / "0.json").stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_json_is_written_as_in_the_published_records(tmp_path):
    save_json(tmp_path / "a.json", {"b": [1], "a": {}})
    assert (tmp_path / "a.json").read_text() == '{\n  "a": {},\n  "b": [\n    1\n  ]\n}\n'


def test_the_order_of_metadata_does_not_matter(tmp_path):
    about = {key: str(i) for i, key in enumerate("zyxwvutsrq")}
    save_tensors(tmp_path / "t", TENSORS, about)
    assert load_tensors(tmp_path / "t")[1] == about


def test_a_file_that_is_not_there_is_said_not_to_be_there(tmp_path):
    with pytest.raises(DamagedFile, match=r"nowhere: .*; there is no such file"):
        load_tensors(tmp_path / "nowhere")


def test_a_sealed_file_is_as_it_was_written(tmp_path):
    path = tmp_path / "one.json"
    save_json(path, sealed({"a": 1}))
    assert load_sealed(path)["a"] == 1
    for content in ({"a": 1}, {**load_json(path), "a": 2}, [1, 2], "text", None):
        save_json(path, content)
        with pytest.raises(DamagedFile, match="its content is not what its SHA-256"):
            load_sealed(path)


def test_a_file_that_is_being_written_is_not_swept(tmp_path):
    def write(temporary: Path) -> None:
        left = tmp_path / ".two.txt.abc.tmp"
        left.touch()
        sweep(tmp_path)
        assert temporary.exists() and not left.exists()
        temporary.write_text("whole")

    write_atomically(tmp_path / "one.txt", write)
    assert [p.name for p in tmp_path.iterdir()] == ["one.txt"]

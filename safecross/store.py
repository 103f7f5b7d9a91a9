"""Files that are whole or are not there: atomic writes, checksums, tensors and tables on disk."""

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

__all__ = [
    "DamagedFile",
    "StoreError",
    "file_hash",
    "finish_writing",
    "load_json",
    "load_sealed",
    "load_tensors",
    "save_json",
    "save_tensors",
    "sealed",
    "sweep",
    "write_atomically",
]


# Held while this process has a temporary file.
_writing = threading.Lock()


class StoreError(OSError):
    """A file could not be written; nothing that was there before is lost."""


class DamagedFile(ValueError):
    """A file is missing, truncated, altered, or not what it should be."""


def write_atomically(
    path: str | Path, write: Callable[[Path], None], *, flush: bool = True
) -> None:
    """Let `write` fill a temporary file, then move it to `path` in one step.

    Parameters
    ----------
    path : str or Path
        Where the file shall be; missing folders are made.
    write : callable of one Path
        Writes the temporary file, which lies in the same folder.
    flush : bool
        Whether to wait until the disk has it, so that it outlives a machine that fails, and not
        only a process that is killed.

    Raises
    ------
    StoreError
        If the folder cannot be written or the disk is full; the temporary file is removed and a
        file already at `path` is untouched.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "a" / "b.txt"
    >>> write_atomically(path, lambda temporary: temporary.write_text("whole"))
    >>> path.read_text(), [p.name for p in path.parent.iterdir()]
    ('whole', ['b.txt'])
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _writing, _temporary(path) as temporary:
            write(temporary)
            if flush:
                with temporary.open("rb+") as file:
                    os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())
            os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"cannot write {path}: {error}. Free some space or choose a folder that can be "
            "written; what was finished before is kept."
        ) from error


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Make a temporary file beside `path`, locked while it is there, and remove it at the end."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            break
        os.close(handle)  # `sweep` came between
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
        os.close(handle)


def sweep(folder: str | Path) -> None:
    """Remove the temporary files in a folder that killed writers left; living ones lock theirs.

    Parameters
    ----------
    folder : str or Path
        Looked through with all its folders. What cannot be locked or removed is left.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> left = Path(folder.name) / ".b.txt.abc.tmp"
    >>> left.touch()
    >>> sweep(folder.name)
    >>> left.exists()
    False
    """
    for path in Path(folder).rglob(".*.tmp"):
        with contextlib.suppress(OSError), path.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def finish_writing(seconds: float) -> None:
    """Wait until this process writes no file, and let it begin none: it is about to end.

    Parameters
    ----------
    seconds : float
        The longest to wait.
    """
    _writing.acquire(timeout=seconds)


def save_tensors(
    path: str | Path,
    tensors: Mapping[str, torch.Tensor],
    metadata: Mapping[str, str],
    *,
    flush: bool = True,
) -> None:
    """Write named tensors as safetensors with a checksum of names, shapes, types and values.

    Parameters
    ----------
    path : str or Path
        File to write, atomically.
    tensors : mapping of str to torch.Tensor
        What to keep; from any device, contiguous or not.
    metadata : mapping of str to str
        Kept beside them; the key ``sha256`` is set here.
    flush : bool
        As for `write_atomically`.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    metadata = {str(k): str(v) for k, v in metadata.items() if k != "sha256"}
    metadata["sha256"] = _digest(tensors, metadata)
    # `save_file` would put a file of its own, without our lock, in the place of the temporary one.
    content = save(tensors, metadata)
    write_atomically(path, lambda temporary: temporary.write_bytes(content), flush=flush)


def load_tensors(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return the tensors and the metadata of a safetensors file, checked against its checksum.

    Raises
    ------
    DamagedFile
        If the file is missing, cannot be read, or its content differs from the checksum. A file
        without a checksum, written by other software, is read as it is.
    """
    if not Path(path).is_file():
        raise DamagedFile(f"{path}: expected a safetensors file; there is no such file")
    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise DamagedFile(
            f"{path}: expected a safetensors file; found one that cannot be read ({error})"
        ) from error
    expected = metadata.pop("sha256", None)
    if expected is not None and (found := _digest(tensors, metadata)) != expected:
        raise DamagedFile(f"{path}: expected SHA-256 {expected} of its content; found {found}")
    return tensors, metadata


def save_json(path: str | Path, content) -> None:
    """Write `content` as indented JSON, atomically.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def load_json(path: str | Path):
    """Return the content of a JSON file.

    Raises
    ------
    DamagedFile
        If the file is missing, is not JSON, or is nested too deeply to be read.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedFile(f"{path}: expected a JSON file; found {error}") from error


def sealed(content: Mapping) -> dict:
    """Return JSON-able content with a checksum of all of it under the key ``sha256``.

    Examples
    --------
    >>> sealed({"a": 1})["sha256"][:8]
    'f9d86028'
    """
    content = {key: value for key, value in content.items() if key != "sha256"}
    text = json.dumps(content, sort_keys=True).encode()
    return {**content, "sha256": hashlib.sha256(text).hexdigest()}


def load_sealed(path: str | Path) -> dict:
    """Return the content of a JSON file that `sealed` made, checksum and all.

    Raises
    ------
    DamagedFile
        If the file is missing, is no JSON object, or its content differs from its checksum.
    """
    content = load_json(path)
    expected = content.get("sha256") if isinstance(content, dict) else None
    if not isinstance(content, dict) or sealed(content)["sha256"] != expected:
        raise DamagedFile(f"{path}: its content is not what its SHA-256, {expected}, says")
    return content


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current

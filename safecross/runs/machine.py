"""The machine that runs: its name, its memory, its speed, its source; and how progress is shown."""

import contextlib
import functools
import hashlib
import os
import platform
import re
import resource
import sys
from collections.abc import Iterable
from pathlib import Path

import torch
from tqdm import tqdm

from ..networks.linalg import product_rate

__all__ = [
    "machine_name",
    "one_thread",
    "peak_memory",
    "process_memory",
    "product_rate",
    "progress_bar",
    "source_hash",
]


@contextlib.contextmanager
def one_thread():
    """Give PyTorch one thread: a core a task, and the same numbers whatever the workers."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def process_memory() -> tuple[tuple[str, int], int]:
    """Return this process, by its machine and number, and its peak memory in bytes."""
    return (platform.node(), os.getpid()), peak_memory()


def peak_memory() -> int:
    """Return the most memory that this process has had resident, in bytes."""
    try:
        # On Linux `getrusage` also counts the process that started this one.
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])
    except OSError:
        # macOS counts in bytes.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def progress_bar(items: Iterable | None = None, **options) -> tqdm:
    """Return a progress bar: in terminals and live notebooks, silent in CI and in the book.

    ``SAFECROSS_PROGRESS=0`` silences it anywhere.
    """
    if os.environ.get("SAFECROSS_PROGRESS") == "0" or "CI" in os.environ:
        return tqdm(items, disable=True, **options)
    # None shows it in terminals only; a notebook's output is none, but somebody is watching.
    return tqdm(items, disable=False if "ipykernel" in sys.modules else None, **options)


@functools.cache
def machine_name() -> str:
    """Return the operating system, the number of cores and the processor of this machine."""
    system = f"{platform.system()} {platform.machine()}"
    return f"{system}, {os.cpu_count()} cores, {_processor()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


def source_hash() -> str:
    """Return the SHA-256 of the package's source files together."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()

"""The folder in which an experiment runs: units, notes of sessions, what other folders have."""

import logging
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from platformdirs import user_cache_path

from .. import store
from .experiment import Experiment, Results

__all__ = ["PUBLISHED", "RunFolder", "check_session", "committed_folder", "runs_folder"]

#: The published records, beside the package.
PUBLISHED = Path(__file__).parents[2] / "book" / "results"

#: What every session's note holds; those written since tell more.
_SESSION = {
    "pairs_computed": int,
    "workers": int,
    "wall_seconds": (int, float),
    "peak_memory_bytes": int,
    "finished": str,
}

_log = logging.getLogger(__name__)


def runs_folder() -> Path:
    """Return the folder of unfinished runs, parents and own records.

    It is ``SAFECROSS_RUNS`` if set (``~`` means the home folder), else ``runs`` in the user's cache
    folder of safecross.
    """
    place = os.environ.get("SAFECROSS_RUNS")
    return Path(place).expanduser() if place else user_cache_path("safecross") / "runs"


def committed_folder() -> Path:
    """Return the folder of the published records, ``book/results`` beside the package."""
    return PUBLISHED


class RunFolder:
    """Where the units of one experiment are kept.

    Parameters
    ----------
    experiment : Experiment
        Whose units these are.
    path : str or Path, optional
        A run folder, `runs_folder` by default; it may hold other experiments as well.

    Attributes
    ----------
    path : Path
        The run folder, in full.
    record : Path
        The experiment's own folder in it.
    """

    def __init__(self, experiment: Experiment, path: str | Path | None = None):
        self.experiment = experiment
        self.path = Path(path or runs_folder()).resolve()
        self.record = self.path / "records" / experiment.name

    @property
    def units(self) -> Path:
        """The folder of the units' files."""
        return self.record / f"{self.experiment.unit}s"

    def unit_path(self, unit: int) -> Path:
        """Return the file of a unit."""
        return self.units / f"{self.experiment.unit}-{unit:05d}.safetensors"

    def _mark(self, unit: int) -> dict[str, str]:
        return {"record": self.record.name, self.experiment.unit: str(unit)}

    def save(self, unit: int, results: Results, about: dict) -> None:
        """Keep a unit's results, and what else is to be known of it.

        Raises
        ------
        store.StoreError
            If the folder cannot be written.
        """
        store.save_tensors(self.unit_path(unit), results, {**self._mark(unit), **about})

    def load(self, unit: int) -> Results | None:
        """Return a unit's results if its file is whole and its own, else None."""
        try:
            tensors, metadata = store.load_tensors(self.unit_path(unit))
        except store.DamagedFile:
            return None
        expected = self._mark(unit)
        return tensors if {key: metadata.get(key) for key in expected} == expected else None

    def about(self, unit: int) -> dict[str, str]:
        """Return what a whole unit says of itself."""
        return store.load_tensors(self.unit_path(unit))[1]

    def missing(self, units: Sequence[int]) -> list[int]:
        """Return the units among some that are missing or damaged."""
        return [unit for unit in units if self.load(unit) is None]

    def whole(self, missing: list[int]) -> Iterator[tuple[int, Results]]:
        """Yield the results of one unit after the other; note those that are not to be had."""
        for unit in range(self.experiment.n_units):
            results = self.load(unit)
            if results is None:
                missing.append(unit)
            else:
                yield unit, results

    def note(self, session: dict, shard: tuple[int, int] = (0, 1)) -> None:
        """Keep the note of a session, one of several, begun in one second perhaps."""
        name = f"session-{shard[0]}-of-{shard[1]}-{int(time.time())}-{secrets.token_hex(4)}"
        store.save_json(self.record / f"{name}.json", store.sealed(session))

    def sessions(self) -> dict[Path, dict]:
        """Return the whole notes of the sessions by file; damaged ones are named and skipped."""
        return session_notes(self.record)

    def gather(self, sources: Sequence[str | Path]) -> None:
        """Copy the units and the notes of other run folders here; all or none of the units.

        Raises
        ------
        ValueError
            If a source holds no unit of this experiment, or two folders hold the same one.
        store.StoreError
            If this folder cannot be written.
        """
        every, word = range(self.experiment.n_units), self.experiment.unit
        holder = dict.fromkeys((u for u in every if self.load(u) is not None), self)
        for path in dict.fromkeys(Path(source).resolve() for source in sources):
            source = RunFolder(self.experiment, path)
            if not source.units.is_dir():
                others = sorted(other.name for other in path.glob("records/*/"))
                raise ValueError(
                    f"expected {word}s of {self.record.name} in {path}; found records {others}. "
                    "Shards are joined of one config: give the options that they were run with"
                )
            if path == self.path:
                continue
            found = [unit for unit in every if source.load(unit) is not None]
            twice = [u for u in found if u in holder and not holder[u].same(u, source)]
            if twice:
                raise ValueError(
                    f"{word}s {twice[:10]} are both in {holder[twice[0]].path} and in {path}: "
                    "shards must not overlap, such as 0/3, 1/3 and 2/3; remove one of the copies"
                )
            holder |= dict.fromkeys(found, source)
        for unit, source in holder.items():
            if source is not self:
                copy_file(source.unit_path(unit), self.unit_path(unit))
        for source in set(holder.values()) - {self}:
            for note in source.sessions():
                copy_file(note, self.record / note.name)

    def same(self, unit: int, other: "RunFolder") -> bool:
        """Return whether two folders hold copies of one file; seconds tell apart what ran twice."""
        one, two = (store.file_hash(folder.unit_path(unit)) for folder in (self, other))
        return one == two


def session_notes(record_folder: Path) -> dict[Path, dict]:
    """Return the whole notes in a record's folder by file, as `RunFolder.sessions` does."""
    notes = {}
    for path in sorted(record_folder.glob("session-*.json")):
        try:
            notes[path] = check_session(load_checked(path), path)
        except store.DamagedFile as error:
            _log.warning("a session's note is left out: %s", error)
    return notes


def load_checked(path: Path):
    """Return a JSON file's content without its checksum, which older files do not have."""
    content = store.load_json(path)
    if isinstance(content, dict) and "sha256" in content:
        content = store.load_sealed(path)
        del content["sha256"]
    return content


def check_session(note, path: Path) -> dict:
    """Return a session's note as it is, or raise DamagedFile if something is missing in it."""
    for key, kind in _SESSION.items():
        value = note.get(key) if isinstance(note, dict) else None
        if not isinstance(value, kind) or isinstance(value, bool):
            raise store.DamagedFile(f"{path}: no note of a session ({key!r} is {value!r})")
    return note


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all."""
    content = source.read_bytes()
    store.write_atomically(target, lambda path: path.write_bytes(content))

"""The result of an experiment: read and checked, published, listed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from .. import store
from .experiment import Experiment, config_from_dict, experiment_of
from .folder import (
    check_session,
    committed_folder,
    copy_file,
    load_checked,
    runs_folder,
)

__all__ = ["Record", "list_records", "load_record", "publish"]


@dataclass(frozen=True, eq=False)
class Record:
    """The result of an experiment.

    Attributes
    ----------
    config : Config
        What was run; of another kind of experiment its own config.
    tables : mapping of str to pandas.DataFrame
        By name, as the experiment's schema has them.
    manifest : dict
        Config, data fingerprint, versions, machine, wall time, checksums of the tables.
    folder : Path
        Where it was read from.
    """

    config: object
    tables: Mapping[str, pd.DataFrame]
    manifest: dict
    folder: Path

    @property
    def curves(self) -> pd.DataFrame:
        """Table of pair, operator, t, loss, accuracy; one row for each point of each curve."""
        return self.tables["curves"]

    @property
    def pairs(self) -> pd.DataFrame:
        """Table of pair, network_a, network_b, their seeds, the parents' losses and accuracies."""
        return self.tables["pairs"]

    @property
    def statistics(self) -> pd.DataFrame:
        """Table of pair, layer, statistic, value: the counts of Section 5.2.2."""
        return self.tables["statistics"]

    @property
    def timings(self) -> pd.DataFrame:
        """Table of pair, step, seconds; the only one that differs from run to run."""
        return self.tables["timings"]

    @property
    def name(self) -> str:
        """Its data set and its hash, as `record_name` gives them; never read from a file."""
        return experiment_of(self.config).named(self.manifest["data_fingerprint"])

    @property
    def wall_seconds(self) -> float:
        """Time of all sessions that computed pairs, in seconds; killed ones leave no note."""
        return sum(s["wall_seconds"] for s in self._sessions)

    @property
    def _sessions(self) -> list[dict]:
        sessions = [s for s in self.manifest["sessions"] if s["pairs_computed"]]
        return sorted(sessions, key=lambda session: session["finished"])

    def at(self, t: float = 0.5, column: str = "loss") -> pd.DataFrame:
        """Return a table of one value of each pair (row) and operator (column) at one t.

        Raises
        ------
        ValueError
            If the record has no such t or column.
        """
        rows = self.curves[np.isclose(self.curves["t"], t)]
        if rows.empty or column not in ("loss", "accuracy"):
            raise ValueError(
                f"expected t among {list(self.config.t)} and column loss or accuracy; "
                f"found t = {t!r}, column {column!r}"
            )
        table = rows.pivot(index="pair", columns="operator", values=column)
        return table[list(self.config.operators)].astype(float)

    def describe(self) -> str:
        """Return one line that says when, where and how it was computed."""
        experiment = experiment_of(self.config)
        what = f"Record {self.name}: {experiment.n_units} {experiment.unit}s on "
        what += f"{self.config.dataset}, computed"
        if not self._sessions:  # killed after the last pair, before its note
            return f"{what} on {self.manifest['machine']}."
        last = self._sessions[-1]
        how = f"{last['workers']} worker{'s' if last['workers'] > 1 else ''}"
        if len(self._sessions) > 1:
            how = f"{len(self._sessions)} sessions, in all"
        return (
            f"{what} {last['finished'][:10]} on {self.manifest['machine']}, {how}, "
            f"{self.wall_seconds / 60:.1f} minutes."
        )


def load_record(folder: str | Path) -> Record:
    """Return the record in a folder, checked: it may come from a stranger.

    The folder's name, the manifest's name and the hash of its config agree, the manifest is as its
    checksum says, and the tables are as the manifest says and have the rows of the config.

    Raises
    ------
    store.DamagedFile
        If a file is missing, altered, unreadable or not of this record.
    """
    folder = Path(folder)
    experiment, manifest = _load_manifest(folder)
    tables = {}
    for name, columns in experiment.schema.items():
        path = folder / f"{name}.parquet"
        expected = manifest["files"][path.name]
        found = store.file_hash(path) if path.is_file() else "no file"
        if found != expected:
            raise store.DamagedFile(f"{path}: expected SHA-256 {expected}; found {found}")
        tables[name] = _load_table(path, columns, experiment.rows(name))
    return Record(experiment.config, tables, manifest, folder)


def _load_manifest(folder: Path) -> tuple[Experiment, dict]:
    """Return a record's experiment and manifest, or raise DamagedFile."""
    path = folder / "manifest.json"
    manifest = store.load_sealed(path)
    try:
        experiment = experiment_of(config_from_dict(manifest["config"]))
        name, files = experiment.named(str(manifest["data_fingerprint"])), manifest["files"]
        dataset = experiment.config.dataset
        if Path(dataset).name != dataset:
            raise ValueError(f"its data set is a path, {dataset!r}")
        if not name == manifest["name"] == folder.resolve().name:
            raise ValueError(
                f"its config is that of {name}, its name {manifest['name']}, its folder's "
                f"{folder.resolve().name}"
            )
        if files.keys() != {f"{table}.parquet" for table in experiment.schema}:
            raise ValueError(f"its tables are {list(files)}")
        for session in manifest["sessions"]:
            check_session(session, path)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise store.DamagedFile(f"{path}: not of a record ({error})") from error
    return experiment, manifest


def _load_table(path: Path, schema: Sequence[str], rows: int | None) -> pd.DataFrame:
    """Return a table if it has these columns and, where it is known, this number of rows."""
    try:
        found = pq.read_schema(path).names, pq.read_metadata(path).num_rows
        # Looked at before it is read: a few bytes can say that they are millions of rows.
        if found[0] != list(schema) or found[1] != (found[1] if rows is None else rows):
            raise ValueError(f"{found[1]} rows of {', '.join(found[0])}")
        return pd.read_parquet(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise store.DamagedFile(
            f"{path}: expected {'' if rows is None else f'{rows} '}rows of {', '.join(schema)}; "
            f"found {error}"
        ) from error


def publish(record: Record, folder: Path | None = None) -> Path:
    """Copy a record's tables and manifest into the folder of published records.

    Parameters
    ----------
    record : Record
        Complete; a published one is left as it is.
    folder : Path, optional
        `committed_folder` by default.

    Returns
    -------
    Path
        The record's folder there.

    Raises
    ------
    store.StoreError
        If the folder cannot be written.
    """
    target = Path(folder or committed_folder()) / record.name
    if target.resolve() != record.folder.resolve():
        for name in (*(f"{table}.parquet" for table in record.tables), "manifest.json"):
            copy_file(record.folder / name, target / name)
    return target


def list_records() -> pd.DataFrame:
    """Return what records exist and how far each is.

    Returns
    -------
    pandas.DataFrame
        record, place (published or local), pairs_done, pairs in all (missing if unknown), and
        problem: what is wrong with the record's own files, or nothing.
    """
    rows = []
    for place, folder in (("published", committed_folder()), ("local", runs_folder() / "records")):
        for path in sorted(folder.glob("*/")):
            done = len(list(path.glob("*s/*-?????.safetensors")))
            total, problem = None, ""
            try:
                total = _pairs_in_all(path)
                done = total if place == "published" else done
            except store.DamagedFile as error:
                problem = str(error)
            rows.append((path.name, place, done, total, problem))
    table = pd.DataFrame(rows, columns=["record", "place", "pairs_done", "pairs", "problem"])
    return table.astype({"pairs_done": "Int64", "pairs": "Int64"})


def _pairs_in_all(record_folder: Path) -> int | None:
    """Return the number of units that a record has or shall have; None if nothing says so."""
    if (record_folder / "manifest.json").exists():
        return _load_manifest(record_folder)[0].n_units
    path = record_folder / "config.json"
    if not path.exists():
        return None
    try:
        return experiment_of(config_from_dict(load_checked(path))).n_units
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise store.DamagedFile(f"{path}: not of a run ({error})") from error

"""How any experiment is run: units that resume, shard, merge and verify, and their records."""

from .experiment import (
    Experiment,
    config_from_dict,
    experiment_of,
    fingerprint,
    record_name,
    register,
)
from .folder import RunFolder, committed_folder, runs_folder
from .machine import machine_name, peak_memory, progress_bar
from .pairs import PRODUCT_SIZE, PairExperiment
from .record import (
    Record,
    list_records,
    load_record,
    publish,
)
from .runner import (
    load_or_run,
    merge,
    run,
    tasks,
)
from .verify import verify

__all__ = [
    "PRODUCT_SIZE",
    "Experiment",
    "PairExperiment",
    "Record",
    "RunFolder",
    "committed_folder",
    "config_from_dict",
    "experiment_of",
    "fingerprint",
    "list_records",
    "load_or_run",
    "load_record",
    "machine_name",
    "merge",
    "peak_memory",
    "progress_bar",
    "publish",
    "record_name",
    "register",
    "run",
    "runs_folder",
    "tasks",
    "verify",
]

"""Where tasks run: processes of this machine, or a Dask cluster; joblib is the only interface."""

import contextlib
import signal
import warnings
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import resource_tracker

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from . import checks, store

__all__ = ["BACKENDS", "check", "start"]

#: joblib's engines by name.
BACKENDS = ("loky", "dask")

#: Tasks that a cluster is handed at once, at least.
AHEAD = 1000

#: Seconds to wait for a cluster's first worker.
WAIT = 30


def check(backend: str, scheduler: str | None = None, workers: int | None = None) -> None:
    """Raise ValueError if an engine's options do not fit it.

    Parameters
    ----------
    backend : {"loky", "dask"}
        Processes of this machine, or a Dask cluster.
    scheduler : str, optional
        Address of the cluster's scheduler; Dask needs it.
    workers : int, optional
        Processes of this machine, >= 1; a Dask cluster has its own.

    Raises
    ------
    ValueError
        The message says what was expected and what was found.

    Examples
    --------
    >>> check("loky", workers=2)
    >>> check("dask", "tcp://127.0.0.1:8786")
    """
    if backend not in BACKENDS:
        raise ValueError(checks.unknown("backend", backend, BACKENDS))
    if workers is not None:
        checks.whole_number("workers", workers, 1)
    if backend == "loky" and scheduler is not None:
        raise ValueError(f"a scheduler is for the backend dask; found {scheduler!r} with loky")
    if backend == "dask" and scheduler is None:
        raise ValueError(
            "the backend dask needs the address of a scheduler, such as tcp://127.0.0.1:8786; "
            "'dask scheduler' starts one and prints it"
        )
    if backend == "dask" and workers is not None:
        raise ValueError(
            f"a Dask cluster has its own workers; found workers = {workers}. Start more of them "
            "with 'dask worker ADDRESS --nthreads 1'"
        )


@contextlib.contextmanager
def start(
    backend: str = "loky", scheduler: str | None = None, workers: int | None = None
) -> Iterator[tuple[Callable[[Iterable], Iterator], int]]:
    """Start an engine, and close it at the end.

    Parameters
    ----------
    backend, scheduler, workers
        As for `check`.

    Yields
    ------
    parallel : callable
        Takes an iterable of `joblib.delayed` calls, asked for as they are needed, and returns an
        iterator of their results in the order in which they finish.
    workers : int
        How many tasks run at once.

    Raises
    ------
    store.StoreError
        If a worker was killed: on this machine once, on a cluster too often for one task.
    OSError
        If the scheduler cannot be reached or has no workers.
    ValueError
        As `check`, or if Dask is not installed.

    Examples
    --------
    >>> with start(workers=1) as (parallel, workers):
    ...     sorted(parallel(joblib.delayed(abs)(i) for i in (-2, 1))), workers
    ([1, 2], 1)
    """
    check(backend, scheduler, workers)
    with _loky(workers) if backend == "loky" else _dask(scheduler) as n_jobs:
        # A cluster may grow: it is handed more tasks than its first workers would take.
        ahead = "2*n_jobs" if backend == "loky" else max(2 * n_jobs, AHEAD)
        parallel = joblib.Parallel(
            n_jobs=n_jobs, return_as="generator_unordered", pre_dispatch=ahead
        )
        yield lambda tasks: _hand_out(parallel, tasks), n_jobs


def _hand_out(parallel: joblib.Parallel, tasks: Iterable) -> Iterator:
    """Start on the tasks with Ctrl-C held back, which the workers that start now inherit.

    One that is still importing would else print where it was, before its initializer is called.
    """
    resource_tracker.ensure_running()  # it starts with the first worker and would lift the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return parallel(tasks)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _loky(workers: int | None) -> Iterator[int]:
    with (
        joblib.parallel_config(backend="loky", initializer=_leave_interrupts_to_the_caller),
        warnings.catch_warnings(),
    ):
        # Loky replaces a worker that has grown, as one does that has loaded a second data set.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given")
        try:
            yield workers or joblib.cpu_count()
        except TerminatedWorkerError as error:
            raise store.StoreError(
                "a worker process was killed, perhaps for want of memory: run the same command "
                "again, with fewer workers; what was finished is kept"
            ) from error


def _leave_interrupts_to_the_caller() -> None:
    """Ignore Ctrl-C in a worker, which would print where it was; the caller stops the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def _dask(scheduler: str) -> Iterator[int]:
    try:
        from distributed import Client, KilledWorker
    except ImportError as error:
        raise ValueError(
            "the backend dask needs the package distributed: pip install 'safecross[dask]'"
        ) from error
    joblib.register_parallel_backend(_CLUSTER, _cluster_backend())
    with (
        Client(scheduler, set_as_default=False) as client,
        joblib.parallel_config(backend=_CLUSTER, client=client),
    ):
        try:
            client.wait_for_workers(1, timeout=WAIT)
        except TimeoutError as error:
            raise OSError(
                f"the scheduler at {scheduler} has had no workers for {WAIT} seconds: start some "
                f"with 'dask worker {scheduler} --nthreads 1'"
            ) from error
        workers = sum(client.ncores().values())
        try:
            yield workers
        except KilledWorker as error:
            raise store.StoreError(
                "one task's workers were killed again and again, perhaps for want of memory: run "
                f"the same command again on larger ones; what was finished is kept ({error})"
            ) from error


_CLUSTER = "safecross-dask"


def _cluster_backend() -> type:
    """Return joblib's backend for Dask, which hears of tasks that Dask has given up too.

    joblib's own does not call back when Dask declares a task failed because each worker that had
    it died, and waits for that task for ever.
    """
    from joblib._dask import DaskDistributedBackend

    class Backend(DaskDistributedBackend):
        def submit(self, func, callback=None):
            future = super().submit(func, callback)
            future.add_done_callback(
                lambda done: callback(done.exception()) if done.exception() else None
            )
            return future

        def retrieve_result_callback(self, out):
            if isinstance(out, BaseException):
                raise out
            return super().retrieve_result_callback(out)

    return Backend

"""Where tasks run: processes of this machine, or a Dask cluster; joblib is the only interface."""

import contextlib
import functools
import multiprocessing.resource_tracker
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator

import joblib
import psutil
from joblib.externals.loky.backend import resource_tracker as loky_tracker
from joblib.externals.loky.process_executor import TerminatedWorkerError

from .. import checks, store

__all__ = ["BACKENDS", "check", "check_memory", "start", "unwound_by_sigterm"]

#: joblib's engines by name.
BACKENDS = ("loky", "dask")

#: Processes for each core of this machine, at most; each has one thread.
PER_CORE = 4

#: Tasks that a cluster is handed at once, at least.
AHEAD = 1000

#: Seconds to wait for a cluster's first worker.
WAIT = 30

#: Seconds between two looks of a worker at whether its caller is there.
GLANCE = 0.5

#: Seconds that a worker without a caller takes to finish a file, at most.
FINISH = 5


def check(backend: str, scheduler: str | None = None, workers: int | None = None) -> None:
    """Raise ValueError if an engine's options do not fit it.

    Parameters
    ----------
    backend : {"loky", "dask"}
        Processes of this machine, or a Dask cluster.
    scheduler : str, optional
        Address of the cluster's scheduler; Dask needs it.
    workers : int, optional
        Processes of this machine, at least 1 and at most `PER_CORE` for each of its cores; a Dask
        cluster has its own.

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
        most = PER_CORE * joblib.cpu_count()
        if workers > most:
            raise ValueError(
                f"workers must be at most {most}, {PER_CORE} for each of the {joblib.cpu_count()} "
                f"cores of this machine; found {workers}"
            )
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


def check_memory(needed: int, workers: int = 1, available: int | None = None) -> None:
    """Raise MemoryError unless there is as much memory as some workers need together.

    Parameters
    ----------
    needed : int
        Bytes that each worker needs.
    workers : int
        How many there are at once.
    available : int, optional
        Bytes that there are for all; by default what this machine has free now.

    Raises
    ------
    MemoryError
        The message says what is needed and what there is.

    Examples
    --------
    >>> check_memory(2**20, 2, available=2**21)
    """
    available = psutil.virtual_memory().available if available is None else available
    if needed * workers > available:
        raise MemoryError(
            f"expected about {_gib(needed * workers)} of memory, {_gib(needed)} for each of "
            f"{workers} worker(s); found {_gib(available)} free. Use fewer workers, narrower "
            "layers, or fewer examples to align on"
        )


def _gib(size: int) -> str:
    tenths = size * 10 // 2**30  # whole numbers: a float may be too small for it
    return f"{tenths // 10:,}.{tenths % 10} GiB"


@contextlib.contextmanager
def start(
    backend: str = "loky",
    scheduler: str | None = None,
    workers: int | None = None,
    n_tasks: int | None = None,
    memory: int = 0,
) -> Iterator[tuple[Callable[[Iterable], Iterator], int]]:
    """Start an engine, and close it at the end.

    Parameters
    ----------
    backend, scheduler, workers
        As for `check`; by default there are as many processes as cores, or as memory allows.
    n_tasks : int, optional
        How many tasks there will be; no more processes are started.
    memory : int
        Bytes that each task needs.

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
    MemoryError
        If the tasks that run at once need more memory than there is.
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
    if backend == "loky":
        started = _loky(_processes(workers, n_tasks, memory))
    else:
        started = _dask(scheduler, memory)
    with started as n_jobs:
        # A cluster may grow: it is handed more tasks than its first workers would take.
        ahead = "2*n_jobs" if backend == "loky" else max(2 * n_jobs, AHEAD)
        parallel = joblib.Parallel(
            n_jobs=n_jobs, return_as="generator_unordered", pre_dispatch=ahead
        )
        yield lambda tasks: _launched(parallel, tasks), n_jobs


@contextlib.contextmanager
def unwound_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, by which batch systems end a program, unwind this one, as Ctrl-C does.

    It raises SystemExit with a shell's status for it, unless the program has a handler of its own.

    Examples
    --------
    >>> with unwound_by_sigterm():
    ...     signal.raise_signal(signal.SIGTERM)
    Traceback (most recent call last):
        ...
    SystemExit: 143
    """
    default = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not default or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _leave(number: int, _) -> None:
    raise SystemExit(128 + number)


def _processes(workers: int | None, n_tasks: int | None, memory: int) -> int:
    """Return how many processes to start on this machine; raise if they find too little memory."""
    processes = workers or joblib.cpu_count()
    processes = processes if n_tasks is None else max(1, min(processes, n_tasks))
    if workers is None and memory:
        processes = max(1, min(processes, psutil.virtual_memory().available // memory))
    check_memory(memory, processes)
    return processes


@contextlib.contextmanager
def _loky(processes: int) -> Iterator[int]:
    with (
        joblib.parallel_config(backend="loky", initializer=_worker(), initargs=(os.getpid(),)),
        warnings.catch_warnings(),
        _quiet_about_lost_tasks(),
    ):
        # Loky replaces a worker that has grown, as one does that has loaded a second data set.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given")
        # What joblib tells of tasks that Ctrl-C has cut off.
        warnings.filterwarnings("ignore", ".*adjusting the input task iterator")
        try:
            yield processes
        except TerminatedWorkerError as error:
            raise store.StoreError(
                "a worker process was killed, perhaps for want of memory: run the same command "
                "again, with fewer workers; what was finished is kept"
            ) from error


@contextlib.contextmanager
def _quiet_about_lost_tasks() -> Iterator[None]:
    """Say nothing of the KeyError of loky's thread whose tasks were just taken away by Ctrl-C."""
    hook = threading.excepthook

    def tell(about) -> None:
        if about.exc_type is not KeyError or about.thread.name != "ExecutorManagerThread":
            hook(about)

    threading.excepthook = tell
    try:
        yield
    finally:
        threading.excepthook = hook


@functools.cache
def _worker() -> Callable[[int], None]:
    """Return what prepares a worker process: Ctrl-C is its caller's, and without that it ends.

    A nested function travels by value: the worker looks after its caller from the beginning, not
    only when it has imported PyTorch.
    """

    def end_with(caller: int) -> None:
        while os.getppid() == caller:
            time.sleep(GLANCE)
        try:
            sys.modules["safecross.store"].finish_writing(FINISH)
        finally:  # where nothing is imported yet, nothing is written
            os._exit(1)

    def prepare(caller: int) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=end_with, args=(caller,), daemon=True).start()

    return prepare


def _launched(parallel: joblib.Parallel, tasks: Iterable) -> Iterator:
    """Return the tasks' results, their workers being started; an interruption comes afterwards."""
    arrived: list[int] = []
    with _held_back(arrived):
        results = parallel(tasks)
    try:
        for number in arrived:
            signal.raise_signal(number)
    except BaseException as interruption:
        results.throw(interruption)  # in there the workers are stopped
    return results


@contextlib.contextmanager
def _held_back(arrived: list[int]) -> Iterator[None]:
    """Note Ctrl-C and SIGTERM instead of heeding them: workers cannot be stopped half started.

    Workers inherit Ctrl-C blocked: they would print where they were.
    """
    _start_trackers()
    with contextlib.ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.signal(number, lambda number, _: arrived.append(number))
                stack.callback(signal.signal, number, before)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        stack.callback(signal.pthread_sigmask, signal.SIG_SETMASK, before)
        yield


def _start_trackers() -> None:
    """Start the processes that clean up after this one, before there are workers.

    Python's own unblocks Ctrl-C when it starts (until Python 3.12). Loky's warns of what it cleans
    up, which after Ctrl-C is as it should be: it is started with these warnings off.
    """
    multiprocessing.resource_tracker.ensure_running()
    before = os.environ.get("PYTHONWARNINGS")
    quiet = "ignore:resource_tracker:UserWarning"
    os.environ["PYTHONWARNINGS"] = f"{before},{quiet}" if before else quiet
    try:
        loky_tracker.ensure_running()
    finally:
        del os.environ["PYTHONWARNINGS"]
        if before is not None:
            os.environ["PYTHONWARNINGS"] = before


@contextlib.contextmanager
def _dask(scheduler: str, memory: int) -> Iterator[int]:
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
        for worker in client.scheduler_info()["workers"].values():
            if worker["memory_limit"]:  # 0 where there is none
                check_memory(memory, worker["nthreads"], worker["memory_limit"])
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

# %% [markdown]
# # Outgrow one machine
#
# <!-- finding scale-answer -->
# **Pairs have nothing to do with each other, so an experiment of any size can be cut into tasks. A million pairs of MNIST networks would take 4 hours of 1,000 cores, of CIFAR-10 networks 2.**
# <!-- /finding -->
#
# - **You will** take the same experiment to more cores, to a cluster and to a GPU, and see what a much
#   larger one would cost before you start it.
# - **You need** [chapter 11](11-costs.ipynb), and a run that takes too long.
# - **Runtime:** seconds. Records, the benchmark and a pencil do the work.
#
# This chapter goes beyond [Uriot and Izzo (2020)](https://doi.org/10.1145/3377930.3390197), whose 200 pairs
# fit on one machine. It takes data of your own, of any kind (`-p datasets own.npz`).

# %% tags=["remove-cell"]
# On Colab: fetch the book and install the package. Anywhere else this cell does nothing.
import os
import sys

if "google.colab" in sys.modules and not os.path.isdir("/content/safecross"):
    from subprocess import run

    address = "https://github.com/safecross/safecross"
    run(["git", "clone", "--depth=1", address, "/content/safecross"], check=True)
    run([sys.executable, "-m", "pip", "install", "-q", "-e", "/content/safecross"], check=True)
    sys.path.insert(0, "/content/safecross")

# %% tags=["parameters"]
datasets = "mnist,cifar10"  # records whose pairs are taken as the unit of cost
n_pairs = 200  # pairs of those records
seed = 0  # of those records
pairs_wanted = 1_000_000  # pairs of the experiment on paper
cores = 1000  # cores to spread them over

# %% tags=["hide-input"]
import pandas as pd
from IPython.display import Markdown, display

from safecross.book import plots
from safecross.book.results import load_records, say_where
from safecross.replication.costs import load_benchmark, project

records = load_records(datasets, n_pairs, seed)
benchmark = load_benchmark()
say_where(records)

# %% [markdown]
# ## One pair is one task
#
# The pairs of an experiment have nothing to do with each other. A task is one pair: it gets the config
# and the pair's number, from which it derives its seeds, trains both parents, aligns, evaluates, and
# writes a file of results beside those of the parents. No tensor travels. So pairs may run in any order, on any worker, twice if need be, and
# the curves, losses and counts at the end are the same to the last bit, as long as the processors and
# the versions of the packages are.
#
# That leaves one question, where tasks run. There are three answers with one command.
#
# ### More cores
#
# `safecross run mnist` starts a process for each core of the machine, `--workers 4` says how many.
# Each has one thread, so that the numbers do not depend on how many there are.

# %% tags=["hide-input"]
rows = pd.DataFrame(benchmark["workers"])
rows["times as fast"] = rows["seconds"].iloc[0] / rows["seconds"]
rows["memory, GiB"] = rows["peak_memory_bytes"] / 2**30
plots.table(
    rows[["workers", "pairs", "seconds", "times as fast", "memory, GiB"]],
    f"A run of MNIST parents after one epoch with {', '.join(map(str, rows['workers']))} workers, "
    f"start-up included, on {benchmark['machine']}, {benchmark['finished'][:10]}. "
    f"Their curves are {'the same' if rows['curves_sha256'].nunique() == 1 else 'NOT the same'}.",
    {"seconds": "{:.1f}", "times as fast": "{:.2f}", "memory, GiB": "{:.2f}"},
)

# %% [markdown]
# Workers beyond the number of cores take memory, since each holds the data set once, and gain no time.
#
# ### A Dask cluster
#
# With safecross and its extra on every machine (`pip install -e ".[dask]"` in a clone), the scheduler on one of them and workers on all,
#
# ```
# dask scheduler                                        # prints its address
# dask worker tcp://10.0.0.1:8786 --nworkers 16 --nthreads 1 --memory-limit 0
# safecross run mnist --backend dask --scheduler tcp://10.0.0.1:8786
# ```
#
# runs the same tasks there. Workers need one thread each, the same `SAFECROSS_DATA`, and the run
# folder (`SAFECROSS_RUNS` of the machine that gives the command) under the same path, on a file
# system that all of them see. A worker that dies loses the pair that it was at: the scheduler gives
# it to another. The tests kill one in the middle and compare the record.
#
# On SLURM, [dask-jobqueue](https://jobqueue.dask.org) (`pip install dask-jobqueue`) asks for the workers:
#
# ```python
# from dask_jobqueue import SLURMCluster
# from safecross.runs import run
# from safecross.replication.paper import main_config
#
# if __name__ == "__main__":
#     cluster = SLURMCluster(
#         cores=16, processes=16, memory="32GB", walltime="02:00:00"
#     )
#     cluster.scale(jobs=8)
#     cluster.wait_for_workers(16)  # the first job's; the others join as they come
#     run(
#         main_config("mnist", 20_000),
#         backend="dask",
#         scheduler=cluster.scheduler_address,
#     )
# ```
#
# `cores` equal to `processes` makes it one thread a worker. We had no SLURM to try this on; the Dask
# side of it is what the tests run.
#
# ### Job arrays
#
# Without a scheduler of tasks, cut the experiment into shards, one for each job of an array:
#
# ```
# #SBATCH --array=0-99
# safecross run mnist --pairs 20000 --shard $SLURM_ARRAY_TASK_ID/100
# ```
#
# and join them at the end with `safecross merge mnist --pairs 20000`, or, where the machines share no
# disk, with `--sources` and the run folders that were copied together. It refuses pairs that are
# missing, pairs that are there twice, and folders of another config.
#
# ## A GPU
#
# `--device cuda --together 20` trains the parents of 20 pairs at once as one population, which is meant
# for a GPU. Aligning and curves stay on the CPU. **We had no GPU when this was written: the path is
# tested on the CPU, and neither its speed nor its parents are measured.** A GPU rounds otherwise, so its
# parents are others; we expect them to be as good. The record says where they were trained.
#
# ## On paper
#
# Before a large run, multiply. The seconds are the medians of the record's pairs, storage is what
# networks and tables of this shape take, and messages are as long as this experiment's own, measured
# now.

# %% tags=["hide-input"]
costs = pd.DataFrame({name: project(record, pairs_wanted) for name, record in records.items()})
hours = costs.loc["core_hours"]
shown = pd.DataFrame(
    {
        "what": [
            "core-hours",
            f"days on {cores:,} such cores",
            "parents, if they are kept",
            "files of pairs",
            "published tables",
            "messages through the scheduler",
            "tasks a second at the scheduler",
        ]
    }
)
for name in costs:
    cost = costs[name]
    shown[name] = [
        f"{cost['core_hours']:,.0f}",
        f"{cost['core_hours'] / cores / 24:.1f}",
        *(f"{cost[k] / 1e9:,.1f} GB" for k in ("parents", "pair_files", "tables", "messages")),
        f"{pairs_wanted / (cost['core_hours'] / cores * 3600):,.0f}",
    ]
plots.table(
    shown,
    f"What {pairs_wanted:,} pairs would cost on {cores:,} cores, if each takes as long as a pair of the "
    "record did on its machine. Nothing of this was run.",
    name="on-paper",
)

# %% [markdown]
# None of the work goes through the scheduler. The next line says what a task costs it by itself,
# measured with empty tasks.

# %% tags=["hide-input"]
overhead = benchmark["scheduler"]["seconds_a_task"]
display(
    Markdown(
        f"A Dask scheduler on {benchmark['machine']} took {1000 * overhead:.2f} ms for each of "
        f"{benchmark['scheduler']['tasks']} empty tasks, so it could hand out "
        f"{1 / overhead:,.0f} a second: for {pairs_wanted:,} pairs that is "
        f"{pairs_wanted * overhead / 3600:.1f} hours of one core in all."
    )
)

# %% [markdown]
# At such sizes two things would have to change. The parents are by far the largest files, and nobody
# needs them again: delete the folder `parents` as shards are done. And `merge` makes the tables of a
# config in memory, in proportion to its pairs. Rather than one config of a million pairs, run a hundred
# of 10,000 with different seeds: as many independent pairs, in records of which each fits.

# %% tags=["hide-input"]
growth = pd.DataFrame(benchmark["pairs"])
growth["seconds a further pair"] = growth["seconds"].diff() / growth["pairs"].diff()
growth["memory, GiB"] = growth["peak_memory_bytes"] / 2**30
growth["kB on disk a pair"] = growth["bytes_on_disk"] / growth["pairs"] / 1e3
plots.table(
    growth[["pairs", "seconds", "seconds a further pair", "memory, GiB", "kB on disk a pair"]],
    f"Runs of the embedded data set with 2 workers over the number of pairs, start-up included (a single "
    f"pair needs only one of them); {benchmark['machine']}.",
    {
        "seconds": "{:.2f}",
        "seconds a further pair": "{:.3f}",
        "memory, GiB": "{:.3f}",
        "kB on disk a pair": "{:.1f}",
    },
)

# %% [markdown]
# ## In short
#
# <!-- finding scale-short -->
# - A task is a config and a number; where it runs does not change what it finds. A scheduler spends 1.64 ms on each.
# - A million pairs of MNIST: 4,116 core-hours, 3.3 TB of parents if they are kept, 2 GB of tables.
# - One command serves cores, a Dask cluster and job arrays; what was finished survives any of them.
# <!-- /finding -->
#
# ## Exercises
#
# **1.** Your cluster has two kinds of processors. Is the record still the same to the last bit?
#
# <details><summary>Answer</summary>
#
# No. Their libraries may add products up in another order, and training amplifies the last bit. Each
# pair is as good as any other, but `safecross verify` with a tight tolerance passes only on the kind that
# computed it.
#
# </details>
#
# **2.** Run this chapter with `-p pairs_wanted 2000 -p cores 16`. What is the largest item, and which option of
# `safecross run` would reduce it?
#
# <details><summary>Answer</summary>
#
# The parents take the most bytes, training the most hours. `--epochs` reduces the hours, and gives other
# parents; whether `--products bfloat16` does depends on the processor.
#
# </details>
#
# **Next:** [Align any PyTorch model](15-any-model.ipynb)

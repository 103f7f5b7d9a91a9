"""A table of what is found in the models of torchvision, made by one command."""

import argparse
import gc
import json
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from .. import store
from ..data import import_torchvision
from ..runs import committed_folder
from .maps import Move, assert_function_preserved
from .proof import TOLERANCE, random_maps
from .trace import trace

__all__ = ["builders", "load_peers", "load_table", "main", "measure", "unsettled"]

#: Side of the images that a model demands; others take images of 64.
SIZES = {"inception_v3": 96, "maxvit": 224, "vit": 224}


def builders() -> list[str]:
    """Return the names of all classification models of torchvision."""
    models = import_torchvision().models
    return models.list_models(module=models)


def load_table() -> list[dict]:
    """Return what `main` measured: ``book/results/torchvision.json``, a dict for each model.

    Raises
    ------
    store.DamagedFile
        If the file is missing or no JSON.

    Examples
    --------
    >>> load_table()[0]["model"]
    'alexnet'
    """
    return store.load_json(committed_folder() / "torchvision.json")["models"]


def load_peers() -> pd.DataFrame:
    """Return what ``python -m benchmarks.peers`` found: a row a model, a column a tool.

    Raises
    ------
    store.DamagedFile
        If the file is missing or no JSON.

    Examples
    --------
    >>> list(load_peers())
    ['safecross', 'rebasin', 'sinkhorn-rebasin']
    """
    rows = pd.DataFrame(store.load_json(committed_folder() / "peers.json")["rows"])
    table = rows.pivot(index="model", columns="tool", values="found")
    order = list(dict.fromkeys(rows["model"]))
    return table.loc[order, ["safecross", "rebasin", "sinkhorn-rebasin"]]


def measure(name: str, seed: int = 0, largest: float = float("inf")) -> dict:
    """Trace one untrained model of torchvision and permute every group at random.

    Parameters
    ----------
    name : str
        Of a builder.
    seed : int
        Of parameters, images and permutations.
    largest : float
        Models with more parameters are named and not run.

    Returns
    -------
    dict
        Groups, axes that they move, share of the parameters' indices that are free, seconds, the
        largest relative difference of the outputs in float64, and operations without a rule; or
        the error.
    """
    torch.manual_seed(seed)
    side = next((s for start, s in SIZES.items() if name.startswith(start)), 64)
    quick = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    model = unsettled(import_torchvision().models.get_model(name, weights=None, **quick))
    images = torch.randn(2, 3, side, side)
    row = {"model": name, "parameters": sum(p.numel() for p in model.parameters())}
    if row["parameters"] > largest:
        return row | {"error": "not run: needs more memory than was to be had"}
    start = time.perf_counter()
    try:
        spec = trace(model, images)
    except ValueError as error:
        return row | {"error": str(error)}
    row |= {"groups": len(spec.groups), "axes": spec.n_axes}
    row |= {"seconds": round(time.perf_counter() - start, 2), "pinned": spec.unknown}
    row["failed"] = sum("check" in f.reason for f in spec.fixed)
    move = Move(spec, random_maps(spec, seed + 1))
    row["difference"] = assert_function_preserved(model, move(model), images, float("inf"))
    return row


@torch.no_grad()
def unsettled(model: nn.Module) -> nn.Module:
    """Return the model in evaluation mode, with what starts as 0 or 1 throughout drawn at random.

    Parameters
    ----------
    model : torch.nn.Module
        An untrained model; changed in place.
    """
    tensors = [*model.named_parameters(), *model.named_buffers()]
    for name, values in tensors:
        parameter = not name.endswith(("running_mean", "running_var"))
        if not values.is_floating_point() or (parameter and not isinstance(values, nn.Parameter)):
            continue
        if values.numel() > 1 and float(values.std()) < 1e-3:
            values.add_(torch.rand_like(values) - 0.4)
    return model.eval()


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table as JSON, a row for each model.

    Parameters
    ----------
    arguments : sequence of str, optional
        Of the command line.

    Returns
    -------
    int
        0 if no model's function changed, else 1.
    """
    parser = argparse.ArgumentParser(prog="python -m safecross.modules", description=main.__doc__)
    parser.add_argument("models", nargs="*", help="builders of torchvision; all by default")
    parser.add_argument(
        "--largest",
        type=float,
        default=4e8,
        help="parameters of the largest model that is run; each takes about 25 bytes (4e8)",
    )
    parser.add_argument("--output", type=Path, default=Path("book/results/torchvision.json"))
    given = parser.parse_args(arguments)
    rows = []
    for name in given.models or builders():
        rows.append(measure(name, largest=given.largest))
        print(json.dumps(rows[-1]), flush=True)
        gc.collect()
    # A model without groups, or with some that the check had to fix, proves nothing here.
    kept = [
        r for r in rows if r.get("difference", 1) <= TOLERANCE and r["groups"] > r["failed"] == 0
    ]
    wrong = [row["model"] for row in rows if row.get("difference", 0) > TOLERANCE]
    print(f"{len(kept)} of {len(rows)} keep their function; changed: {wrong or 'none'}")
    given.output.write_text(json.dumps({"tolerance": TOLERANCE, "models": rows}, indent=1) + "\n")
    return int(bool(wrong))

"""What this package and its peers find in the same models: groups that keep the function, or not.

``python -m benchmarks.peers`` installs the peers that have a name on the package index into a
folder of its own, runs every tool on every model in a process of its own, and writes
``book/results/peers.json``; what is there already is kept. A tool is *right* on a model if its
permutations change some weight and no output; *wrong* if an output changes; else it *refuses*. One
that leaves running statistics of batch norms behind is *right but for them* if outputs stay where
the batch's statistics are used.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "book" / "results" / "peers.json"

#: Versions that are installed, with what they import beside PyTorch, SciPy and tqdm.
PACKAGES = {
    "rebasin": ("rebasin==0.0.47", "torchview==0.2.7", "graphviz==0.21"),
    "sinkhorn-rebasin": ("sinkhorn-rebasin==0.0.2", "torchviz==0.0.3", "graphviz==0.21"),
}

TOOLS = ("safecross", *PACKAGES)

#: Models of torchvision beside those of tests/zoo.py.
TORCHVISION = (
    "alexnet",
    "vgg11_bn",
    "resnet18",
    "resnext50_32x4d",
    "densenet121",
    "googlenet",
    "squeezenet1_1",
    "mobilenet_v2",
    "efficientnet_b0",
    "vit_b_32",
)

#: Largest relative change of an output that counts as rounding.
TOLERANCE = 1e-5


def models() -> list[str]:
    """Return the names of all models."""
    sys.path.insert(0, str(ROOT / "tests"))
    from zoo import ZOO

    return [*ZOO, *TORCHVISION]


def built(name: str, seed: int):
    """Return a model with all that starts as 0 or 1 redrawn, and an example of its input."""
    from zoo import ZOO

    from safecross.data import import_torchvision
    from safecross.modules.table import unsettled

    torch.manual_seed(seed)
    if name in ZOO:
        build, example, _ = ZOO[name]
        return unsettled(build()), example()
    quick = {"init_weights": False} if name == "googlenet" else {}
    model = import_torchvision().models.get_model(name, weights=None, **quick)
    side = 224 if name.startswith("vit") else 64
    return unsettled(model), torch.randn(2, 3, side, side)


def permuted(tool: str, name: str):
    """Return a model, what a tool makes of it by permuting all that it may, and an example."""
    (model, x), (other, _) = built(name, 0), built(name, 1)
    if tool == "safecross":
        from safecross import trace
        from safecross.modules import Move
        from safecross.modules.proof import random_maps

        spec = trace(model, x)
        return model, Move(spec, random_maps(spec))(model), x
    import copy

    if tool == "rebasin":
        from rebasin import PermutationCoordinateDescent

        moved = copy.deepcopy(model)
        # One sweep: what is asked is whether the function stays, not how good the match is.
        PermutationCoordinateDescent(other, moved, x).rebasin(max_iterations=1)
        return model, moved, x
    from rebasin import RebasinNet

    net = RebasinNet(model, input_shape=tuple(x.shape))
    net.random_init()
    net.eval()
    return model, net().eval(), x


def one(tool: str, name: str) -> dict:
    """Return what a tool makes of one model."""
    models()
    try:
        model, moved, x = permuted(tool, name)
        with torch.no_grad():
            before, after = model(x), moved(x)
    except Exception as error:  # whatever it is, the tool refuses
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return {"found": "refuses", "why": f"{type(error).__name__}: {lines[0]}"[:120]}
    state = moved.state_dict()
    stayed = all(torch.equal(v, state[k]) for k, v in model.state_dict().items() if k in state)
    if stayed:
        return {"found": "refuses", "why": "nothing may be permuted"}
    change = float((after - before).norm() / before.norm())
    if change <= TOLERANCE:
        return {"found": "right", "change": change}
    # A tool may leave running statistics to be estimated anew: looked at apart.
    with torch.no_grad():
        anew = [_with_batch_statistics(m)(x) for m in (model, moved)]
    rest = float((anew[1] - anew[0]).norm() / anew[0].norm())
    found = "right but for running statistics" if rest <= TOLERANCE else "wrong"
    return {"found": found, "change": change, "with batch statistics": rest}


def _with_batch_statistics(model):
    """Return the model with its batch norms, and nothing else, as in training."""
    for part in model.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            part.train()
    return model


def run(tool: str, name: str, folder: Path) -> dict:
    """Return `one` of a process of its own that sees this tool only."""
    path = os.pathsep.join(filter(None, (str(folder / tool), os.environ.get("PYTHONPATH"))))
    words = [sys.executable, "-W", "ignore", "-m", "benchmarks.peers", tool, name]
    try:
        done = subprocess.run(
            words,
            env={**os.environ, "PYTHONPATH": path},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
        )
    except subprocess.TimeoutExpired:
        return {"found": "refuses", "why": "no end within five minutes"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return {"found": "refuses", "why": (done.stderr.strip().splitlines() or ["?"])[-1][:120]}
    return json.loads(lines[-1])


def main() -> None:
    """Install the peers, run every tool on every model, and write the table."""
    rows = json.loads(OUTPUT.read_text())["rows"] if OUTPUT.exists() else []
    done = {(row["model"], row["tool"]) for row in rows}
    with tempfile.TemporaryDirectory() as folder:
        for tool, packages in PACKAGES.items():
            words = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target"]
            subprocess.run([*words, str(Path(folder, tool)), *packages], check=True)
        for name in models():
            for tool in TOOLS:
                if (name, tool) in done:
                    continue
                rows.append({"model": name, "tool": tool, **run(tool, name, Path(folder))})
                print(json.dumps(rows[-1]), flush=True)
                content = {"tolerance": TOLERANCE, "packages": PACKAGES, "rows": rows}
                OUTPUT.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(one(*sys.argv[1:])))
    else:
        main()

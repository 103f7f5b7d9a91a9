"""The command line: ``safecross``, also ``python -m safecross``."""

import argparse
import importlib
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import (
    __version__,
    checks,
    data,
    runs,
)
from .alignment.alignment import Alignment
from .alignment.operators import align, as_method
from .alignment.registry import METHODS, OPERATORS, get_operator
from .alignment.spelling import literal, parse_operator
from .crossover.curve import interpolate
from .evolution.findings import population_configs
from .modules.findings import module_configs
from .networks.metrics import evaluate
from .networks.network import Network, load_network
from .networks.training import PRODUCTS
from .replication import config, costs, paper
from .replication.baselines import baselines_config
from .runs import engine
from .runs.folder import load_checked
from .store import DamagedFile

__all__ = ["main"]


class _Mistake(Exception):
    """Something the user can mend; printed as one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after the program's name; those of the process by default.

    Returns
    -------
    int
        0 if all went well, 1 after a mistake or a failed verification, 130 after Ctrl-C.

    Examples
    --------
    >>> main(["operators"])  # doctest: +ELLIPSIS
    naive ...
    """
    options = _parser().parse_args(arguments)
    try:
        return options.action(options) or 0
    except BrokenPipeError:  # the reader, such as head, has seen enough
        sys.stdout = open(os.devnull, "w")  # for the interpreter's last flush
        return 0
    except (_Mistake, ValueError, OSError, MemoryError) as error:
        print(f"safecross: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("safecross: interrupted; what was finished is kept", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="safecross",
        description="Recombine trained neural networks in weight space.",
        epilog="'safecross COMMAND --help' has examples of each command.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (
        _add_data,
        _add_operators,
        _add_methods,
        _add_crossover,
        _add_run,
        _add_runs,
        _add_verify,
        _add_merge,
        _add_publish,
        _add_book,
    ):
        add(commands)
    return parser


def _command(commands, name: str, summary: str, action, examples: str) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(action=action)
    return command


# data -----------------------------------------------------------------------------------------


def _add_data(commands) -> None:
    command = _command(
        commands,
        "data",
        "List, prepare or check data sets.",
        _data,
        "  safecross data list\n  safecross data prepare cifar10\n  safecross data check my.npz",
    )
    command.add_argument("what", choices=("list", "prepare", "check"))
    command.add_argument("name", nargs="?", help="a data set, or for check also an .npz file")
    command.add_argument("--folder", help="where the .npz lies or shall lie")


def _data(options) -> int:
    if options.what == "list":
        for row in data.list_data(options.folder):
            place = row["path"] or "not here yet"
            print(f"{row['name']:14} {row['n_train']:>6} + {row['n_test']:<6} {place}")
        return 0
    if not options.name:
        raise _Mistake(f"data {options.what} needs the name of a data set")
    if options.what == "prepare":
        print(data.prepare_data(options.name, options.folder))
    else:
        found = data.check_data(options.name, options.folder)
        print(
            f"{found.name}: {len(found.x_train)} + {len(found.x_test)} examples of shape "
            f"{found.image_shape}, {found.n_classes} classes, fingerprint {found.fingerprint}"
        )
    return 0


# operators and crossover ----------------------------------------------------------------------


def _add_operators(commands) -> None:
    _command(
        commands,
        "operators",
        "List the operators and their options.",
        _operators,
        "  safecross operators",
    )


def _operators(options) -> None:
    for name, operator in OPERATORS.items():
        values = ", ".join(f"{key}={value}" for key, value in operator.options.items())
        print(f"{name:14} {operator.summary}{f' Options: {values}' if values else ''}")


def _add_methods(commands) -> None:
    _command(
        commands,
        "methods",
        "List all methods that align: what each needs, its cost, its source.",
        _methods,
        "  safecross methods",
    )


def _methods(options) -> None:
    print("cost: operations for a layer of h neurons on n examples, with m incoming and o outgoing")
    print("weights a neuron. A permutation keeps both parents' functions; other maps need not.\n")
    for name, entry in METHODS.items():
        kind = "soft map" if entry.soft else "permutation" if entry.one_to_one else "selection"
        widths = "" if entry.equal_widths else "; takes unequal widths"
        print(f"{name:15} {kind:11} needs {entry.needs:11} cost {entry.cost}")
        print(f"{'':15} {entry.summary}")
        print(f"{'':15} Source: {entry.source}{widths}")
        if entry.options:
            values = ", ".join(f"{key}={value}" for key, value in entry.options.items())
            print(f"{'':15} Options: {values}")


def _add_crossover(commands) -> None:
    command = _command(
        commands,
        "crossover",
        "Align two saved networks and write their offspring.",
        _crossover,
        "  safecross crossover A.safetensors B.safetensors --data mnist -o CHILD.safetensors\n"
        "  safecross crossover A.safetensors B.safetensors --data my.npz --t 0.3 \\\n"
        "      --operator sc-cca:directions=64,leftover=correlation -o CHILD.safetensors\n"
        "  safecross crossover A.safetensors B.safetensors --model my_package.my_net:build \\\n"
        "      --data my.npz --reestimate -o CHILD.safetensors",
    )
    command.add_argument("parents", nargs=2, metavar="PARENT", help="safetensors of a network")
    command.add_argument(
        "--data",
        required=True,
        help="data set or .npz; aligned on its test split, by methods that ask for labels on its "
        "training split",
    )
    command.add_argument("--operator", default="sc-pwc", help="default: %(default)s")
    command.add_argument("--t", type=float, default=0.5, help="crossover point, default 0.5")
    command.add_argument(
        "--model",
        metavar="MODULE:FUNCTION",
        help="the parents are state dicts of the module that this function without arguments "
        "returns; it takes images of shape (n, channels, height, width), or rows of numbers",
    )
    command.add_argument(
        "--reestimate",
        action="store_true",
        help="estimate the offspring's batch norms anew on the training split; with --model",
    )
    command.add_argument("-o", "--output", required=True, help="the offspring's file")
    command.add_argument("--overwrite", action="store_true", help="replace an existing output")


def _crossover(options) -> None:
    output = Path(options.output)
    if output.exists() and not options.overwrite:
        raise _Mistake(f"{output} exists already; give --overwrite to replace it")
    name, settings = parse_operator(options.operator)
    if options.model:
        _crossover_modules(options, name, settings)
        return
    if options.reestimate:
        raise _Mistake("--reestimate is for parents with batch norms: give their --model")
    a, b = (load_network(path) for path in options.parents)
    found = data.load_data(options.data)
    x, y = found.split("test")
    seen, labels = found.split(_split(name, settings))
    alignment = align(a, b, seen, name, y=labels, **settings)
    child = interpolate(*alignment.apply(a, b), options.t)
    _report(alignment, {"parent a": a, "parent b": b, f"child (t = {options.t:g})": child}, x, y)
    child.save(
        output,
        {"operator": options.operator, "t": options.t, "data": found.fingerprint},
    )
    print(f"wrote {output}")


def _crossover_modules(options, operator: str, settings: dict) -> None:
    from . import modules

    build = _imported(options.model)
    a, b = (modules.load_state(build(), path).eval() for path in options.parents)
    found = data.load_data(options.data)
    (x, y), (seen, _) = _as_images(found, "test"), _as_images(found, "train")
    spec = modules.trace(a, x[:2])
    print(spec.describe())
    examples, labels = _as_images(found, _split(operator, settings))
    move = modules.align(b, a, examples, spec, operator, y=labels, **settings)
    start = move.reference(a) if move.reference else a
    anew = seen if options.reestimate else None
    child = modules.interpolate(start, move(b), options.t, anew)
    shown = {"parent a": a, "parent b": b, f"child (t = {options.t:g})": child}
    for name, model in shown.items():
        loss, accuracy = modules.evaluate(model, x, y)
        print(f"{name:16} loss {loss:.4f}  accuracy {accuracy:.4f}")
    about = {"operator": options.operator, "t": options.t, "data": found.fingerprint}
    modules.save_state(child, options.output, about)
    print(f"wrote {options.output}")


def _split(operator: str, settings: dict) -> str:
    """Return the split to align on: a method that sees labels must not see those of the test."""
    return "train" if as_method(operator, **settings).needs == "gradients" else "test"


def _imported(text: str):
    """Return the function that ``package.module:function`` names."""
    module, colon, name = text.partition(":")
    if not colon or not module or not name:
        raise _Mistake(f"--model must be package.module:function; found {text!r}")
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` has it: a file beside the weights will do
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise _Mistake(f"--model {text}: {error}") from error
    except AttributeError:
        raise _Mistake(f"--model {text}: the module {module} has no {name}") from None


def _as_images(found: data.Dataset, split: str):
    """Return a split's examples as modules take them, channels first, and its labels."""
    x, y = found.split(split)
    x = x.view(len(x), *found.image_shape)
    if x.ndim == 3:
        x = x.unsqueeze(-1)
    return (x.movedim(-1, 1).contiguous() if x.ndim == 4 else x), y


def _report(alignment: Alignment, networks: dict[str, Network], x, y) -> None:
    for name, theta in networks.items():
        loss, accuracy = evaluate(theta, x, y)
        print(f"{name:16} loss {float(loss):.4f}  accuracy {float(accuracy):.4f}")
    entry = get_operator(alignment.operator)
    if not entry.preserves_function:
        does = "mixes" if entry.soft else "may repeat"
        print(f"note: {entry.name} {does} neurons: t = 0 or 1 need not give a parent")


# experiments ----------------------------------------------------------------------------------


def _add_run(commands) -> None:
    command = _command(
        commands,
        "run",
        "Train parents, cross pairs over, and keep the record.",
        _run,
        "  safecross run mnist                     the paper's 400 networks and 200 pairs\n"
        "  safecross run cifar10 --pairs 20 --seed 7\n"
        "  safecross run my.npz --widths 256,64 --epochs 5 --pairs 6\n"
        "  safecross run mnist --shard 0/3         a third of it; then 1/3, 2/3 and merge\n"
        "  safecross run mnist --backend dask --scheduler tcp://10.0.0.1:8786\n"
        "  safecross run my-config.json            any kind of experiment, as to_dict() says it",
    )
    _add_config(command)
    command.add_argument("--workers", type=int, help="processes; default: the machine's cores")
    command.add_argument("--device", default="cpu", help="where to train; default: %(default)s")
    command.add_argument(
        "--together",
        type=int,
        default=1,
        metavar="PAIRS",
        help="pairs trained as one population, meant for a GPU; slower on a CPU",
    )
    command.add_argument("--shard", default="0/1", metavar="I/N", help="only pairs I, I+N, ...")
    command.add_argument(
        "--backend",
        default="loky",
        choices=engine.BACKENDS,
        help="processes of this machine, or a Dask cluster; default: %(default)s",
    )
    command.add_argument("--scheduler", metavar="ADDRESS", help="of the Dask cluster")


def _add_config(command) -> None:
    command.add_argument(
        "dataset",
        help="mnist, cifar10, another data set, an .npz file, or any config as .json",
    )
    command.add_argument("--pairs", type=int, default=200, help="default: %(default)s")
    command.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    command.add_argument("--widths", help="hidden widths, such as 256,64")
    command.add_argument("--epochs", type=int)
    command.add_argument("--batch-size", type=int)
    command.add_argument("--learning-rate", type=float)
    command.add_argument(
        "--operators",
        nargs="+",
        metavar="OPERATOR",
        help="such as naive sc-pwc sc-cca:directions=64; all for every method",
    )
    command.add_argument("--align-split", choices=config.ALIGN_SPLITS)
    command.add_argument("--align-n", type=int, help="examples to align on; default: all")
    command.add_argument("--inputs", choices=config.INPUTS)
    command.add_argument(
        "--products",
        choices=PRODUCTS,
        help="bfloat16 may be faster where the processor has it, and gives other parents",
    )


def _config(options):
    if options.dataset.endswith(".json"):
        return _given_config(options)
    names = (
        "epochs",
        "batch_size",
        "learning_rate",
        "align_split",
        "align_n",
        "inputs",
        "products",
        "operators",
    )
    changes = {n: getattr(options, n) for n in names if getattr(options, n) is not None}
    if options.operators == ["all"]:
        changes["operators"] = tuple(METHODS)
    data.check_name(options.dataset)
    if options.widths is not None:
        try:
            changes["hidden"] = tuple(int(width) for width in options.widths.split(","))
        except ValueError:
            raise _Mistake(
                f"--widths must be whole numbers, such as 256,64; found {options.widths!r}"
            ) from None
    return paper.main_config(options.dataset, options.pairs, options.seed, **changes)


def _given_config(options):
    """Return the config that a JSON file holds, of whatever kind of experiment."""
    names = ("widths", "epochs", "batch_size", "learning_rate", "operators", "align_split")
    names += ("align_n", "inputs", "products")
    if given := [name for name in names if getattr(options, name) is not None]:
        option = given[0].replace("_", "-")
        raise _Mistake(f"--{option} belongs into {options.dataset}, which says all of a run")
    values = load_checked(Path(options.dataset))
    if not isinstance(values, dict):
        raise _Mistake(f"{options.dataset} must hold a config; found {checks.shown(values)}")
    try:
        return runs.config_from_dict(values)
    except TypeError as error:  # a field without a default is missing
        raise _Mistake(f"{options.dataset} is no config: {error}") from None


def _run(options) -> None:
    shard = _shard(options.shard)
    if options.products == "bfloat16":
        _say_what_bfloat16_does()
    if options.backend != "dask":  # whose workers, not this machine, need the device
        checks.as_device(options.device)
    record = runs.run(
        _config(options),
        workers=options.workers,
        shard=shard,
        device=options.device,
        together=options.together,
        backend=options.backend,
        scheduler=options.scheduler,
    )
    if record is None:
        print(f"shard {options.shard} is done; 'safecross merge' with the same options joins all")
    else:
        _print_record(record)


def _say_what_bfloat16_does() -> None:
    print("bfloat16 products give other parents than float32 ones; measured:", file=sys.stderr)
    try:
        lines = costs.bfloat16_effect()
    except DamagedFile:  # an installed package without the book
        lines = ["not here; the book's chapter on costs has it"]
    for line in lines:
        print(f"  {line}", file=sys.stderr)


def _shard(text: str) -> tuple[int, int]:
    parts = text.split("/")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise _Mistake(f"--shard must be I/N, such as 0/3; found {text!r}")
    return int(parts[0]), int(parts[1])


def _print_record(record: runs.Record) -> None:
    print(record.describe())
    if "curves" not in record.tables:
        print(record.folder)
        return
    loss, accuracy = record.at(0.5, "loss"), record.at(0.5, "accuracy")
    print(f"{'operator at t = 0.5':40} {'loss':>8} {'accuracy':>9}")
    for operator in record.config.operators:
        print(f"{operator:40} {loss[operator].mean():8.4f} {accuracy[operator].mean():9.4f}")
    columns = ([f"{what}_a", f"{what}_b"] for what in ("loss", "accuracy"))
    loss, accuracy = (record.pairs[sides].to_numpy().mean() for sides in columns)
    print(f"{'parents':40} {loss:8.4f} {accuracy:9.4f}")
    print(record.folder)


def _add_merge(commands) -> None:
    command = _command(
        commands,
        "merge",
        "Join the shards of a run into its record.",
        _merge,
        "  safecross merge mnist                       shards in one run folder\n"
        "  safecross merge mnist --sources m1/ m2/     run folders of other machines",
    )
    _add_config(command)
    command.add_argument(
        "--sources",
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="run folders to copy the pairs from first",
    )


def _merge(options) -> None:
    _print_record(runs.merge(_config(options), sources=options.sources))


def _add_runs(commands) -> None:
    _command(
        commands,
        "runs",
        "List records, and how far unfinished ones are.",
        _runs,
        "  safecross runs",
    )


def _runs(options) -> None:
    records = runs.list_records()
    if records.empty:
        print(f"no records in {runs.committed_folder()} or {runs.runs_folder()}")
    else:
        shown = records.drop(columns="problem")
        print(shown.to_string(index=False, na_rep="?"))
        for problem in filter(None, records["problem"]):
            print(f"safecross: note: {problem}", file=sys.stderr)


def _add_publish(commands) -> None:
    command = _command(
        commands,
        "publish",
        "Put records in book/results, where the book reads them.",
        _publish,
        "  safecross publish                           the book's, computing what is missing\n"
        "  safecross publish runs/records/mnist-0123   this one, in place of what is there",
    )
    command.add_argument("record", nargs="*", help="records' folders or names")


def _publish(options) -> None:
    if options.record:
        found = (runs.load_record(_record_folder(name)) for name in options.record)
    else:
        configs = [*paper.published_configs(), baselines_config("cifar10"), *module_configs()]
        configs += population_configs()
        found = (runs.load_or_run(settings) for settings in configs)
    for record in found:
        print(runs.publish(record), flush=True)


def _add_verify(commands) -> None:
    command = _command(
        commands,
        "verify",
        "Retrain random pairs of a record and compare.",
        _verify,
        "  safecross verify --pairs 1\n"
        "  safecross verify mnist-0123456789ab --pairs 3\n"
        "  safecross verify book/results/cifar10-0123456789ab --pairs 1 --seed 5",
    )
    command.add_argument(
        "record", nargs="*", help="records' folders or names; default: the published main ones"
    )
    command.add_argument("--pairs", type=int, default=3, help="default: %(default)s")
    command.add_argument("--seed", type=int, default=0, help="chooses the pairs")
    command.add_argument(
        "--tolerance",
        type=float,
        default=0.1,
        help="largest difference accepted; default 0.1, on the same machine take 1e-6",
    )
    command.add_argument("--data", help="the record's data, if they are a file of your own")


def _verify(options) -> int:
    if not 0 <= options.tolerance < math.inf:  # nothing differs by more than NaN or infinity
        raise _Mistake(f"--tolerance must be finite and >= 0; found {options.tolerance:g}")
    checks.whole_number("--seed", options.seed, 0)
    names = options.record or [
        runs.record_name(paper.main_config(name)) for name in ("mnist", "cifar10")
    ]
    return max(_verify_one(_record_folder(name), options) for name in names)


def _verify_one(folder: Path, options) -> int:
    record = runs.load_record(folder)
    table = runs.verify(
        record,
        n_pairs=options.pairs,
        seed=options.seed,
        tolerance=options.tolerance,
        dataset=options.data,
    )
    print(table.to_string(index=False, float_format="{:.2e}".format))
    good = bool(table["ok"].all())
    verdict = "agrees with" if good else "DIFFERS from"
    print(
        f"{record.name}: recomputation of {options.pairs} pairs {verdict} the record "
        f"(largest difference held to it {table.loc[table['held'], 'difference'].max():.2e}, "
        f"tolerance {options.tolerance:g})"
    )
    return 0 if good else 1


def _record_folder(name: str) -> Path:
    for folder in (
        Path(name),
        runs.committed_folder() / name,
        runs.runs_folder() / "records" / name,
    ):
        if (folder / "manifest.json").is_file():
            return folder
    raise _Mistake(checks.unknown("record", name, runs.list_records()["record"]))


# book -----------------------------------------------------------------------------------------


def _add_book(commands) -> None:
    command = _command(
        commands,
        "book",
        "Execute the chapters and build the online book.",
        _book,
        "  safecross book\n  safecross book --profile paper\n"
        "  safecross book --only 06-crossover -p seed 3 --no-build",
    )
    command.add_argument("--profile", default="quick", help="default: %(default)s")
    command.add_argument("--only", nargs="+", metavar="CHAPTER", help="only these chapters")
    command.add_argument(
        "-p",
        "--parameter",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="of every chapter that has it",
    )
    command.add_argument("--no-build", action="store_true", help="execute only, no HTML")


def _book(options) -> int:
    # The book's packages are an extra: the other commands work without them.
    try:
        from .book import build as book
    except ImportError as error:
        raise _Mistake(f"{error}: pip install 'safecross[book]' for the book") from error

    values = {name: literal(value) for name, value in options.parameter}
    try:
        page = book.make_book(
            options.profile, only=options.only, parameters=values, build=not options.no_build
        )
    except book.BookError as error:  # of several lines: the chapter's own error
        print(f"safecross: error: {error}", file=sys.stderr)
        return 1
    print(page)
    return 0

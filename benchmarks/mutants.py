"""``make mutants``: change the package in small ways; the tests should notice each change.

Mutations are drawn from the syntax trees of the modules of the method, the statistics, the store
and the claims: comparisons, signs, constants, conditions, arguments and options are changed one at
a time. Which are drawn depends on their text and on the seed only, so that editing one function
leaves the others' mutations as they were. Those in `NAMED` are always tried. Each runs in a copy
of the tree, against the tests of its module. A survivor is explained in ``survivors.yaml``: why no
test can tell it from the original, or why none should.
"""

import argparse
import ast
import contextlib
import copy
import hashlib
import itertools
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).parents[1]
SURVIVORS = Path(__file__).with_name("survivors.yaml")

#: Modules, and the tests that should notice; a module's own examples are run too.
MODULES = {
    "alignment/activations": ("test_activations.py",),
    "alignment/correlation": (
        "test_correlation.py",
        "test_cca.py",
        "test_operators.py::test_layers_that_do_not_fit_in_memory_say_so_before_they_start",
    ),
    "alignment/cca": ("test_cca.py",),
    "alignment/matching": ("test_matching.py",),
    "alignment/alignment": ("test_alignment.py",),
    "crossover/curve": ("test_crossover.py",),
    "networks/metrics": ("test_metrics.py",),
    "networks/training": ("test_training.py",),
    "runs/analysis": ("test_analysis.py",),
    "store": (
        "test_store.py",
        "test_failing_machine.py"
        "::test_a_process_that_is_about_to_end_finishes_its_file_and_begins_none",
    ),
    "replication/claims": ("test_claims.py",),
    "evolution/population": ("test_evolution.py",),
    "evolution/mating": ("test_evolution.py",),
    "evolution/mutation": ("test_evolution.py",),
    "evolution/genetic": ("test_evolution.py",),
}

#: Share of the mutations that the tests must notice.
ENOUGH = 0.9


@dataclass(frozen=True)
class Mutation:
    """A piece of a module's text and what it becomes."""

    module: str
    place: str
    old: str
    new: str
    start: int
    end: int
    tests: tuple[str, ...]
    number: int = 1

    @property
    def name(self) -> str:
        again = f" ({self.number})" if self.number > 1 else ""
        return f"{Path(self.module).name}.{self.place}: {self.old} → {self.new}{again}"

    def apply(self, source: str) -> str:
        text = source.encode()
        return (text[: self.start] + self.new.encode() + text[self.end :]).decode()


# Mutations that are always tried: they survived once -----------------------------------------

_COUNTS = ("test_counts.py",)
_MANY = ("test_many.py",)
_REBASIN = ("test_rebasin.py",)
_REPAIR = ("test_repair.py::test_in_closed_form_the_first_layer_is_the_measured_one",)
_SPARSE = ("test_sparse.py",)
_STE = ("test_ste.py",)
_ZIPIT = ("test_zipit.py",)
_PROTOCOL = "test_experiment.py::test_"

#: Module, old text (found once), new text, tests.
NAMED = [
    ("replication/pairs", "(between.max(axis=1) >", "(abs(between).max(axis=1) >", _COUNTS),
    ("replication/pairs", "(between.max(axis=1) >", "(between.max(axis=0) >", _COUNTS),
    ("replication/pairs", "(between.max(axis=0) >", "(between.max(axis=1) >", _COUNTS),
    (
        "replication/pairs",
        "(between[matched.la, matched.lb] > THRESHOLD)",
        "(between[matched.la, matched.lb] > 0.5)",
        _COUNTS,
    ),
    (
        "replication/pairs",
        "between[matched.la, matched.lb].mean()",
        "between[matched.la, matched.lb].max()",
        _COUNTS,
    ),
    (
        "replication/pairs",
        "result.correlations > THRESHOLD",
        "result.correlations > 0.1",
        _COUNTS,
    ),
    (
        "replication/pairs",
        '"dead neurons of a": (pair.scale_a == 0)',
        '"dead neurons of a": (pair.scale_b == 0)',
        _COUNTS,
    ),
    ("replication/pairs", "LayerPair(la, lb) for la, lb", "LayerPair(lb, la) for la, lb", _COUNTS),
    ("replication/pairs", "bartlett_test(result)", "bartlett_test(result, 0.5)", _COUNTS),
    ("replication/pairs", "THRESHOLD = 0.7", "THRESHOLD = 0.3", _COUNTS),
    ("store", "{name} {tensor.dtype} {tuple(tensor.shape)}", "{name} {tensor.dtype}", None),
    ("store", "{name} {tensor.dtype} {tuple(tensor.shape)}", "{name} {tuple(tensor.shape)}", None),
    ("networks/metrics", "losses.double().mean(-1)", "losses.mean(-1).double()", None),
    (
        "runs/pairs",
        '(about["parents"], about["network"]) != (self._parents_mark, str(network))',
        'about["network"] != str(network)',
        (f"{_PROTOCOL}a_parent_of_another_config_is_not_taken_for_ones_own",),
    ),
    (
        "replication/pairs",
        "(time.perf_counter() - start) / len(alone)",
        "time.perf_counter() - start",
        (f"{_PROTOCOL}each_network_of_a_population_takes_an_equal_part_of_the_time",),
    ),
    (
        "runs/machine",
        "torch.set_num_threads(1)",
        "torch.set_num_threads(2)",
        (f"{_PROTOCOL}a_worker_computes_on_one_thread",),
    ),
    (
        "runs/pairs",
        "/ np.maximum(1, loss)",
        "/ np.maximum(1, loss) ** 2",
        (f"{_PROTOCOL}losses_are_compared_relative_to_the_larger_of_1_and_the_loss",),
    ),
    ("alignment/ste", "if loss < least:", "if loss > least:", _STE),
    ("alignment/ste", "slope / 2 for", "slope for", _STE),
    ("alignment/ste", "step.after(maps[n])", "maps[n].after(step)", _STE),
    (
        "replication/pairs",
        "batch, labels, x, y = x[:cut], y[:cut]",
        "batch, labels, x, y = x[:cut], y",
        _STE,
    ),
    ("alignment/rebasin", "slope - f[:, None] - g", "slope - f[:, None]", _REBASIN),
    ("alignment/rebasin", "soft.mT @ rows", "soft @ rows", _REBASIN),
    ("alignment/rebasin", '0.5 if self.method.objective == "middle" else', "", _REBASIN),
    ("alignment/zipit", "left[1] = max(left[1], q - p)", "left[1] = left[1]", _ZIPIT),
    ("alignment/zipit", "np.minimum(similarity[i]", "np.maximum(similarity[i]", _ZIPIT),
    ("alignment/zipit", "left -= sides[i] & sides[j]", "left -= sides[i] | sides[j]", _ZIPIT),
    ("alignment/sparse", "(slope + penalty * weights.sign()).abs()", "slope.abs()", _SPARSE),
    ("alignment/sparse", "to[:, None] * matrix / torch", "matrix / torch", _SPARSE),
    ("alignment/sparse", "to_b.mT, b, a)", "to_a, b, a)", _SPARSE),
    ("modules/many", "if course[-1] > course[0]:", "if course[-1] >= course[0]:", _MANY),
    ("modules/many", "total[0] = at[group][0]", "total[1] = at[group][1]", _MANY),
    ("modules/many", "moved.sum(0) - moved", "moved.sum(0)", _MANY),
    ("modules/many", "moves[0].inverse() @ move for", "move for", _MANY),
    (
        "crossover/repair",
        "2 * correlations[d] * one * other",
        "correlations[d] * one * other",
        _REPAIR,
    ),
    (
        "crossover/repair",
        "t * deviation_b\n        variance",
        "deviation_b\n        variance",
        _REPAIR,
    ),
]


def named() -> Iterator[Mutation]:
    """Yield the mutations of `NAMED`; an old text must be in its module once."""
    for module, old, new, tests in NAMED:
        text = source(module)
        if text.count(old) != 1:
            raise ValueError(
                f"expected {old!r} once in safecross/{module}.py; found it {text.count(old)} times"
            )
        start = text.encode().index(old.encode())
        yield Mutation(
            module, "named", old, new, start, start + len(old.encode()), tests or MODULES[module]
        )


def source(module: str) -> str:
    return (ROOT / "safecross" / f"{module}.py").read_text(encoding="utf-8")


# Mutations of a syntax tree -------------------------------------------------------------------

_COMPARE = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_OTHER_NAME = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "la": "lb",
    "lb": "la",
}
_OTHER_ATTRIBUTE = _OTHER_NAME | {
    "minimum": "maximum",
    "maximum": "minimum",
    "argmin": "argmax",
    "argmax": "argmin",
    "amin": "amax",
    "amax": "amin",
    "mean": "sum",
    "sum": "mean",
    "low": "high",
    "high": "low",
}


#: Arguments whose exchange is noticed at once.
_TOLD_APART = (ast.Starred, ast.Constant, ast.JoinedStr)


def _changed(node: ast.AST, **fields) -> ast.AST:
    node = copy.deepcopy(node)
    for field, value in fields.items():
        setattr(node, field, value)
    return node


def _order_matters(call: ast.Call) -> bool:
    """Return whether a call has two arguments whose exchange is a change worth trying."""
    first = call.args[:2]
    return (
        len({ast.unparse(arg) for arg in first}) == 2
        and not any(isinstance(arg, _TOLD_APART) for arg in first)
        and ast.unparse(call.func) not in ("min", "max")
    )


def _without(items: list, i: int) -> list:
    return items[:i] + items[i + 1 :]


def variants(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a node may become."""
    match node:
        case ast.Compare(ops=ops):
            for i, op in enumerate(ops):
                for other in _COMPARE.get(type(op), ()):
                    yield _changed(node, ops=[*ops[:i], other(), *ops[i + 1 :]])
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in _ARITHMETIC:
            yield _changed(node, op=_ARITHMETIC[type(op)]())
        case ast.BoolOp(op=op):
            yield _changed(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(value=float() as value):
            yield ast.Constant(2 * value if value else 1.0)
        case ast.IfExp(test=test):
            yield _changed(node, test=ast.UnaryOp(ast.Not(), test))
        case ast.Attribute(attr=name) if name in _OTHER_ATTRIBUTE:
            yield _changed(node, attr=_OTHER_ATTRIBUTE[name])
        case ast.Name(id=name, ctx=ast.Load()) if name in _OTHER_NAME:
            yield _changed(node, id=_OTHER_NAME[name])
        case ast.Call(args=args, keywords=keywords):
            if _order_matters(node):
                yield _changed(node, args=[args[1], args[0], *args[2:]])
            if isinstance(node.func, ast.Name) and node.func.id == "abs":
                yield args[0]
            for i, keyword in enumerate(keywords):
                if isinstance(keyword.value, ast.Name):
                    yield _changed(node, keywords=_without(keywords, i))
        case ast.Raise() | ast.Expr(value=ast.Call()):
            yield ast.Pass()


def nodes(tree: ast.AST, place: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Yield the nodes whose change is one of behaviour, each with the function that it is in.

    Texts, annotations, decorators and what an error says are left out, and `zip`'s ``strict``,
    which stands where lengths have been checked or made equal.
    """
    if isinstance(tree, ast.JoinedStr):
        return
    yield place or "module", tree
    if isinstance(tree, ast.Raise):
        return
    for field, value in ast.iter_fields(tree):
        if field in ("annotation", "returns", "decorator_list"):
            continue
        if isinstance(tree, ast.keyword) and tree.arg == "strict":
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                yield from nodes(child, f"{place}.{child.name}".lstrip("."))
            elif isinstance(child, ast.AST) and not _names_only(child):
                yield from nodes(child, place)
            if isinstance(tree, ast.If) and field == "test":
                yield place or "module", ast.Expression(child)


def _names_only(node: ast.AST) -> bool:
    """Return whether a statement only imports or lists what the module offers."""
    listed = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    return listed or isinstance(node, ast.Import | ast.ImportFrom)


def generated(module: str) -> list[Mutation]:
    """Return every mutation of a module's syntax tree."""
    text = source(module)
    offsets = [0, *itertools.accumulate(len(line) for line in text.encode().splitlines(True))]
    seen = Counter()
    found = []
    for place, node in nodes(ast.parse(text)):
        negated = isinstance(node, ast.Expression)
        node = node.body if negated else node
        for other in [ast.UnaryOp(ast.Not(), node)] if negated else variants(node):
            statement = isinstance(other, ast.stmt)
            new = ast.unparse(ast.fix_missing_locations(other))
            about = (
                module,
                place,
                " ".join(ast.get_source_segment(text, node).split()),
                new if statement or isinstance(other, ast.Constant | ast.Name) else f"({new})",
            )
            seen[about] += 1
            span = (
                offsets[node.lineno - 1] + node.col_offset,
                offsets[node.end_lineno - 1] + node.end_col_offset,
            )
            found.append(Mutation(*about, *span, MODULES[module], seen[about]))
    return found


def drawn(mutations: Iterable[Mutation], n: int, seed: int) -> list[Mutation]:
    """Return n mutations, the first ones in the order of a hash of seed and name."""
    return sorted(mutations, key=lambda m: hashlib.sha256(f"{seed} {m.name}".encode()).digest())[:n]


# Running the tests ----------------------------------------------------------------------------


def _imports() -> None:
    """Import what the tests import, but not the package: a forked process starts with it."""
    import hypothesis.strategies  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import pytest  # noqa: F401
    import scipy.stats  # noqa: F401
    import seaborn  # noqa: F401
    import sklearn.cross_decomposition  # noqa: F401
    import statsmodels.multivariate.cancorr  # noqa: F401
    import torch

    torch.set_num_threads(1)


def _copy_tree() -> None:
    """Give this process a copy of the tree of its own; the working tree is never touched."""
    global _tree
    _tree = Path(tempfile.mkdtemp(prefix="safecross-mutants-", dir=os.environ["MUTANTS"])) / "tree"
    for name in ("safecross", "tests", "notebooks", "book"):
        shutil.copytree(ROOT / name, _tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, _tree)


def _pytest(module: str, tests: tuple[str, ...]) -> None:
    import pytest

    os.setsid()
    os.chdir(_tree)
    sys.path.insert(0, str(_tree))
    os.environ["PYTHONPATH"] = str(_tree)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    sys.dont_write_bytecode = True
    words = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", f"safecross/{module}.py"]
    os._exit(pytest.main(words + [f"tests/{test}" for test in tests]))


def outcome(module: str, tests: tuple[str, ...], limit: float = 600) -> tuple[str, float]:
    """Run tests in this process' tree; return "passed", "failed" or "too slow", and seconds."""
    start = time.perf_counter()
    child = multiprocessing.get_context("fork").Process(target=_pytest, args=(module, tests))
    child.start()
    child.join(limit)
    if child.exitcode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.join()
        return "too slow", time.perf_counter() - start
    return ("failed" if child.exitcode else "passed"), time.perf_counter() - start


def attempt(mutation: Mutation, limit: float) -> str:
    """Apply a mutation to this process' tree, run its tests, take it back; return the outcome."""
    path = _tree / "safecross" / f"{mutation.module}.py"
    original = path.read_text(encoding="utf-8")
    path.write_text(mutation.apply(original), encoding="utf-8")
    try:
        return outcome(mutation.module, mutation.tests, limit)[0]
    finally:
        path.write_text(original, encoding="utf-8")


# The table ------------------------------------------------------------------------------------


def summary(results: dict[Mutation, str]) -> pd.DataFrame:
    """Return for each module how many mutations were tried, noticed, and not."""
    rows = Counter((m.module, result != "passed") for m, result in results.items())
    table = pd.DataFrame(
        {
            "killed": {m: rows[m, True] for m, _ in rows},
            "survived": {m: rows[m, False] for m, _ in rows},
        }
    )
    table.loc["all"] = table.sum()
    return table.assign(share=(table["killed"] / table.sum(axis=1)).map("{:.1%}".format))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__.split("\n\n")[0])
    parser.add_argument("modules", nargs="*", default=list(MODULES), metavar="MODULE")
    parser.add_argument("--each", type=int, default=40, help="mutations of each module (40)")
    parser.add_argument("--seed", type=int, default=0, help="draws them (0)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    options = parser.parse_args(arguments)
    mutations = [m for m in named() if m.module in options.modules or m.module not in MODULES]
    for module in options.modules:
        mutations += drawn(generated(module), options.each, options.seed)
    explained = yaml.safe_load(SURVIVORS.read_text(encoding="utf-8")) or {}
    _imports()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MUTANTS"] = folder
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(options.workers, context, _copy_tree) as pool:
            suites = list(dict.fromkeys((m.module, m.tests) for m in mutations))
            limits = {}
            for suite, (result, seconds) in zip(
                suites, pool.map(outcome, *zip(*suites, strict=True)), strict=True
            ):
                if result != "passed":
                    raise SystemExit(f"{' '.join(suite[1])}: the unchanged package does not pass")
                limits[suite] = 20 + 5 * seconds
            found = pool.map(attempt, mutations, [limits[m.module, m.tests] for m in mutations])
            results = {}
            for i, (mutation, result) in enumerate(zip(mutations, found, strict=True), start=1):
                results[mutation] = result
                print(f"{i} of {len(mutations)}  {result:8}  {mutation.name}", flush=True)
    table = summary(results)
    survivors = [m.name for m, result in results.items() if result == "passed"]
    print(f"\n{table}\n")
    for name in survivors:
        print(f"survived: {name}\n    {explained.get(name, 'NOT EXPLAINED')}")
    known = {m.name for module in MODULES for m in generated(module)}
    for name in sorted(set(explained) - known):
        print(f"explained, but there is no such mutation any more: {name}")
    share = 1 - len(survivors) / len(results)
    return int(share < ENOUGH or any(name not in explained for name in survivors))


if __name__ == "__main__":
    raise SystemExit(main())

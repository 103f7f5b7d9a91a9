"""Every public name exists, is documented, and is used by some test."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import safecross
from safecross import (
    LEFTOVER,
    BartlettTest,
    Curve,
    Operator,
)

TESTS = Path(__file__).parent
MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(safecross.__path__, "safecross.")
    if not info.name.endswith("__main__")
)
NAMES = [
    (module, name)
    for module in MODULES
    for name in getattr(importlib.import_module(module), "__all__", ())
]
OBJECTS = [(m, n, getattr(importlib.import_module(m), n, None)) for m, n in NAMES]
FUNCTIONS = [(m, n, f) for m, n, f in OBJECTS if inspect.isfunction(f)]
TEXTS = [path.read_text() for path in TESTS.rglob("*.py")]
# One-line docstrings do where there is nothing to take in, or the one line says it.
SHORT = 2


@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_what_it_is_for(module):
    assert inspect.getdoc(importlib.import_module(module))


def test_every_module_names_what_it_offers():
    # What stands behind `make book` and `make notebooks` is offered by safecross.book.
    inner = {"safecross.book.chapters", "safecross.book.pairing"}
    # And these only enter what they find.
    pages = ("beyond", "landing", "populations", "replication", "verdicts")
    inner |= {f"safecross.book.findings.{page}" for page in pages}
    # Rooms only hold modules.
    rooms = ("alignment", "book", "crossover", "networks", "replication")
    inner |= {f"safecross.{room}" for room in rooms}
    assert {module for module, _ in NAMES} >= set(MODULES) - inner


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_a_public_name_exists(module, name):
    assert hasattr(importlib.import_module(module), name)


def test_what_the_package_offers_is_public_in_its_module():
    public = {id(thing) for _, _, thing in OBJECTS}
    for name, thing in vars(safecross).items():
        if not name.startswith("_") and not inspect.ismodule(thing):
            assert id(thing) in public, name


def test_a_star_brings_what_users_call_and_no_module():
    names: dict = {}
    exec("from safecross import *", names)
    brought = {name: thing for name, thing in names.items() if not name.startswith("__")}
    assert brought.keys() == set(safecross.__all__)
    assert not any(inspect.ismodule(thing) for thing in brought.values())
    assert len(brought) <= 30


@pytest.mark.parametrize(("module", "name", "function"), FUNCTIONS)
def test_a_function_is_documented(module, name, function):
    text = inspect.getdoc(function)
    first = text.partition("\n")[0]
    assert first.endswith("."), "the summary is a sentence of one line"
    parameters = list(inspect.signature(function).parameters)
    sections = re.findall(r"^(\w+)\n-{3,}$", text, re.M)
    if "Parameters" in sections:
        listed = text.partition("Parameters\n----------\n")[2].partition("\n\n")[0]
        missing = [p for p in parameters if not re.search(rf"\b{p}\b", listed)]
        assert not missing, "parameters that are not described"
    else:
        assert len(parameters) <= SHORT or "**" in text or "Examples" in sections


@pytest.mark.parametrize(("module", "name", "thing"), [o for o in OBJECTS if inspect.isclass(o[2])])
def test_a_class_and_its_methods_are_documented(module, name, thing):
    assert inspect.getdoc(thing)
    for method, member in vars(thing).items():
        if not method.startswith("_") and (callable(member) or isinstance(member, property)):
            assert inspect.getdoc(member), method


@pytest.mark.parametrize(
    ("module", "name"), [(m, n) for m, n, thing in OBJECTS if not callable(thing)]
)
def test_a_public_constant_is_explained(module, name):
    thing = importlib.import_module(module)
    sources = [inspect.getsource(thing)]  # a package explains it where it is made
    if hasattr(thing, "__path__"):
        parts = pkgutil.iter_modules(thing.__path__, f"{module}.")
        sources += [inspect.getsource(importlib.import_module(part.name)) for part in parts]
    assert any(re.search(rf"^#.*\n{name}\b", source, re.M) for source in sources)


# What Sphinx calls, and what tests/test_book.py and test_numbering.py build pages with.
SPHINX = {"safecross.book.numbering", "safecross.book.pages"}


@pytest.mark.parametrize("name", sorted({name for m, name in NAMES if m not in SPHINX}))
def test_a_public_name_is_used_by_a_test(name):
    assert any(re.search(rf"\b{name}\b", text) for text in TEXTS)


def test_results_are_of_the_types_that_are_public(make_network, make_examples):
    a, b = (make_network((4, 5, 3), seed) for seed in (0, 1))
    x, y = make_examples(40, 4), [0, 1] * 20
    result = safecross.cca_of_pair(*safecross.layer_pairs(a, b, x))
    assert isinstance(safecross.bartlett_test(result), BartlettTest)
    assert isinstance(safecross.crossover_curve(a, b, x, y), Curve)
    assert isinstance(safecross.get_operator("naive"), Operator)
    for rule in LEFTOVER:
        aligned = safecross.align(a, b, x, "sc-cca", directions=2, leftover=rule)
        assert aligned.is_one_to_one

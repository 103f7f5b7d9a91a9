"""A room of the package knows only rooms below it."""

import ast
from pathlib import Path

import pytest

import safecross

PACKAGE = Path(safecross.__file__).parent
ROOMS = (
    ("checks", "store"),
    ("data",),
    ("networks",),
    ("alignment",),
    ("crossover",),
    ("runs",),
    ("modules",),
    ("replication",),
    ("evolution",),
    ("book", "front"),
)
STOREY = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
ABOVE_ALL = {"__init__.py", "__main__.py", "cli.py"}


def known_by(text: str, module: tuple[str, ...]) -> set[str]:
    """Return the rooms that a module's text imports from; `module` names it below the package."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            here = ["safecross", *module][: -node.level] if node.level else []
            base = here + (node.module.split(".") if node.module else [])
            names = [[*base, alias.name] for alias in node.names]
        found |= {name[1] for name in names if name[0] == "safecross" and len(name) > 1}
    return found & STOREY.keys()


def upward(text: str, module: tuple[str, ...]) -> set[str]:
    """Return the rooms above its own, or beside it, that a module imports from."""
    return {
        room for room in known_by(text, module) - {module[0]} if STOREY[room] > STOREY[module[0]]
    }


MODULES = [
    p for p in sorted(PACKAGE.rglob("*.py")) if p.parent != PACKAGE or p.name not in ABOVE_ALL
]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_knows_only_rooms_below_it(path):
    module = path.relative_to(PACKAGE).with_suffix("").parts
    assert module[0] in STOREY, "a module in no room: give it one, or name its storey here"
    assert not upward(path.read_text(encoding="utf-8"), module)


@pytest.mark.parametrize(
    "line",
    [
        "from ..runs import Record",
        "from .. import runs",
        "from safecross.runs.record import Record",
        "import safecross.runs",
        "def f():\n    from ..runs import run",
    ],
)
def test_an_import_from_above_is_seen(line):
    assert upward(line, ("alignment", "cca")) == {"runs"}
    assert not upward(line, ("evolution", "cca"))

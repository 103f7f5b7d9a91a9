"""The quirks of the authors' notebook enter the registries from the replication's room."""

import subprocess
import sys
from pathlib import Path

import safecross
from safecross.alignment.cca import PENALTIES, WEIGHTS
from safecross.alignment.operators import RULES
from safecross.networks.metrics import SOFTMAX
from safecross.replication import quirks

NAMES = {
    "rule": (RULES, {"rank"}),
    "penalty": (PENALTIES, {"kernel"}),
    "weights": (WEIGHTS, {"deflated"}),
    "softmax": (SOFTMAX, {"matrix", "matrix-renormalised"}),
    "method": (safecross.METHODS, {"sc-pwc-semi-b", "sc-pwc-greedy"}),
}


def test_every_quirk_is_registered():
    for what, (registry, names) in NAMES.items():
        assert names < registry.keys(), what


def test_no_lower_room_knows_a_quirk():
    for registry, names in NAMES.values():
        for name in names:
            made = getattr(registry[name], "method", registry[name])
            assert made.__module__ == quirks.__name__, name


def test_without_the_quirks_the_rest_stands(tmp_path):
    package = Path(safecross.__file__).parent
    code = (
        "import sys, types\n"
        "whole = types.ModuleType('safecross'); sys.modules['safecross'] = whole\n"
        f"whole.__path__ = [{str(package)!r}]\n"
        "from safecross.alignment.registry import METHODS\n"
        "import safecross.alignment.operators as o, safecross.alignment.cca as c\n"
        "import safecross.networks.metrics as m\n"
        "print(sorted(o.RULES), sorted(c.PENALTIES), sorted(c.WEIGHTS), sorted(m.SOFTMAX))\n"
        "names = ('sc-pwc', 'sc-pwc-greedy')\n"
        "print('safecross.replication' in sys.modules, *(name in METHODS for name in names))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split("\n")[0] == "['ends'] ['norm'] ['canonical'] ['example']"
    assert found.stdout.split("\n")[1] == "False True False"

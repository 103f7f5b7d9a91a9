"""A small record of the data that come with a dependency, retrained and compared each time."""

from dataclasses import replace
from pathlib import Path

import pytest

from safecross.runs import load_record, verify

(FOLDER,) = (Path(__file__).parent / "golden").glob("*/")

#: Another processor rounds otherwise; what it changes by is far below this.
TOLERANCE = 0.02


@pytest.fixture(scope="module")
def golden():
    return load_record(FOLDER)


def test_the_golden_record_comes_out_again(golden):
    table = verify(golden, n_pairs=2, tolerance=TOLERANCE)
    assert set(table["pair"]) == {0, 1}
    assert table["ok"].all()
    assert table["held"].sum() > 20


@pytest.mark.parametrize("what", ["loss", "accuracy"])
def test_a_changed_number_of_the_golden_record_is_seen(golden, what):
    curves = golden.curves.copy()
    middle = (curves["t"] == 0.5) & (curves["operator"] == "sc-cca")
    curves.loc[middle, what] += 0.05
    changed = replace(golden, tables={**golden.tables, "curves": curves})
    table = verify(changed, n_pairs=1, tolerance=TOLERANCE)
    assert table[~table["ok"]][["what", "value"]].to_numpy().tolist() == [["sc-cca", what]]

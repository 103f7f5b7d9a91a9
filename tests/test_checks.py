"""Checks of input: what is accepted, and what each message says."""

import re

import numpy as np
import pytest
import torch

from safecross.checks import as_matrix, finite, unknown, whole_number

NAMES = ["naive", "sc-cca", "sc-pwc", "sc-pwc-semi"]


def test_an_unknown_name_gets_the_nearest_first_and_all_names():
    message = unknown("operator", "sc-pcw", NAMES)
    assert message.startswith("unknown operator 'sc-pcw': did you mean 'sc-pwc'")
    assert message.endswith("Known: naive, sc-cca, sc-pwc, sc-pwc-semi")


@pytest.mark.parametrize("name", ["zebra", 7, None])
def test_a_name_that_is_near_nothing_gets_all_names_only(name):
    assert unknown("operator", name, NAMES) == (
        f"unknown operator {name!r}: Known: naive, sc-cca, sc-pwc, sc-pwc-semi"
    )


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_finite_counts_the_bad_entries_and_names_the_first(bad):
    values = torch.zeros(3, 4)
    values[1, 2] = values[2, 0] = bad
    with pytest.raises(ValueError, match=r"^w must be finite; found 2 .* of 12, .* \(1, 2\)$"):
        finite("w", values)


@pytest.mark.parametrize(
    "values",
    [
        torch.full((2,), torch.finfo(torch.float32).max),  # the sum overflows, the entries do not
        torch.zeros(0),
        torch.tensor([1.0, -2.0], dtype=torch.float64),
    ],
    ids=["large", "empty", "small"],
)
def test_finite_returns_the_very_tensor(values):
    assert finite("w", values) is values


MATRIX = np.arange(6.0).reshape(2, 3)
READ_ONLY = np.broadcast_to(MATRIX, (2, 3))


@pytest.mark.parametrize(
    "values",
    [
        MATRIX,
        MATRIX.tolist(),
        MATRIX.astype(np.int16),
        torch.tensor(MATRIX),
        np.asfortranarray(MATRIX),
        MATRIX[::-1].copy()[::-1],
        torch.tensor(MATRIX.T).T,
        READ_ONLY,
    ],
    ids=["numpy", "lists", "int", "torch", "fortran", "reversed", "transposed", "read-only"],
)
def test_a_matrix_may_come_in_any_layout(values):
    matrix = as_matrix("x", values)
    assert matrix.is_floating_point()
    assert matrix.tolist() == MATRIX.tolist()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_matrix_keeps_its_floating_type_and_integers_become_float32(dtype):
    assert as_matrix("x", torch.zeros(2, 2, dtype=dtype)).dtype == dtype
    assert as_matrix("x", torch.zeros(2, 2, dtype=torch.uint8)).dtype == torch.float32


@pytest.mark.parametrize("shape", [(), (3,), (0, 3), (3, 0), (0, 2, 2)])
def test_what_is_not_a_matrix_is_refused(shape):
    with pytest.raises(
        ValueError, match="^x must be a matrix .* found shape " + re.escape(str(shape))
    ):
        as_matrix("x", torch.zeros(shape))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_matrix_must_be_finite(bad):
    with pytest.raises(ValueError, match=r"x must be finite; found 1 .* at index \(0, 1\)"):
        as_matrix("x", [[0.0, bad]])


@pytest.mark.parametrize("value", [1, 5, np.int64(3), np.uint8(1)])
def test_whole_numbers_within_the_bounds_become_ints(value):
    found = whole_number("k", value, 1, 5)
    assert found == value
    assert type(found) is int


@pytest.mark.parametrize("value", [0, 6, -1, 2.0, True, "3", None])
def test_other_numbers_are_refused(value):
    with pytest.raises(ValueError, match=r"^k must be a whole number in \[1, 5\]; found"):
        whole_number("k", value, 1, 5)


def test_without_an_upper_bound_there_is_none():
    assert whole_number("k", 10**9, 1) == 10**9
    with pytest.raises(ValueError, match="k must be a whole number >= 1; found 0"):
        whole_number("k", 0, 1)

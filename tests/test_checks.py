"""Checks of input: what is accepted, and what each message says."""

import re

import numpy as np
import pytest
import torch

from safecross.checks import (
    as_array,
    as_device,
    as_flag,
    as_labels,
    as_list,
    as_matrix,
    as_number,
    as_seeds,
    as_tensor,
    finite,
    shown,
    unknown,
    whole_number,
)

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


def test_a_number_in_an_array_is_tried_not_trusted():
    """Every array and tensor has an __index__; most raise."""
    assert whole_number("k", np.array(3), 1) == whole_number("k", torch.tensor(3), 1) == 3
    for value in (np.array(3.5), torch.tensor(3.5), torch.tensor(True), np.array([3, 4])):
        with pytest.raises(ValueError, match="k must be a whole number >= 1; found"):
            whole_number("k", value, 1)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.array(0.5), torch.tensor(0.5)])
def test_one_real_number_is_a_float(value):
    assert as_number(value) == 0.5
    assert type(as_number(value)) is float


@pytest.mark.parametrize("value", ["0.5", None, True, 1j, [0.5], np.array([0.5]), 10**400, {}, "a"])
def test_what_is_not_one_real_number_lies_in_no_range(value):
    assert np.isnan(as_number(value))


@pytest.mark.parametrize("value", [True, False, np.True_, np.False_])
def test_a_flag_is_a_bool(value):
    assert as_flag("f", value) is bool(value)


@pytest.mark.parametrize("value", ["no", "false", "", 0, 1, None, [], np.array([True]), 0.0])
def test_what_is_true_or_false_to_python_only_is_no_flag(value):
    with pytest.raises(ValueError, match=r"^f must be true or false; found "):
        as_flag("f", value)


def test_a_list_is_of_what_has_an_order():
    for values in ((1, 2), [1, 2], range(1, 3), np.array([1, 2]), iter([1, 2])):
        assert as_list("l", values) == [1, 2]
    for values in ("12", b"12", {1, 2}, {1: 2}, 12, None, np.array(12), np.array([[1, 2]])):
        with pytest.raises(ValueError, match=r"^l must be a list; found "):
            as_list("l", values)


def test_seeds_are_one_or_several():
    assert as_seeds(5) == 5
    assert as_seeds([5]) == [5]
    assert as_seeds(np.array([5, 2**63], np.uint64)) == [5, 2**63]
    with pytest.raises(ValueError, match=r"^seed must be a whole number or a list of them; .*'12'"):
        as_seeds("12")


def test_a_device_holds_values():
    assert as_device("cpu") == torch.device("cpu")
    for device in ("meta", "nosuch", "", "hpu", None):
        with pytest.raises(ValueError, match=r"^expected a device that PyTorch has here, .*found"):
            as_device(device)


def test_integers_become_floats_that_hold_them():
    times = np.array([[1_700_000_001], [1_700_000_002]])
    assert as_matrix("x", times).tolist() == times.tolist()
    assert as_matrix("x", torch.tensor(times)).dtype == torch.float64
    assert as_matrix("x", times.astype(np.uint16)).dtype == torch.float32


def test_a_matrix_is_finite_in_the_type_that_is_asked_for():
    assert as_matrix("x", [[1e300]]).tolist() == [[1e300]]
    with pytest.raises(ValueError, match=r"^x as torch\.float32 must be finite; found 1 "):
        as_matrix("x", [[1e300]], torch.float32)


def test_arrays_and_tensors_hold_the_same_numbers():
    values = [[1, 2], [3, 4.5]]
    assert as_array("x", torch.tensor(values, dtype=torch.bfloat16)).tolist() == values
    assert as_tensor("x", values).dtype == torch.get_default_dtype()
    tensor = torch.tensor(values)
    assert as_tensor("x", tensor) is tensor
    array = np.array(values)
    assert np.shares_memory(as_array("x", array), array)


def test_labels_are_counted_where_no_number_of_classes_is_given():
    assert as_labels([0, 2], 2, 3).dtype == torch.int64
    with pytest.raises(ValueError, match="none left out; found 2 classes from 0 to 2"):
        as_labels([0, 2], 2)


def test_what_was_found_is_shown_on_one_short_line():
    assert shown(np.eye(2)) == "array([[1., 0.], [0., 1.]])"
    assert len(shown(list(range(1000)))) == 80

"""What callers hand in works in any form that means the same, or is refused in one line."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from safecross import (
    Alignment,
    FirstLayer,
    LayerPair,
    Matching,
    Network,
    activations,
    align,
    align_layers,
    barrier,
    bartlett_test,
    cca,
    check_same_architecture,
    correlation,
    cross_entropy,
    crossover_curve,
    evaluate,
    function_difference,
    get_operator,
    initialise,
    interpolate,
    layer_pairs,
    match_components,
    match_greedy,
    match_one_to_one,
    permute,
    semi_match,
    stack,
    train,
)

X = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(30) % 3
A, B = (initialise((4, 5, 3), seed) for seed in (0, 1))
POPULATION, OTHERS = stack([A, B]), stack([B, A])


def _train(x, y):
    return train(x, y, (5,), 0, epochs=1, batch_size=8).weights[0]


#: Each way into the package that takes examples, as a function of them.
ENTRANCES = {
    "train": lambda x: _train(x, Y),
    "network": lambda x: A(x),
    "evaluate": lambda x: evaluate(A, x, Y)[0],
    "activations": lambda x: activations(A, x)[0],
    "align": lambda x: torch.tensor(align(A, B, x).lists_b[0]),
    "correlation": lambda x: correlation(x),
    "cca": lambda x: cca(x, x).correlations,
    "crossover_curve": lambda x: torch.tensor(crossover_curve(A, B, x, Y, t=[0, 0.5]).loss),
}
each_entrance = pytest.mark.parametrize("entrance", ENTRANCES.values(), ids=ENTRANCES)

READ_ONLY = X.numpy().copy()
READ_ONLY.setflags(write=False)
FRAME = pd.DataFrame(X.numpy())


@pytest.fixture(autouse=True)
def no_warnings():
    """A warning is how NumPy and PyTorch tell of what they drop."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def refused(call) -> str:
    """Return the one line with which a call is refused."""
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Matrices


@each_entrance
@pytest.mark.parametrize(
    "x",
    [
        X.numpy(),
        X.tolist(),
        list(X),
        list(X.numpy()),
        READ_ONLY,
        X.numpy()[::-1].copy()[::-1],
        X.numpy().astype(">f4"),
        X.numpy().astype(np.longdouble),
        X.numpy().astype(object),
        X.double(),
        X.clone().requires_grad_(),
        FRAME,
        FRAME.astype({0: "float64", 1: object}),
        FRAME.convert_dtypes(),
    ],
    ids=[
        "numpy",
        "lists",
        "list of tensors",
        "list of arrays",
        "read-only",
        "reversed",
        "byte order",
        "long double",
        "objects",
        "float64",
        "gradient",
        "DataFrame",
        "mixed dtypes",
        "nullable",
    ],
)
def test_examples_may_come_in_any_form_that_holds_the_same_numbers(entrance, x):
    torch.testing.assert_close(entrance(x), entrance(X), check_dtype=False)


def test_columns_of_several_types_are_numbers_all_the_same():
    frame = pd.DataFrame({"a": np.arange(6), "b": np.arange(6) % 2 == 0, "c": np.ones(6) / 3})
    frame["d"] = pd.Series([1, 2, 3, 5, 8, 13], dtype="Int64")
    expected = correlation(frame.astype(float).to_numpy())
    torch.testing.assert_close(correlation(frame), expected)


@each_entrance
@pytest.mark.parametrize(
    ("x", "found"),
    [
        (None, "found None"),
        ("abc", "found 'abc'"),
        ([["a"] * 4] * 30, "found dtype <U1"),
        (X * 1j, "found torch.complex64"),
        (X.numpy() * 1j, "found dtype complex64"),
        (np.ma.masked_greater(X.numpy(), 1), "found a masked array"),
        (list(np.ma.masked_greater(X.numpy(), 1)), "found a masked array"),
        (FRAME.assign(name="a"), "found dtype <U"),
        (FRAME.convert_dtypes().mask(FRAME > 1), "found "),
        (FRAME.where(FRAME < 1), "NaN or infinite entries"),
        (np.zeros((30, 4), "M8[s]"), "found dtype datetime64"),
        (X.to_sparse(), "torch.sparse_coo"),
        (X.to("meta"), "on meta"),
        (X.to(torch.float8_e4m3fn), "found torch.float8_e4m3fn"),
        ([[1.0], [1.0, 2.0]], "found list that is none"),
        ({"a": 1}, "found {'a': 1}"),
    ],
    ids=str,
)
def test_examples_that_are_no_matrix_of_real_numbers_are_refused(entrance, x, found):
    assert found in refused(lambda: entrance(x))


def test_examples_beyond_float32_are_not_made_infinite_in_silence():
    for entrance in ("train", "network", "evaluate", "align", "crossover_curve"):
        message = refused(lambda entrance=entrance: ENTRANCES[entrance](X.double() * 1e300))
        assert "as torch.float32 must be finite" in message


@pytest.mark.parametrize(
    "part",
    [
        lambda w: w.numpy(),
        lambda w: np.broadcast_to(w.numpy(), w.shape),
        lambda w: w.numpy().astype(">f4"),
        lambda w: w.tolist(),
        lambda w: pd.DataFrame(w.numpy()) if w.ndim == 2 else pd.Series(w.numpy()),
        lambda w: w.clone().requires_grad_(),
    ],
    ids=["numpy", "read-only", "byte order", "lists", "pandas", "gradient"],
)
def test_weights_may_come_in_any_form(part):
    theta = Network([part(w) for w in A.weights], [part(b) for b in A.biases])
    assert theta.dtype == torch.float32
    assert torch.equal(theta(X), A(X))
    state = {f"{d}.{name}": part(p) for d, layer in enumerate(zip(A.weights, A.biases, strict=True))
             for name, p in (("weight", layer[0].T), ("bias", layer[1]))}  # fmt: skip
    assert torch.equal(Network.from_torch(state)(X), A(X))


@pytest.mark.parametrize("change", [lambda w: w * 1j, lambda w: w.to(torch.float8_e5m2),
                                    lambda w: w.to("meta"), lambda w: np.ma.array(w.numpy()),
                                    lambda w: None])  # fmt: skip
def test_weights_that_are_no_real_numbers_are_refused(change):
    weights = [change(w) for w in A.weights]
    assert "weights of layer 1 must be" in refused(lambda: Network(weights, A.biases))


# Labels


@pytest.mark.parametrize(
    "kind", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i4", ">u8", object], ids=str
)
def test_labels_may_be_integers_of_any_width_from_numpy(kind):
    y = Y.numpy().astype(kind)
    assert torch.equal(_train(X, y), _train(X, Y))
    assert evaluate(A, X, y) == evaluate(A, X, Y)
    assert (crossover_curve(A, B, X, y).loss == crossover_curve(A, B, X, Y).loss).all()


@pytest.mark.parametrize(
    "y",
    [
        Y.tolist(),
        pd.Series(Y.numpy(), index=range(5, 35)),
        pd.Series(Y.numpy(), dtype="Int64"),
        pd.Series(Y.numpy(), dtype="category"),
        np.broadcast_to(Y.numpy(), (30,)),
        Y.to(torch.uint16),
        Y.to(torch.uint64),
    ],
    ids=["list", "Series", "nullable", "categories", "read-only", "uint16", "uint64"],
)
def test_labels_may_come_in_any_form(y):
    assert torch.equal(_train(X, y), _train(X, Y))
    assert evaluate(A, X, y) == evaluate(A, X, Y)


def test_two_classes_may_be_false_and_true():
    assert torch.equal(_train(X, (Y > 0).numpy()), _train(X, (Y > 0).long()))


ONE_HOT = torch.eye(3)[Y]
MEASURES = {"train": _train, "evaluate": lambda x, y: evaluate(A, x, y)}


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "labels must be real numbers; found None"),
        (list("abc" * 10), "labels must be real numbers; found dtype <U1"),
        (Y * 1j, "found torch.complex64"),
        (np.ma.masked_equal(Y.numpy(), 1), "found a masked array"),
        (Y.double(), "found torch.float64 of shape (30,). Whole numbers become labels by "),
        (
            Y[:, None],
            "found torch.int64 of shape (30, 1). A column becomes labels by np.asarray(y).ravel()",
        ),
        (Y.numpy().astype("u8") + 2**63, "to 9223372036854775810"),
        (Y - 1, "found -1 to 1"),
        (Y[:-1], "found torch.int64 of shape (29,)"),
    ],
    ids=str,
)
def test_what_is_no_label_is_refused(measure, y, message):
    assert message in refused(lambda: measure(X, y))


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
@pytest.mark.parametrize(
    "y", [ONE_HOT, ONE_HOT.long(), ONE_HOT.numpy(), ONE_HOT.tolist(), pd.DataFrame(ONE_HOT.numpy())]
)
def test_the_remedy_for_one_hot_labels_gives_the_labels(measure, y):
    assert "labels by np.asarray(y).argmax(1)" in refused(lambda: measure(X, y))
    assert np.asarray(y).argmax(1).tolist() == Y.tolist()


@pytest.mark.parametrize("y", [Y + 1, Y * 2, Y + 10**6], ids=["from 1", "skips", "identifiers"])
def test_labels_that_leave_out_a_class_are_refused_and_the_remedy_mends_them(y):
    message = refused(lambda: _train(X, y))
    assert "labels must be 0, 1, 2, ... with none left out; found 3 classes from " in message
    assert "np.unique(y, return_inverse=True)[1], or give n_classes" in message
    assert torch.equal(_train(X, np.unique(y, return_inverse=True)[1]), _train(X, Y))


def test_a_split_may_lack_a_class_where_their_number_is_said():
    theta = train(X, Y * 2, (5,), 0, epochs=1, n_classes=6)
    assert theta.widths == (4, 5, 6)


# Seeds, widths and other settings


@pytest.mark.parametrize(
    "seed", [3, np.int8(3), np.uint64(3), np.array(3), torch.tensor(3)], ids=type
)
def test_a_seed_is_a_whole_number_of_any_type(seed):
    theta = train(X, Y, (5,), seed, epochs=1)
    assert torch.equal(theta.weights[0], train(X, Y, (5,), 3, epochs=1).weights[0])
    assert torch.equal(initialise((4, 3), seed).weights[0], initialise((4, 3), 3).weights[0])


@pytest.mark.parametrize(
    "make",
    [list, tuple, np.array, torch.tensor, pd.Series, iter, lambda seeds: range(1, 3)],
    ids=["list", "tuple", "numpy", "torch", "Series", "iterator", "range"],
)
def test_a_population_of_seeds_is_anything_with_an_order(make):
    assert initialise((4, 3), make([1, 2])).batch_shape == (2,)
    assert train(X, Y, (5,), make([1, 2]), epochs=0).batch_shape == (2,)


@pytest.mark.parametrize(
    "seed",
    ["12", "3", b"12", 1.5, [1.5], ["1"], None, True, [True], -1, [-1], 2**64, {1, 2}, {1: 2},
     [[1]], np.array([[1, 2]]), np.array([1.0]), torch.tensor(1.5), pd.DataFrame({0: [1]})],
    ids=str,
)  # fmt: skip
def test_a_seed_that_is_no_whole_number_is_refused(seed):
    for call in (
        lambda: initialise((4, 3), seed),
        lambda: train(X, Y, (5,), seed, epochs=0),
    ):
        assert "seed must be a " in refused(call)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": 5}, "hidden must be a list; found 5"),
        ({"hidden": "12"}, "hidden must be a list; found '12'"),
        ({"hidden": None}, "hidden must be a list; found None"),
        ({"hidden": {5}}, "hidden must be a list; found {5}"),
        ({"n_classes": "3"}, "n_classes must be a whole number >= 0; found '3'"),
        ({"n_classes": True}, "n_classes must be a whole number >= 0; found True"),
        ({"learning_rate": "1"}, "learning_rate must be positive and finite; found '1'"),
        ({"learning_rate": None}, "learning_rate must be positive and finite; found None"),
        ({"learning_rate": True}, "learning_rate must be positive and finite; found True"),
        ({"learning_rate": 10**400}, "learning_rate must be positive and finite; found 1000"),
        ({"epochs": torch.tensor(1.5)}, "epochs must be a whole number >= 0; found tensor(1.5"),
        ({"epochs": np.array(1.5)}, "epochs must be a whole number >= 0; found array(1.5)"),
    ],
    ids=str,
)
def test_settings_of_training_of_another_type_are_refused(settings, message):
    settings = {"hidden": (5,), "seed": 0, "epochs": 1} | settings
    assert message in refused(lambda: train(X, Y, **settings))


def test_a_batch_may_be_larger_than_any_set_of_examples():
    whole = train(X, Y, (5,), 0, epochs=1, batch_size=len(X)).weights[0]
    assert torch.equal(train(X, Y, (5,), 0, epochs=1, batch_size=2**70).weights[0], whole)


# Networks


NONE = {
    "interpolate a": lambda: interpolate(None, B, 0.5),
    "interpolate b": lambda: interpolate(A, None, 0.5),
    "crossover_curve": lambda: crossover_curve(None, None, X, Y),
    "align": lambda: align(A, None, X),
    "align_layers": lambda: align_layers(A, B, None, "sc-pwc"),
    "layer_pairs": lambda: layer_pairs(None, B, X),
    "FirstLayer": lambda: FirstLayer(None, B, X),
    "check_same_architecture": lambda: check_same_architecture(None, A),
    "activations": lambda: activations(None, X),
    "evaluate": lambda: evaluate(None, X, Y),
    "function_difference": lambda: function_difference(A, None, X),
    "permute network": lambda: permute(None, []),
    "permute lists": lambda: permute(A, None),
    "permute list": lambda: permute(A, [None]),
    "stack": lambda: stack(None),
    "stack one": lambda: stack([None]),
    "Network": lambda: Network(None, None),
    "from_torch": lambda: Network.from_torch(None),
    "Alignment": lambda: Alignment("by hand", None),
    "matching": lambda: Alignment("by hand", [None]),
    "initialise": lambda: initialise(None, 0),
    "t": lambda: interpolate(A, B, None),
    "barrier": lambda: barrier(None, None),
    "cross_entropy": lambda: cross_entropy(None, None),
    "LayerPair": lambda: LayerPair(None, X),
    "bartlett_test": lambda: bartlett_test(None),
    "get_operator": lambda: get_operator([]),
    "an alignment of lists": lambda: crossover_curve(A, B, X, Y, alignment=[[0]]),
    "another first": lambda: crossover_curve(A, B, X, Y, first=3),
}


@pytest.mark.parametrize("call", NONE.values(), ids=NONE)
def test_none_and_the_like_are_refused_in_one_line(call):
    refused(call)


@pytest.mark.parametrize("alignment", [None, Alignment("naive", [Matching(*[np.arange(5)] * 2)])])
@pytest.mark.parametrize(
    ("a", "b", "x", "message"),
    [
        (POPULATION, OTHERS, X, "two single networks, .*found Network.*population.* and Network"),
        (POPULATION, A, X, "two single networks"),
        (A, POPULATION, X, "two single networks"),
        (A, B.to(torch.float64), X, "one dtype; found torch.float32 and torch.float64.*Convert"),
        (A.to(torch.bfloat16), B, X, "one dtype; found torch.bfloat16 and torch.float32"),
        (A, B, X[None], r"one batch \(n, m\); found shape \(1, 30, 4\)"),
        (A, B, X.expand(2, 30, 4), r"one batch \(n, m\); found shape \(2, 30, 4\)"),
    ],
)
def test_a_curve_is_of_two_single_networks_of_one_type_on_one_batch(a, b, x, message, alignment):
    with pytest.raises(ValueError, match=message):
        crossover_curve(a, b, x, Y, alignment=alignment)


def test_networks_with_gradients_are_measured_and_aligned_as_those_without():
    a, b = (
        Network(*([p.clone().requires_grad_() for p in side] for side in (n.weights, n.biases)))
        for n in (A, B)
    )
    assert (crossover_curve(a, b, X, Y).loss == crossover_curve(A, B, X, Y).loss).all()
    for operator in ("naive", "bias-sort", "sc-cca", "sc-pwc", "sc-pwc-semi"):
        found, expected = align(a, b, X, operator), align(A, B, X, operator)
        np.testing.assert_array_equal(found.lists_b, expected.lists_b)
    pair = LayerPair(a.layers(X)[0], b.layers(X)[0])
    assert bartlett_test(cca(pair.la, pair.lb)).n_significant > 0
    for match in (match_one_to_one, semi_match, match_greedy):
        c = correlation(a.layers(X)[0], b.layers(X)[0]).clone().requires_grad_()
        match(c)
    assert not pair.between.requires_grad


def test_a_loss_still_passes_its_gradient_to_the_logits():
    logits = A(X).detach().requires_grad_()
    cross_entropy(logits, Y).backward()
    expected = (logits.detach().softmax(-1) - torch.eye(3)[Y]) / len(Y)
    torch.testing.assert_close(logits.grad, expected)


def test_a_difference_is_of_networks_with_the_same_outputs():
    one, three = initialise((4, 5, 1), 0), A
    for pair in ((one, three), (three, one), (POPULATION, three), (three, initialise((4, 2), 0))):
        message = refused(lambda pair=pair: function_difference(*pair, X))
        assert "expected networks with the same outputs" in message
    assert function_difference(POPULATION, POPULATION, X) == 0
    assert function_difference(POPULATION, OTHERS, X) > 0


def test_one_network_is_mated_with_each_of_a_population_at_each_t():
    """With as many t as networks the two could be taken for each other."""
    grid = interpolate(A, POPULATION, [0.0, 1.0])
    assert grid.batch_shape == (2, 2)
    for i, t in enumerate((0.0, 1.0)):
        for j in range(2):
            expected = interpolate(A, POPULATION[j], t).weights
            assert all(map(torch.equal, grid[i][j].weights, expected))
    assert "of one size" in refused(lambda: interpolate(POPULATION, stack([A] * 3), 0.5))
    assert "of one size" in refused(lambda: stack([POPULATION, A]))


@pytest.mark.parametrize(
    "t", ["0.5", ["0", "1"], 1j, np.array([1j]), np.ma.masked_equal([0.0, 1.0], 1), {0: 1}, True]
)
def test_t_is_of_real_numbers(t):
    for call in (
        lambda: interpolate(A, B, t),
        lambda: crossover_curve(A, B, X, Y, t=t),
        lambda: barrier(t, [1.0, 2.0]),
        lambda: barrier([0.0, 1.0], t),
    ):
        refused(call)


@pytest.mark.parametrize("make", [pd.Series, lambda t: torch.tensor(t, requires_grad=True), tuple])
def test_t_may_come_in_any_form(make):
    t = [0.0, 0.25, 1.0]
    assert crossover_curve(A, B, X, Y, t=make(t)).t.tolist() == t
    assert interpolate(A, B, make(t)).batch_shape == (3,)
    assert barrier(make(t), make([1.0, 3.0, 1.0])) == 2


def test_a_barrier_has_no_height_where_a_loss_is_missing():
    message = refused(lambda: barrier([0.0, 0.5, 1.0], [1.0, np.nan, 1.0]))
    assert message.startswith("losses between the parents must be finite; found 1 ")
    assert barrier([0.0, 0.5, 1.0, 2.0], [1.0, 3.0, 1.0, np.inf]) == 2  # beyond the parents


@pytest.mark.parametrize(
    "order", [np.ma.masked_equal(range(5), 2), list("01234"), np.arange(5) * 1j, "01234"], ids=str
)
def test_lists_of_neurons_are_of_integers_without_a_mask(order):
    assert "the list of hidden layer 1 must" in refused(lambda: permute(A, [order]))


@pytest.mark.parametrize("kind", ["i1", "u1", "u8", ">i8"])
def test_lists_of_neurons_may_be_of_any_width(kind):
    order = np.array([4, 2, 0, 1, 3])
    expected = permute(A, [order]).weights
    assert all(map(torch.equal, permute(A, [order.astype(kind)]).weights, expected))
    assert all(map(torch.equal, permute(A, [torch.tensor(order)]).weights, expected))


@pytest.mark.parametrize(
    "values", [np.eye(3) * 1j, np.ma.array(np.eye(3)), np.eye(3).astype(str), None], ids=type
)
def test_what_is_matched_is_of_real_numbers(values):
    for call in (match_one_to_one, semi_match, match_greedy, lambda v: match_components(v, v)):
        assert " must be " in refused(lambda call=call: call(values))

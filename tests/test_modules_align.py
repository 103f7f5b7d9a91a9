"""Alignment of modules: the paper's path on MLPs, planted permutations, moves, statistics."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from zoo import Of, grouped_resnet

import safecross
from safecross import (
    METHODS,
    LayerPair,
    Move,
    Network,
    Spec,
    align,
    load_data,
    trace,
)
from safecross.alignment.maps import indices_of, move_axis, move_state
from safecross.modules import (
    Linear,
    Permutation,
    Scaling,
    Selection,
    group_pairs,
)
from safecross.modules.batches import batches
from safecross.modules.moments import Moments, StreamedPair
from safecross.modules.proof import random_maps
from safecross.networks.spec import Axis, Group
from safecross.networks.states import network_of, state_of


def mlp(seed: int, widths=(6, 9, 7, 4)) -> Network:
    theta = safecross.initialise(widths, seed)
    generator = torch.Generator().manual_seed(seed + 50)
    biases = [0.3 * torch.randn(b.shape, generator=generator) for b in theta.biases]
    return Network(theta.weights, biases)


@pytest.mark.parametrize("widths", [(6, 9, 4), (6, 9, 7, 4), (6, 9, 7, 8, 4)])
@pytest.mark.parametrize("operator", METHODS)
def test_mlps_give_what_the_path_of_the_paper_gives(operator, widths, make_examples):
    a, b = (mlp(seed, widths) for seed in (0, 1))
    x, y = make_examples(200, 6), torch.arange(200) % 4
    t = (-0.25, 0, 0.3, 0.5, 1, 1.25)
    aligned = align(a, b, x, operator, y=y)
    ours = safecross.crossover_curve(a, b, x, y, alignment=aligned, t=t)

    modules = a.to_torch(), b.to_torch()
    spec = trace(modules[0], x[:2])
    move = align(modules[1], to=modules[0], x=x, spec=spec, operator=operator, y=y)
    theirs = safecross.crossover_curve(*modules, x, y, alignment=move, t=t)
    assert np.allclose(ours.loss, theirs.loss, rtol=0, atol=1e-6)
    assert np.array_equal(ours.accuracy, theirs.accuracy)
    assert move.keeps_function == aligned.is_one_to_one


@pytest.mark.parametrize("options", [{"directions": 3}, {"ridge": 0.5, "penalty": "kernel"}])
def test_options_reach_the_operator(options, make_examples):
    a, b, x = mlp(0), mlp(1), make_examples(100, 6)
    lists = align(a, b, x, "sc-cca", **options)
    modules = a.to_torch(), b.to_torch()
    spec = trace(modules[0], x[:2])
    move = align(modules[1], to=modules[0], x=x, spec=spec, operator="sc-cca", **options)
    for how, matching in zip(move.maps.values(), lists.matchings, strict=True):
        assert how.order.tolist() == matching.lb[np.argsort(matching.la)].tolist()


# Planted permutations


def vgg():
    def block(i, o):
        return nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU()

    pool = nn.MaxPool2d(2)
    layers = (*block(1, 8), pool, *block(8, 12), *block(12, 12), pool)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(12 * 49, 10))


def resnet():
    def forward(m, x):
        x = m.norm0(m.stem(x)).relu()
        x = (x + m.norm2(m.conv2(m.norm1(m.conv1(x)).relu()))).relu()
        x = (m.down(x) + m.norm4(m.conv4(m.norm3(m.conv3(x)).relu()))).relu()
        return m.head(x.mean((2, 3)))

    def conv(i, o, stride=1, kernel=3):
        return nn.Conv2d(i, o, kernel, stride, kernel // 2, bias=False)

    return Of(
        forward,
        **{
            "stem": conv(1, 8, 2),
            "conv1": conv(8, 8),
            "conv2": conv(8, 8),
            "conv3": conv(8, 12, 2),
        },
        **{"conv4": conv(12, 12), "down": conv(8, 12, 2, 1), "head": nn.Linear(12, 10)},
        **{f"norm{i}": nn.BatchNorm2d(8 if i < 3 else 12) for i in range(5)},
    )


@pytest.fixture(scope="module")
def digits():
    data = load_data("mnist5k")
    x = torch.as_tensor(data.x_train).view(-1, 1, 28, 28)[:1500]
    return x, torch.as_tensor(data.y_train)[:1500]


def trained(make, digits, seed: int):
    torch.manual_seed(seed)
    model, (x, y) = make(), digits
    steps = torch.optim.Adam(model.parameters(), 5e-3)
    for i in torch.randperm(len(x)).split(50):
        steps.zero_grad()
        F.cross_entropy(model(x[i]), y[i]).backward()
        steps.step()
    return model.eval()


@pytest.mark.parametrize("make", [vgg, resnet])
def test_planted_permutations_are_recovered_in_every_group(make, digits):
    model, x = trained(make, digits, 0), digits[0][:300]
    spec = trace(model, x[:2])
    planted = Move(spec, random_maps(spec, 7))
    found = align(planted(model), to=model, x=x, spec=spec)
    pairs = group_pairs(model, model, x, spec)
    for name, how in (found @ planted).maps.items():
        living = pairs[name].scale_a > 0
        assert living.sum() > len(living) / 2
        assert torch.equal(how.order[living], torch.arange(how.size)[living]), name
    restored = found(planted(model)).state_dict()
    assert safecross.assert_function_preserved(model, found(planted(model)), x[:50]) < 1e-9
    assert all(torch.allclose(restored[k], v) for k, v in model.state_dict().items())


def test_alignment_lowers_the_barrier_and_new_statistics_lower_it_more(digits):
    a, b = (trained(vgg, digits, seed) for seed in (0, 1))
    (x, y), t = digits, (0, 0.5, 1)
    move = align(b, to=a, x=x[:500], spec=trace(a, x[:2]))

    def barrier(**options):
        return safecross.crossover_curve(a, b, x[:500], y[:500], t=t, **options).barrier

    assert barrier(alignment=move) < barrier()
    assert barrier(alignment=move, data=x[:500]) < barrier(alignment=move)


def test_a_group_within_groups_can_be_aligned():
    torch.manual_seed(0)
    model, x = grouped_resnet().eval(), torch.randn(40, 3, 8, 8)
    spec = trace(model, x[:2])
    move = align(model, to=model, x=x, spec=spec)
    assert all(how.order.tolist() == list(range(how.size)) for how in move.maps.values())


# Moves


@pytest.fixture
def small():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))
    return model, trace(model, torch.zeros(2, 3))


def same(a, b) -> bool:
    return all(torch.allclose(v, b.state_dict()[k]) for k, v in a.state_dict().items())


def test_moves_are_composed_and_inverted(small):
    model, spec = small
    f, g = (Move(spec, random_maps(spec, seed)) for seed in (1, 2))
    assert same((g @ f)(model), g(f(model)))
    assert not same((g @ f)(model), f(g(model)))
    assert same((f.inverse() @ f)(model), model)
    assert same(f.inverse()(f(model)), model)
    only = Move(spec, {"0": f.maps["0"]})
    assert same((Move(spec, {"2": f.maps["2"]}) @ only)(model), f(model))


@pytest.mark.parametrize(
    "how",
    [
        Scaling(torch.tensor([1.0, 2.0, 3.0, 0.5, 1.0])),
        Linear.of(
            torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        ),
        Permutation(torch.tensor([2, 0, 1, 4, 3])),
    ],
)
def test_maps_of_every_kind_agree_with_their_matrices(how, small):
    model, spec = small
    matrix = how if isinstance(how, Linear) else how.linear()
    moved, by_matrix = (Move(spec, {"0": m})(model) for m in (how, matrix))
    assert same(moved, by_matrix)
    back = Move(spec, {"0": how.inverse().after(how)})(model)
    assert all(
        torch.allclose(p, q, atol=1e-5)
        for p, q in zip(back.parameters(), model.parameters(), strict=True)
    )
    first = Permutation(torch.tensor([4, 3, 2, 1, 0]))
    both = Move(spec, {"0": how}) @ Move(spec, {"0": first})
    assert same(both(model), Move(spec, {"0": how})(Move(spec, {"0": first})(model)))


def test_a_selection_repeats_and_has_no_inverse(small):
    model, spec = small
    how = Selection([0, 0, 1, 2, 3])
    moved = Move(spec, {"0": how})(model)
    assert torch.equal(moved[0].bias, model[0].bias[[0, 0, 1, 2, 3]])
    assert torch.equal(moved[2].weight, model[2].weight[:, [0, 0, 1, 2, 3]])
    assert not Move(spec, {"0": how}).keeps_function
    with pytest.raises(ValueError, match="has no inverse"):
        Move(spec, {"0": how}).inverse()
    with pytest.raises(AssertionError, match=r"expected the same function up to 1e-09"):
        safecross.assert_function_preserved(model, moved, torch.randn(40, 3))


def test_a_batch_of_state_dicts_moves_each_by_its_own_order(small):
    model, spec = small
    orders = torch.stack([torch.randperm(5) for _ in range(3)])
    states = {k: torch.stack([v + i for i in range(3)]) for k, v in model.state_dict().items()}
    moved = Move(spec, {"0": Permutation(orders)})(states)
    for i, order in enumerate(orders):
        single = Move(spec, {"0": Permutation(order)})({k: v[i] for k, v in states.items()})
        assert all(torch.equal(moved[k][i], v) for k, v in single.items())
    matrices = Permutation(orders).linear(torch.float32)
    by_matrix = Move(spec, {"0": matrices})(states)
    assert all(torch.allclose(by_matrix[k], v) for k, v in moved.items())


def test_a_network_and_a_population_move(make_network, make_examples):
    theta, x = make_network((3, 5, 4)), make_examples(9, 3)
    spec = trace(theta, x)
    assert isinstance(spec, Spec)
    move = Move(spec, {"layer 1": Permutation([3, 1, 0, 2, 4])})
    expected = safecross.permute(theta, [[3, 1, 0, 2, 4]])
    assert torch.equal(move(theta).weights[1], expected.weights[1])
    assert safecross.assert_function_preserved(theta, move(theta), x) < 1e-12
    population = move(safecross.stack([theta, theta]))
    assert torch.equal(population[1].weights[0], expected.weights[0])
    assert torch.equal(network_of(state_of(theta)).weights[0], theta.weights[0])


def test_where_an_axis_lies():
    axis = Axis("w", -1, "in", start=1, step=3, repeats=((2, 6), (2, 1)))
    assert indices_of(axis, 2).tolist() == [[1, 4], [2, 5], [7, 10], [8, 11]]
    w = torch.arange(13.0)
    moved = move_axis(w, axis, Permutation([1, 0]))
    assert moved.tolist() == [0, 4, 5, 3, 1, 2, 6, 10, 11, 9, 7, 8, 12]
    group = Group(2, (axis,))
    state = move_state(Spec("by hand", {"g": group}), {"g": Permutation([1, 0])}, {"w": w})
    assert torch.equal(state["w"], moved)


def test_maps_and_moves_that_cannot_be_are_refused(small):
    _, spec = small
    with pytest.raises(ValueError, match="each neuron once"):
        Permutation([0, 0, 1])
    with pytest.raises(ValueError, match=r"indices in \[0, 2\); found 0 to 2"):
        Selection([0, 2])
    with pytest.raises(ValueError, match="whole numbers"):
        Selection([0.5, 1.0])
    with pytest.raises(ValueError, match="unknown group '1': "):
        Move(spec, {"1": Permutation([0])})
    with pytest.raises(ValueError, match="must be of 5 neurons; found 2"):
        Move(spec, {"0": Permutation([1, 0])})
    with pytest.raises(TypeError, match="a state dict or a Network; found int"):
        Move(spec, {})(3)
    with pytest.raises(ValueError, match="moves of one spec"):
        Move(spec, {}) @ Move(trace(nn.Linear(2, 2), torch.zeros(1, 2)), {})
    both = Axis("w", -1, "both")
    with pytest.raises(ValueError, match="only an orthogonal map"):
        move_axis(torch.ones(2), both, Scaling(torch.tensor([1.0, 2.0])))
    with pytest.raises(ValueError, match="is a buffer"):
        move_axis(torch.ones(2), Axis("m", -1, "buffer"), Scaling(torch.tensor([1.0, 2.0])))


# Statistics


def test_streamed_statistics_are_those_of_the_whole():
    generator = torch.Generator().manual_seed(0)
    la = 1000 + torch.randn(90, 4, generator=generator)
    lb = la @ torch.randn(4, 3, generator=generator) + 5
    la[:, 2] = 0.1  # dead, though its float64 variance is not exactly 0
    whole, moments = LayerPair(la, lb), Moments()
    for a, b in zip(la.split(40), lb.split(40), strict=True):
        moments.add(a, b)
    streamed = StreamedPair(moments)
    assert (streamed.n, streamed.sizes) == (whole.n, whole.sizes)
    for name in ("scale_a", "scale_b", "within_a", "within_b", "between"):
        assert torch.allclose(getattr(streamed, name), getattr(whole, name), atol=1e-9), name
    assert torch.equal(streamed.between[2], torch.zeros(3, dtype=torch.float64))
    one, other = (safecross.cca_of_pair(p, ridge=0.1).correlations for p in (streamed, whole))
    assert torch.allclose(one, other, atol=1e-9)


def test_tensors_loaders_and_lists_of_batches_give_the_same(small, make_examples):
    model, spec = small
    x = make_examples(30, 3)
    loader = DataLoader(TensorDataset(x, torch.zeros(30)), batch_size=8)
    found = [
        group_pairs(model, model, given, spec)["0"].within_a
        for given in (x, (x,), loader, [x[:13], x[13:]])
    ]
    assert all(torch.allclose(found[0], other, atol=1e-12) for other in found[1:])
    assert [len(b) for (b,) in batches(x, size=20)] == [20, 10]


def test_a_bar_shows_progress(small, make_examples, capsys):
    model, spec = small
    align(model, to=model, x=make_examples(10, 3), spec=spec, progress=True)
    assert "batches" in capsys.readouterr().err


# Bad input


def test_unusable_examples_are_refused(small, make_examples):
    model, spec = small
    x = make_examples(10, 3)
    for given, message in (
        ([], "expected at least one example; found none"),
        (x[:0], "expected at least one example; found none"),
        ([x, x[:, :2]], r"every batch must hold examples of shape \[\(3,\)\]; found \[\(2,\)\]"),
        (x[:, :2], r"does not run on the example of shape \(10, 2\)"),
        (x / 0, "the batch of examples must be finite"),
        ([{"x": x}], "each batch must be a tensor, or a list"),
        ([["a"]], "each batch must hold tensors; found str"),
    ):
        with pytest.raises(ValueError, match=message):
            align(model, to=model, x=given, spec=spec)
    with pytest.raises(TypeError, match="an iterable of batches such as a DataLoader; found int"):
        align(model, to=model, x=3, spec=spec)


def test_models_of_different_structure_are_refused(small, make_examples):
    model, spec = small
    x = make_examples(10, 3)
    other = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    with pytest.raises(ValueError, match="model b is not of the structure that the spec of Sequen"):
        align(other, to=model, x=x, spec=spec)
    wide = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(ValueError, match=r"0\.weight of model b must have shape \(5, 3\)"):
        align(wide, to=model, x=x, spec=spec)
    layers = list(model)
    smooth = nn.Sequential(layers[0], nn.GELU(), *layers[2:])
    with pytest.raises(ValueError, match=r"one structure; found aten\.relu.* and aten\.gelu"):
        align(smooth, to=model, x=x, spec=spec)
    longer = nn.Sequential(*layers, nn.ReLU())
    with pytest.raises(ValueError, match=r"one structure; found \d+ and \d+ operations"):
        align(longer, to=model, x=x, spec=spec)


def test_the_spec_of_another_model_is_refused(small, make_examples):
    model, spec = small
    axes = spec.groups["0"].axes
    wrong = Spec(spec.model, {"0": Group(5, axes[:-1])}, shapes=spec.shapes)
    with pytest.raises(ValueError, match="the spec of Sequential is of another model"):
        align(model, to=model, x=make_examples(10, 3), spec=wrong)


def test_weights_that_are_not_finite_are_refused(small, make_examples):
    model, spec = small
    with torch.no_grad():
        model[2].bias[1] = torch.inf
    with pytest.raises(ValueError, match=r"2\.bias of model a must be finite; found 1 NaN or inf"):
        align(model, to=model, x=make_examples(10, 3), spec=spec)


def test_other_calls_are_refused_with_what_is_meant(small, make_network, make_examples):
    model, spec = small
    x = make_examples(10, 3)
    with pytest.raises(TypeError, match=r"align\(model_b, to=model_a, x=examples, spec=spec\)"):
        align(model, model, x)
    with pytest.raises(TypeError, match="to and spec are for modules"):
        align(make_network((3, 4, 2)), make_network((3, 4, 2)), x, spec=spec)
    with pytest.raises(TypeError, match="model a must be"):
        align(model, to=make_network((3, 4, 2)), x=x, spec=spec)
    with pytest.raises(ValueError, match="unknown operator"):
        align(model, to=model, x=x, spec=spec, operator="sc-pcw")
    plain = nn.Sequential(nn.Linear(3, 5, bias=False), nn.ReLU(), nn.Linear(5, 2))
    with pytest.raises(ValueError, match="bias-sort needs a bias in each group"):
        align(plain, to=plain, x=x, spec=trace(plain, x), operator="bias-sort")


def test_a_soft_map_moves_running_statistics_as_far_as_it_can():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    generator = torch.Generator().manual_seed(0)
    model[1].running_mean.copy_(torch.randn(4, generator=generator))
    model[1].running_var.copy_(1 + torch.rand(4, generator=generator))
    spec = trace(model.eval(), torch.zeros(2, 3))
    order = [2, 0, 3, 1]
    hard = Move(spec, {"0": Permutation(order)})(model)
    soft = Move(spec, {"0": Linear.of(torch.eye(4)[order])})(model)
    for name, tensor in hard.state_dict().items():
        assert torch.allclose(soft.state_dict()[name], tensor), name
    matrix = torch.eye(4) + 0.1 * torch.randn(4, 4, generator=generator)
    mixed = Move(spec, {"0": Linear.of(matrix)})(model)
    assert torch.allclose(mixed[1].running_mean, matrix @ model[1].running_mean, atol=1e-6)
    assert torch.allclose(mixed[1].running_var, matrix**2 @ model[1].running_var, atol=1e-6)
    # Of independent inputs these are the mixture's own statistics; of others only the mean is.
    z = torch.randn(200_000, 4, generator=generator) * model[1].running_var.sqrt()
    z += model[1].running_mean
    assert torch.allclose((z @ matrix.mT).var(0), mixed[1].running_var, rtol=0.02)
    together = z[:, :1].expand(-1, 4) @ matrix.mT
    alike = matrix**2 @ z[:, :1].expand(-1, 4).var(0)
    assert not torch.allclose(together.var(0), alike, rtol=0.02)
    assert torch.allclose(together.mean(0), matrix @ z[:, :1].mean(0).expand(4), rtol=1e-3)

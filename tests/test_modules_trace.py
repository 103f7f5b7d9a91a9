"""Groups of axes: complete by hand count, right by permutation, wrong if one axis is left."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import nn
from zoo import RULE_MODELS, ZOO, Of, between, function, image

from safecross import (
    Spec,
    assert_function_preserved,
    initialise,
    load_spec,
    trace,
)
from safecross.data import import_torchvision
from safecross.modules import (
    Move,
    Permutation,
    relative_difference,
    rules,
    table,
)
from safecross.modules.dims import Dim
from safecross.modules.graph import arguments
from safecross.modules.proof import TOLERANCE, random_maps
from safecross.modules.table import unsettled
from safecross.networks.states import spec_of_network

MODELS = {**ZOO, **RULE_MODELS}


@cache
def made(name: str):
    """Make a model of the zoo with random parameters, its example and its spec."""
    make, example, _ = MODELS[name]
    torch.manual_seed(0)
    model, example = unsettled(make()).double(), example()
    example = example.double() if example.is_floating_point() else example
    return model, example, trace(model, example)


def difference(model, moved, example) -> float:
    with torch.no_grad():
        return relative_difference(*([m(*arguments(example))] for m in (model, moved)))


@pytest.mark.parametrize("name", MODELS)
def test_groups_are_those_counted_by_hand(name):
    _, _, spec = made(name)
    assert sorted(g.size for g in spec.groups.values()) == sorted(MODELS[name][2])
    assert not [f for f in spec.fixed if "check" in f.reason]
    assert bool(spec.unknown) == (name == "lstm")


@pytest.mark.parametrize("name", [n for n in MODELS if n != "lstm"])
def test_random_permutations_of_all_groups_keep_the_function(name):
    model, example, spec = made(name)
    moved = Move(spec, random_maps(spec, 1))(model)
    assert assert_function_preserved(model, moved, example, TOLERANCE) <= TOLERANCE
    assert any(
        not torch.equal(a, b) for a, b in zip(model.parameters(), moved.parameters(), strict=True)
    )


@pytest.mark.parametrize("name", [n for n in MODELS if n != "lstm"])
def test_a_group_with_one_axis_left_out_changes_the_function(name):
    model, example, spec = made(name)
    for group, entry in spec.groups.items():
        how = random_maps(replace(spec, groups={group: entry}), 2)
        for axis in entry.axes:
            less = replace(entry, axes=tuple(a for a in entry.axes if a is not axis))
            if not less.axes or _idle(name, entry, axis):
                continue
            moved = Move(replace(spec, groups={group: less}), how)(model)
            assert difference(model, moved, example) > 1e-6, (group, str(axis))


def _idle(name: str, entry, axis) -> bool:
    """Say of which axes the values do not matter: what they meet is equal for all."""
    # A key's bias adds the same to all scores of a query, and softmax takes it away.
    if axis.tensor in ("k.bias",) or (name in ("gpt", "vit", "fused by select") and _of_keys(axis)):
        return True
    # An instance norm takes the mean away, and with it the bias before it.
    if name == "instance_norm" and axis.tensor == "0.bias":
        return True
    # The channels that are constant, cut off or written over.
    return name in ("pad", "slice", "slice by step", "slice_scatter", "expand", "mv")


def _of_keys(axis) -> bool:
    width = {"qkv.bias": 8, "layer.self_attn.in_proj_bias": 8}.get(axis.tensor)
    return width is not None and axis.start // width == 1


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        *(("linear", "mlp"), ("layer_norm", "layer_norm"), ("conv2d", "densenet")),
        *(("relu", "flatten"), ("view", "flatten"), ("group_norm", "group_norm")),
        *(
            ("_native_batch_norm_legit_no_training", "batch_norm"),
            ("cat", "densenet"),
            ("embedding", "embedding"),
        ),
        *(("prelu", "prelu"), ("conv_transpose2d", "conv_transpose2d"), ("einsum", "einsum")),
        *(("bilinear", "bilinear"), ("_weight_norm", "_weight_norm")),
        *(("scaled_dot_product_attention", "gpt"), ("matmul", "llama"), ("glu", "glu")),
        *(("rms_norm", "rms_norm"), ("instance_norm", "instance_norm"), ("add", "grouped resnet")),
        *(("mul", "squeeze and excite"), ("softmax", "softmax"), ("split", "gpt")),
        *(("repeat_interleave", "llama"), ("addmm", "addmm"), ("pixel_shuffle", "pixel_shuffle")),
    ],
)
def test_a_rule_that_unites_nothing_is_caught_by_the_check(rule, name, monkeypatch):
    make, example, sizes = MODELS[name]
    met = []

    def forgetful(run, *arguments, **options):
        met.append(rule)
        found = [[Dim(size) for size in shape] for shape in run.shapes]
        return found if len(found) > 1 else found[0]

    monkeypatch.setitem(rules.RULES, rule, forgetful)
    model, example = unsettled(make()), example()
    spec = trace(model, example)
    assert assert_function_preserved(model, Move(spec, random_maps(spec, 1))(model), example) < 1e-9
    assert met
    assert [f for f in spec.fixed if "check" in f.reason] or len(spec.groups) < len(sizes)


@pytest.mark.parametrize(
    ("rule", "name"),
    [("conv2d", "flatten"), ("linear", "mlp"), ("glu", "glu"), ("layer_norm", "layer_norm")],
)
def test_an_operation_without_a_rule_is_named_and_fixes_what_it_touches(rule, name, monkeypatch):
    make, example, sizes = MODELS[name]
    monkeypatch.delitem(rules.RULES, rule)
    spec = trace(make(), example())
    assert spec.unknown[rule]
    assert f"operation {rule}" in {f.reason for f in spec.fixed}
    assert len(spec.groups) < len(sizes)
    assert f"No rule for {rule}" in spec.describe()


def test_a_recurrent_layer_is_fixed_and_named():
    _, _, spec = made("lstm")
    assert spec.unknown == {"lstm": 1}
    fixed = {f.tensor for f in spec.fixed if f.reason == "operation lstm"}
    assert {"embed.weight", "head.weight", "lstm.weight_hh_l0"} <= fixed


def test_slice_assignment_is_seen():
    def forward(m, x):
        x = m.first(x).clone()
        x[:, :2] = x[:, 2:4]
        return m.last(x)

    model = Of(forward, first=nn.Linear(3, 6), last=nn.Linear(6, 2))
    spec = trace(model, torch.randn(2, 3))
    # Of 6, the second 2 are written over the first 2; the last 2 are free.
    assert sorted(g.size for g in spec.groups.values()) == [2, 2, 2]
    assert len({axis.start for g in spec.groups.values() for axis in g.axes}) == 3


def test_tied_weights_have_one_set_of_axes():
    model, _, spec = made("gpt")
    assert spec.aliases == {"head.weight": "tokens.weight"}
    (width,) = [g for g in spec.groups.values() if g.size == 8]
    assert [a.role for a in width.axes if a.tensor == "tokens.weight"] == ["both"]
    moved = Move(spec, random_maps(spec))(model)
    assert moved.head.weight is moved.tokens.weight


def test_symmetries_follow_what_lies_between():
    linear = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2))
    assert trace(linear, torch.randn(2, 3)).groups["0"].symmetry == "linear"
    for middle, symmetry in ((nn.ReLU(), "scaling"), (nn.GELU(), "permutation")):
        model = nn.Sequential(nn.Linear(3, 5), middle, nn.Linear(5, 2))
        assert trace(model, torch.randn(2, 3)).groups["0"].symmetry == symmetry
    norm = nn.RMSNorm(5, elementwise_affine=False)
    model = nn.Sequential(nn.Linear(3, 5), norm, nn.Linear(5, 2))
    assert trace(model, torch.randn(2, 3)).groups["0"].symmetry == "orthogonal"


@pytest.mark.parametrize("name", ["llama", "vit", "flatten", "conv_transpose2d grouped"])
def test_the_largest_class_of_maps_keeps_the_function(name):
    model, example, spec = made(name)
    maps = random_maps(spec, 3, symmetric=True)
    assert any(not isinstance(how, Permutation) for how in maps.values())
    assert difference(model, Move(spec, maps)(model), example) < 1e-9


def test_a_symmetry_that_is_claimed_wrongly_is_cut_to_permutations(monkeypatch):
    monkeypatch.setattr(rules, "limit", lambda *_: None)
    spec = trace(nn.Sequential(nn.Linear(3, 5), nn.GELU(), nn.Linear(5, 2)), torch.randn(2, 3))
    assert spec.groups["0"].symmetry == "permutation"


def test_a_head_that_starts_at_zero_does_not_make_the_check_idle(monkeypatch):
    def forgetful(run, x, **_):
        return [Dim(d.size) for d in x.dims]

    monkeypatch.setitem(rules.RULES, "relu", forgetful)
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    nn.init.zeros_(model[2].weight)
    assert not trace(model, torch.randn(2, 3)).groups


def test_a_trace_leaves_the_model_as_it_is():
    model = nn.Sequential(nn.Linear(3, 5), nn.Dropout(), nn.BatchNorm1d(5), nn.Linear(5, 2))
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trace(model, torch.randn(2, 3))
    assert [m.training for m in model] == [True, False, True, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_spec_is_plain_data(tmp_path):
    for name in ("gpt", "grouped resnet", "lstm"):
        _, _, spec = made(name)
        spec.save(tmp_path / "spec.json")
        assert load_spec(tmp_path / "spec.json") == spec
    text = str(made("gpt")[2])
    for part in ("both", "orthogonal maps too", "written and read by tokens.weight[-1]", "Fixed:"):
        assert part in text or part == "both"
    with pytest.raises(ValueError, match="expected the JSON of a spec"):
        Spec.from_json('{"format": 1}')


def test_a_network_needs_no_graph(make_network, make_examples):
    theta, x = make_network((4, 6, 5, 3)), make_examples(7, 4)
    spec = trace(theta, x)
    assert spec == spec_of_network(theta)
    assert [g.size for g in spec.groups.values()] == [6, 5]
    moved = Move(spec, random_maps(spec))(theta)
    assert float((theta(x) - moved(x)).abs().max()) < 1e-5
    population = initialise((4, 6, 5, 3), (0, 1, 2))
    assert trace(population, x).shapes == spec.shapes


# Bad input


def test_a_module_is_expected():
    with pytest.raises(TypeError, match=r"expected a torch\.nn\.Module; found dict"):
        trace({}, torch.zeros(1))
    with pytest.raises(TypeError, match="an example must be a tensor, or a tuple"):
        trace(nn.Linear(2, 2), {"x": 1})


def test_a_wrong_example_is_refused():
    with pytest.raises(ValueError, match=r"Linear does not run on the example of shape \(2, 3\)"):
        trace(nn.Linear(4, 2), torch.zeros(2, 3))


def test_a_model_that_cannot_be_exported_is_refused_with_its_reason():
    model = function(lambda x: x * 2 if x.sum() > 0 else x)
    with pytest.raises(ValueError, match=r"torch\.export cannot read Of: .*Write the forward pass"):
        trace(model, torch.ones(2))


def test_weights_that_are_not_finite_are_refused():
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.weight[0, 1] = torch.nan
    with pytest.raises(ValueError, match=r"weight of the model must be finite; found 1 NaN"):
        trace(model, torch.ones(1, 2))


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(ValueError, match="outputs that are not finite"):
        trace(between(function(lambda x: x * float("inf")), 4, 4), image())


# Models of torchvision; all of them are a command, `python -m safecross.modules`


@pytest.mark.parametrize(
    ("name", "groups"),
    [("squeezenet1_1", 25), ("shufflenet_v2_x0_5", None), ("resnet18", 12)],
)
def test_models_of_torchvision(name, groups):
    row = table.measure(name)
    assert name in table.builders()
    assert row["difference"] <= TOLERANCE
    assert row["pinned"] == {}
    assert groups is None or row["groups"] == groups


def test_the_table_is_made_by_one_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(table, "builders", lambda: ["squeezenet1_1"])
    assert table.main(["--output", str(tmp_path / "table.json")]) == 0
    assert "1 of 1 keep their function; changed: none" in capsys.readouterr().out
    assert import_torchvision().models.squeezenet1_1


def test_peers_were_asked_of_the_same_models():
    peers = table.load_peers()
    assert set(ZOO) < set(peers.index) and len(peers) == 22
    assert not (peers["safecross"] == "wrong").any()
    assert peers.notna().all(axis=None)


def test_the_published_table_of_torchvision_changes_no_function():
    models = table.load_table()
    assert {m["model"] for m in models} == set(table.builders())
    run = [m for m in models if "error" not in m]
    assert len(run) >= 75
    for model in run:
        assert model["difference"] <= 1e-10 and model["groups"] > 0 == model["failed"]
    # What is recorded is what is found: one of the small ones, again.
    again = table.measure("squeezenet1_1")
    (kept,) = (m for m in models if m["model"] == "squeezenet1_1")
    for name in ("parameters", "groups", "axes", "pinned", "failed"):
        assert again[name] == kept[name]

"""Offspring of two modules: buffers, whole numbers, statistics of batch norms, files."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import safecross
from benchmarks import modules
from safecross import (
    align,
    crossover_curve,
    interpolate,
    load_data,
    store,
    trace,
)
from safecross.cli import main
from safecross.modules import (
    average,
    evaluate,
    load_state,
    reestimate,
    save_state,
)
from safecross.modules.maps import fill


class WithMask(nn.Module):
    def __init__(self, value: float):
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
        self.register_buffer("count", torch.tensor(int(value)))
        nn.init.constant_(self.norm.weight, value)
        nn.init.constant_(self.norm.running_var, value)

    def forward(self, x):
        return self.norm(x) + self.mask


def test_everything_that_a_module_holds_is_interpolated():
    a, b = WithMask(1.0), WithMask(3.0)
    child = interpolate(a, b, 0.25)
    assert child.norm.weight.tolist() == child.norm.running_var.tolist() == [1.5, 1.5]
    assert child.mask.tolist() == [0.0, -torch.inf]
    assert (int(child.count), int(interpolate(a, b, 0.75).count)) == (1, 3)
    for t, parent in ((0, a), (1, b)):
        state = interpolate(a, b, t).state_dict()
        assert all(torch.equal(v, state[k]) for k, v in parent.state_dict().items())
    assert float(interpolate(a, b, -1).norm.running_var.min()) == 0
    assert a.norm.weight.tolist() == [1.0, 1.0]


def test_the_mean_of_modules_is_that_of_all_they_hold():
    models = [WithMask(value) for value in (1.0, 3.0, 8.0)]
    child = average(models)
    assert child.norm.weight.tolist() == child.norm.running_var.tolist() == [4.0, 4.0]
    assert child.mask.tolist() == [0.0, -torch.inf]
    assert int(child.count) == 1 and models[0].norm.weight.tolist() == [1.0, 1.0]
    halfway = interpolate(*models[:2], 0.5).state_dict()
    assert all(torch.equal(v, halfway[k]) for k, v in average(models[:2]).state_dict().items())
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(average(models, x).norm.running_mean, x.mean(0), atol=1e-6)
    with pytest.raises(ValueError, match="at least one model; found none"):
        average([])
    with pytest.raises(ValueError, match=r"of one structure; .*norm.bias"):
        average([*models, nn.Linear(2, 2)])
    with pytest.raises(TypeError, match=r"expected a torch\.nn\.Module; found int"):
        average([models[0], 3])


def test_mlps_give_what_networks_give(make_network, make_examples):
    a, b, x = make_network((3, 5, 2), 0), make_network((3, 5, 2), 1), make_examples(20, 3)
    child = interpolate(a.to_torch(), b.to_torch(), 0.3)
    assert torch.allclose(child(x), interpolate(a, b, 0.3)(x), atol=1e-6)


def test_statistics_are_those_of_the_data_and_modes_stay():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout())
    model[2].eval()
    x = torch.randn(64, 2)
    reestimate(model, [x[:32], x[32:]])
    seen = model[0](x).detach()
    assert torch.allclose(model[1].running_mean, seen.mean(0), atol=1e-6)
    spread = (seen[:32].var(0) + seen[32:].var(0)) / 2
    assert torch.allclose(model[1].running_var, spread, atol=1e-6)
    assert [m.training for m in model] == [True, True, False]
    assert model[1].momentum == 0.1
    child = interpolate(model, model, 0.5, data=x + 1)
    assert not torch.allclose(child[1].running_mean, model[1].running_mean)


def test_a_curve_of_modules_has_a_barrier():
    a, b = (nn.Linear(2, 2, bias=False) for _ in range(2))
    a.weight.data.copy_(torch.eye(2))
    b.weight.data.copy_(-torch.eye(2))
    curve = crossover_curve(a, b, torch.eye(2), [0, 1], t=[0, 0.5, 1])
    assert np.array_equal(curve.accuracy[[0, 2]], [1, 0])
    assert curve.barrier == 0  # the loss is convex in the logits


def test_a_state_is_saved_and_loaded(tmp_path):
    a, b = WithMask(1.0), WithMask(3.0)
    save_state(a, tmp_path / "a.safetensors")
    assert load_state(b, tmp_path / "a.safetensors").norm.weight.tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match=r"does not hold a Linear: its tensors differ in name"):
        load_state(nn.Linear(2, 2), tmp_path / "a.safetensors")
    with pytest.raises(safecross.DamagedFile):
        load_state(b, tmp_path / "none.safetensors")


def test_a_module_that_asks_for_its_version_is_filled():
    class Versioned(nn.Linear):
        _version = 2

        def _load_from_state_dict(self, state, prefix, metadata, *rest):
            assert metadata.get("version") == 2
            super()._load_from_state_dict(state, prefix, metadata, *rest)

    a, b = Versioned(2, 2), Versioned(2, 2)
    assert torch.equal(fill(a, b.state_dict()).weight, b.weight)
    assert torch.equal(interpolate(a, b, 0.5).weight, b.weight)


def test_parents_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="one structure; their tensors differ in name or shape"):
        interpolate(nn.Linear(2, 2), nn.Linear(2, 3), 0.5)
    with pytest.raises(ValueError, match=r"t must be one finite number; found nan"):
        interpolate(nn.Linear(2, 2), nn.Linear(2, 2), float("nan"))
    with pytest.raises(TypeError, match=r"expected a torch\.nn\.Module; found dict"):
        interpolate(nn.Linear(2, 2), {}, 0.5)


def test_the_readmes_lines_run_as_printed():
    a, b = (zoo_network(seed) for seed in (0, 1))
    names = {
        "safecross": safecross,
        "model_a": a,
        "model_b": b,
        "images": torch.rand(120, 1, 28, 28),
    }
    exec(modules.lines(), names)
    assert isinstance(names["child"], nn.Module)
    assert safecross.assert_function_preserved(b, names["move"](b), names["images"]) < 1e-9


def zoo_network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return modules.network((4, 6, 5)).eval()


# The command line

BUILD = """
from torch import nn

def build():
    return nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2),
    )
"""


@pytest.fixture
def on_disk(tmp_path, monkeypatch):
    """Lay two convolutional networks, what builds them and their data into a folder."""
    monkeypatch.chdir(tmp_path)
    Path("my_net_of_a_test.py").write_text(BUILD)
    monkeypatch.syspath_prepend(str(tmp_path))
    build = importlib.import_module("my_net_of_a_test").build
    rng = np.random.default_rng(0)
    arrays = {}
    for split, n in (("train", 40), ("test", 30)):
        arrays |= {f"x_{split}": rng.integers(0, 256, (n, 8, 8, 3), np.uint8)}
        arrays |= {f"y_{split}": np.arange(n) % 2}
    np.savez("own.npz", **arrays)
    for seed, name in enumerate("ab"):
        torch.manual_seed(seed)
        model = build()
        model.train()(torch.rand(20, 3, 8, 8))
        save_state(model.eval(), f"{name}.safetensors")
    yield build
    del sys.modules["my_net_of_a_test"]


WORDS = ["crossover", "a.safetensors", "b.safetensors", "--data", "own.npz", "-o", "child"]
MODEL = ["--model", "my_net_of_a_test:build"]


@pytest.mark.parametrize("anew", [False, True])
def test_the_command_line_crosses_modules_over(on_disk, capsys, anew):
    assert main([*WORDS, *MODEL, "--t", "0.3", *(["--reestimate"] if anew else [])]) == 0
    a, b = (load_state(on_disk(), f"{name}.safetensors").eval() for name in "ab")
    data = load_data("own.npz")
    x, seen = (split.view(-1, 8, 8, 3).permute(0, 3, 1, 2) for split in (data.x_test, data.x_train))
    move = align(b, to=a, x=x, spec=trace(a, x[:2]))
    expected = interpolate(a, move(b), 0.3, seen if anew else None)
    child = load_state(on_disk(), "child")
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(child.state_dict()[name], value, rtol=1e-5, atol=1e-6)
    out = capsys.readouterr().out
    loss, accuracy = evaluate(expected, x, data.y_test)
    assert f"child (t = 0.3)  loss {loss:.4f}  accuracy {accuracy:.4f}" in out
    assert "wrote child" in out
    assert store.load_tensors("child")[1]["operator"] == "sc-pwc"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "my_net_of_a_test"], "must be package.module:function; found 'my_net_of"),
        (["--model", "no_such_net:build"], "no_such_net:build: No module named 'no_such_net'"),
        (["--model", "my_net_of_a_test:bild"], "the module my_net_of_a_test has no bild"),
        (["--model", "torch.nn:Flatten"], "a.safetensors does not hold a Flatten"),
        (["--reestimate"], "--reestimate is for parents with batch norms"),
        ([*MODEL, "--t", "nan"], "t must be one finite number; found nan"),
        ([*MODEL, "--operator", "sc-pcw"], "unknown operator 'sc-pcw'"),
    ],
)
def test_mistakes_with_modules_on_the_command_line_are_one_line(on_disk, capsys, words, message):
    assert main([*WORDS, *words]) == 1
    line = capsys.readouterr().err.strip()
    assert message in line
    assert "\n" not in line
    assert not Path("child").exists()

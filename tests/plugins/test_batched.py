"""Tasks of gymnax: what a compiled batch finds is what its environment says step by step."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from safecross import initialise
from safecross.evolution import batched
from safecross.evolution.arms import Arm
from safecross.evolution.batched import GYMNAX, Gymnax, environment
from safecross.evolution.genetic import Setting, advance, begin
from safecross.evolution.runs import EvolutionConfig
from safecross.runs import run, verify

pytestmark = pytest.mark.plugins


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def action(name: str, outputs: np.ndarray):
    return {"Pendulum-v1": 2 * np.tanh(outputs), "Breakout-MinAtar": outputs.argmax()}[name]


@pytest.mark.parametrize(
    ("name", "widths"), [("Pendulum-v1", (3, 8, 1)), ("Breakout-MinAtar", (400, 8, 3))]
)
def test_a_batch_is_what_one_member_after_another_finds(name, widths):
    import gymnax
    import jax

    task, members = Gymnax(name, episodes=2, steps=30, every=3), initialise(widths, [0, 1, 2])
    assert (task.n_inputs, task.n_outputs) == (widths[0], widths[-1])
    found = task(members, chance(5))
    environment, params = gymnax.make(name)
    seed = int(torch.randint(2**31 - 1, (), generator=chance(5)))
    returns, seen, steps = np.zeros((3, 2)), [], 0
    for i in range(3):
        for episode, key in enumerate(jax.random.split(jax.random.key(seed), 2)):
            first, *keys = jax.random.split(key, 31)
            view, state = environment.reset(first, params)
            alive = True
            for number, one in enumerate(keys):
                row = np.array(view, np.float32).reshape(1, -1)
                if number % 3 == 0:
                    seen.append(row)
                chosen = action(name, members[i](row)[0].numpy())
                view, state, reward, *ends, _ = environment.step(one, state, chosen, params)
                returns[i, episode] += alive * float(reward)
                steps += alive
                alive = alive and not any(map(bool, ends))
    assert np.allclose(found.fitness, returns.mean(1), rtol=1e-3)
    assert np.allclose(found.seen, np.concatenate(seen), atol=1e-2)
    assert found.steps == steps
    assert (steps < 180) is (name == "Breakout-MinAtar")


def test_a_batch_depends_on_its_chance_only():
    task, members = Gymnax("Pendulum-v1", 2, 20), initialise((3, 8, 1), [0, 0, 1])
    first, again, other = (task(members, chance(seed)).fitness for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first[0] == first[1] != first[2]


def test_the_genetic_algorithm_learns_to_swing_gymnaxs_pendulum():
    task, setting = Gymnax("Pendulum-v1", 4, 200), Setting((16,), 32, 8, 64)
    state = begin(task, setting, 0)
    for _ in range(15):
        state = advance(task, Arm("sc-pwc", "neuron", sigma=0.3), setting, 0, state)
    best = state.history[:, 0]
    assert best[-3:].mean() > best[:3].mean() + 200
    assert state.history[-1, -1] == 15 * 32 * 4 * 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "Pendulum-v2"}, "unknown environment 'Pendulum-v2': did you mean 'Pendulum-v1'"),
        ({"episodes": 0}, "episodes must be a whole number >= 1; found 0"),
        ({"steps": 2.5}, "steps must be a whole number >= 1; found 2.5"),
        ({"every": 0}, "every must be a whole number >= 1; found 0"),
        ({"steps": 10, "every": 4}, "every must divide steps; found 4 and 10"),
    ],
)
def test_what_is_no_task_is_told(options, message):
    with pytest.raises(ValueError, match=message):
        Gymnax(**{"name": "Pendulum-v1"} | options)


def test_networks_of_other_inputs_are_refused():
    with pytest.raises(ValueError, match=r"Pendulum-v1 has 3 inputs; found Network\(4-1"):
        Gymnax("Pendulum-v1", 1, 5)(initialise((4, 1), [0]), chance())


def test_an_experiment_on_a_task_verifies_to_the_table_s_precision(tmp_path, monkeypatch):
    monkeypatch.setenv("SAFECROSS_RUNS", str(tmp_path))
    arms = ("mutation", "sc-pwc/neuron:related=true")
    config = EvolutionConfig(
        "gymnax:Pendulum-v1", arms, 2, 3, population=8, parents=3, hidden=(8,), episodes=2
    )
    record = run(config, workers=1)
    assert record.name.startswith("gymnax-Pendulum-v1-")
    assert verify(record, n_pairs=2, tolerance=1e-6)["ok"].all()
    steps = record.tables["generations"].groupby("generation")["steps"].unique()
    assert [s.tolist() for s in steps] == [[3200 * (g + 1)] for g in range(3)]
    champions = record.tables["champions"]
    spoiled = replace(record, tables=record.tables | {"champions": champions.assign(score=0.0)})
    assert not verify(spoiled, n_pairs=2, tolerance=1e-6)["ok"].all()


def test_another_version_s_environments_are_not_taken_for_these(monkeypatch):
    monkeypatch.setattr(batched, "VERSION", "0.0.8")
    environment.cache_clear()
    with pytest.raises(ValueError, match=r"expected gymnax 0.0.8, which gymnax:Pendulum-v1 is of"):
        environment(f"{GYMNAX}Pendulum-v1", 2)

"""The protocol of experiments: what runs, resumes and verifies knows no experiment by name."""

from dataclasses import asdict, dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch

from safecross import store
from safecross.replication.config import Config
from safecross.replication.pairs import Pairs
from safecross.runs import (
    Experiment,
    PairExperiment,
    RunFolder,
    config_from_dict,
    experiment_of,
    load_record,
    merge,
    register,
    run,
    runs_folder,
    verify,
)
from safecross.runs import experiment as protocol
from safecross.runs.config import config_hash
from safecross.runs.experiment import Difference, kind_of_device
from safecross.runs.folder import check_session
from safecross.runs.machine import one_thread, process_memory, source_hash
from safecross.runs.pairs import Clock


@dataclass(frozen=True)
class DiceConfig:
    """How often dice are thrown."""

    dataset: str
    n_pairs: int
    throws: int = 10
    seed: int = 0

    def to_dict(self):
        return {"kind": "dice", **asdict(self)}

    @classmethod
    def from_dict(cls, values):
        return cls(**values)

    def replace(self, **changes):
        return replace(self, **changes)

    def hash(self, fingerprint):
        return config_hash({**self.to_dict(), "dataset": fingerprint})


class Dice(Experiment):
    """An experiment that has nothing to do with networks."""

    kind = "dice"
    config_type = DiceConfig
    unit = "table"
    schema: ClassVar = {"throws": ("table", "value")}

    @property
    def n_units(self):
        return self.config.n_pairs

    def compute(self, units, folder, device="cpu", together=1):
        for unit in units:
            yield unit, self.compute_again(unit), {"throws": self.config.throws}

    def compute_again(self, unit):
        rng = np.random.default_rng([self.config.seed, unit])
        return {"values": torch.from_numpy(rng.integers(1, 7, self.config.throws))}

    def tables(self, results):
        rows = [(unit, int(v)) for unit, result in results for v in result["values"]]
        return {"throws": pd.DataFrame(rows, columns=self.schema["throws"])}

    def rows(self, table):
        return self.n_units * self.config.throws

    def differences(self, record, unit, again) -> list[Difference]:
        kept = record.tables["throws"].query("table == @unit")["value"].to_numpy()
        return [("throws", "value", float(abs(kept - again["values"].numpy()).max()), False)]

    def memory(self, device="cpu", together=1):
        return 2**20

    def about(self, units):
        return {"throws": int(units[0]["throws"])}


@pytest.fixture
def dice(own_data, runs, monkeypatch):
    monkeypatch.setattr(protocol, "_KINDS", dict(protocol._KINDS))
    register(Dice)
    return DiceConfig(str(own_data), 5)


def test_any_registered_experiment_runs_resumes_merges_and_verifies(dice):
    record = run(dice, workers=1, shard=(0, 2))
    assert record is None
    with pytest.raises(ValueError, match=r"2 of 5 tables are missing or damaged, the first \[1, 3"):
        merge(dice)
    assert run(dice, workers=1, shard=(1, 2)) is None
    record = merge(dice)
    assert record.manifest["config"]["kind"] == "dice"
    assert record.manifest["throws"] == 10
    assert load_record(record.folder).tables["throws"].equals(record.tables["throws"])
    assert len(record.tables["throws"]) == 50
    assert verify(record, n_pairs=5, dataset=dice.dataset)["ok"].all()
    other = merge(dice)
    assert other.manifest == record.manifest
    changed = {"throws": record.tables["throws"].assign(value=7)}
    table = verify(replace(record, tables=changed), n_pairs=5, dataset=dice.dataset)
    assert not table["ok"].any()


def test_a_damaged_unit_is_computed_again(dice):
    record = run(dice, workers=1)
    folder = RunFolder(experiment_of(dice), runs_folder())
    assert folder.record == record.folder
    content = folder.unit_path(2).read_bytes()
    folder.unit_path(2).write_bytes(content[:-1])
    assert folder.missing(range(5)) == [2]
    assert run(dice, workers=1).tables["throws"].equals(record.tables["throws"])
    assert sorted(note["pairs_computed"] for note in folder.sessions().values()) == [1, 5]


def test_a_unit_of_another_experiment_is_not_taken(dice):
    one, other = (RunFolder(experiment_of(c)) for c in (dice, dice.replace(seed=1)))
    one.save(0, experiment_of(dice).compute_again(0), {"throws": 10})
    other.unit_path(0).parent.mkdir(parents=True)
    other.unit_path(0).write_bytes(one.unit_path(0).read_bytes())
    assert one.load(0) is not None
    assert other.load(0) is None
    assert one.about(0)["throws"] == "10"


def test_a_config_says_its_kind(small_config):
    assert isinstance(experiment_of(small_config), Pairs)
    assert issubclass(Pairs, PairExperiment)
    values = small_config.to_dict()
    assert "kind" not in values  # as in the first records
    assert config_from_dict(values) == config_from_dict({**values, "kind": "pairs"})
    with pytest.raises(ValueError, match=r"expected a kind among .*pairs.*; found 'dize'"):
        config_from_dict({**values, "kind": "dize"})
    with pytest.raises(TypeError, match=r"expected a config \(.*Config.*\); found dict"):
        experiment_of(values)


def test_the_hash_of_a_config_is_that_of_its_fields():
    config = Config("mnist", (512,), 5, 200, ("naive",))
    assert config.hash("x") == config_hash({**config.to_dict(), "dataset": "x"})
    assert config.hash("x") != config.hash("y")


def test_a_note_that_lacks_something_is_refused(tmp_path):
    with pytest.raises(store.DamagedFile, match=r"no note of a session \('workers' is None\)"):
        check_session({"pairs_computed": 1}, tmp_path)


def test_the_machine_is_as_it_was_after_a_task():
    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert process_memory()[1] > 2**20
    assert len(source_hash()) == 64
    assert kind_of_device("cpu") == "cpu"


def test_a_clock_keeps_the_seconds_of_each_step():
    clock = Clock()
    with clock("one"):
        with clock("within"):
            pass
    assert list(clock.seconds) == ["within", "one"]
    assert clock.seconds["one"] >= clock.seconds["within"] >= 0

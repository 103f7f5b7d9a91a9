"""The command line does what it says, and says in one line what it cannot do."""

import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from safecross import (
    METHODS,
    OPERATORS,
    __version__,
    align,
    cli,
    evaluate,
    interpolate,
    load_data,
    load_network,
    stack,
    store,
)
from safecross.cli import main
from safecross.runs import committed_folder, load_record

(_SUBPARSERS,) = [a for a in cli._parser()._actions if a.choices]
COMMANDS = tuple(_SUBPARSERS.choices)


@pytest.fixture
def parents(tmp_path, make_network) -> list[str]:
    """Save two networks for the own data set."""
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for seed, path in enumerate(paths):
        make_network((9, 5, 4, 3), seed).save(path)
    return [str(path) for path in paths]


@pytest.fixture
def copied(small_run, runs) -> Path:
    shutil.copytree(small_run, runs)
    (folder,) = (runs / "records").iterdir()
    return folder


def one_line(capsys, before: str = "") -> str:
    """Return the error, having checked that it is one line and all there is."""
    out, err = capsys.readouterr()
    assert out.startswith(before)
    assert before or not out
    assert err.count("\n") == 1 and err.endswith("\n")
    assert err.startswith("safecross: error: ")
    return err.removeprefix("safecross: error: ").rstrip()


def module(*words, **environment) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "safecross", *map(str, words)],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )


# Help


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_examples(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    out = capsys.readouterr().out
    assert re.search(rf"examples:\n  safecross {command}\b", out)


def test_the_examples_of_the_help_are_understood(capsys, monkeypatch):
    parser = cli._parser()
    seen = set()
    for command in COMMANDS:
        with pytest.raises(SystemExit, match="0"):
            main([command, "--help"])
        text = capsys.readouterr().out.partition("examples:\n")[2]
        text = re.sub(r"\\\n\s*", "", text)
        for line in text.splitlines():
            words = re.split(r"\s{3,}", line.strip())[0].split()
            if words[:1] == ["safecross"]:
                assert callable(parser.parse_args(words[1:]).action)
                seen.add(words[1])
    assert seen == set(COMMANDS)


def test_the_overview_names_every_command(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    out = capsys.readouterr().out
    assert {"data", "operators", "crossover", "run", "runs", "merge", "verify", "book"} <= {
        *COMMANDS
    }
    assert all(re.search(rf"^    {command}\s", out, re.M) for command in COMMANDS)


def test_the_version_is_the_packages(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "required: COMMAND"),
        (["rum"], "invalid choice: 'rum'"),
        (["run", "mnist5k", "--pair", "x"], "--pairs: invalid int value: 'x'"),
        (["run", "mnist5k", "--pairs", "1.5"], "--pairs: invalid int value: '1.5'"),
        (["operators", "--no"], "unrecognized arguments: --no"),
        (["run", "mnist5k", "--align-split", "test"], "invalid choice: 'test'"),
        (["crossover", "a", "b"], "required: --data, -o/--output"),
    ],
)
def test_words_that_are_not_understood_end_with_status_2(words, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert message in capsys.readouterr().err


# Data


def test_data_sets_are_listed(capsys, tmp_path):
    assert main(["data", "list", "--folder", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^mnist5k +4000 \+ 1000 .*gz$", out, re.M)
    assert len(out.splitlines()) == 5


def test_data_are_prepared_and_checked(capsys, tmp_path):
    assert main(["data", "prepare", "mnist5k", "--folder", str(tmp_path)]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path == tmp_path / "mnist5k.npz"
    assert main(["data", "check", str(path)]) == 0
    found = load_data("mnist5k")
    assert capsys.readouterr().out == (
        "mnist5k: 4000 + 1000 examples of shape (28, 28), 10 classes, "
        f"fingerprint {found.fingerprint}\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check"], "data check needs the name of a data set"),
        (["prepare", "mnits"], "unknown data set 'mnits': did you mean 'mnist'"),
        (["check", "~nosuch/x.npz"], "~nosuch/x.npz: expected an .npz file; found no file there"),
        (["check", "nowhere.npz"], "nowhere.npz: expected an .npz file; found no file there"),
    ],
)
def test_mistakes_with_data_are_one_line(words, message, capsys):
    assert main(["data", *words]) == 1
    assert message in one_line(capsys)


# Operators and crossover


def test_operators_are_listed_with_their_options(capsys):
    assert main(["operators"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()] == list(OPERATORS)
    assert "Options: directions=None, ridge=0.0, leftover=index" in out


def test_methods_are_listed_with_needs_costs_and_sources(capsys):
    assert main(["methods"]) == 0
    text = capsys.readouterr().out
    blocks = re.split(r"\n(?=[a-z])", text.partition("\n\n")[2])
    assert [block.split()[0] for block in blocks] == list(METHODS)
    for block, entry in zip(blocks, METHODS.values(), strict=True):
        kind = "soft map" if entry.soft else "permutation" if entry.one_to_one else "selection"
        for part in (f" {kind} ", f" needs {entry.needs}", f" cost {entry.cost}\n"):
            assert part in block
        assert entry.summary in block and f"Source: {entry.source}" in block
        assert ("takes unequal widths" in block) is not entry.equal_widths
        assert ("Options: " in block) == bool(entry.options)


@pytest.mark.parametrize(
    ("operator", "name", "options", "t"),
    [
        ("sc-pwc", "sc-pwc", {}, 0.5),
        ("weight-matching", "weight-matching", {}, 0.5),
        ("cca-merge", "cca-merge", {}, 0.5),
        ("naive", "naive", {}, 1.0),
        ("sc-cca:directions=2,leftover=correlation", "sc-cca", None, -0.25),
        ("sc-pwc-semi", "sc-pwc-semi", {}, 0.3),
    ],
)
def test_crossover_writes_the_offspring_of_the_aligned_parents(
    parents, own_data, tmp_path, capsys, operator, name, options, t
):
    child = tmp_path / "child.safetensors"
    words = ["crossover", *parents, "--data", str(own_data), "-o", str(child)]
    assert main([*words, "--operator", operator, f"--t={t}"]) == 0

    a, b = map(load_network, parents)
    data = load_data(own_data)
    options = {"directions": 2, "leftover": "correlation"} if options is None else options
    expected = interpolate(*align(a, b, data.x_test, name, **options).apply(a, b), t)
    found = load_network(child)
    for ours, theirs in zip(
        found.weights + found.biases, expected.weights + expected.biases, strict=True
    ):
        assert torch.equal(ours, theirs)
    out, err = capsys.readouterr()
    for who, theta in (("parent a", a), ("parent b", b), (f"child (t = {t:g})", expected)):
        loss, accuracy = evaluate(theta, data.x_test, data.y_test)
        assert f"{who:16} loss {float(loss):.4f}  accuracy {float(accuracy):.4f}\n" in out
    assert f"wrote {child}\n" in out
    soft, keeps = METHODS[name].soft, METHODS[name].preserves_function
    assert ("may repeat neurons" in out) == (not keeps and not soft)
    assert ("mixes neurons" in out) == soft
    assert err == ""
    about = store.load_tensors(child)[1]
    assert (about["operator"], about["t"]) == (operator, str(t))
    assert about["data"] == data.fingerprint


def test_an_existing_output_is_kept_unless_told_otherwise(parents, own_data, capsys):
    output = Path(parents[0]).with_name("child.safetensors")
    output.write_text("precious")
    words = ["crossover", *parents, "--data", str(own_data), "-o", str(output)]
    assert main(words) == 1
    assert one_line(capsys) == f"{output} exists already; give --overwrite to replace it"
    assert output.read_text() == "precious"
    assert main([*words, "--overwrite"]) == 0
    assert load_network(output).widths == (9, 5, 4, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"a": "nowhere.safetensors"}, r"nowhere\.safetensors: .* there is no such file"),
        ({"a": "junk"}, r"junk: expected a safetensors file; found one that cannot be read"),
        ({"a": "tensors"}, r"tensors is not a network: expected .*from_torch"),
        ({"a": "float8"}, r"weights of layer 1 must be real .*found torch\.float8_e4m3fn"),
        ({"a": "two"}, r"a layer pair holds one pair; found shape \(2, 40, 5\)"),
        ({"--operator": "sc-cca:ridge=[]"}, r"ridge must be finite and >= 0; found '\[\]'"),
        ({"--data": "~nosuch/x.npz"}, r"~nosuch/x\.npz: .* found no file there"),
        ({"a": "wide"}, r"must have the same architecture; found 9-6-4-3 and 9-5-4-3"),
        ({"--operator": "sc-pcw"}, r"unknown operator 'sc-pcw': did you mean 'sc-pwc'"),
        ({"--operator": "sc-cca:rigde=1"}, r"'rigde': did you mean 'ridge'"),
        ({"--operator": "sc-cca:directions=99"}, r"directions must be a whole number in \[1, 5\]"),
        ({"--t": "nan"}, r"t must be one finite number .*; found nan"),
        ({"--t": "inf"}, r"t must be one finite number .*; found inf"),
        ({"--data": "mnits"}, r"unknown data set 'mnits': did you mean 'mnist'"),
        ({"--data": "mnist5k"}, r"examples must have 9 columns, .*; found 784"),
        ({"-o": "junk/child"}, r"cannot write junk/child: .*choose a folder"),
    ],
    ids=str,
)
def test_mistakes_with_crossover_are_one_line(
    parents, own_data, tmp_path, monkeypatch, make_network, capsys, changes, message
):
    monkeypatch.chdir(tmp_path)
    Path("junk").write_text("junk")
    store.save_tensors("tensors", {"x": torch.zeros(2)}, {})
    make_network((9, 6, 4, 3)).save("wide")
    stack([make_network((9, 5, 4, 3))] * 2).save("two")
    layers, _ = store.load_tensors(parents[0])
    layers = {name: layer.to(torch.float8_e4m3fn) for name, layer in layers.items()}
    store.save_tensors("float8", layers, {"kind": "safecross.Network"})
    words = {"a": parents[0], "b": parents[1], "--data": str(own_data), "-o": "child"} | changes
    a, b = words.pop("a"), words.pop("b")
    before = set(tmp_path.iterdir())
    assert main(["crossover", a, b, *itertools.chain(*words.items())]) == 1
    assert re.search(message, one_line(capsys, before="parent a " if "-o" in changes else ""))
    assert set(tmp_path.iterdir()) == before


# Experiments


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 2, 3)])
def test_ones_own_data_of_any_shape_run_to_the_end(tmp_path, runs, capsys, shape):
    rng = np.random.default_rng(0)
    arrays = {f"x_{s}": rng.integers(0, 256, (30, *shape), np.uint8) for s in ("train", "test")}
    arrays |= {f"y_{s}": np.arange(30) % 5 for s in ("train", "test")}
    np.savez(tmp_path / "mine.npz", **arrays)
    words = ["run", str(tmp_path / "mine.npz"), "--widths", "5,4", "--pairs", "2", "--epochs", "1"]
    assert main([*words, "--workers", "1", "--operators", "naive", "sc-pwc"]) == 0
    (folder,) = (runs / "records").iterdir()
    record = load_record(folder)
    assert record.manifest["widths"] == [np.prod(shape), 5, 4, 5]
    out = capsys.readouterr().out.splitlines()
    assert out[0] == record.describe()
    assert out[2].split() == ["naive", f"{record.at()['naive'].mean():.4f}", out[2].split()[2]]
    assert out[-1] == str(folder)


def test_ones_own_data_run_through_the_module(own_data, tmp_path):
    words = ["run", own_data, "--widths", "5,4", "--pairs", "2", "--epochs", "1", "--workers", "1"]
    found = module(*words, SAFECROSS_RUNS=str(tmp_path))
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.splitlines()[-1].startswith(str(tmp_path / "records" / "own-"))
    assert "sc-pwc-greedy" in found.stdout


def test_a_mistake_through_the_module_has_status_1_and_no_traceback(tmp_path):
    found = module("run", "nowhere.npz", SAFECROSS_RUNS=str(tmp_path))
    assert found.returncode == 1
    assert found.stdout == ""
    assert found.stderr.count("\n") == 1
    assert found.stderr.startswith(
        f"safecross: error: {Path.cwd() / 'nowhere.npz'}: expected an .npz"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--widths", "5,x"], r"--widths must be whole numbers, such as 256,64; found '5,x'"),
        (["--widths", "5,0"], r"each width in hidden must be a whole number >= 1; found 0"),
        (["--widths", ""], r"--widths must be whole numbers, such as 256,64; found ''"),
        (["--operators", "sc-cca:ridge=[]"], r"ridge must be finite and >= 0; found '\[\]'"),
        (
            ["--operators", "sc-cca:standardise=no"],
            r"standardise must be true or false; found 'no'",
        ),
        (["--device", "meta"], r"expected a device that PyTorch has here, .*; found 'meta'"),
        (["--device", "nosuch"], r"expected a device that PyTorch has here, .*; found 'nosuch'"),
        (["--device", "hpu"], r"expected a device that PyTorch has here, .*; found 'hpu'"),
        (["--shard", "²/³"], r"--shard must be I/N, such as 0/3; found '²/³'"),
        (["--pairs", str(2**70)], r"n_pairs must be at most 2147483647; found 11805916207174"),
        (["--shard", "1"], r"--shard must be I/N, such as 0/3; found '1'"),
        (["--shard", "-1/3"], r"--shard must be I/N, such as 0/3; found '-1/3'"),
        (["--shard", "3/3"], r"shard's i must be a whole number in \[0, 2\]; found 3"),
        (["--shard", "0/0"], r"shard's n must be a whole number >= 1; found 0"),
        (["--pairs", "0"], r"n_pairs must be a whole number >= 1; found 0"),
        (["--pairs", "-3"], r"n_pairs must be a whole number >= 1; found -3"),
        (["--seed", "-1"], r"seed must be a whole number >= 0; found -1"),
        (["--learning-rate", "nan"], r"learning_rate must be positive and finite; found nan"),
        (["--workers", "0"], r"workers must be a whole number >= 1; found 0"),
        (["--operators", "sc-pcw"], r"unknown operator 'sc-pcw': did you mean 'sc-pwc'"),
        (["--align-n", "41"], r"align_n must be at most 40; found 41"),
    ],
    ids=str,
)
def test_mistakes_with_runs_are_one_line(own_data, runs, capsys, words, message):
    start = ["run", str(own_data), "--pairs", "1", "--epochs", "1", "--workers", "1"]
    if words[0] == "--shard":  # "-1/3" would look like an option
        words = [f"--shard={words[1]}"]
    assert main([*start, *words]) == 1
    assert re.search(message, one_line(capsys))


def test_all_methods_can_be_run_at_once(own_data, runs, capsys):
    words = ["--widths", "5,4", "--pairs", "1", "--epochs", "1", "--workers", "1"]
    assert main(["run", str(own_data), *words, "--operators", "all"]) == 0
    out = capsys.readouterr().out
    listed = [line.split()[0] for line in out.partition("operator at t = 0.5")[2].splitlines()[1:]]
    assert listed[: len(METHODS)] == list(METHODS)


@pytest.mark.parametrize("command", ["run", "merge"])
def test_a_mistaken_name_is_answered_with_the_nearest(runs, capsys, command):
    assert main([command, "mnits"]) == 1
    assert one_line(capsys).startswith("unknown data set 'mnits': did you mean 'mnist' or ")
    assert not runs.exists()


@pytest.mark.parametrize("words", [["--widths", ""], ["--device", "meta"]])
def test_a_mistake_starts_no_run(own_data, runs, capsys, words):
    assert main(["run", str(own_data), *words]) == 1
    one_line(capsys)
    assert not runs.exists()


def test_a_large_batch_is_all_examples(own_data, runs, capsys):
    words = ["run", str(own_data), "--widths", "4", "--pairs", "1", "--epochs", "1"]
    words += ["--workers", "1", "--operators", "naive", "--batch-size"]
    rows = []
    for size in (60, 2**70):
        assert main([*words, str(size)]) == 0
        rows.append(capsys.readouterr().out.splitlines()[1:4])
    assert rows[0] == rows[1]


def test_the_parents_stand_beside_the_operators(copied, small_record, capsys):
    cli._print_record(small_record)
    lines = capsys.readouterr().out.splitlines()
    (row,) = (line.split() for line in lines if line.startswith("parents "))
    ends = small_record.curves.query(
        "operator == 'naive' and t in (0, 1)"
    )  # the parents themselves
    assert row == ["parents", f"{ends['loss'].mean():.4f}", f"{ends['accuracy'].mean():.4f}"]
    assert [line.split()[0] for line in lines[2:-2]] == list(small_record.config.operators)


@pytest.mark.parametrize("tolerance", ["nan", "inf", "-inf", "-1"])
def test_a_tolerance_that_compares_nothing_is_refused(copied, own_data, capsys, tolerance):
    words = ["verify", copied.name, "--pairs", "1", "--data", str(own_data)]
    assert main([*words, f"--tolerance={tolerance}"]) == 1
    assert one_line(capsys) == f"--tolerance must be finite and >= 0; found {tolerance}"


def test_every_option_of_run_reaches_the_config():
    words = "run own.npz --pairs 3 --seed 4 --widths 6,5 --epochs 7 --batch-size 8 --align-n 9 "
    words += "--learning-rate 0.1 --operators naive sc-cca:ridge=1 --align-split train "
    words += "--inputs standardised --products bfloat16"
    found = cli._config(cli._parser().parse_args(words.split()))
    assert {k: v for k, v in found.to_dict().items() if k not in ("t", "softmax")} == {
        "dataset": "own.npz",
        "n_pairs": 3,
        "seed": 4,
        "hidden": [6, 5],
        "epochs": 7,
        "batch_size": 8,
        "align_n": 9,
        "learning_rate": 0.1,
        "operators": ["naive", "sc-cca:ridge=1"],
        "align_split": "train",
        "inputs": "standardised",
        "products": "bfloat16",
        "output_bias": True,
    }


def test_shards_are_run_and_merged(own_data, runs, capsys):
    words = [str(own_data), "--pairs", "3", "--epochs", "1", "--widths", "4"]
    words += ["--operators", "naive", "sc-pwc"]
    assert main(["run", *words, "--workers", "1", "--shard", "0/2"]) == 0
    assert "shard 0/2 is done" in capsys.readouterr().out
    assert main(["merge", *words]) == 1
    assert "1 of 3 pairs are missing or damaged, the first [1]" in one_line(capsys)
    assert main(["run", *words, "--workers", "1", "--shard", "1/2"]) == 0
    assert main(["merge", *words]) == 0
    assert "3 pairs on own" in capsys.readouterr().out


def test_shards_of_other_machines_are_merged(own_data, runs, tmp_path, capsys, monkeypatch):
    words = [str(own_data), "--pairs", "2", "--epochs", "1", "--widths", "4"]
    words += ["--operators", "naive", "sc-pwc"]
    folders = [str(tmp_path / "m1"), str(tmp_path / "m2")]
    for i, folder in enumerate(folders):
        monkeypatch.setenv("SAFECROSS_RUNS", folder)
        assert main(["run", *words, "--workers", "1", "--shard", f"{i}/2"]) == 0
    monkeypatch.setenv("SAFECROSS_RUNS", str(runs))
    assert main(["merge", *words, "--sources", folders[0]]) == 1
    capsys.readouterr()
    assert main(["merge", *words, "--sources", *folders]) == 0
    assert "2 pairs on own" in capsys.readouterr().out


def test_a_record_is_published_by_name_in_place_of_what_is_there(copied, capsys):
    target = committed_folder() / copied.name
    for _ in range(2):
        assert main(["publish", str(copied)]) == 0
        assert capsys.readouterr().out == f"{target}\n"
        assert load_record(target).config.n_pairs == 4
        (target / "curves.parquet").write_bytes(b"damaged")
    assert main(["publish", "own-nothing"]) == 1
    assert "unknown record 'own-nothing'" in one_line(capsys)


def test_what_bfloat16_does_is_said_before_it_is_done(own_data, runs, capsys, monkeypatch):
    words = [str(own_data), "--pairs", "1", "--epochs", "1", "--widths", "4", "--workers", "1"]
    told = []
    published = Path(cli.__file__).parents[1] / "book" / "results"
    monkeypatch.setattr("safecross.runs.folder.PUBLISHED", published)
    monkeypatch.setattr(cli.runs, "run", lambda *_, **__: told.append(capsys.readouterr().err))
    assert main(["run", *words, "--operators", "naive", "--products", "bfloat16"]) == 0
    assert re.search(r"on mnist, \d+ pairs: parents' loss 0\.\d{4} with float32, 0\.\d{4}", told[0])
    assert "on cifar10" in told[0]
    assert main(["run", *words, "--operators", "naive"]) == 0
    assert told[1] == ""


def test_want_of_memory_is_one_line(own_data, runs, capsys, monkeypatch):
    def exhaust(*arguments, **options):
        raise MemoryError("aligning layers of 4 neurons needs 9 GiB; found 1 GiB free")

    monkeypatch.setattr(cli.runs, "run", exhaust)
    assert main(["run", str(own_data)]) == 1
    assert "needs 9 GiB" in one_line(capsys)


def test_runs_are_listed(copied, capsys):
    assert main(["runs"]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert line.split() == [copied.name, "local", "4", "4"]


def test_no_runs_are_said_to_be_none(runs, capsys):
    assert main(["runs"]) == 0
    assert capsys.readouterr().out.startswith("no records in ")


def test_an_honest_record_is_verified_by_name_and_by_folder(copied, own_data, capsys):
    for name in (copied.name, str(copied)):
        assert main(["verify", name, "--pairs", "1", "--data", str(own_data)]) == 0
        assert "recomputation of 1 pairs agrees with the record" in capsys.readouterr().out


def test_a_record_that_differs_has_status_1(copied, own_data, capsys):
    path = copied / "curves.parquet"
    curves = pd.read_parquet(path)
    curves["loss"] += 0.2
    curves.to_parquet(path)
    manifest = store.load_json(copied / "manifest.json")
    manifest["files"][path.name] = store.file_hash(path)
    store.save_json(copied / "manifest.json", store.sealed(manifest))
    assert main(["verify", copied.name, "--pairs", "2", "--data", str(own_data)]) == 1
    assert "recomputation of 2 pairs DIFFERS from the record" in capsys.readouterr().out
    words = ["--pairs", "1", "--tolerance", "0.5", "--data", str(own_data)]
    assert main(["verify", copied.name, *words]) == 0


def test_mistakes_with_verify_are_one_line(copied, other_data, capsys):
    assert main(["verify", copied.name[:-2]]) == 1
    assert f"unknown record '{copied.name[:-2]}': did you mean '{copied.name}'" in one_line(capsys)
    assert main(["verify", copied.name, "--data", str(other_data)]) == 1
    assert "expected data with fingerprint" in one_line(capsys)
    assert main(["verify", copied.name, "--seed", "-1"]) == 1
    assert one_line(capsys) == "--seed must be a whole number >= 0; found -1"
    (copied / "pairs.parquet").write_bytes(b"")
    assert main(["verify", copied.name]) == 1
    assert "pairs.parquet: expected SHA-256" in one_line(capsys)


def test_ctrl_c_is_one_line_too(runs, own_data, capsys, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.runs, "run", interrupt)
    assert main(["run", str(own_data)]) == 130
    assert capsys.readouterr().err == "safecross: interrupted; what was finished is kept\n"


# The book


def test_the_book_gets_its_options(capsys, monkeypatch):
    from safecross.book import build as book

    calls = []
    monkeypatch.setattr(book, "make_book", lambda *a, **k: calls.append((a, k)) or "index.html")
    words = "book --profile paper --only 06-crossover -p seed 3 -p name x --no-build"
    assert main(words.split()) == 0
    options = {"only": ["06-crossover"], "parameters": {"seed": 3, "name": "x"}, "build": False}
    assert calls == [(("paper",), options)]
    assert capsys.readouterr().out == "index.html\n"


def test_without_the_books_packages_it_says_what_to_install(capsys, monkeypatch):
    import safecross

    monkeypatch.delattr(safecross, "book", raising=False)
    monkeypatch.setitem(sys.modules, "safecross.book", None)
    assert main(["book"]) == 1
    assert "pip install 'safecross[book]'" in one_line(capsys)


def test_a_mistake_with_the_book_has_status_1(capsys):
    assert main(["book", "--only", "66-nothing", "--no-build"]) == 1
    assert capsys.readouterr().err.startswith("safecross: error: ")

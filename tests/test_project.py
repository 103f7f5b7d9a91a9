"""The files around the package agree with one another."""

import os
import re
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import safecross
from safecross.book import STAGE

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PINS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
)
REPOSITORY = "https://github.com/safecross/safecross"


def read_yaml(name: str) -> dict:
    return yaml.safe_load((ROOT / name).read_text())


def direct_requirements() -> list[Requirement]:
    lines = PROJECT["dependencies"] + [line for extra in EXTRAS.values() for line in extra]
    return [r for r in map(Requirement, lines) if r.name != "safecross"]


def test_constraints_are_exact_and_fit_every_machine():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9A-Za-z.]*", line)
    # No build for one kind of accelerator: pip chooses among the builds of a version.
    assert not [name for name in PINS if name.startswith(("nvidia", "cuda", "triton"))]


@pytest.mark.parametrize("requirement", direct_requirements(), ids=str)
def test_every_requirement_has_a_pin_within_its_bounds(requirement):
    pins = {canonicalize_name(name): version for name, version in PINS.items()}
    assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])


def test_what_the_requirements_require_is_pinned_too():
    pinned = {canonicalize_name(name) for name in PINS}
    # Installers, and what only the accelerator builds of torch require.
    left_out = re.compile(r"(nvidia|cuda|triton|pip$|setuptools$|wheel$)")
    waiting = [(r, "") for r in direct_requirements()]
    seen, unpinned = set(), set()
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": extra})
        if not applies or left_out.match(name) or (name, *requirement.extras) in seen:
            continue
        seen.add((name, *requirement.extras))
        if name not in pinned:
            unpinned.add(name)
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:  # of an extra that is not installed here
            continue
        for chosen in ["", *requirement.extras]:
            waiting += [(Requirement(line), chosen) for line in needs]
    assert not unpinned


def test_the_conda_environment_takes_its_versions_from_the_constraints():
    dependencies = read_yaml("environment.yml")["dependencies"]
    conda = [d for d in dependencies if isinstance(d, str)]
    (pip,) = [d["pip"] for d in dependencies if isinstance(d, dict)]
    assert pip[0] == "-c constraints.txt"
    ((extras,),) = [re.findall(r"^-e \.\[(.*)\]$", line) for line in pip[1:]]
    assert set(extras.split(",")) == {"book", "test"} <= set(EXTRAS)
    names = dict(d.partition("=")[::2] for d in conda)
    assert set(names) == {"python", "make", "pip", "pytorch-cpu", "torchvision"}
    # The builds for processors: what pip asks for is there, and it fetches none with CUDA.
    assert names["pytorch-cpu"] == PINS["torch"]
    assert names["torchvision"] == f"{PINS['torchvision']}=cpu*"
    (python,) = [d.removeprefix("python=") for d in conda if d.startswith("python=")]
    assert PROJECT["requires-python"] == f">={python}"
    assert f"python{python}" in (ROOT / "Makefile").read_text()
    for workflow in ("tests", "pages"):
        assert f'python-version: "{python}"' in workflow_text(workflow)


def workflow_text(name: str) -> str:
    return (ROOT / ".github" / "workflows" / f"{name}.yml").read_text()


def test_the_workflows_run_the_commands_of_the_readme():
    assert "run: make test" in workflow_text("tests")
    assert "run: make book\n" in workflow_text("tests")
    assert "run: make check-book" in workflow_text("tests")
    assert "run: make book" in workflow_text("pages")
    assert f"path: {STAGE.as_posix()}/_build/html\n" in workflow_text("pages")


def test_versions_and_addresses_agree():
    citation = read_yaml("CITATION.cff")
    config = read_yaml("_config.yml")
    assert PROJECT["version"] == citation["version"] == safecross.__version__
    assert PROJECT["urls"]["Repository"] == citation["repository-code"] == REPOSITORY
    assert config["repository"] == {"url": REPOSITORY, "branch": "main"}
    assert PROJECT["urls"]["Book"] == citation["url"] == config["html"]["baseurl"]


@pytest.mark.parametrize("name", [PROJECT["readme"], *PROJECT["license-files"]])
def test_the_files_that_the_package_names_exist(name):
    assert (ROOT / name).is_file()


def run(*command: str, **environment: str) -> subprocess.CompletedProcess:
    outer = {
        k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "SAFECROSS_", "MFLAGS"))
    }
    return subprocess.run(
        command, cwd=ROOT, env=outer | environment, capture_output=True, text=True, check=False
    )


def test_make_alone_lists_every_target():
    listed = re.findall(r"^  make ([\w-]+)", run("make").stdout, flags=re.MULTILINE)
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert listed == phony.split()


@pytest.mark.parametrize("target", ["book", "test"])
def test_make_sets_up_an_environment_unless_one_is_named(target, tmp_path):
    fresh = run("make", "--dry-run", target, f"VENV={tmp_path}/venv").stdout
    assert "pip install -c constraints.txt -e '.[book,test]'" in fresh
    named = run("make", "--dry-run", target, SAFECROSS_PYTHON="mypython").stdout
    assert "pip install" not in named
    assert "mypython -m" in named


def test_only_the_check_of_the_book_sets_up_the_driver_of_a_browser(tmp_path):
    venv = f"VENV={tmp_path}/venv"
    assert "-e '.[book,test,check]'" in run("make", "--dry-run", "check-book", venv).stdout
    assert "check]" not in run("make", "--dry-run", "test", venv).stdout


def test_ci_says_so_when_there_is_no_data_folder(tmp_path):
    result = run("bash", ".ci/run", SAFECROSS_DATA=str(tmp_path / "nowhere"))
    assert result.returncode == 1
    assert str(tmp_path / "nowhere") in result.stderr
    assert os.access(ROOT / ".ci" / "run", os.X_OK)

"""The files around the package agree with one another."""

import os
import re
import subprocess
import tomllib
from collections import Counter
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import safecross
from safecross.book.build import STAGE

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PINS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
)
LOCK = (ROOT / ".github" / "requirements.txt").read_text()
#: What only CUDA builds of torch require: no pin of ours, since pip chooses among the builds.
ACCELERATOR = re.compile(r"(nvidia|cuda|triton)")
REPOSITORY = "https://github.com/safecross/safecross"


def read_yaml(name: str) -> dict:
    return yaml.safe_load((ROOT / name).read_text())


def direct_requirements() -> list[Requirement]:
    extras = [lines for name, lines in EXTRAS.items() if name != "evolution"]
    lines = PROJECT["dependencies"] + [line for extra in extras for line in extra]
    return [r for r in map(Requirement, lines) if r.name != "safecross"]


def test_constraints_are_exact_and_fit_every_machine():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9A-Za-z.]*", line)
    assert not [name for name in PINS if ACCELERATOR.match(name)]


def test_each_distribution_is_pinned_once():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    names = [canonicalize_name(line.split("==")[0]) for line in lines if "==" in line]
    assert [name for name, times in Counter(names).items() if times > 1] == []


@pytest.mark.parametrize("requirement", direct_requirements(), ids=str)
def test_every_requirement_has_a_pin_within_its_bounds(requirement):
    pins = {canonicalize_name(name): version for name, version in PINS.items()}
    assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])


def test_the_plug_ins_libraries_have_pins_of_their_own():
    lines = (ROOT / "constraints-evolution.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    own = {canonicalize_name(name): version for name, version in pins.items()}
    assert not own.keys() & {canonicalize_name(name) for name in PINS}
    assert all(re.fullmatch(r"[0-9][0-9A-Za-z.]*", version) for version in own.values())
    for requirement in map(Requirement, EXTRAS["evolution"]):
        assert requirement.specifier.contains(own[canonicalize_name(requirement.name)])
    words = run("make", "--dry-run", "test-evolution", "EVOLUTION=nowhere", "PYTHON=true").stdout
    assert "-c constraints.txt -c constraints-evolution.txt -e '.[evolution]'" in words


def build_requirements() -> list[Requirement]:
    """Return what builds the package: the backend, and what it asks for an editable install."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [Requirement(line) for line in [*pyproject["build-system"]["requires"], "editables"]]


def required(requirements: list[Requirement]) -> set[str]:
    """Return the names of all distributions that some require, as far as they are installed."""
    waiting = [(r, "") for r in requirements]
    seen = set()
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": extra})
        if not applies or ACCELERATOR.match(name) or (name, *requirement.extras) in seen:
            continue
        seen.add((name, *requirement.extras))
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:  # of an extra that is not installed here
            continue
        for chosen in ["", *requirement.extras]:
            waiting += [(Requirement(line), chosen) for line in needs]
    return {name for name, *_ in seen}


def test_what_the_requirements_require_is_pinned_too():
    pinned = {canonicalize_name(name) for name in PINS}
    found = required(direct_requirements() + build_requirements())
    assert {"torch", "setuptools", "hatchling"} <= found
    assert found - pinned == set()


def test_the_build_backend_is_pinned():
    (backend,) = build_requirements()[:-1]
    assert str(backend.specifier) == f"=={PINS[backend.name]}"
    lines = run("make", "--dry-run", "lint", "VENV=nowhere", "PYTHON=true").stdout.splitlines()
    assert [
        line for line in lines if "pip install" in line and "PIP_CONSTRAINT=constraints" in line
    ]


# The workflows


def locked() -> dict[str, tuple[str, int]]:
    """Return the version and the number of hashes of each distribution that workflows install."""
    found = {}
    for entry in re.split(r"\n(?=[A-Za-z0-9])", LOCK)[1:]:
        name, version = re.match(r"([A-Za-z0-9_.-]+)==([0-9A-Za-z.+]+)( |$)", entry).group(1, 2)
        assert canonicalize_name(name) not in found
        hashes = re.findall(r" --hash=sha256:[0-9a-f]{64}\b", entry)
        assert len(hashes) == len(entry.splitlines()) - 1  # and nothing else
        found[canonicalize_name(name)] = (version, len(hashes))
    return found


def test_the_workflows_install_the_pinned_versions_with_their_hashes():
    pins = {canonicalize_name(name): version for name, version in PINS.items()}
    versions = {name: version for name, (version, _) in locked().items()}
    ours = {name: version for name, version in versions.items() if not ACCELERATOR.match(name)}
    assert ours == {name: pins.get(name) for name in ours}
    wanted = PROJECT["dependencies"] + EXTRAS["book"] + EXTRAS["test"]
    assert required([*map(Requirement, wanted), *build_requirements()]) - set(ours) == set()
    assert all(hashes for _, hashes in locked().values())


def commands(workflow: str) -> dict[str, list[str]]:
    """Return the commands of each job of a workflow."""
    jobs = read_yaml(f".github/workflows/{workflow}.yml")["jobs"]
    return {job: [s["run"] for s in what["steps"] if "run" in s] for job, what in jobs.items()}


@pytest.mark.parametrize("name", ["tests", "pages"])
def test_what_a_workflow_uses_is_pinned(name):
    text = workflow_text(name)
    actions = re.findall(r"uses: *(.*)", text)
    assert len(actions) >= 3
    for action in actions:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)
    (job,) = [steps for name, steps in commands(name).items() if name in ("test", "build")]
    assert job[:2] == [
        "pip install --require-hashes --only-binary :all: -r .github/requirements.txt",
        "pip install --no-deps --no-build-isolation -e .",
    ]
    assert "pip install" not in " ".join(job[2:])
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")


@pytest.mark.parametrize("name", ["tests", "pages"])
def test_only_the_job_that_deploys_may_write(name):
    workflow = read_yaml(f".github/workflows/{name}.yml")
    assert workflow["permissions"] == {"contents": "read"}
    rights = {
        job: what["permissions"] for job, what in workflow["jobs"].items() if "permissions" in what
    }
    assert rights == (
        {"deploy": {"pages": "write", "id-token": "write"}} if name == "pages" else {}
    )
    if name == "pages":  # and it runs nothing but the deployment
        (step,) = workflow["jobs"]["deploy"]["steps"]
        assert step["uses"].startswith("actions/deploy-pages@")


def test_known_weaknesses_of_what_is_installed_are_a_warning():
    (command,) = commands("tests")["audit"]
    audit, warning = command.split(" || ")
    assert re.match(r"pipx run pip-audit==[\d.]+ .*-r \.github/requirements\.txt$", audit)
    assert warning.startswith('echo "::warning ')


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
    assert "run: make book SAFECROSS_PYTHON=python\n" in workflow_text("tests")
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

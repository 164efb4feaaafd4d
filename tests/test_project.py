"""What the project says about itself holds: environment, README and file map."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()
README = (ROOT / "README.md").read_text()
JOBS = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
PACKAGE = ROOT / "src/embedding_geometry"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.stem != "__init__")


def locked_names():
    return set(re.findall(r"^([a-z0-9-]+)==", LOCK, flags=re.MULTILINE))


def required_names():
    extras = PROJECT["project"]["optional-dependencies"].values()
    lists = [PROJECT["build-system"]["requires"], PROJECT["project"]["dependencies"], *extras]
    return {re.match(r"[A-Za-z0-9-]+", item).group().lower() for items in lists for item in items}


def run_offline(code):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests/offline")}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


def test_lock_holds_everything_that_is_required():
    assert required_names() <= locked_names()


def test_locked_versions_are_admitted():
    pinned = dict(re.findall(r"^([a-z0-9-]+)==([\w.]+)", LOCK, flags=re.MULTILINE))
    required = map(Requirement, PROJECT["project"]["dependencies"])
    assert [str(r) for r in required if not r.specifier.contains(pinned[r.name])] == []


def test_lock_names_no_package_index_and_hashes_every_package():
    assert "://" not in LOCK
    pinned = re.split(r"^(?=[a-z0-9-]+==)", LOCK, flags=re.MULTILINE)[1:]
    assert [item.splitlines()[0] for item in pinned if "--hash=sha256:" not in item] == []


@pytest.mark.parametrize("call", ["connect(('192.0.2.1', 80))", "sendto(b'', ('192.0.2.1', 80))"])
def test_offline_guard_refuses_another_computer(call):
    kind = "SOCK_DGRAM" if call.startswith("sendto") else "SOCK_STREAM"
    done = run_offline(f"import socket; socket.socket(type=socket.{kind}).{call}")
    assert done.returncode == 1
    assert "NetworkBlockedError" in done.stderr
    assert "192.0.2.1" in done.stderr


def test_offline_guard_refuses_to_look_up_a_name():
    done = run_offline("import socket; socket.create_connection(('example.org', 80))")
    assert "NetworkBlockedError" in done.stderr
    assert "example.org" in done.stderr


def test_offline_guard_lets_kernels_talk_to_their_client():
    code = (
        "import socket; server = socket.create_server(('127.0.0.1', 0));"
        "socket.create_connection(server.getsockname()); print('connected')"
    )
    assert run_offline(code).stdout == "connected\n"


def test_conda_environment_is_the_lock_and_nothing_else():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert environment["name"] == PROJECT["project"]["name"]
    assert conda == [f"python={oldest}", "pip"]
    assert pip == {"pip": ["-r requirements.lock"]}
    assert f"--python-version {oldest}" in LOCK.partition("\n\n")[0]


def code_block(language):
    [block] = re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    return block


def make(*arguments):
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def make_targets():
    return [line.split()[0] for line in make("help").stdout.splitlines()]


def test_readme_snippet_prints_one_path_length_per_coupling(capsys):
    snippet = code_block("python")
    assert len([line for line in snippet.splitlines() if line]) == 10
    exec(compile(snippet, "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    names, lengths = zip(*(line.split()[:2] for line in printed), strict=True)
    assert names == ("row_coupling:", "optimal_coupling:")
    assert all(float(length) > 0 for length in lengths)


def test_readme_commands_are_targets_that_continuous_integration_runs():
    commands = re.findall(r"^make (\w+)", code_block("sh"), flags=re.MULTILINE)
    assert commands == ["book", "test"]
    pipeline = (ROOT / ".ci/run").read_text().splitlines()
    assert {f"make {name}" for name in [*commands, "lint"]} <= set(pipeline)
    assert set(commands) < set(make_targets())


def test_workflow_runs_only_code_that_is_pinned_and_keeps_no_credentials():
    used = [step for job in JOBS.values() for step in job["steps"] if "uses" in step]
    assert [u for u in used if not re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", u["uses"])] == []
    checkouts = [step for step in used if step["uses"].startswith("actions/checkout@")]
    assert [c for c in checkouts if c["with"]["persist-credentials"] is not False] == []


def test_workflow_publishes_what_was_checked_and_never_stops_halfway():
    assert set(JOBS["publish"]["needs"]) == JOBS.keys() - {"publish"}
    cancelled = {name: job["concurrency"]["cancel-in-progress"] for name, job in JOBS.items()}
    assert cancelled == {"check": True, "package": True, "publish": False}


def test_makefile_is_small():
    assert 0 < len(make_targets()) <= 10


def test_clean_keeps_the_recorded_results():
    planned = make("--dry-run", "clean").stdout
    assert "_build" in planned
    assert "data" not in planned


def test_pages_are_stored_and_checked_in_the_same_environment():
    tool = (ROOT / "tools/run_notebooks.py").read_text()
    names = re.findall(r'^    "([A-Z_]+)": ', tool, flags=re.MULTILINE)
    [reference] = re.findall(r"^REFERENCE := (.*)", make("-pn", "help").stdout, flags=re.MULTILINE)
    assert sorted(names) == sorted(re.findall(r"([A-Z_]+)=", reference))


@pytest.mark.parametrize(
    ("arguments", "model", "offline"),
    [
        (["MODEL=some/model"], "some/model", False),
        (["EMBEDDING_GEOMETRY_MODEL=some/model"], "some/model", False),
        (["MODEL=data/pocket"], str(ROOT / "data/pocket"), False),  # pages run in notebooks/
        (["EMBEDDING_GEOMETRY_MODEL=data/pocket"], str(ROOT / "data/pocket"), False),
        (["MODEL="], "", True),
        (["EMBEDDING_GEOMETRY_MODEL="], "", True),
        ([], "", True),
    ],
)
def test_model_is_chosen_by_either_name(arguments, model, offline):
    database = make("-pn", *arguments, "help").stdout
    assert re.search(rf"^EMBEDDING_GEOMETRY_MODEL :?= {model}$", database, flags=re.MULTILINE)
    assert bool(re.search("^HF_HUB_OFFLINE := 1$", database, flags=re.MULTILINE)) == offline


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        (["EMBEDDING_GEOMETRY_RESULTS=runs/mine"], str(ROOT / "runs/mine")),
        (["EMBEDDING_GEOMETRY_RESULTS=/elsewhere"], "/elsewhere"),
        ([], None),
    ],
)
def test_a_results_folder_is_found_from_the_pages_too(arguments, folder):
    database = make("-pn", *arguments, "help").stdout
    [*found] = re.findall(r"^EMBEDDING_GEOMETRY_RESULTS :?= (.*)$", database, flags=re.MULTILINE)
    assert found == ([] if folder is None else [folder])


def test_pdf_without_a_browser_names_the_remedy():
    command = [sys.executable, str(ROOT / "tools/print_book.py"), "--check"]
    done = subprocess.run(command, env={"PATH": ""}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "none of chromium" in done.stderr
    assert "install one" in done.stderr


def test_setup_without_python_names_the_remedy():
    done = make("--always-make", "setup", "PYTHON=")
    assert done.returncode == 2
    assert "no python 3.11 or newer" in done.stderr
    assert "make PYTHON=" in done.stderr


def test_readme_map_shows_every_module_and_no_other_file():
    listed = [line.split()[0] for line in code_block("text").splitlines()]
    assert [path for path in listed if not (ROOT / path).exists()] == []
    top_level = {str(path.relative_to(ROOT)) for path in MODULES if path.parent == PACKAGE}
    assert top_level <= set(listed)


def test_documents_link_to_files_that_exist():
    for document in ROOT.glob("*.md"):
        links = re.findall(r"\]\((?!https?://)([^)#]+)\)", document.read_text())
        assert [link for link in links if not (ROOT / link).exists()] == [], document.name


def test_citation_agrees_with_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["project"]["version"]
    assert PROJECT["project"]["license"] in citation["license"]


@pytest.mark.parametrize("card", sorted((ROOT / "data").glob("*/model_index.json")))
def test_the_weights_are_under_the_licence_of_all_data(card):
    assert "the weights of the embedded models" in (ROOT / "LICENSE-text").read_text()
    assert "\nWeights: CC BY 4.0" in card.with_name("README.md").read_text(encoding="utf-8")


def has_code(module):
    tree = ast.parse(module.read_text())
    return any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in tree.body)


def test_every_module_with_code_has_its_test_file():
    """The atlas and pocket have one for several modules."""
    tested = {path.stem.removeprefix("test_") for path in (ROOT / "tests").glob("test_*.py")}
    names = {
        path: {path.stem.strip("_"), *path.relative_to(PACKAGE).parent.parts}
        for path in MODULES
        if has_code(path)
    }
    assert [path.name for path, candidates in names.items() if not candidates & tested] == []

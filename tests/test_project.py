"""What the project says about itself holds: environment, README and file map."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()


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

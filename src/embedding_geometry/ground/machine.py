"""The machine, the library versions and the time, for manifests and provenance lines."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import distribution, version
from pathlib import Path

from embedding_geometry.ground.places import PACKAGE


def library_versions(*names: str) -> dict[str, str]:
    """Return the installed version of each named distribution."""
    return {name: version(name) for name in names}


def package_source() -> dict[str, object]:
    """This package's version, and the last commit that changed it, with what was changed since.

    Of the clone that it lies in, or of the repository it was installed from (PEP 610), or None.
    """
    package = distribution("embedding-geometry")
    origin = json.loads(package.read_text("direct_url.json") or "{}")
    commit = _git("log", "-1", "--format=%H", "--", ".")
    changes = " with changes" if commit and _git("status", "--porcelain", "--", ".") else ""
    found = commit + changes or origin.get("vcs_info", {}).get("commit_id")
    return {"package": package.version, "commit": found}


def _git(*words: str) -> str:
    """What git says about the package's folder; nothing where there is no git or no clone."""
    try:
        ended = subprocess.run(["git", *words], cwd=PACKAGE, capture_output=True, text=True)
    except OSError:
        return ""
    return ended.stdout.strip()


def this_machine() -> dict[str, object]:
    """The processor, its cores, the operating system and Python, as manifests name them."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def utc_now(timespec: str = "seconds") -> str:
    """The time as manifests have it, such as 2026-01-31T12:00:00+00:00."""
    return datetime.now(UTC).isoformat(timespec=timespec)


def cpu_name() -> str:
    """The processor's name as the operating system gives it."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

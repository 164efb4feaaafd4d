"""The machine and the library versions, for manifests and provenance lines."""

import json
import platform
import subprocess
from importlib.metadata import distribution, version
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]  # the package's own folder


def library_versions(*names: str) -> dict[str, str]:
    """Return the installed version of each named distribution."""
    return {name: version(name) for name in names}


def package_source() -> dict[str, object]:
    """This package's version, and the commit that it is of.

    The commit of the clone that it lies in, which says where files of the package were changed
    since; or that of the repository it was installed from (PEP 610); or None.
    """
    package = distribution("embedding-geometry")
    origin = json.loads(package.read_text("direct_url.json") or "{}")
    commit = origin.get("vcs_info", {}).get("commit_id")
    if _git("ls-files", "."):  # else some clone may be around a place that it knows nothing of
        commit = _git("rev-parse", "HEAD")
        commit = f"{commit} with changes" if _git("status", "--porcelain", ".") else commit
    return {"package": package.version, "commit": commit}


def _git(*words: str) -> str:
    """What git says about the package's folder; nothing where there is no git or no clone."""
    try:
        found = subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True)
    except OSError:
        return ""
    return found.stdout.strip()


def cpu_name() -> str:
    """The processor's name as the operating system gives it."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

"""The machine and the library versions, for manifests and provenance lines."""

import platform
from importlib.metadata import version
from pathlib import Path


def library_versions(*names: str) -> dict[str, str]:
    """Return the installed version of each named distribution."""
    return {name: version(name) for name in names}


def cpu_name() -> str:
    """The processor's name as the operating system gives it."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

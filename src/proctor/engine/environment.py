"""Where a run took place: versions and hardware, for its manifest."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "polars",
    "aiohttp",
    "sacrebleu",
    "rouge-score",
    "math-verify",
    "pydantic-monty",
    "reasoning-gym",
)


def proctor_version() -> str:
    """The installed version of Proctor."""
    try:
        return metadata.version("proctor-eval")
    except metadata.PackageNotFoundError:
        return "0+source"


def versions() -> dict[str, str]:
    """Versions of Proctor, Python and the installed packages that can change a number."""
    found = {"proctor": proctor_version(), "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def processors() -> int:
    """Processors this process may use; all there are where the system does not say."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


def hardware() -> dict[str, Any]:
    """Machine, usable processors, and memory in bytes where the system tells."""
    facts: dict[str, Any] = {"machine": platform.machine(), "system": platform.system(), "processors": processors()}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        facts["processor"] = names[0] if names else ""
    facts["memory"] = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return facts

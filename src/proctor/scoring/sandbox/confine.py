"""What every process in the sandbox does first: give up its rights, set its limits, put its protocol out of the way of what it runs.

This module runs inside the sandbox and imports the standard library alone.
"""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False  # `typing` takes long to import
if TYPE_CHECKING:
    from typing import Any

SCRATCH = "/scratch"


def confine() -> dict[str, Any]:
    """Become the unprivileged user and set the limits that the command line names; returns the command line's settings.

    Raises:
        OSError: a right or a limit cannot be given up; nothing may be run then.
    """
    import resource  # not on every system that Proctor runs on

    settings: dict[str, Any] = json.loads(sys.argv[1])
    if settings["uid"] is not None:
        os.setgroups([])
        os.setresgid(settings["uid"], settings["uid"], settings["uid"])
        os.setresuid(settings["uid"], settings["uid"], settings["uid"])
    for name, (soft, hard) in settings["limits"].items():
        kind = getattr(resource, name)
        most = resource.getrlimit(kind)[1]
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        resource.setrlimit(kind, (soft, hard))
    sys.argv = [""]
    sys.path += settings["path"]
    return settings


def own_descriptors() -> tuple[int, int]:
    """Copies of standard input and output; the program finds nothing in the first and may write what it likes to the second."""
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    return source, sink

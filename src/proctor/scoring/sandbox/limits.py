"""What a program may use, and what came of running one."""

from __future__ import annotations

import math
from typing import Literal

from msgspec import Struct


class Limits(Struct, frozen=True):
    """What one program may use.

    Attributes:
        cpu: seconds of processor time of each of its processes. A busy machine makes no difference to it.
        wall: seconds after which all of it is killed, whatever it does: a program that only waits uses no processor time.
        memory: MiB, of each process and of all together.
        processes: processes and threads at once.
        disk: MiB of its scratch folder, which is in memory.
        output: KiB of each of standard output and error.
    """

    cpu: float = 5.0
    wall: float = 60.0
    memory: int = 512
    processes: int = 32
    disk: int = 32
    output: int = 256

    def as_rlimits(self) -> dict[str, tuple[int, int]]:
        """The same for `setrlimit`, soft and hard, by name."""
        seconds, mib = math.ceil(self.cpu), 1024**2
        return {
            "RLIMIT_CPU": (seconds, seconds + 1),
            "RLIMIT_AS": (self.memory * mib, self.memory * mib),
            "RLIMIT_NPROC": (self.processes, self.processes),
            "RLIMIT_FSIZE": (self.disk * mib, self.disk * mib),
            "RLIMIT_NOFILE": (64, 64),
            "RLIMIT_CORE": (0, 0),
            "RLIMIT_MEMLOCK": (0, 0),
            "RLIMIT_MSGQUEUE": (0, 0),
        }


class Outcome(Struct, frozen=True):
    """What came of a program.

    Attributes:
        ended: `exit` (by itself, or by a signal that it brought on itself), or what it was killed for.
        status: exit status; 128 + the number of a signal; None where it was killed.
        stdout, stderr: what it wrote, at most `Limits.output` of each.
        seconds: wall time from its start.
    """

    ended: Literal["exit", "time", "memory", "output"]
    status: int | None
    stdout: str
    stderr: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with status 0."""
        return self.ended == "exit" and self.status == 0

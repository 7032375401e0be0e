"""What keeps a program in: bubblewrap, a container engine, or nothing at all where the user has accepted that."""

from __future__ import annotations

import itertools
import json
import marshal
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path
from typing import Any

from proctor.errors import UsageError
from proctor.scoring.sandbox.confine import SCRATCH
from proctor.scoring.sandbox.limits import Limits
from proctor.scoring.sandbox.seccomp import seccomp_filter

VARIABLE = "PROCTOR_SANDBOX"
UNSAFE = "unsafe-no-isolation"
_PACKAGES = "/packages"
_COUNT = itertools.count()


class Start:
    """A command to start, and what to do with it.

    Attributes:
        command: to run.
        pass_fds: descriptors that it inherits; closed after the start.
        info: descriptor that tells the process id of the sandbox's first process; None where there is none.
        name: of the container, where it is one.
        folder: scratch folder on the disk, where it has one.
        environment: of the command.
    """

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self.pass_fds: list[int] = []
        self.info: int | None = None
        self.name = ""
        self.folder: tempfile.TemporaryDirectory[str] | None = None
        self.environment = {"PATH": os.environ.get("PATH", os.defpath)}


class Engine(ABC):
    """How a command is started so that it is contained."""

    name: str

    @abstractmethod
    def start(self, role: str, limits: Limits, packages: tuple[str, ...]) -> Start:
        """What starts a Python that plays `role` (`program`, `tests_side`, `script`) and has the installed `packages`."""


class Bubblewrap(Engine):
    """Namespaces of its own for everything, by bwrap.

    For root the program becomes a user that nothing else on the machine is. For others it stays, seen from outside, the user, in a user
    namespace of its own.
    """

    name = "bwrap"

    def __init__(self, bwrap: str) -> None:
        self._bwrap = bwrap
        self._filter = seccomp_filter()
        self._python = base_python()

    def start(self, role: str, limits: Limits, packages: tuple[str, ...]) -> Start:
        told, info = os.pipe()
        command = [self._bwrap, "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
        uid = None
        if os.geteuid() == 0:
            # The file system is put together as root, who can reach a Python of root's; confine() then becomes the other user.
            uid = free_uid(Path("/proc/self/uid_map").read_text(), os.getpid(), next(_COUNT))
            command += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        else:
            command += ["--unshare-user", "--uid", "65534", "--gid", "65534"]
        command += ["--die-with-parent", "--new-session", "--clearenv", "--hostname", "sandbox", "--info-fd", str(info)]
        for name, value in _environment().items():
            command += ["--setenv", name, value]
        # What bwrap makes on the way to a file, only root may enter.
        for path in ("/dev", *(str(one) for one in reversed(Path(self._python).parents[:-1])), _PACKAGES):
            command += ["--perms", "0755", "--dir", path]
        for path in system_folders():
            command += ["--ro-bind", path, path]
        command += ["--ro-bind", self._python, self._python]
        for path in hidden_folders():
            command += ["--tmpfs", path]
        for device in ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"):
            command += ["--dev-bind", device, device]
        for source, place in package_folders(packages):
            command += ["--ro-bind", source, place]
        command += ["--perms", "1777", "--size", str(limits.disk * 1024**2), "--tmpfs", SCRATCH, "--remount-ro", "/", "--chdir", SCRATCH]
        pass_fds = [info]
        if self._filter is not None:
            pass_fds.append(_readable(self._filter))
            command += ["--seccomp", str(pass_fds[-1])]
        start = Start([*command, "--", self._python, *arguments(role, limits, uid, [_PACKAGES] if packages else [])])
        start.pass_fds, start.info = pass_fds, told
        return start


class Container(Engine):
    """A container of an image that has Python, by docker or podman."""

    def __init__(self, engine: str, image: str) -> None:
        self.name = engine
        self._engine = engine
        self._image = image

    def start(self, role: str, limits: Limits, packages: tuple[str, ...]) -> Start:
        name = f"proctor-{os.getpid()}-{next(_COUNT)}"
        megabytes = f"{limits.memory}m"
        command = [self._engine, "run", "--rm", "--interactive", "--name", name, "--network", "none", "--read-only", "--cap-drop", "ALL"]
        command += ["--security-opt", "no-new-privileges", "--user", "65534:65534", "--pids-limit", str(limits.processes + 4)]
        command += ["--memory", megabytes, "--memory-swap", megabytes, "--ipc", "none", "--workdir", SCRATCH]
        command += ["--tmpfs", f"{SCRATCH}:rw,size={limits.disk}m,mode=1777"]
        for key, value in _environment().items():
            command += ["--env", f"{key}={value}"]
        # Packages are the image's own affair: those of this machine need not fit its Python.
        start = Start([*command, self._image, "python3", *arguments(role, limits, None, [], site=bool(packages), same_python=False)])
        start.name = name
        start.environment = dict(os.environ)
        return start


class Unsafe(Engine):
    """No isolation: a process with limits, for who has said that the risk is taken."""

    name = UNSAFE

    def start(self, role: str, limits: Limits, packages: tuple[str, ...]) -> Start:
        folder = tempfile.TemporaryDirectory(prefix="proctor-scratch-", ignore_cleanup_errors=True)
        start = Start([sys.executable, *arguments(role, limits, None, [], site=bool(packages))])
        start.folder = folder
        start.environment = {**_environment(), "HOME": folder.name, "TMPDIR": folder.name, "PROCTOR_SCRATCH": folder.name}
        return start


def free_uid(uid_map: str, pid: int, count: int) -> int:
    """A user that is nobody else: limits on processes count all of a user's, so two programs should not share one.

    Args:
        uid_map: `/proc/self/uid_map`; in a container that has few users, the number is taken from those.
        pid: of this process.
        count: goes up by one with every program.
    """
    most = max(int(first) + int(size) for first, _, size in (line.split() for line in uid_map.splitlines()))
    if most >= 2_100_000_000:
        return 1_800_000_000 + (pid * 64) % 200_000_000 + count % 64
    return max(most - 1 - (pid * 7 + count) % max(most // 4, 1), 1)


def _environment() -> dict[str, str]:
    return {
        # The order of a set of texts decides some verdicts; it is to be the same each time.
        "PYTHONHASHSEED": "0",
        "PYTHONSAFEPATH": "1",
        "PATH": "/usr/bin:/bin",
        "HOME": SCRATCH,
        "TMPDIR": SCRATCH,
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def arguments(role: str, limits: Limits, uid: int | None, path: list[str], *, site: bool = False, same_python: bool = True) -> list[str]:
    """Arguments of a Python that plays `role`. What it runs is in them, so that no file of Proctor's need be readable in there."""
    settings = {"uid": uid, "limits": limits.as_rlimits(), "path": path}
    return ["-s", *([] if site else ["-S"]), "-B", "-X", "utf8", "-c", _bootstrap(role, same_python), json.dumps(settings)]


@cache
def _bootstrap(role: str, same_python: bool) -> str:
    """Python text that makes the modules of a role and runs it; compiled already for a Python of this version, which saves a third."""
    package = __package__
    wanted = {
        "program": ("values", "confine", "program"),
        "tests_side": ("values", "confine", "tests_side"),
        "script": ("confine", "script"),
    }
    modules: dict[str, Any] = {}
    for name in wanted[role]:
        source = (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")
        code = compile(source, f"{package}.{name}", "exec", dont_inherit=True, optimize=2)
        modules[f"{package}.{name}"] = marshal.dumps(code) if same_python else source
    return (
        "import marshal, sys, types\n"
        f"for name, code in {modules!r}.items():\n"
        "    module = sys.modules[name] = types.ModuleType(name)\n"
        f"    exec({'marshal.loads(code)' if same_python else 'code'}, module.__dict__)\n"
        "module.main()"
    )


def _readable(data: bytes) -> int:
    source, sink = os.pipe()
    os.write(sink, data)
    os.close(sink)
    return source


@cache
def base_python() -> str:
    """The interpreter that runs in the sandbox: that of Proctor's, without its virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


@cache
def system_folders() -> tuple[str, ...]:
    """The folders that this Python needs: its library and the system's shared ones."""
    found = [path for path in ("/lib", "/lib64", "/usr/lib", "/usr/lib64") if os.path.isdir(path)]
    own = [os.path.join(sys.base_prefix, "lib"), os.path.join(sys.base_prefix, "lib64"), sysconfig.get_path("stdlib")]
    for path in own:
        if os.path.isdir(path) and not any(Path(path).resolve().is_relative_to(Path(one).resolve()) for one in found):
            found.append(path)
    return tuple(found)


@cache
def hidden_folders() -> tuple[str, ...]:
    """Installed packages in those folders: some hold the answers of benchmarks."""
    hidden = {
        str(path)
        for folder in system_folders()
        for pattern in ("site-packages", "dist-packages", "python*/site-packages", "python*/dist-packages")
        for path in Path(folder).glob(pattern)
        if path.is_dir()
    }
    return tuple(sorted(hidden))


@cache
def package_folders(packages: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Files and folders of installed packages, and where each is put. Raises UsageError for one that is not installed."""
    from importlib.metadata import PackageNotFoundError, distribution

    found: dict[str, str] = {}
    for name in packages:
        try:
            files = distribution(name).files or []
        except PackageNotFoundError:
            raise UsageError(
                f"the package '{name}', which programs are to have, is not installed; install it with: pip install {name}"
            ) from None
        for file in files:
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not top.endswith(".dist-info"):
                root = Path(str(file.locate())).parents[len(file.parts) - 1]
                found[str(root / top)] = f"{_PACKAGES}/{top}"
    return tuple(sorted((source, place) for source, place in found.items() if os.path.exists(source)))


def configured() -> Engine:
    """The engine that `PROCTOR_SANDBOX` names, or bubblewrap.

    Raises:
        UsageError: there is none; says why and what to do.
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted == UNSAFE:
        return Unsafe()
    engine, _, image = wanted.partition(":")
    if engine in ("docker", "podman") and image:
        if shutil.which(engine) is None:
            raise UsageError(f"{VARIABLE}={wanted}: there is no program '{engine}' on this machine")
        return Container(engine, image)
    if wanted not in ("", "bwrap"):
        raise UsageError(f"{VARIABLE}: expected bwrap, docker:IMAGE, podman:IMAGE or {UNSAFE}, not {wanted!r}")
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise UsageError(f"programs that a model wrote run only in a sandbox, and bubblewrap is not installed. {HOW}")
    return Bubblewrap(bwrap)


HOW = (
    "Install it (apt-get install bubblewrap, dnf install bubblewrap), or name a container engine and an image with Python "
    f"({VARIABLE}=docker:python:3.12-slim), or, at your own risk, let them run as you, with your files and network: {VARIABLE}={UNSAFE}"
)


def container_kill(engine: str, name: str) -> None:
    """Make sure that a container is gone."""
    subprocess.run([engine, "rm", "--force", name], capture_output=True, timeout=60, check=False)

"""Which sandbox is taken, and what it is told."""

import os
import shutil
import struct
import subprocess
from pathlib import Path

import msgspec
import pytest

import proctor
from proctor.errors import UsageError
from proctor.scoring import sandbox_tests
from proctor.scoring.sandbox import engines
from proctor.scoring.sandbox.engines import UNSAFE, VARIABLE, Bubblewrap, Container, Unsafe, configured, free_uid, package_folders
from proctor.scoring.sandbox.judge import judge, run
from proctor.scoring.sandbox.limits import Limits
from proctor.scoring.sandbox.seccomp import seccomp_filter


def test_without_a_sandbox_nothing_runs(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(engines.shutil, "which", lambda name: None)
    with pytest.raises(UsageError, match=rf"bubblewrap is not installed.*apt-get install bubblewrap.*{VARIABLE}={UNSAFE}"):
        configured()
    monkeypatch.setenv(VARIABLE, "docker:python:3.12-slim")
    with pytest.raises(UsageError, match="no program 'docker'"):
        configured()
    monkeypatch.setenv(VARIABLE, "yes")
    with pytest.raises(UsageError, match="expected bwrap, docker:IMAGE"):
        configured()


def test_a_sandbox_that_does_not_work_is_refused_with_its_reason(monkeypatch):
    monkeypatch.setattr(sandbox_tests, "configured", lambda: Bubblewrap("/bin/false"))
    sandbox_tests.working_engine.cache_clear()
    try:
        with pytest.raises(UsageError, match="bwrap does not work here: the sandbox did not start"):
            sandbox_tests.working_engine()
    finally:
        sandbox_tests.working_engine.cache_clear()


def test_the_container_is_closed_on_every_side(monkeypatch):
    monkeypatch.setattr(engines.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setenv(VARIABLE, "podman:registry.example/python:3.12")
    engine = configured()
    assert isinstance(engine, Container)
    start = engine.start("program", Limits(memory=100, processes=9, disk=7), ())
    command = " ".join(start.command[: start.command.index("-c")])
    for part in (
        "podman run --rm",
        "--network none",
        "--read-only",
        "--cap-drop ALL",
        "--security-opt no-new-privileges",
        "--user 65534:65534",
        "--memory 100m",
        "--memory-swap 100m",
        "--pids-limit 13",
        "size=7m",
        "registry.example/python:3.12 python3 -s -S",
    ):
        assert part in command
    assert f"--name {start.name}" in command


def test_a_container_gets_source_and_not_the_code_of_another_python():
    start = Container("docker", "python").start("tests_side", Limits(), ())
    text = start.command[start.command.index("-c") + 1]
    assert "class Remote" in text
    assert "marshal.loads" not in text


def test_without_isolation_only_when_asked_for_by_its_name(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, UNSAFE)
    engine = configured()
    assert isinstance(engine, Unsafe)
    assert judge(engine, "def f(x): return x", "assert f(1) == 1").passed
    assert not judge(engine, "def f(x): return x", "assert f(1) == 2").passed
    assert judge(engine, "def f(x):\n    while True: pass", "f(1)", limits=Limits(cpu=1)).reason.startswith("the program used more")
    monkeypatch.setattr(engines.tempfile, "tempdir", str(tmp_path))
    outcome = run(engine, "import os\nprint(open('data').read(), os.environ.get('HOME') == os.getcwd())", {"data": "x"})
    assert outcome.stdout == "x True\n"
    assert not list(tmp_path.iterdir())


def test_users_that_are_nobody_else():
    everyone = "         0          0 4294967295"
    assert len({free_uid(everyone, 1234, count) for count in range(64)}) == 64
    assert all(1_800_000_000 <= free_uid(everyone, pid, 5) < 2**31 for pid in (1, 2**22))
    few = "         0     100000      65536"
    assert all(0 < free_uid(few, pid, count) < 65536 for pid in (1, 2**22) for count in range(64))


def test_packages_by_their_own_folders():
    places = dict(package_folders(("numpy",)))
    assert "/packages/numpy" in places.values()
    assert all(place.startswith("/packages/numpy") for place in places.values())
    with pytest.raises(UsageError, match=r"'no-such-package'.*pip install"):
        package_folders(("no-such-package",))


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_is_a_program_the_kernel_takes(machine):
    """Every jump lands inside it and every path ends in a return, as the kernel's own check asks."""
    data = seccomp_filter(machine)
    program = [struct.unpack("=HBBI", data[at : at + 8]) for at in range(0, len(data), 8)]
    assert program[-1][0] == 0x06
    for place, (code, yes, no, _) in enumerate(program):
        if code & 0x07 == 0x05:
            assert place + 1 + max(yes, no) < len(program)


def call(program, number, argument=0, audit=0xC000003E):
    """What a filter says of a system call: a small interpreter of classic BPF."""
    fields, place, accumulator = {0: number, 4: audit, 16: argument}, 0, 0
    while True:
        code, yes, no, value = program[place]
        place += 1
        if code == 0x20:
            accumulator = fields[value]
        elif code == 0x06:
            return value
        else:
            test = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[code]
            place += yes if test else no


def test_what_the_filter_says():
    data = seccomp_filter("x86_64")
    program = [struct.unpack("=HBBI", data[at : at + 8]) for at in range(0, len(data), 8)]
    allow, denied, missing, killed = 0x7FFF0000, 0x50001, 0x50026, 0x80000000
    assert call(program, 0) == allow  # read
    assert call(program, 59) == allow  # execve
    assert call(program, 101) == denied  # ptrace
    assert call(program, 435) == missing  # clone3
    assert call(program, 56, 0x11) == allow  # clone: fork
    assert call(program, 56, 0x10000000) == denied  # clone: a user namespace
    assert [call(program, 41, family) for family in (1, 2, 10, 16, 17, 38, 40)] == [allow] * 3 + [denied] * 4  # socket
    assert [call(program, 53, family) for family in (1, 40)] == [allow, denied]  # socketpair
    assert call(program, 0x40000000) == missing  # the other table
    assert call(program, 0, audit=0x40000003) == killed  # 32 bits
    assert seccomp_filter("riscv64") is None


AS_ANOTHER = r"""
from proctor.scoring.sandbox.engines import configured
from proctor.scoring.sandbox.judge import judge, run
from proctor.scoring.sandbox.limits import Limits

engine, short = configured(), Limits(cpu=1, wall=5, memory=128, processes=16, disk=4)
assert judge(engine, "def f(x): return x", "assert f(1) == 1").passed
assert not judge(engine, "def f(x): return x", "assert f(1) == 2").passed
assert run(engine, "import os\nprint(os.getuid(), os.path.exists('/etc/passwd'))").stdout == "65534 False\n"
bomb = "import os, time\nmade = 0\ntry:\n    while True:\n        if os.fork() == 0: time.sleep(30)\n        made += 1\n"
assert int(run(engine, bomb + "except OSError: print(made)", limits=short).stdout) < 16
network = "import socket\ntry: socket.create_connection(('1.1.1.1', 53), timeout=2)\nexcept OSError: print('kept in')"
assert run(engine, network).stdout == "kept in\n"
assert run(engine, "open('/usr/lib/x', 'w')").status == 1
print("all well")
"""


def test_for_a_user_who_is_not_root(engine, tmp_path):
    """The other way to make a sandbox, by a user namespace; by the system's Python, as that of root's may lie where others cannot reach."""
    python = "/usr/bin/python3"
    if os.geteuid() != 0 or not isinstance(engine, Bubblewrap) or not Path(python).exists() or not shutil.which("setpriv"):
        pytest.skip("needs root, setpriv and the system's Python to become somebody else")
    paths = [str(Path(module.__file__).parents[1]) for module in (proctor, msgspec)]
    environment = {"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    become = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"]
    if subprocess.run([*become, python, "-c", "import proctor, msgspec"], env=environment, cwd="/", capture_output=True).returncode:
        pytest.skip("Proctor cannot be imported by another user's Python here")
    done = subprocess.run([*become, python, "-c", AS_ANOTHER], env=environment, cwd="/", capture_output=True, text=True)
    assert done.stdout == "all well\n", done.stderr

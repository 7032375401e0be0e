"""How much memory a local model may take besides its weights, and what that allows."""

from __future__ import annotations

import gc
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proctor.errors import ModelError

if TYPE_CHECKING:
    import torch

UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "KB": 10**3, "MB": 10**6, "GB": 10**9}

SMALLEST = 32 << 20
"""Less than this many bytes are of no use."""

SMALLER = "choose a smaller dtype or another device, as in 'hf:NAME?dtype=bfloat16'"


@dataclass(frozen=True, slots=True)
class Budget:
    """What a local model may hold besides its weights.

    Half of it is for keys and values of texts being written, a quarter for those of shared prefixes, a quarter for a forward pass.

    Attributes:
        bytes: in all.
    """

    bytes: int

    @property
    def written(self) -> int:
        """Bytes for the keys and values of texts being written."""
        return self.bytes // 2

    @property
    def prefixes(self) -> int:
        """Bytes for the keys and values of shared prefixes."""
        return self.bytes // 4

    def chunk(self, model: Any, most: int) -> int:
        """Tokens in one forward pass of `model`, at most `most`: as many as a quarter of the budget holds the states of."""
        return max(32, min(most, self.bytes // 4 // state_bytes(model)))


def parse_bytes(text: str, uri: str) -> int:
    """A number of bytes such as `4GiB` or `800MB`. Raises `ModelError`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]i?B|B)", text)
    size = int(float(found[1]) * UNITS[found[2]]) if found else 0
    if size < SMALLEST:
        raise ModelError(f"{uri}: memory must be an amount of at least {SMALLEST >> 20}MiB, as in memory=4GiB, not '{text}'")
    return size


def default_budget(device: torch.device) -> Budget:
    """A third of the memory that is free on the machine (or in the control group it is limited by), or three quarters of the GPU's."""
    import torch

    if device.type == "cuda":
        return Budget(max(SMALLEST, torch.cuda.mem_get_info(device)[0] * 3 // 4))
    return Budget(max(SMALLEST, available() // 3))


def available() -> int:
    """Bytes of main memory that can be had without swapping; 8 GiB where the system does not say."""
    free = [8 << 30]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")] or free
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        if limit.isdigit():
            free.append(int(limit) - int(Path("/sys/fs/cgroup/memory.current").read_text()))
    except (OSError, ValueError):
        pass
    return max(0, min(free))


def state_bytes(model: Any) -> int:
    """Bytes that one token's states take at the widest place of a forward pass: a few times what one layer's matrices give."""
    import torch

    config = model.config.get_text_config(decoder=True)
    widths = sum(m.out_features for m in model.modules() if isinstance(m, torch.nn.Linear)) // max(1, int(config.num_hidden_layers))
    return int(3 * max(widths, 4 * config.hidden_size) * model.dtype.itemsize)


def out_of_memory(error: RuntimeError) -> bool:
    """Whether a runtime error of torch says that memory could not be had."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "alloc" in str(error).lower() or "out of memory" in str(error).lower()


def free_memory(device: torch.device) -> None:
    """Give back what a failed attempt left behind."""
    import torch

    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()

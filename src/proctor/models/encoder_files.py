"""Where the files of a model that embeds or scores pairs are: a folder, an installed package that carries one, a repository of the hub."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import msgspec

from proctor.canonical import content_hash
from proctor.errors import MissingExtra, ModelError
from proctor.models.file_hash import file_hash
from proctor.models.weights import Files, Options, cached_commit

_CONFIGURATION = ("modules.json", "config.json")
_HASHED = (".safetensors", ".bin", ".json", ".model", ".txt")
_FETCHED = ["*.json", "*.safetensors", "*.txt", "*.model"]
_APART = ["onnx/*", "openvino/*"]


def find_encoder(path: str, options: Options, uri: str) -> Files:
    """The files that `path` names, without reading weights: a folder, an installed package, else `org/name` on the hub.

    Raises:
        ModelError: nothing is there, or a revision of what has none.
    """
    if not path:
        raise ModelError(f"model {uri}: which model? a folder, an installed package, or org/name on the Hugging Face hub")
    place = Path(path).expanduser()
    if options.revision and (place.is_dir() or "/" not in path):
        raise ModelError(f"model {uri}: only a model of the Hugging Face hub has a revision")
    if place.is_dir():
        if not any((place / name).is_file() for name in _CONFIGURATION):
            raise ModelError(f"model {uri}: the folder {place} holds neither modules.json nor config.json")
        return Files(uri, folder=place)
    if path.startswith((".", "/", "~")) or path.count("/") > 1:
        raise ModelError(f"model {uri}: there is no folder {place}")
    if "/" in path:
        return Files(uri, name=path, commit=cached_commit(path, options.revision or "main"))
    return Files(uri, folder=_in_package(path, uri))


def _in_package(name: str, uri: str) -> Path:
    """The folder of the first configuration among a package's files, which is not imported."""
    try:
        files = importlib.metadata.distribution(name).files or []
    except importlib.metadata.PackageNotFoundError:
        raise ModelError(
            f"model {uri}: there is no folder '{name}', and no package of that name is installed; "
            f"install it with: pip install {name}, or name a model of the hub as org/name"
        ) from None
    for wanted in _CONFIGURATION:
        found = min((file for file in files if file.name == wanted), key=lambda file: len(file.parts), default=None)
        if found is not None:
            return Path(str(found.locate())).parent
    raise ModelError(f"model {uri}: the package {name} carries no model (no modules.json or config.json)")


def encoder_fingerprint(files: Files, revision: str) -> str:
    """A hash of the names and contents of all files; of a hub model, of its name and commit."""
    if files.name:
        return content_hash(["hub", files.name, files.commit or revision or "main"])
    assert files.folder is not None
    paths = sorted(path for path in files.folder.rglob("*") if path.is_file() and path.suffix in _HASHED)
    return content_hash(["folder", [[str(path.relative_to(files.folder)), file_hash(path)] for path in paths]])


def local_folder(files: Files, options: Options) -> Path:
    """The files on this machine, fetched from the hub if need be. Raises `ModelError` or `MissingExtra`."""
    if files.folder is not None:
        return files.folder
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise MissingExtra(f"The model '{files.uri}'", "hf") from None
    from proctor.models.weights import reading

    with reading(files, "files"):
        revision = files.commit or options.revision or None
        return Path(snapshot_download(files.name, revision=revision, allow_patterns=_FETCHED, ignore_patterns=_APART))


def read_settings(path: Path, uri: str) -> Any:
    """A JSON file of the model's; an empty mapping where there is none. Raises `ModelError` where it is none."""
    if not path.is_file():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise ModelError(f"model {uri}: {path} cannot be read: {error}") from None

"""Which files of a Hugging Face data set hold a split: the rules of the `datasets` library, without the library.

In order: the `configs` of the README's front matter; the folders `config/split/0000.parquet` of the hub's own conversion; names
that tell the split (`data/test-00000-of-00001.parquet`, `test.csv`, `dev/part1.jsonl`); else everything is `train`. Documented at
https://huggingface.co/docs/hub/datasets-data-files-configuration and …/datasets-file-names-and-splits.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from proctor.errors import DataError, nearest
from proctor.tasks import strict_yaml
from proctor.tasks.sources.files import FORMATS, format_of

CONVERTED = "refs/convert/parquet"
_KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_CANONICAL = {word: split for split, words in _KEYWORDS.items() for word in words}
_SHARDED = re.compile(r"data/([^/]+)-[0-9]{5}-of-[0-9]{5}[^/]*\.[^/]*")
_CONVERTED_FILE = re.compile(r"([^/]+)/([^/]+)/[0-9]+\.parquet")
_NOT_DATA = {"README.md", "config.json", "dataset_info.json", "dataset_infos.json", "dummy_data.zip", "dataset_dict.json"}
_SEPARATOR = r"[-._ 0-9/]"
_PREFERRED = (".parquet", ".jsonl", ".json", ".csv")  # where a split is stored in two formats equally often


def split_files(repo: str, files: Sequence[str], readme: str, config: str | None, split: str | None) -> tuple[list[str], str]:
    """The files of one split, in order, and what was chosen as `config/split`.

    Args:
        repo: name of the data set, for messages.
        files: all paths of the repository at one commit.
        readme: text of its README.md; empty where there is none.
        config: configuration asked for; None for the only one, or the default.
        split: split asked for; None for the only one.

    Raises:
        DataError: unknown configuration or split, or none can be chosen, or it is in files Proctor does not read.
    """
    paths = sorted(path for path in files if _is_candidate(path))
    declared = declared_configs(repo, readme)
    converted = [found for path in paths if (found := _CONVERTED_FILE.fullmatch(path))]
    if declared:
        name = _choose(repo, "config", config, list(declared), _default(declared))
        splits = _declared_splits(repo, declared[name], paths)
    elif converted and len(converted) == len([path for path in paths if format_of(path)]):
        name = _choose(repo, "config", config, sorted({one[1] for one in converted}), "default")
        splits = {}
        for one in converted:
            if one[1] == name:
                splits.setdefault(one[2], []).append(one[0])
    else:
        name, splits = _undeclared(repo, paths, config)
    if split is not None and split not in splits and _CANONICAL.get(split) in splits:
        split = _CANONICAL[split]
    chosen = _choose(repo, f"split of config '{name}'" if name != "default" else "split", split, list(splits), None)
    return _one_format(repo, chosen, splits[chosen]), f"{name}/{chosen}"


def has_data(files: Sequence[str], readme: str, repo: str) -> bool:
    """Whether the repository holds data files or names them, rather than only a script that makes them."""
    return bool(declared_configs(repo, readme)) or any(_is_candidate(path) and format_of(path) for path in files)


def declared_configs(repo: str, readme: str) -> dict[str, dict[str, Any]]:
    """The `configs` of a README's front matter that say where their files are, by name; empty where it has none."""
    found = re.match(r"\ufeff?\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(\r?\n|$)", readme, re.DOTALL)
    if not found:
        return {}
    try:
        front = strict_yaml.plain(strict_yaml.parse(found[1]))
    except strict_yaml.YamlError as error:
        raise DataError(f"hub data set '{repo}': the front matter of its README.md, line {error.line + 1}: {error}") from None
    configs = front.get("configs") if isinstance(front, dict) else None
    if configs is None:
        return {}
    if not isinstance(configs, list) or not all(isinstance(one, dict) and one.get("config_name") is not None for one in configs):
        raise DataError(f"hub data set '{repo}': README.md: expected 'configs' to be a list of mappings with 'config_name'")
    return {str(one["config_name"]): one for one in configs if one.get("data_files") is not None or one.get("data_dir") is not None}


def _default(configs: dict[str, dict[str, Any]]) -> str:
    return next((name for name, one in configs.items() if one.get("default") is True), "default")


def _declared_splits(repo: str, config: dict[str, Any], paths: Sequence[str]) -> dict[str, list[str]]:
    folder = _relative(str(config.get("data_dir") or ""))
    inside = [path for path in paths if not folder or path.startswith(f"{folder}/")]
    data_files = config.get("data_files")
    if data_files is None:
        return _by_name([path[len(folder) + 1 if folder else 0 :] for path in inside], prefix=f"{folder}/" if folder else "")
    entries: list[tuple[str, Any]]
    if isinstance(data_files, dict):
        entries = [(str(key), value) for key, value in data_files.items()]
    elif isinstance(data_files, list) and all(isinstance(one, dict) and {"split", "path"} <= set(one) for one in data_files):
        entries = [(str(one["split"]), one["path"]) for one in data_files]
    else:
        entries = [("train", data_files)]
    splits: dict[str, list[str]] = {}
    for split, patterns in entries:
        patterns = [patterns] if isinstance(patterns, str) else patterns
        if not isinstance(patterns, list) or not all(isinstance(one, str) for one in patterns):
            raise DataError(f"hub data set '{repo}': README.md: expected the data_files of split '{split}' to be paths")
        for pattern in patterns:
            if "://" in pattern:
                raise DataError(
                    f"hub data set '{repo}': split '{split}' is at {pattern}, outside the repository; Proctor reads files inside it"
                )
            whole = f"{folder}/{_relative(pattern)}" if folder else _relative(pattern)
            matcher = glob_regex(whole)
            matched = [path for path in paths if matcher.fullmatch(path)]
            splits.setdefault(split, [])
            splits[split] += [path for path in matched if path not in splits[split]]
    return splits


def _undeclared(repo: str, paths: Sequence[str], config: str | None) -> tuple[str, dict[str, list[str]]]:
    """Splits by names alone; a configuration that is asked for is a folder."""
    if config is None or config == "default":
        return "default", _by_name(paths)
    folders = sorted({path.rpartition("/")[0] for path in paths if format_of(path)} - {""})
    folders = sorted({"/".join(one.split("/")[: depth + 1]) for one in folders for depth in range(one.count("/") + 1)})
    folder = next((one for one in (config, f"data/{config}") if one in folders), None)
    if folder is None:
        raise DataError(_unknown(repo, "config", config, folders or ["default"]))
    return config, _by_name([path[len(folder) + 1 :] for path in paths if path.startswith(f"{folder}/")], prefix=f"{folder}/")


def _by_name(paths: Sequence[str], prefix: str = "") -> dict[str, list[str]]:
    """Splits as file and folder names tell them; `train` where no name tells anything."""
    paths = [path for path in paths if format_of(path)]
    splits: dict[str, list[str]] = {}
    for path in paths:
        if found := _SHARDED.fullmatch(path):
            splits.setdefault(found[1], []).append(prefix + path)
    if splits:
        return splits
    for in_folder in (False, True):
        for split, words in _KEYWORDS.items():
            word = rf"(?:^|{_SEPARATOR})(?:{'|'.join(words)})(?:{_SEPARATOR}|$)"
            for path in paths:
                folder, _, file = path.rpartition("/")
                if re.search(word, folder if in_folder else file):
                    splits.setdefault(split, []).append(prefix + path)
        if splits:
            return splits
    return {"train": [prefix + path for path in paths]} if paths else {}


def _one_format(repo: str, split: str, paths: list[str]) -> list[str]:
    """The files of the most frequent format, as `datasets` chooses it: a repository may keep the same rows twice."""
    if not paths:
        raise DataError(f"hub data set '{repo}': its README.md names files for split '{split}' that the repository does not have")
    counts = Counter(found[0] for path in paths if (found := format_of(path)))
    if not counts:
        kinds = ", ".join(paths[:3])
        raise DataError(f"hub data set '{repo}': split '{split}' is in files Proctor does not read ({kinds}); it reads {' '.join(FORMATS)}")
    best = max(counts, key=lambda one: (counts[one], -_PREFERRED.index(one) if one in _PREFERRED else -len(_PREFERRED)))
    return [path for path in paths if (found := format_of(path)) and found[0] == best]


def _choose(repo: str, kind: str, asked: str | None, valid: list[str], default: str | None) -> str:
    if asked is None:
        if len(valid) == 1:
            return valid[0]
        if default in valid:
            return str(default)
        if not valid:
            raise DataError(f"hub data set '{repo}' has no {kind}: no file of a kind Proctor reads ({' '.join(FORMATS)})")
        raise DataError(f"hub data set '{repo}' has several: name the {kind} under data.{kind.split()[0]}; there are {_listed(valid)}")
    if asked not in valid:
        raise DataError(_unknown(repo, kind, asked, valid))
    return asked


def _unknown(repo: str, kind: str, asked: str, valid: list[str]) -> str:
    hint = nearest(asked, valid)
    return f"hub data set '{repo}' has no {kind} '{asked}'{hint}{'' if hint else ';'} there are {_listed(valid)}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:60]) + (f" and {len(names) - 60} more" if len(names) > 60 else "") if names else "none"


def _is_candidate(path: str) -> bool:
    parts = path.split("/")
    return parts[-1] not in _NOT_DATA and not any(part.startswith((".", "__")) for part in parts)


def _relative(path: str) -> str:
    while path.startswith(("./", "/")):
        path = path.removeprefix("./").removeprefix("/")
    return path.rstrip("/") if path != "." else ""


def glob_regex(pattern: str) -> re.Pattern[str]:
    """A glob of the hub as a regular expression: `*` and `?` stay inside a folder, `**` crosses folders, `[…]` is a class."""
    result, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            result, at = result + "(?:.*/)?", at + 3
        elif pattern.startswith("**", at):
            result, at = result + ".*", at + 2
        elif pattern[at] == "*":
            result, at = result + "[^/]*", at + 1
        elif pattern[at] == "?":
            result, at = result + "[^/]", at + 1
        elif pattern[at] == "[" and (end := pattern.find("]", at + 2)) > 0:
            inside = pattern[at + 1 : end].replace("\\", "\\\\")
            inside = f"^{inside[1:]}" if inside[0] in "!^" else inside
            result, at = f"{result}[{inside}]", end + 1
        else:
            result, at = result + re.escape(pattern[at]), at + 1
    return re.compile(result, re.DOTALL)

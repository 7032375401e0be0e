"""The keys of a task file, each with the type it must have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proctor.errors import TaskError, nearest
from proctor.tasks.lm_eval.code_eval import runs_in_the_sandbox
from proctor.tasks.lm_eval.yaml_files import FunctionRef

KEYS = (
    *("task", "task_alias", "tag", "group", "task_list", "custom_dataset", "dataset_path", "dataset_name", "dataset_kwargs"),
    *("training_split", "validation_split", "test_split", "fewshot_split", "process_docs", "doc_to_text", "doc_to_target", "doc_to_image"),
    *("doc_to_audio", "unsafe_code", "doc_to_choice", "process_results", "use_prompt", "description", "target_delimiter"),
    *("fewshot_delimiter", "fewshot_config", "num_fewshot", "metric_list", "output_type", "generation_kwargs", "repeats", "filter_list"),
    *("should_decontaminate", "doc_to_decontamination_query", "gen_prefix", "metadata"),
)

Reading = str | int | list[Any] | dict[str, Any] | FunctionRef | None


class KeyReader:
    """Keys with their types."""

    def __init__(self, keys: Mapping[str, Any], where: str, section: str = "") -> None:
        self.keys, self.where, self.section = keys, where, section

    def fail(self, key: str, message: str) -> TaskError:
        return TaskError(f"{self.where}: {self.section}{key}: {message}")

    def known(self) -> None:
        for key in self.keys:
            if key not in KEYS:
                raise TaskError(f"{self.where}: unknown key '{key}'{nearest(key, KEYS)}")

    def supported(self) -> None:
        for key in ("doc_to_image", "doc_to_audio"):
            if self.keys.get(key) is not None:
                raise self.fail(key, "shows pictures or sound, which Proctor does not")
        if self.keys.get("unsafe_code") and not runs_in_the_sandbox(self.keys):
            raise self.fail(
                "unsafe_code",
                "runs programs that a model wrote by code of its own, outside a sandbox (what runs them by `code_eval` is taken); "
                "use a task with Proctor's scorer sandbox_tests",
            )
        if self.keys.get("use_prompt") is not None:
            raise self.fail("use_prompt", "prompts of promptsource are not read")

    def text(self, key: str, default: Any = None) -> Any:
        value = self.keys.get(key, default)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)  # a name such as 2024 that nobody quoted
        raise self.fail(key, f"expected a text, got {shown(value)}")

    def whole(self, key: str) -> int | None:
        value = self.keys.get(key)
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
            return value
        raise self.fail(key, f"expected a whole number, got {shown(value)}")

    def mapping(self, key: str) -> dict[str, Any]:
        value = self.keys.get(key)
        if value is None or isinstance(value, dict):
            return dict(value or {})
        raise self.fail(key, f"expected a mapping, got {shown(value)}")

    def items(self, key: str) -> list[Any] | None:
        value = self.keys.get(key)
        if value is None or isinstance(value, list):
            return value
        raise self.fail(key, f"expected a list, got {shown(value)}")

    def function(self, key: str) -> FunctionRef | None:
        value = self.keys.get(key)
        if value is None or isinstance(value, FunctionRef):
            return value
        raise self.fail(key, f"expected !function module.function, got {shown(value)}")

    def reading(self, key: str) -> Reading:
        value = self.keys.get(key)
        if value is None or (isinstance(value, str | int | list | dict | FunctionRef) and not isinstance(value, bool)):
            return value
        raise self.fail(key, f"expected a column, a template or a function, got {shown(value)}")

    def choice(self, key: str, allowed: tuple[str, ...], default: str) -> Any:
        value = self.keys.get(key, default) or default
        if value not in allowed:
            raise self.fail(key, f"expected one of {', '.join(allowed)}, got {shown(value)}")
        return value


def shown(value: Any) -> str:
    return f"!function {value.name}" if isinstance(value, FunctionRef) else f"{value!r:.80}"

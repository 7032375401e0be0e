"""The made-up tasks as files, and an index of our own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import lm_eval_cases as cases
import pytest


@pytest.fixture(scope="session")
def lm_eval_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lm_eval")
    cases.write(folder)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield

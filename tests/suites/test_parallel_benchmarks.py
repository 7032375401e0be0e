"""Benchmarks with the same items in several languages: what a profile makes of a run of a shipped file. Items made up."""

from __future__ import annotations

import json

import pytest

import proctor

CODES = {"en": "EN-US", "zh": "ZH-CN", "ar": "AR-XY", "es": "ES-LA", "fr": "FR-FR", "ja": "JA-JP", "ko": "KO-KR", "pt": "PT-BR"}
CODES |= {"th": "TH-TL", "vi": "VI-VT"}


@pytest.fixture
def data_map(tmp_path):
    for level in ("easy", "hard"):
        folder = tmp_path / f"mmmlu/{level}/test"
        folder.mkdir(parents=True)
        for language, code in CODES.items():
            rows = [
                {"Question": f"{language} {level} {number}?", "A": "a", "B": "b", "C": "c", "D": "d", "Answer": "A"} for number in range(12)
            ]
            (folder / f"mmlu_{code}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "map.yaml").write_text("Qwen/P-MMEval: '{file}'\n")
    return tmp_path / "map.yaml"


def test_p_mmeval_feeds_the_languages_of_a_profile(data_map, tmp_path):
    def model(prompt):
        """All right in English, the easy half of it in Spanish, nothing elsewhere."""
        text = prompt if isinstance(prompt, str) else str(prompt)
        right = "en easy" in text or "en hard" in text or "es easy" in text
        return '{"answer": "A"}' if right else "{'answer': 'B'}"

    suite = proctor.load_suite("pmmeval_mmmlu", data=data_map)
    assert [task.spec.languages for task in suite.tasks] == [[language] for language in CODES]
    assert all([item.id for item in task.items] == [str(number) for number in range(1, 25)] for task in suite.tasks)
    [run] = proctor.run(suite, model, out=tmp_path / "store")
    found = {result.task: result.main.value for result in run.manifest.tasks}
    assert (found["pmmeval_mmmlu/en"], found["pmmeval_mmmlu/es"], found["pmmeval_mmmlu/th"]) == (1, 0.5, 0)
    assert found["pmmeval_mmmlu"] == pytest.approx(0.15)  # the mean over ten languages
    text = proctor.profile([run], run.manifest.model)
    assert "24 parallel items" in text
    assert "0.0 % are right in all" in text

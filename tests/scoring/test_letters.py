import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.scoring.letters import choice_index, choice_label, find_letter

CITIES = ["Paris", "London", "Rome", "A cat"]


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("a", "A"),
        ("(B)", "B"),
        ("(b) London", "B"),
        ("B.", "B"),
        ("B) London", "B"),
        ("A. Paris", "A"),
        ("A: because", "A"),
        ("D\nBecause it is", "D"),
        ("**B**", "B"),
        ("**(C)**", "C"),
        ("Answer: B", "B"),
        ("**Answer:** D", "D"),
        ("Answer: b", "B"),
        ("The answer is (B)", "B"),
        ("The answer is: \n\n$\\boxed{C}$", "C"),
        (r"$\boxed{\text{C}}$", "C"),
        ("The correct answer to the question is B", "B"),
        ("The correct answer is **B. London**", "B"),
        ("The answer is A because", "A"),
        ("Sure! The best option is B.", "B"),
        ("I'd go with option C.", "C"),
        ("Hence (C) is the correct answer. (A) is not.", "C"),
        ("First I thought (A). The answer is C.", "C"),
        ("The answer is A. No, wait. The answer is C.", "C"),
        ("Reasoning about (A) and (B)...\n\n(C) Rome", "C"),
        ("It could be (A). It is not, so the city meant is\n(B), I believe", "B"),
        ("Clearly option C", "C"),
        ("London", "B"),
        ("the answer is London.", "B"),
        ("Of course, Rome!", "C"),
        ("Answer: A cat", "D"),
        ("A cat sat", "D"),
        ("I think so", None),
        ("A dog sat on it", None),
        ("The answer is a dog", None),
        ("A, B and C are wrong", None),
        ("It is not (A) but (B)", "B"),
        ("The answer is not B.", None),
        ("The answer is E", None),
        ("Paris or London", None),
        ("", None),
    ],
)
def test_found_letter(text, letter):
    assert find_letter(text, CITIES).answer == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("Die Antwort ist B.", "B"),
        ("Die richtige Antwort auf die Frage lautet: **(B)**", "B"),
        ("Antwort: A, weil es so ist", "A"),
        ("La réponse est B", "B"),
        ("La bonne réponse est la lettre C.", "C"),
        ("Réponse : « A »", "A"),
        ("La respuesta es B", "B"),
        ("La respuesta correcta es la opción A porque sí", "A"),
        ("A resposta é B", "B"),
        ("A resposta correta é: A", "A"),
        ("La risposta corretta è l'opzione D.", "D"),
        ("Ответ: B", "B"),
        ("Правильный ответ — A.", "A"),
        ("答案是B", "B"),
        ("正确答案\uff1aA\uff0c因为如此", "A"),
        ("答案\uff1a\uff08A\uff09", "A"),
        ("所以,故选C。", "C"),
        ("正解は「B」です。", "B"),
        ("答えはAです。", "A"),
        ("La respuesta es London, claro", "B"),
        ("Die Antwort ist A. Nein: Die Antwort ist C.", "C"),
        ("A resposta é A casa", None),
        ("Resposta: O gato", None),
        ("La respuesta es a veces difícil", None),
        ("Die Antwort ist Bonn", None),
        ("Die Antwort ist nicht B", None),
        ("La respuesta no es B", None),
        ("答案不是B", None),
        ("答えはBではありません", None),
    ],
)
def test_letter_announced_in_other_languages(text, letter):
    assert find_letter(text, CITIES, 26).answer == letter


def test_a_sign_after_the_article_is_no_end():
    assert find_letter("The answer is A×B in the end", CITIES).answer is None


def test_bold_that_never_ends_is_read_once():
    assert find_letter("x **A)" + " " * 200_000 + "x", CITIES).answer is None


def test_pronoun_is_no_letter_even_with_nine_choices():
    assert find_letter("There is too little data. Therefore, I cannot answer.", [], 10).answer is None
    assert find_letter("The answer is (I).", [], 10).answer == "I"


def test_longer_choice_wins_over_its_part():
    assert find_letter("It is Paris, Texas", ["Paris", "Paris, Texas"]).answer == "B"
    assert find_letter("The answer is 4.5", ["4", "4.5"]).answer == "B"
    assert find_letter("The answer is 4", ["4", "4.5"]).answer == "A"


def test_stated_answer_stands_where_the_text_is_cut_off():
    assert not find_letter("The answer is B. That is becau", CITIES).needs_end
    assert not find_letter("B. That is becau", CITIES).needs_end
    assert find_letter("Clearly option C", CITIES).needs_end


@given(st.text(max_size=200), st.lists(st.text(max_size=8), max_size=6))
@settings(deadline=None)
def test_never_raises_and_stays_within_the_choices(text, choices):
    answer = find_letter(text, choices).answer
    assert answer is None or choice_index(answer, len(choices) or 26) is not None


@given(st.integers(0, 40), st.integers(2, 41))
def test_labels_and_indices_are_inverse(index, count):
    assert choice_index(choice_label(index), count) == (index if index < count else None)


def test_fasteval_verdicts_on_gpt4_multiple_choice(shared_lines):
    """FastEval's published verdicts on GPT-4's chain-of-thought answers to the 509 lettered BBH items."""
    items = {(r["task"], r["id"]): r for r in shared_lines("fasteval/cot_items.jsonl")}
    n = 0
    for row in shared_lines("fasteval/cot_outputs_gpt-4-0613.jsonl"):
        item = items[row["task"], row["id"]]
        if re.fullmatch(r"\([A-Z]\)", str(item["correct_answer"])):
            choices = re.findall(r"^\([A-Z]\) (.*)$", item["question"], re.MULTILINE)
            found = find_letter(row["model_answer"], choices).answer
            assert (f"({found})" == item["correct_answer"]) == row["correct"], row["model_answer"][-200:]
            n += 1
    assert n == 509


def test_mmlu_pro_letters_of_a_base_model(shared_lines):
    """MMLU-Pro's published letters for Llama-3-70B's raw outputs, cut where the model asks itself the next question."""
    items = {r["question_id"]: r for r in shared_lines("mmlu_pro/items.jsonl")}
    rows = shared_lines("mmlu_pro/outputs_Meta-Llama-3-70B.jsonl")
    found = [find_letter(row["output"].split("\n\nQuestion:")[0], items[row["question_id"]]["options"]).answer for row in rows]
    assert len(rows) == 350
    assert found == [row["pred"] for row in rows]

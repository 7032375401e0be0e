"""What an item becomes: question, examples, conversation, request, and the running text of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor import Task
from proctor.errors import TaskError
from proctor.models.base import plain_text
from proctor.types import Generate, Likelihood, Message, Prompt

SUMS = [{"id": "a", "q": "1+1", "target": "2"}, {"id": "b", "q": "2+2", "target": "4"}, {"id": "c", "q": "3+3", "target": "6"}]
PICKS = [
    {"id": "a", "q": "Warm?", "opts": ["ice", "fire"], "target": "fire"},
    {"id": "b", "q": "Cold?", "opts": ["snow", "sun", "lamp"], "target": 0},
    {"id": "c", "q": "Wet?", "opts": ["rain", "sand"], "target": ["A"]},
]


def sums(prompt=None, **keys) -> Task:
    prompt = {"template": "{{ q }} ="} | (prompt or {})
    return Task(**({"task": "sums", "data": SUMS, "prompt": prompt, "scoring": "exact_match"} | keys))


def picks(response, prompt=None, **keys) -> Task:
    prompt = {"template": "{{ q }}\n{{ options }}\nAnswer:"} | (prompt or {})
    response = {"kind": "choice"} | response
    return Task(**({"task": "picks", "data": PICKS, "item": {"choices": "opts"}, "prompt": prompt, "response": response} | keys))


def prompt_of(task: Task, index: int = 0) -> Prompt:
    request = task.request(task.items[index])
    return request.prompt if isinstance(request, Generate) else request.prompts[0]


FEW = {"shots": 2, "choose": "fixed", "ids": ["b", "c"]}


def test_a_question_is_one_user_turn():
    assert prompt_of(sums()) == Prompt((Message("user", "1+1 ="),))


def test_examples_as_turns():
    found = prompt_of(sums(FEW | {"system": "Add {{ q }}.", "prefill": "It is"}))
    assert found.messages == (
        Message("system", "Add 1+1."),
        Message("user", "2+2 ="),
        Message("assistant", "It is 4"),
        Message("user", "3+3 ="),
        Message("assistant", "It is 6"),
        Message("user", "1+1 ="),
    )
    assert found.prefill == "It is"


def test_examples_as_text():
    found = prompt_of(sums(FEW | {"system": "Add.", "shots_as": "text", "separator": "\n--\n", "delimiter": " -> "}))
    assert found.messages == (Message("system", "Add."), Message("user", "2+2 = -> 4\n--\n3+3 = -> 6\n--\n1+1 ="))


def test_an_example_answers_as_it_is_told_to():
    found = prompt_of(sums(FEW | {"answer": "{{ q }} is {{ target }}."}))
    assert [message.content for message in found.messages if message.role == "assistant"] == ["2+2 is 4.", "3+3 is 6."]


@pytest.mark.parametrize(("by", "answers"), [("letter", ["A", "A"]), ("text", ["snow", "rain"]), ("generate", ["A", "A"])])
def test_an_examples_answer_is_what_the_response_kind_would_give(by, answers):
    found = prompt_of(picks({"by": by}, FEW))
    assert [message.content for message in found.messages if message.role == "assistant"] == answers


def test_a_list_of_accepted_texts_is_answered_by_the_first():
    rows = [SUMS[0], {"id": "b", "q": "2+2", "target": ["four", "4"]}]
    found = prompt_of(sums({"shots": 1}, data=rows))
    assert found.messages[1] == Message("assistant", "four")


def test_an_answer_that_is_no_text_needs_a_template():
    target = [{"kind": "max_words", "count": 3}]
    rows = [{"id": "a", "q": "x", "target": target}, {"id": "b", "q": "y", "target": target}]
    with pytest.raises(TaskError, match=r"target of example 'b' is not a text or number.*prompt\.answer"):
        prompt_of(sums({"shots": 1}, data=rows, scoring="constraints"))


def test_style_delimiter_and_separator_go_with_the_prompt():
    found = prompt_of(sums({"style": "plain", "delimiter": "\n", "separator": "\n\n\n"}))
    assert (found.style, found.delimiter, found.separator) == ("plain", "\n", "\n\n\n")


def test_white_space_of_a_template_is_kept_but_for_the_last_newline():
    assert prompt_of(sums({"template": "  {{ q }}\n\n  = \n"})).messages[0].content == "  1+1\n\n  = "


def test_templates_see_choices_letters_and_options():
    template = "{{ choices|join('/') }} {{ letters|join }} {{ options }}"
    assert prompt_of(picks({}, {"template": template}), 1).messages[0].content == "snow/sun/lamp ABC A. snow\nB. sun\nC. lamp"


# the requests of each response kind


def test_choice_by_letter_text_and_generation():
    letter, text, written = (picks({"by": by}) for by in ("letter", "text", "generate"))
    assert letter.request(letter.items[1]) == Likelihood((prompt_of(letter, 1),), ("A", "B", "C"))
    assert text.request(text.items[1]) == Likelihood((prompt_of(text, 1),), ("snow", "sun", "lamp"))
    assert isinstance(written.request(written.items[1]), Generate)
    assert [item.target for item in letter.items] == [1, 0, [0]]


def test_unconditional_normalisation_also_asks_without_the_question():
    task = picks({"by": "text", "normalise": "unconditional"})
    assert task.request(task.items[0]).prompts == (prompt_of(task), Prompt())


def test_perplexity_asks_for_the_target():
    task = sums({"template": "{{ q }}"}, response="perplexity", scoring=[])
    assert task.request(task.items[0]) == Likelihood((Prompt((Message("user", "1+1"),)),), ("2",))


def test_perplexity_of_a_whole_text_has_an_empty_prompt():
    task = sums({"template": ""}, response="perplexity", scoring=[])
    assert task.request(task.items[0]) == Likelihood((Prompt(),), ("2",))


def test_generation_carries_the_decoding_and_every_epoch_its_own_seed():
    task = sums(response={"max_tokens": 5, "stop": ["\n", "."], "temperature": 0.5, "top_p": 0.9, "epochs": 2})
    first, second = (task.request(task.items[0], epoch) for epoch in (0, 1))
    assert (first.max_tokens, first.stop, first.temperature, first.top_p) == (5, ("\n", "."), 0.5, 0.9)
    assert first.seed != second.seed
    assert first.seed == task.request(task.items[0], 0).seed
    assert first.seed != task.request(task.items[1], 0).seed
    assert 0 <= first.seed < 2**31
    assert task.changed(seed=1).request(task.items[0]).seed != first.seed


def test_greedy_decoding_has_no_seed_and_the_same_request_in_every_epoch():
    task = sums(response={"epochs": 2})
    assert task.request(task.items[0], 0) == task.request(task.items[0], 1)
    assert task.request(task.items[0]).seed is None


# the running text, against lm-eval's rule: description + Σ (question + target_delimiter + answer + fewshot_delimiter) + question
# (lm_eval/api/task.py, ConfigurableTask.fewshot_context, and api/samplers.py, ContextSampler.get_context)

words = st.text("ab\n .é", min_size=1, max_size=8).filter(lambda text: not text[-1].isspace())
delimiters = st.sampled_from([" ", "\n", "", ": ", "\t"])
separators = st.sampled_from(["\n\n", "\n", " ", "\n###\n", ""])


@given(
    system=st.none() | words,
    shots=st.lists(st.tuples(words, words), max_size=4),
    question=words,
    delimiter=delimiters,
    separator=separators,
)
@settings(deadline=None, max_examples=300)
def test_running_text_joins_as_lm_eval_does(system, shots, question, delimiter, separator):
    messages = [Message("system", system)] if system else []
    for asked, answered in shots:
        messages += [Message("user", asked), Message("assistant", answered)]
    prompt = Prompt((*messages, Message("user", question)), delimiter=delimiter, separator=separator)
    expected = system + separator if system else ""
    for asked, answered in shots:
        expected += asked + delimiter + answered + separator
    expected += question
    assert plain_text(prompt) == (expected, delimiter)


@given(shots=st.lists(st.tuples(words, words), min_size=1, max_size=3), question=words, delimiter=delimiters, separator=separators)
@settings(deadline=None, max_examples=100)
def test_examples_as_text_or_as_turns_are_the_same_running_text(shots, question, delimiter, separator):
    rows = [{"id": str(k), "q": asked, "target": answered} for k, (asked, answered) in enumerate(shots, 1)]
    rows.insert(0, {"id": "0", "q": f"{question}!", "target": "x"})
    fixed = {"choose": "fixed", "ids": [row["id"] for row in rows[1:]], "shots": len(shots), "delimiter": delimiter, "separator": separator}
    found = {plain_text(prompt_of(sums({"template": "{{ q }}", "shots_as": how} | fixed, data=rows))) for how in ("turns", "text")}
    assert len(found) == 1


@given(question=words, prefill=words, delimiter=delimiters)
@settings(deadline=None, max_examples=50)
def test_a_prefill_stands_where_the_answer_begins(question, prefill, delimiter):
    prompt = Prompt((Message("user", question),), prefill, delimiter=delimiter)
    assert plain_text(prompt) == (question + delimiter + prefill, delimiter)


@pytest.mark.parametrize("ending", [" ", "\n", "\t", ": "])
def test_no_delimiter_after_white_space(ending):
    assert plain_text(Prompt((Message("user", f"q{ending}"),))) == (f"q{ending}", "")
    shots = (Message("user", f"p{ending}"), Message("assistant", "a"), Message("user", "q"))
    assert plain_text(Prompt(shots)) == (f"p{ending}a\n\nq", " ")


def test_the_empty_context_has_no_delimiter():
    assert plain_text(Prompt()) == ("", "")


def test_columns_named_as_proctors_own_names_are_shown_where_there_are_no_choices():
    task = Task(
        task="t",
        data=[{"options": "x or y", "choices": [1, 2], "target": "x"}],
        prompt="{{ options }} / {{ choices }}",
        scoring="exact_match",
    )
    assert task.request(task.items[0]).prompt.messages[-1].content == "x or y / [1, 2]"


def test_the_choices_of_an_item_without_any_are_missed_in_so_many_words():
    with pytest.raises(TaskError, match=r"'options' is not a column of the data, and the item has no choices: set item.choices"):
        Task(task="t", data=[{"target": "x"}], prompt="{{ options }}", scoring="exact_match")


def test_a_column_that_means_something_else_than_proctors_own_name_is_refused():
    keys = {"task": "t", "prompt": "{{ options }}", "response": "choice"}
    with pytest.raises(TaskError, match="'options' is a column of the data and also Proctor's name for the item's lettered choices"):
        Task(data=[{"options": ["x", "y"], "target": "x"}], item={"choices": "options"}, **keys)
    task = Task(data=[{"choices": ["x", "y"], "target": "x"}], item={"choices": "choices"}, **keys)
    assert task.request(task.items[0]).prompts[0].messages[-1].content == "A. x\nB. y"

"""Other formats of a prompt keep its words and its Jinja parts."""

import re
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.tasks.spec import PromptSpec
from proctor.tasks.variants.formats import OPTIONS, other_format

TEMPLATES = st.sampled_from(
    [
        "Question: {{ q }}\nAnswer:",
        "{{ passage }}\n\nQuestion: {{ q }}\n\n{{ options }}\n\nThe Answer:",
        "{{ q }} =",
        "{% for one in choices %}{{ one }}: x\n{% endfor %}\n\nPick one.",
        "Text: {{ q }}\nThat was the text: read it.",
    ]
)


def words(text):
    return re.findall(r"\w+", re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", text).casefold())


@given(template=TEMPLATES, seed=st.integers(0, 200))
@settings(deadline=None)
def test_words_and_jinja_stay_and_something_changes(template, seed):
    prompt = PromptSpec(template=template)
    changed = other_format(prompt, Random(seed))
    after = changed.get("template", template)
    assert changed
    assert set(changed) <= {"template", "option"}
    assert re.findall(r"\{\{.*?\}\}|\{%.*?%\}", after) == re.findall(r"\{\{.*?\}\}|\{%.*?%\}", template)
    assert words(after)[-len(words(template)) or len(words(after)) :] == words(template)
    assert len(words(after)) - len(words(template)) in (0, 1)  # at most a head such as "Question"
    assert changed.get("option", OPTIONS[1]) in OPTIONS
    assert other_format(prompt, Random(seed)) == changed


def test_a_colon_inside_a_sentence_is_no_separator():
    found = {
        other_format(PromptSpec(template="Text: {{ q }}\nThat was really all of the text: read it."), Random(s))["template"]
        for s in range(99)
    }
    assert all("text: read it." in one for one in found)
    assert {
        "TEXT - {{ q }}\nThat was really all of the text: read it.",
        "text:: {{ q }}\nThat was really all of the text: read it.",
    } <= found

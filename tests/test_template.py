"""Templates are filled in without Jinja where they are only text and names, and then give what Jinja gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from proctor.errors import TaskError
from proctor.template import Template

JINJA = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=False, autoescape=False)
text = st.text(st.sampled_from("ab%{}# \n-s(ß🦉"), max_size=8)
value = st.none() | st.booleans() | st.integers() | st.floats() | text | st.lists(st.integers() | text, max_size=3)
parts = st.lists(
    text.map(lambda one: one.replace("{", "(").replace("}", ")"))
    | st.sampled_from(
        [
            "{{ a }}",
            "{{b}}",
            "{{- a }}",
            "{{ b -}}",
            "{# no #}",
            "{{ a | upper }}",
            "{% if b %}{{ a }}{% endif %}",
            "{{ 1 + 1 }}",
            "{{ range(2) | list }}",
        ]
    ),
    max_size=6,
)


@given(source=parts.map("".join), a=value, b=value)
def test_what_jinja_gives(source, a, b):
    values = {"a": a, "b": b}
    assert Template(source, "t").render(values) == JINJA.from_string(source).render(values)


@pytest.mark.parametrize("source", ["{{ a }} {{ gone }}", "{{ gone | upper }}", "{{ gone }}"])
def test_a_missing_column_is_said(source):
    with pytest.raises(TaskError, match="t: the template fails on an item: UndefinedError: 'gone' is undefined"):
        Template(source, "t").render({"a": 1})


def test_a_column_may_have_the_name_of_a_jinja_global():
    assert Template("{{ range }}", "t").render({"range": "0 to 9"}) == "0 to 9"
    assert Template("{{ range | upper }}", "t").render({"range": "x"}) == "X"
    assert Template("{{ range(3) | join }}", "t").render({"a": 1}) == "012"

"""The documentation against the code: every file it shows is read, every link leads somewhere, nothing the code has is left out."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import msgspec
import pytest

import proctor.analysis
from proctor.analysis.aggregate import COMPOSITES
from proctor.analysis.confidence import Statistic
from proctor.cli.main import VERBS, cli
from proctor.errors import MissingExtra
from proctor.models.open import MODEL_FORMS
from proctor.results.columns import schema
from proctor.results.manifest import Manifest, MetricResult, Provenance, SourceFile, TaskResult
from proctor.scoring.constraints import KINDS
from proctor.scoring.extract import WAYS
from proctor.scoring.registry import SCORERS, scorer_class, scorer_names
from proctor.tasks import spec
from proctor.tasks.load import load_suite
from proctor.tasks.strict_yaml import plain, read_nodes
from proctor.tasks.yaml_file import read_task_file, read_yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(language: str) -> list[tuple[str, str]]:
    """(page, text) of every block of a language."""
    return [(name_of(page), body) for page in PAGES for kind, body in BLOCK.findall(page.read_text("utf-8")) if kind == language]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    text = BLOCK.sub("", page.read_text("utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def in_code(page: str) -> str:
    """Whatever a reference page sets in code, a name between spaces."""
    text = (REFERENCE / page).read_text("utf-8")
    return " ".join(f" {part} " for part in re.findall(r"`([^`\n]+)`", text))


def keys(struct: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(struct)]


def test_there_are_pages_and_task_files_to_check() -> None:
    assert len(PAGES) > 20
    assert sum("\ndata:" in body for _, body in blocks("yaml")) >= 10


@pytest.mark.parametrize(("page", "body"), blocks("yaml"))
def test_a_yaml_file_shown_is_read_by_the_strict_reader(page: str, body: str, tmp_path: Path) -> None:
    path = tmp_path / "shown.yaml"
    path.write_text(body, "utf-8")
    value = plain(read_nodes(path))
    assert isinstance(value, dict), page
    if "task" in value and "data" in value:
        assert read_task_file(path).name == value["task"]
    elif "suite" in value:
        assert read_yaml(path, spec.SuiteSpec, "suite").suite == value["suite"]


@pytest.mark.parametrize(("page", "body"), [pair for pair in blocks("yaml") if re.search(r"^data:$", pair[1], re.MULTILINE)])
def test_a_task_shown_with_its_rows_can_be_asked(page: str, body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for its_page, code in blocks("python"):
        if its_page == page and re.match(r"def \w+\(answer, item\)", code):
            (tmp_path / "my_scorer.py").write_text(code, "utf-8")
            monkeypatch.syspath_prepend(tmp_path)
        if its_page == page and re.match(r"def \w+\(item, answers\)", code):  # what a user says, beside the task file
            (tmp_path / "user.py").write_text(code, "utf-8")
    path = tmp_path / "shown.yaml"
    path.write_text(body, "utf-8")
    try:
        tasks = load_suite(path).tasks
    except MissingExtra as missing:
        pytest.skip(str(missing))
    assert all(task.request(item) for task in tasks for item in task.items)


@pytest.mark.parametrize(("page", "body"), blocks("python"))
def test_python_shown_compiles(page: str, body: str) -> None:
    compile(body, page, "exec")


@pytest.mark.parametrize(("page", "body"), blocks("json"))
def test_json_shown_is_json_lines(page: str, body: str) -> None:
    assert all(isinstance(msgspec.json.decode(line), dict) for line in body.splitlines())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(BLOCK.sub("", page.read_text("utf-8"))):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{name_of(page)}: {target}"
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found), f"{name_of(page)}: {target}"


def test_every_page_is_reached_from_the_index() -> None:
    index = DOCS / "index.md"
    linked = {(DOCS / target.partition("#")[0]).resolve() for target in LINK.findall(index.read_text("utf-8")) if "://" not in target}
    folders = ("how-to", "reference", "explanation")
    assert {page for folder in folders for page in (DOCS / folder).glob("*.md")} | {DOCS / "tutorial.md"} <= linked


@pytest.mark.parametrize(
    ("struct", "page"),
    [
        *(
            (one, "task-format.md")
            for one in (
                spec.TaskSpec,
                spec.DataSpec,
                spec.ItemSpec,
                spec.PromptSpec,
                spec.ResponseSpec,
                spec.ScoringSpec,
                spec.VariantSpec,
                spec.ConfidenceSpec,
            )
        ),
        (spec.SuiteSpec, "suite-format.md"),
        (spec.SuiteEntry, "suite-format.md"),
    ],
)
def test_every_key_of_a_file_has_a_row_with_its_default(struct: type[msgspec.Struct], page: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|", (REFERENCE / page).read_text("utf-8"), re.MULTILINE)
    for field in msgspec.structs.fields(struct):
        defaults = [default for key, default in rows if key == field.encode_name]
        assert defaults, f"{page} has no row for '{field.encode_name}' of {struct.__name__}"
        if field.required:
            assert "required" in defaults, f"{page}: '{field.encode_name}' is required"
        elif isinstance(field.default, int | float) and not isinstance(field.default, bool):
            assert any(f"{field.default:g}" in default for default in defaults), (
                f"{page}: '{field.encode_name}' defaults to {field.default}"
            )


def test_every_struct_of_the_format_is_checked() -> None:
    structs = {one.__name__ for one in vars(spec).values() if isinstance(one, type) and issubclass(one, msgspec.Struct)}
    checked = {
        "TaskSpec",
        "DataSpec",
        "ItemSpec",
        "PromptSpec",
        "ResponseSpec",
        "ScoringSpec",
        "SuiteSpec",
        "SuiteEntry",
        "VariantSpec",
        "ConfidenceSpec",
    }
    assert structs - {"Struct", "_Spec"} == checked


def test_the_columns_of_attempts_are_those_documented_in_order() -> None:
    text = (REFERENCE / "attempts.md").read_text("utf-8")
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == list(schema())


@pytest.mark.parametrize("struct", [Manifest, TaskResult, MetricResult, Provenance, SourceFile])
def test_every_field_of_the_manifest_is_documented(struct: type[msgspec.Struct]) -> None:
    said = in_code("run-folder.md")
    assert [key for key in keys(struct) if f" {key} " not in said] == []


def test_every_scorer_is_documented_with_its_options() -> None:
    text = (REFERENCE / "scorers.md").read_text("utf-8")
    said = in_code("scorers.md")
    for name in scorer_names():
        assert f"| `{name}` |" in text, name
        if name not in SCORERS:
            continue
        parameters = inspect.signature(scorer_class(name, "docs").__init__).parameters.values()
        options = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
        assert [option for option in options if f" {option} " not in said] == [], name


def test_every_kind_of_constraint_and_way_to_extract_is_documented() -> None:
    constraints, ways = in_code("scorers.md"), in_code("extraction.md")
    assert [kind for kind in KINDS if f" {kind} " not in constraints] == []
    assert [way for way in WAYS if f" {way} " not in ways] == []


def test_every_form_of_model_is_documented() -> None:
    said = in_code("models.md")
    for form, _, example in MODEL_FORMS:
        assert f" {form} " in said
        assert f" {example} " in said


def test_every_verb_and_option_is_documented() -> None:
    text = (REFERENCE / "command-line.md").read_text("utf-8")
    context = click.Context(cli)
    for verb in VERBS:
        section = re.search(rf"^## `proctor {verb}\b.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        assert section, verb
        command = cli.get_command(context, verb)
        assert command is not None
        for parameter in command.params:
            for option in (*parameter.opts, *parameter.secondary_opts) if isinstance(parameter, click.Option) else ():
                assert f"`{option}`" in section[0] or f"`{option} " in section[0], f"{verb} {option}"


def test_every_command_shown_names_a_verb_and_options_that_exist() -> None:
    context = click.Context(cli)
    shown = [(page, line) for page, body in blocks("console") for line in body.splitlines() if re.match(r"\$ .*\bproctor [a-z]", line)]
    assert shown
    for page, line in shown:
        verb, _, rest = re.search(r"\bproctor (.*)$", line)[1].partition(" ")  # type: ignore[index]
        command = cli.get_command(context, verb)
        assert command is not None, f"{page}: {line}"
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest)) <= known, f"{page}: {line}"


def test_every_public_name_is_in_the_python_reference() -> None:
    import proctor

    said = (REFERENCE / "python-api.md").read_text("utf-8")
    assert [name for name in proctor.__all__ if not re.search(rf"`{name}\b", said)] == []


def analysis_names() -> Iterator[tuple[str, str, object]]:
    """(module, name, object) of every function, statistic and class of `proctor.analysis`."""
    for path in sorted(Path(proctor.analysis.__file__).parent.glob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                yield path.stem, node.name, getattr(import_module(f"proctor.analysis.{path.stem}"), node.name)


def as_shown(name: str, thing: object) -> str:
    """A call of a function with its defaults, or a struct with its fields."""
    if isinstance(thing, type):
        if issubclass(thing, msgspec.Struct):
            fields: tuple[str, ...] = thing.__struct_fields__
        elif dataclasses.is_dataclass(thing):
            fields = tuple(field.name for field in dataclasses.fields(thing))
        else:
            fields = tuple(inspect.signature(thing).parameters)
        return f"{name}({', '.join(fields)})"
    if isinstance(thing, Statistic):  # called with what its tally is made of
        given = [inspect.Parameter(one, inspect.Parameter.POSITIONAL_OR_KEYWORD) for one in ("confidence", "correct")]
        parameters = [*given, *list(inspect.signature(thing.of_tally).parameters.values())[1:]]
    else:
        assert callable(thing)
        parameters = list(inspect.signature(thing).parameters.values())
    return name + str(inspect.Signature([one.replace(annotation=inspect.Parameter.empty) for one in parameters]))


def test_every_name_of_the_analysis_is_in_its_reference_as_it_is_called() -> None:
    said = in_code("statistics.md")
    names = list(analysis_names())
    assert len(names) > 150
    assert [shown for _, name, thing in names if f" {(shown := as_shown(name, thing))} " not in said] == []
    assert [module for module in {module for module, _, _ in names} if f" {module} " not in said] == []
    assert [name for name in COMPOSITES if f" {name} " not in said] == []


def test_the_reference_of_the_analysis_names_nothing_that_is_not_there() -> None:
    there = {as_shown(name, thing) for _, name, thing in analysis_names()}
    rows = re.findall(r"^\| (.*?) \|", (REFERENCE / "statistics.md").read_text("utf-8"), re.MULTILINE)
    calls = [call for row in rows for call in re.findall(r"`(\w+\(.*?\))`", row)]
    assert len(calls) > 100
    assert [call for call in calls if call not in there] == []


@pytest.mark.parametrize("page", sorted({page for page, _ in blocks("pycon")}))
def test_examples_print_what_is_shown(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "\n".join(body for its_page, body in blocks("pycon") if its_page == page)
    example = doctest.DocTestParser().get_doctest(text, {}, page, page, 0)
    assert len(example.examples) >= 2
    said: list[str] = []
    doctest.DocTestRunner().run(example, out=said.append)
    assert not said, "".join(said)

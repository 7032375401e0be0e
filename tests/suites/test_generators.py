"""Every generated answer is worked out a second time, by another method, from the text of the question alone."""

import contextlib
import io
import itertools
import json
import os
import re
import subprocess
import sys
from collections import Counter
from datetime import date
from fractions import Fraction

import pytest

from proctor.canonical import content_hash
from proctor.suites import generators

SIZES = {"arithmetic": 40, "code_output": 24, "dates": 30, "grammar": 40, "logic": 36, "needle": 9, "units": 30, "word_problems": 24}
SEEDS = (1, 2, 3)  # 1 is what the suite uses

# What seed 1 gives. A change here changes scores: raise the version of the task.
HASHES = {
    "arithmetic": "964389169b75",
    "code_output": "e8f2de2d134f",
    "dates": "6b8788c187f2",
    "grammar": "37f91a1ecb16",
    "logic": "84a155461530",
    "needle": "ff7adcf3dc17",
    "units": "0b9a5edeac4e",
    "word_problems": "2e6df3215b31",
}


def rows(name, seed=1):
    return list(getattr(generators, name)(seed=seed, size=SIZES[name]))


def test_every_generator_is_tested():
    with_objects = {"pictures", "price_lists", "tones"}  # tested in tests/models/test_media_runs.py
    assert sorted(SIZES) == sorted(set(generators.__all__) - with_objects)


@pytest.mark.parametrize("name", SIZES)
def test_rows_of_the_suite_have_not_changed(name):
    assert content_hash(rows(name), 12) == HASHES[name]


def test_rows_are_the_same_in_every_process():
    script = (
        "import json, sys; from proctor.suites import generators as g; from proctor.canonical import content_hash; "
        "print(json.dumps({n: content_hash(list(getattr(g, n)(seed=5, size=k)), 16) for n, k in json.loads(sys.argv[1]).items()}))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", script, json.dumps(SIZES)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    here = {name: content_hash(list(getattr(generators, name)(seed=5, size=size)), 16) for name, size in SIZES.items()}
    assert [json.loads(text) for text in printed] == [here]


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("seed", SEEDS)
def test_size_ids_and_no_repetition(name, seed):
    made = rows(name, seed)
    assert len(made) == SIZES[name]
    assert len({row["id"] for row in made}) == len(made)
    shown = [json.dumps({key: value for key, value in row.items() if key not in ("id", "answer")}, sort_keys=True) for row in made]
    assert len(set(shown)) == len(made)
    assert rows(name, seed) == made
    assert rows(name, seed + 100) != made


@pytest.mark.parametrize("name", ["dates", "grammar", "logic"])
@pytest.mark.parametrize("seed", SEEDS)
def test_answer_positions_are_balanced(name, seed):
    for choices in {len(row["choices"]) for row in rows(name, seed)}:
        counts = Counter(row["answer"] for row in rows(name, seed) if len(row["choices"]) == choices)
        tallies = [counts[position] for position in range(choices)]
        assert max(tallies) - min(tallies) <= 1, tallies


@pytest.mark.parametrize("seed", SEEDS)
def test_arithmetic_by_eval(seed):
    for row in rows("arithmetic", seed):
        expression = row["question"].removeprefix("What is ").removesuffix("?")
        assert eval(expression.replace("×", "*").replace("÷", "/")) == row["answer"], row
    kinds = Counter((row["kind"], row["level"]) for row in rows("arithmetic", seed))
    assert set(kinds.values()) == {2}
    assert len(kinds) == 20


STORIES = {
    "change": lambda n, p, note: note - n * p,
    "shares": lambda a, b, k: Fraction(a + b, k),
    "pages": lambda total, daily, days: total - daily * days,
    "journey": lambda h1, v1, h2, v2: h1 * v1 + h2 * v2,
    "fence": lambda a, b: a + b + a + b,
    "ages": lambda gap, years, then: then - years + gap,
    "eggs": lambda daily, box, days: Fraction(daily * days, box),
    "sale": lambda price, percent: price * (1 - Fraction(percent, 100)),
    "apples": lambda few, times, fewer: few + 2 * few * times - fewer,
    "lessons": lambda n, minutes, pause: n * (minutes + pause) - pause,
    "tank": lambda litres, out, in_: Fraction(litres, out - in_),
    "savings": lambda wage, hours, days, spent, weeks: weeks * (wage * hours * days) - weeks * spent,
}


@pytest.mark.parametrize("seed", SEEDS)
def test_word_problems_from_the_numbers_in_the_text(seed):
    for row in rows("word_problems", seed):
        numbers = [int(number) for number in re.findall(r"\d+", row["question"])]
        assert STORIES[row["kind"]](*numbers) == row["answer"], row
        assert row["answer"] > 0, row
    assert set(Counter(row["kind"] for row in rows("word_problems", seed)).values()) == {2}


PER_UNIT = {  # in the smallest unit of its kind
    "millimetres": 1, "centimetres": 10, "metres": 1000, "kilometres": 1_000_000,
    "grams": 1, "kilograms": 1000, "tonnes": 1_000_000, "millilitres": 1, "litres": 1000,
    "seconds": 1, "minutes": 60, "hours": 3600, "days": 86400, "weeks": 604800,
    "months": 1, "years": 12, "inches": 1, "feet": 12, "yards": 36,
    "square centimetres": 1, "square metres": 10_000, "hectares": 100_000_000,
}  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_units_through_the_smallest_unit(seed):
    pairs = set()
    for row in rows("units", seed):
        amount, source, unit = re.fullmatch(r"Convert ([\d.]+) (.+) to (.+)\.", row["question"]).groups()
        assert Fraction(amount) * PER_UNIT[source] / PER_UNIT[unit] == Fraction(row["answer"]), row
        assert row["unit"] == unit
        pairs.add((source, unit))
    assert len(pairs) == 30


WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]


def julian_day(text):
    """Julian day number of a Gregorian date, by the formula of Fliegel and Van Flandern (1968)."""
    day, month, year = text.split()
    d, m, y = int(day), MONTHS.index(month) + 1, int(year)
    a = (14 - m) // 12
    y, m = y + 4800 - a, m + 12 * a - 3
    return d + (153 * m + 2) // 5 + 365 * y + y // 4 - y // 100 + y // 400 - 32045


def has_29_february(year):
    with contextlib.suppress(ValueError):
        return bool(date(year, 2, 29))
    return False


@pytest.mark.parametrize("seed", SEEDS)
def test_dates_by_the_calendar(seed):
    for row in rows("dates", seed):
        if row["kind"] == "weekday":
            today, ahead = re.fullmatch(r"Today is (\w+)\. Which day of the week is it in (\d+) days\?", row["question"]).groups()
            monday = date(2024, 1, 1)
            then = date.fromordinal(monday.toordinal() + WEEKDAYS.index(today) + int(ahead))
            right = [then.strftime("%A")]
        elif row["kind"] == "days-between":
            first, last = re.fullmatch(r"How many days after (.+) is (.+)\?", row["question"]).groups()
            right = [str(julian_day(last) - julian_day(first))]
        else:
            right = [year for year in row["choices"] if has_29_february(int(year))]
        assert right == [row["choices"][row["answer"]]], row
        assert len(set(row["choices"])) == 4


def order_of(clues):
    """Every order of the people named, from the most to the least, that the clues allow."""
    pairs = []
    for first, comparative, second in re.findall(r"(\w+) is (\w+) than (\w+)\.", clues):
        up = comparative in ("taller", "older", "faster", "richer")
        pairs.append((first, second) if up else (second, first))
    people = sorted({name for pair in pairs for name in pair})
    return [order for order in itertools.permutations(people) if all(order.index(a) < order.index(b) for a, b in pairs)]


def holds(sentence, world):
    """Whether an `all`, `no`, `some` or `some … not` sentence is true of a world: the set of kinds of things that exist in it."""
    quantifier, subject, negation, predicate = re.fullmatch(r"(All|No|Some|all|no|some) (\w+) are( not)? (\w+)", sentence).groups()
    both, only = any({subject, predicate} <= thing for thing in world), any(subject in thing and predicate not in thing for thing in world)
    match quantifier.lower():
        case "all":
            return not only
        case "no":
            return not both
    return only if negation else both


@pytest.mark.parametrize("seed", SEEDS)
def test_syllogisms_over_every_world(seed):
    for row in rows("logic", seed):
        if row["kind"] != "syllogism":
            continue
        first, second, conclusion = re.fullmatch(r"(.+)\. (.+)\. Does it follow that (.+)\?", row["question"]).groups()
        terms = sorted(set(re.findall(r"\w+", f"{first} {second}")) - {"All", "No", "Some", "are", "not"})
        assert len(terms) == 3
        things = [frozenset(kind) for size in (1, 2, 3) for kind in itertools.combinations(terms, size)]
        worlds = [set(world) for size in range(len(things) + 1) for world in itertools.combinations(things, size)]
        for peopled in (False, True):  # whether every term must apply to something makes no difference to any item
            possible = [w for w in worlds if not peopled or all(any(term in thing for thing in w) for term in terms)]
            follows = all(holds(conclusion, world) for world in possible if holds(first, world) and holds(second, world))
            assert row["choices"][row["answer"]] == ("Yes" if follows else "No"), row


@pytest.mark.parametrize("seed", SEEDS)
def test_orderings_by_trying_every_order(seed):
    for row in rows("logic", seed):
        if row["kind"] != "ordering":
            continue
        (order,) = order_of(row["question"])
        second, superlative = re.search(r"Who is the (second )?(\w+) of the four\?", row["question"]).groups()
        rank = 1 if second else 0
        if superlative in ("shortest", "youngest", "slowest", "poorest"):
            rank = 3 - rank
        assert row["choices"][row["answer"]] == order[rank], row


@pytest.mark.parametrize("seed", SEEDS)
def test_truth_of_statements(seed):
    for row in rows("logic", seed):
        if row["kind"] != "truth":
            continue
        facts, statement = re.fullmatch(r"(.+) Is this statement true or false\? “(.+)\.”", row["question"]).groups()
        known = dict(re.findall(r"(The \w+) is (\w+)\.", facts))
        known = {thing.lower(): state for thing, state in known.items()}
        # Each clause becomes True or False, and Python reads the rest.
        text = statement[0].lower() + statement[1:]
        for thing, negation, state in re.findall(r"(the \w+) is( not)? (\w+)", text):
            text = text.replace(f"{thing} is{negation} {state}", str((known[thing] == state) != bool(negation)))
        text = re.sub(r"^if (\w+), then (\w+)$", r"(not \1) or \2", text).replace(",", "")
        assert row["choices"][row["answer"]] == str(eval(text)), (row, text)


@pytest.mark.parametrize("seed", SEEDS)
def test_programs_print_their_answer(seed):
    for row in rows("code_output", seed):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(row["code"], {})
        assert out.getvalue() == f"{row['answer']}\n", row


@pytest.mark.parametrize("seed", SEEDS)
def test_needles_stand_where_they_say(seed):
    for row in rows("needle", seed):
        assert row["text"].count(row["answer"]) == 1
        assert re.findall(r"\d+", row["text"]) == [row["answer"]]
        thing = re.fullmatch(r"What is the code of (.+)\?", row["question"])[1]
        before, _ = row["text"].split(f"The code of {thing} is {row['answer']}.")
        assert len(before.split()) / row["words"] == pytest.approx(row["depth"], abs=15 / row["words"])  # a sentence
        assert row["words"] <= len(row["text"].split()) <= row["words"] + 30


SINGULAR = {"is", "sings", "works", "waits", "sleeps", "laughs", "this", "that"}
PLURAL = {"are", "sing", "work", "wait", "sleep", "laugh", "these", "those"}


def number(word):
    return "singular" if word in SINGULAR else "plural" if word in PLURAL else None


def noun_number(noun):
    return "plural" if noun.endswith("s") else "singular"


def grammatical(kind, sentence):
    """A rule of its own for each phenomenon, over the words of one sentence."""
    words = sentence.rstrip(".").split()
    match kind:
        case "agreement":
            return number(words[2]) == noun_number(words[1])
        case "attraction":
            return number(words[5]) == noun_number(words[1])
        case "determiner":
            return number(words[2]) == noun_number(words[3])
        case "reflexive":
            return words[2] == ("herself" if words[0] in {"Anna", "Maria", "Laura", "Susan", "Julia"} else "himself")
        case "participle":
            return words[2] in {"written", "eaten", "broken", "taken", "drawn", "sung", "chosen", "forgotten"}
        case "polarity":
            return words[0] == "No"
        case "pronoun":
            return words[3] in {"her", "him", "them", "us"}
        case "embedded":
            return words[-1] in SINGULAR
    raise AssertionError(kind)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_sentence_of_each_pair_is_grammatical(seed):
    for row in rows("grammar", seed):
        judged = [grammatical(row["kind"], sentence) for sentence in row["choices"]]
        assert judged == [position == row["answer"] for position in range(2)], row
        assert abs(len(row["choices"][0]) - len(row["choices"][1])) <= 4
    assert set(Counter(row["kind"] for row in rows("grammar", seed)).values()) == {5}

"""Items of the built-in tasks that are made from a seed.

A task file names one of these as `data: {python: "proctor.suites.generators:NAME", seed: 1, size: 40}`. Each is a pure function of
`seed` and `size`: it draws only from `random.Random(seed)`, so the same call gives the same rows in every process. Answer positions are
balanced by construction, not by luck.
"""

from proctor.suites.generators.calendar_dates import dates
from proctor.suites.generators.documents import price_lists
from proctor.suites.generators.numbers import arithmetic, units
from proctor.suites.generators.programs import code_output
from proctor.suites.generators.reasoning import logic
from proctor.suites.generators.retrieval import needle
from proctor.suites.generators.sentences import grammar
from proctor.suites.generators.shapes import pictures
from proctor.suites.generators.sounds import tones
from proctor.suites.generators.stories import word_problems

__all__ = ["arithmetic", "code_output", "dates", "grammar", "logic", "needle", "pictures", "price_lists", "tones", "units", "word_problems"]

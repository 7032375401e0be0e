"""Letters named to be ruled out, and choices left open, are no answers."""

import pytest

from proctor.scoring.letters import find_letter

CITIES = ["Paris", "London", "Rome", "Berlin"]


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("The correct answer is not (A).", None),
        ("It isn't option A.", None),
        ("Option A is incorrect.", None),
        ("(A) is wrong, so I choose (B)", "B"),
        ("I rule out (A), which isn't right; it must be option C", None),
        ("The answer is Paris or London", None),
        ("The answer is Paris, or so I believe.", "A"),
        ("The answer is **Rome**.", "C"),
        ("I would go with option D", "D"),
    ],
)
def test_what_is_denied_or_left_open(text, letter):
    assert find_letter(text, CITIES, 4).answer == letter

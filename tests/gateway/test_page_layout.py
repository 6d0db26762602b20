"""Nothing on the page lies on anything else, however wide it is and whatever models are called."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

WIDTHS = (360, 600, 768, 900, 1200, 1920)
LONG = "Qwen2.5-Coder-32B-Instruct-AWQ-with-a-very-long-suffix-that-goes-on-{}"
NAMES = {"short": "m{}", "long": LONG, "spaced": "a model of many words, number {}"}

DRAWN = Path(__file__).with_name("vote_drawn.js").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_no_part_of_a_vote_lies_on_another_or_sticks_out(
    mathematics: Any, width: int, scheme: str
) -> None:
    mathematics.set_viewport_size({"width": width, "height": 900})
    mathematics.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # no part moves
    faults = {}
    for kind, name in NAMES.items():
        for models in (1, 3, 6):
            for k in (1, 3, 5, 9):
                for phase in ("voting", "decided"):
                    names = [name.format(number) for number in range(models)]
                    drawn = mathematics.evaluate(DRAWN, {"names": names, "k": k, "phase": phase})
                    if drawn:
                        faults[kind, models, k, phase] = drawn[:3]
    assert faults == {}

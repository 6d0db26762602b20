import asyncio
import time

import pytest

from slmmux.answers import read, read_async
from slmmux.answers.canonical import _memory, canonical_key
from slmmux.errors import QuestionError
from slmmux.types import Answer

SLOW = "(a+b+c+d+p)^{12}(f+g+h+k+m)^{12}"


def test_reading_gives_the_text_as_written_and_the_key_of_its_class() -> None:
    assert read(r"So it is \boxed{\frac{2}{4}}.", "math") == Answer(r"\frac{2}{4}", "1/2")


def test_an_unreadable_reply_gives_none() -> None:
    assert read("I do not know.", "number") is None


async def test_reading_without_blocking_gives_the_same() -> None:
    for reply in ("The answer is 42.", r"\boxed{\sqrt{12}}", "no"):
        assert await read_async(reply, "math") == read(reply, "math")


async def test_a_slow_expression_does_not_block_the_event_loop() -> None:
    canonical_key("x+x", "math")
    canonical_key.cache_clear()
    _memory.forget()
    slow = asyncio.create_task(read_async(rf"\boxed{{{SLOW}}}", "math"))
    longest = 0.0
    while not slow.done():
        start = time.monotonic()
        await asyncio.sleep(0.01)
        longest = max(longest, time.monotonic() - start)
    assert (await slow) == Answer(SLOW, f"raw:{SLOW}")
    assert longest < 1.0


async def test_kind_auto_must_be_resolved_first() -> None:
    with pytest.raises(QuestionError):
        await read_async("42", "auto")


def test_a_short_reply_costs_microseconds() -> None:
    replies = [f"The answer is {number}." for number in range(200)] * 10
    start = time.process_time()
    for reply in replies:
        read(reply, "math")
    assert (time.process_time() - start) / len(replies) < 100e-6  # measured: below 10e-6

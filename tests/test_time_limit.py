"""One limit for many calls at once."""

import asyncio

import pytest

from slmmux.time_limit import TimeLimit


async def _sleep(limit: TimeLimit, seconds: float) -> str:
    with limit.call():
        await asyncio.sleep(seconds)
    return "done"


async def test_a_call_that_takes_longer_than_the_limit_ends_as_a_timeout() -> None:
    limit = TimeLimit(0.05)
    began = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError):
        await _sleep(limit, 30)
    assert 0.04 < asyncio.get_running_loop().time() - began < 5
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_each_call_has_all_of_the_time_whenever_it_began() -> None:
    limit = TimeLimit(0.2)
    calls = []
    for seconds in (30, 0.1, 30, 0.01, 0.1):
        calls.append(asyncio.create_task(_sleep(limit, seconds)))
        await asyncio.sleep(0.05)
    ended = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(end) for end in ended] == [TimeoutError, str, TimeoutError, str, str]


async def test_a_later_call_is_ended_too_after_the_timer_found_nothing_to_end() -> None:
    limit = TimeLimit(0.05)
    assert await _sleep(limit, 0.001) == "done"
    await asyncio.sleep(0.1)
    with pytest.raises(TimeoutError):
        await _sleep(limit, 30)


async def test_whoever_cancels_the_task_gets_a_cancelled_task() -> None:
    limit = TimeLimit(30)
    task = asyncio.create_task(_sleep(limit, 30))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_beside_the_timeout_is_not_lost() -> None:
    limit = TimeLimit(0.05)

    async def busy() -> None:
        with limit.call():
            try:
                await asyncio.sleep(30)
            finally:  # the timeout has come; now somebody else cancels as well
                asyncio.current_task().cancel()  # type: ignore[union-attr]

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(busy())


async def test_another_error_in_time_is_itself() -> None:
    limit = TimeLimit(30)
    with pytest.raises(ValueError, match="mine"), limit.call():
        raise ValueError("mine")

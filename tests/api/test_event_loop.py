"""Work that is done once per event-loop iteration: its result is never older than a request."""

from __future__ import annotations

import asyncio
from threading import Thread

from api.http.event_loop import once_per_iteration


def test_requests_of_one_iteration_share_one_look() -> None:
    async def looks() -> list[int]:
        numbers = iter(range(10))
        look = once_per_iteration(lambda: next(numbers))
        seen = [look(), look()]
        await asyncio.sleep(0)
        return [*seen, look(), look()]

    assert asyncio.run(looks()) == [0, 0, 1, 1]


def test_a_request_that_arrives_after_the_look_gets_another() -> None:
    """It arrives from a thread of the server, while another request is being answered."""

    async def looks() -> list[str]:
        loop, state = asyncio.get_running_loop(), ["old"]
        look, seen, answered = once_per_iteration(lambda: state[0]), [], asyncio.Event()

        def first() -> None:
            seen.append(look())
            state[0] = "new"
            thread = Thread(target=loop.call_soon_threadsafe, args=[second])
            thread.start()
            thread.join()
            seen.append(look())

        def second() -> None:
            seen.append(look())
            answered.set()

        loop.call_soon(first)
        await answered.wait()
        return seen

    assert asyncio.run(looks()) == ["old", "old", "new"]


def test_a_look_that_fails_is_repeated() -> None:
    async def looks() -> list[object]:
        outcomes = iter([OSError("gone"), "there"])

        def look() -> object:
            outcome = next(outcomes)
            if isinstance(outcome, OSError):
                raise outcome
            return outcome

        seen: list[object] = []
        of_iteration = once_per_iteration(look)
        for _ in range(3):
            try:
                seen.append(of_iteration())
            except OSError as error:
                seen.append(str(error))
        return seen

    assert asyncio.run(looks()) == ["gone", "there", "there"]

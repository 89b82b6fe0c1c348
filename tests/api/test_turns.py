"""What is done once in a turn of the event loop: no look is older than a call, no line is lost."""

from __future__ import annotations

import asyncio
import io
from threading import Thread

from api.turns import OnceATurn, once_a_turn
from pipeline import logs


def test_whoever_is_answered_in_one_turn_goes_by_one_look() -> None:
    async def looks() -> list[int]:
        numbers = iter(range(10))
        look = once_a_turn(lambda: next(numbers))
        seen = [look(), look()]
        await asyncio.sleep(0)
        return [*seen, look(), look()]

    assert asyncio.run(looks()) == [0, 0, 1, 1]


def test_a_call_that_comes_in_after_the_look_goes_by_another() -> None:
    """It comes from a thread of the server's, while another call is being answered."""

    async def looks() -> list[str]:
        loop, state = asyncio.get_running_loop(), ["old"]
        look, seen, answered = once_a_turn(lambda: state[0]), [], asyncio.Event()

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


def test_a_look_that_fails_is_taken_again() -> None:
    async def looks() -> list[object]:
        outcomes = iter([OSError("gone"), "there"])

        def look() -> object:
            outcome = next(outcomes)
            if isinstance(outcome, OSError):
                raise outcome
            return outcome

        seen: list[object] = []
        of_turn = once_a_turn(look)
        for _ in range(3):
            try:
                seen.append(of_turn())
            except OSError as error:
                seen.append(str(error))
        return seen

    assert asyncio.run(looks()) == ["gone", "there", "there"]


class Written(io.StringIO):
    """What was written, and how often."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def write(self, text: str) -> int:
        self.texts.append(text)
        return len(text)


def test_the_lines_of_a_turn_are_written_together_in_their_order() -> None:
    file = Written()

    async def log() -> None:
        logger = logs.to(OnceATurn(file), "text")
        for number in (1, 2):
            logger.info("request", number=number)
        assert file.texts == []
        await asyncio.sleep(0)
        logger.info("request", number=3)
        await asyncio.sleep(0)

    asyncio.run(log())
    turns = [[line.rpartition("=")[2] for line in text.splitlines()] for text in file.texts]
    assert turns == [["1", "2"], ["3"]]
    assert all(text.endswith("\n") for text in file.texts)

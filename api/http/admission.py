"""The seam between access and the reply: who calls, and why a request is refused, if it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from litestar.types import HTTPScope

from pipeline.errors import BufdirError
from pipeline.model.access import Caller


@dataclass(frozen=True, slots=True)
class Admission:
    """The caller of a request, and the reason why the request is refused."""

    caller: Caller
    refusal: BufdirError | None = None


Admit = Callable[[HTTPScope], Awaitable[Admission]]
"""Decides about a request by its head alone, before a byte of its body is read."""

RecordRefusal = Callable[[Caller, str, str], None]
"""Takes the caller, the method and the kind of problem of each request that was refused."""

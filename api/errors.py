"""The expected failures that only the API has, on the base of the pipeline's.

Owns no HTTP status: `api.http.problems` translates these and the pipeline's failures by one table.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Struct

from pipeline.errors import BufdirError


class FieldProblem(Struct, frozen=True):
    """One field of a request that is wrong, and why."""

    field: str
    problem: str


@dataclass(eq=False)
class MalformedBody(BufdirError):
    """A body that can't be parsed."""

    problem: str

    def __str__(self) -> str:
        return f"the body can't be read: {self.problem}; send one JSON object"


@dataclass(eq=False)
class UnsupportedMediaType(BufdirError):
    """A body that is labelled as something other than JSON."""

    header: str
    given: str
    expected: str

    def __str__(self) -> str:
        given = f"not {self.given}" if self.given else "which is missing"
        return f"the body must be {self.expected} in UTF-8 by its {self.header}, {given}; send JSON"


@dataclass(eq=False)
class BodyTimeout(BufdirError):
    """A body that did not arrive in time."""

    seconds: int

    def __str__(self) -> str:
        return f"the body did not arrive within {self.seconds} seconds; send it at once"


@dataclass(eq=False)
class InvalidRequest(BufdirError):
    """A request that was parsed and is wrong; names each field."""

    problems: tuple[FieldProblem, ...]

    def __str__(self) -> str:
        return "; ".join(f"{wrong.field}: {wrong.problem}" for wrong in self.problems)


@dataclass(eq=False)
class NotReady(BufdirError):
    """A server that can't read its catalog at the moment."""

    def __str__(self) -> str:
        return "the catalog can't be read; the log of the server describes why"


@dataclass(eq=False)
class RunCrashed(BufdirError):
    """A run that failed by a fault of the program, not by its inputs."""

    snapshot_id: str

    def __str__(self) -> str:
        return (
            f"the run of {self.snapshot_id} crashed by a fault of the program, which the log of "
            "the server describes; the published version is unchanged"
        )


@dataclass(eq=False)
class SnapshotBlocked(BufdirError):
    """A refresh of a snapshot whose numbers stay until somebody acts."""

    snapshot_id: str
    problem: str
    """The reason, and what ends the block."""

    def __str__(self) -> str:
        return (
            f"{self.snapshot_id} is blocked, and stays as it is: {self.problem}; "
            "force_refresh counts what is there all the same"
        )


@dataclass(eq=False)
class TokenNeeded(BufdirError):
    """A request without a token that needs one."""

    def __str__(self) -> str:
        return (
            "this needs a token; send one that bufdir token create has made, in the header "
            "Authorization: Bearer TOKEN"
        )


@dataclass(eq=False)
class TokenInvalid(BufdirError):
    """A token that was never made, has expired or is revoked."""

    def __str__(self) -> str:
        return "the token is unknown, revoked or over; send one that is valid, or none"


@dataclass(eq=False)
class NotLocal(BufdirError):
    """A request that is none of this computer, while its programs may write without a token."""

    problem: str

    def __str__(self) -> str:
        return (
            f"the request is refused because {self.problem}, and no token was made; make one with "
            "bufdir token create, and name a proxy in the settings proxy.trusted and proxy.prefix"
        )


@dataclass(eq=False)
class NotAllowed(BufdirError):
    """A request that its token has no right to."""

    problem: str

    def __str__(self) -> str:
        return f"{self.problem}; use another token"


@dataclass(eq=False)
class TooManyWrites(BufdirError):
    """A write beyond the most that one caller may ask for in a minute."""

    most: int
    seconds: int
    """The time after which the next write is accepted."""

    def __str__(self) -> str:
        return (
            f"one caller may write {self.most} times at once, and then {self.most} times a minute; "
            f"try again in {self.seconds} seconds"
        )

"""Exit codes, and the table that gives each expected failure its code and its type."""

from __future__ import annotations

import signal
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline import errors
from pipeline.terminal.confirmation import ConfirmationNeeded, Declined

if TYPE_CHECKING:
    from collections.abc import Mapping


class ExitCode(IntEnum):
    """The exit code of a command."""

    DONE = 0
    CRASHED = 1
    """A fault of the program, or a data folder that can't be read or written."""
    WRONG_USAGE = 2
    REFUSED_OR_FAILED = 3
    """Some input was refused, snapshots are blocked or a run failed; everything else was done."""
    LOCKED = 75
    """Another run holds the lock; the number is EX_TEMPFAIL of sysexits.h."""
    INTERRUPTED = 128 + signal.SIGINT


class Failure(NamedTuple):
    """The two names under which programs know a failure."""

    code: ExitCode
    type: str
    """The stable `type` of the error in JSON; it outlives a rewording and a renamed class."""


FAILURES: Final[Mapping[type[Exception], Failure]] = {
    errors.InvalidSetting: Failure(ExitCode.WRONG_USAGE, "invalid-setting"),
    errors.InvalidValue: Failure(ExitCode.WRONG_USAGE, "invalid-value"),
    errors.PeriodNotBegun: Failure(ExitCode.WRONG_USAGE, "period-not-begun"),
    errors.SnapshotNotFound: Failure(ExitCode.WRONG_USAGE, "snapshot-not-found"),
    errors.NotUndeletable: Failure(ExitCode.WRONG_USAGE, "not-undeletable"),
    errors.SnapshotExists: Failure(ExitCode.WRONG_USAGE, "snapshot-exists"),
    errors.CellMismatch: Failure(ExitCode.WRONG_USAGE, "cell-mismatch"),
    errors.OrganisationUnknown: Failure(ExitCode.WRONG_USAGE, "organisation-unknown"),
    errors.TooManyFailed: Failure(ExitCode.REFUSED_OR_FAILED, "too-many-failed"),
    errors.TooManyOpenRuns: Failure(ExitCode.REFUSED_OR_FAILED, "too-many-open-runs"),
    errors.ExportsMissing: Failure(ExitCode.WRONG_USAGE, "exports-missing"),
    errors.ExportsUnreadable: Failure(ExitCode.WRONG_USAGE, "exports-unreadable"),
    errors.PackageMissing: Failure(ExitCode.WRONG_USAGE, "package-missing"),
    errors.ExportsUnreachable: Failure(ExitCode.REFUSED_OR_FAILED, "exports-unreachable"),
    errors.SnapshotNotReady: Failure(ExitCode.REFUSED_OR_FAILED, "snapshot-not-ready"),
    errors.ExportRefused: Failure(ExitCode.REFUSED_OR_FAILED, "export-refused"),
    errors.NoProposal: Failure(ExitCode.REFUSED_OR_FAILED, "no-proposal"),
    errors.ExportsChanged: Failure(ExitCode.REFUSED_OR_FAILED, "exports-changed"),
    errors.EngineFailed: Failure(ExitCode.REFUSED_OR_FAILED, "engine-failed"),
    errors.ReadingDied: Failure(ExitCode.REFUSED_OR_FAILED, "reading-died"),
    errors.ProcessDied: Failure(ExitCode.CRASHED, "process-died"),
    errors.RunFailed: Failure(ExitCode.REFUSED_OR_FAILED, "run-failed"),
    errors.LedgerBroken: Failure(ExitCode.CRASHED, "ledger-broken"),
    errors.StoreDamaged: Failure(ExitCode.CRASHED, "store-damaged"),
    errors.StoreTooNew: Failure(ExitCode.CRASHED, "store-too-new"),
    errors.StoreUnusable: Failure(ExitCode.CRASHED, "store-unusable"),
    errors.Busy: Failure(ExitCode.LOCKED, "busy"),
    ConfirmationNeeded: Failure(ExitCode.WRONG_USAGE, "confirmation-needed"),
    Declined: Failure(ExitCode.WRONG_USAGE, "declined"),
    OSError: Failure(ExitCode.CRASHED, "system-error"),
}
"""Each expected failure, looked up by `pipeline.errors.lookup`: the nearest class counts."""

USAGE: Final = Failure(ExitCode.WRONG_USAGE, "usage")
CRASH: Final = Failure(ExitCode.CRASHED, "crash")
INTERRUPT: Final = Failure(ExitCode.INTERRUPTED, "interrupted")

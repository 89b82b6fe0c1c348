"""The caller of the command line: the user of this computer, who may do everything."""

from __future__ import annotations

import getpass
import os

from pipeline.model.access import Caller, Role


def local_user() -> str:
    """Name the user of this computer, as declarations and the audit log have it."""
    try:
        return f"local:{getpass.getuser()}"
    except (KeyError, OSError):  # a container may run as a number that is no user
        return f"local:{os.getuid()}"


def local_caller() -> Caller:
    """Give the caller of commands on this computer."""
    return Caller(local_user(), None, None, Role.ADMIN)

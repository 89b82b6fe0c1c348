"""The system calls of Linux with which one process traces others, and stops them at some calls.

Only x86-64: the numbers of system calls differ between machines.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
from dataclasses import dataclass
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.restype = ctypes.c_long
_LIBC.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)

WALL: Final = 0x4000_0000
"""The option of waitpid(2) to wait for threads too."""
_CONTINUE, _TO_EXIT, _SEIZE, _CALL = 7, 24, 0x4206, 0x420E
_OPTIONS: Final = 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x80 | 0x10_0000
"""Mark system calls; follow forks, threads and execs; stop at the filter; die with the tracer."""
EVENT_STOPPED_BY_FILTER: Final = 7
_GET_REGISTERS, _SET_REGISTERS = 12, 13
_RESULT, _THIRD_ARGUMENT, _NUMBER = 10, 12, 15
"""The places of the registers rax, rdx and orig_rax."""
_NO_CALL: Final = 2**64 - 1

_NO_NEW_PRIVILEGES, _SET_FILTER, _FILTER_MODE, _DIE_WITH_PARENT = 38, 22, 2, 1
_LOAD, _IF_EQUAL, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _STOP = 0x7FFF_0000, 0x7FF0_0000
_X86_64: Final = 0xC000_003E
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16
_PAGE: Final = 4096


def is_available() -> bool:
    """Return whether this machine's calls are known here."""
    return (platform.system(), platform.machine()) == ("Linux", "x86_64")


@dataclass(frozen=True, slots=True)
class Condition:
    """An argument of a system call of which some bits must be set for a stop."""

    argument: int
    bits: int


@dataclass(frozen=True, slots=True)
class RawCall:
    """A system call that begins, or has ended: number and arguments, or the result."""

    number: int
    arguments: tuple[int, ...]
    result: int


def die_with_parent() -> None:
    """Have this process killed when its parent dies."""
    _LIBC.prctl(_DIE_WITH_PARENT, ctypes.c_ulong(signal.SIGKILL))


def seize(pid: int) -> None:
    """Begin to trace a process, and all that it will start."""
    _ptrace(_SEIZE, pid, 0, _OPTIONS)


def resume(tid: int, delivered: int = 0, *, to_exit: bool = False) -> None:
    """Let a stopped thread run, with a signal: to the next stop, or to the end of its call."""
    _ptrace(_TO_EXIT if to_exit else _CONTINUE, tid, 0, delivered)


def call_of(tid: int) -> RawCall:
    """Read the system call at which a thread is stopped."""
    buffer = ctypes.create_string_buffer(88)
    _ptrace(_CALL, tid, len(buffer), ctypes.addressof(buffer))
    number, *arguments = struct.unpack_from("7Q", buffer, 24)
    (result,) = struct.unpack_from("q", buffer, 24)
    return RawCall(number, tuple(arguments), result)


def skip(tid: int, error: int) -> None:
    """Have the call at which a thread is stopped fail with an error, and do nothing."""
    _set_registers(tid, {_NUMBER: _NO_CALL, _RESULT: -error & _NO_CALL})


def halve(tid: int) -> None:
    """Have the write at which a thread is stopped write half of its bytes, and at least one."""
    length = call_of(tid).arguments[2]
    _set_registers(tid, {_THIRD_ARGUMENT: max(1, length // 2)})


def _set_registers(tid: int, changed: dict[int, int]) -> None:
    buffer = ctypes.create_string_buffer(8 * 27)
    _ptrace(_GET_REGISTERS, tid, 0, ctypes.addressof(buffer))
    for place, value in changed.items():
        struct.pack_into("Q", buffer, 8 * place, value)
    _ptrace(_SET_REGISTERS, tid, 0, ctypes.addressof(buffer))


def _ptrace(request: int, tid: int, address: int, value: int) -> None:
    if _LIBC.ptrace(request, tid, address, value) == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace request {request}: {os.strerror(number)}")


def read_memory(tid: int, address: int, length: int) -> bytes:
    """Read the memory of a stopped thread."""
    descriptor = os.open(f"/proc/{tid}/mem", os.O_RDONLY)
    try:
        return os.pread(descriptor, length, address)
    finally:
        os.close(descriptor)


def read_text(tid: int, address: int) -> str:
    """Read a text that ends with a zero, page by page, as the next page may not exist."""
    found = b""
    while b"\0" not in found:
        found += read_memory(tid, address + len(found), _PAGE - (address + len(found)) % _PAGE)
    return os.fsdecode(found.partition(b"\0")[0])


def stop_at(calls: dict[int, Condition | None]) -> None:
    """Have this process, and all that it will start, stopped at these system calls."""
    program = [(_LOAD, 0, 0, _MACHINE_AT), (_IF_EQUAL, 1, 0, _X86_64), (_RETURN, 0, 0, _ALLOW)]
    program.append((_LOAD, 0, 0, _NUMBER_AT))
    for number, condition in calls.items():
        if condition is None:
            program += [(_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _STOP)]
        else:
            where = _ARGUMENTS_AT + 8 * condition.argument
            program += [(_IF_EQUAL, 0, 4, number), (_LOAD, 0, 0, where)]
            program += [(_IF_ANY_BIT, 0, 1, condition.bits), (_RETURN, 0, 0, _STOP)]
            program.append((_RETURN, 0, 0, _ALLOW))
    program.append((_RETURN, 0, 0, _ALLOW))
    _install(b"".join(struct.pack("HBBI", *step) for step in program))


def _install(program: bytes) -> None:
    held = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(held))
    filter_ = ctypes.create_string_buffer(header, len(header))
    nothing = ctypes.c_ulong(0)
    one, mode = ctypes.c_ulong(1), ctypes.c_ulong(_FILTER_MODE)
    if _LIBC.prctl(_NO_NEW_PRIVILEGES, one, nothing, nothing, nothing) or _LIBC.prctl(
        _SET_FILTER, mode, ctypes.c_void_p(ctypes.addressof(filter_)), nothing, nothing
    ):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))

"""fdatasync carried out by the kernel (Linux AIO): no thread waits for it, the loop is told when it is done.

A thread for each sync costs a hop there and one back, and both threads want the interpreter's lock at the same
moments: some 60 us of latency and 50 us of CPU a sync, more than all else that a lone commit needs of Python.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import platform
import struct
from collections.abc import Callable

Done = Callable[[OSError | None], None]
"""Called on the loop, with the error if there was one."""

DEPTH = 64
"""Syncs under way at a time; a further one is refused."""

_NUMBERS = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2)}
"""Of the system calls io_setup, io_destroy, io_getevents and io_submit, a machine."""
_FDSYNC = 3
_RESFD = 1
# data, key and flags (zero, in whichever order), opcode, priority, descriptor, buffer, bytes, offset, reserved,
# flags, eventfd
_IOCB = struct.Struct("=QIIHhIQQqQII")
_EVENT = struct.Struct("=QQqq")  # data, iocb, result, second result


class KernelSync:
    """Syncs for one event loop. To be used on the loop, and closed when nothing is under way."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Raises OSError where there is no such service: another system, a filter of system calls, a limit."""
        if platform.system() != "Linux" or platform.machine() not in _NUMBERS:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        setup, self._destroy, self._getevents, self._submit = _NUMBERS[platform.machine()]
        self._syscall = ctypes.CDLL(None, use_errno=True).syscall
        self._context = ctypes.c_ulong(0)
        self._call(setup, ctypes.c_uint(DEPTH), ctypes.byref(self._context))
        self._waiting: dict[int, Done] = {}
        self._last = 0
        self._request = ctypes.create_string_buffer(_IOCB.size)
        self._requests = (ctypes.c_void_p * 1)(ctypes.addressof(self._request))
        self._events = ctypes.create_string_buffer(_EVENT.size * DEPTH)
        self._loop = loop
        self._ready = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        loop.add_reader(self._ready, self._collect)

    def submit(self, descriptor: int, done: Done) -> None:
        """Begin to sync a file; what was written to it before the call is durable when `done` gets None.

        Raises OSError when the kernel does not take it; `done` is not called then.
        """
        if len(self._waiting) >= DEPTH:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        number = self._last + 1
        _IOCB.pack_into(self._request, 0, number, 0, 0, _FDSYNC, 0, descriptor, 0, 0, 0, 0, _RESFD, self._ready)
        # The kernel copies the request, and holds the file.
        self._call(self._submit, self._context, ctypes.c_long(1), self._requests)
        self._last = number
        self._waiting[number] = done

    def _collect(self) -> None:
        try:
            os.eventfd_read(self._ready)
        except BlockingIOError:
            return
        least, most = ctypes.c_long(0), ctypes.c_long(DEPTH)
        count = self._call(self._getevents, self._context, least, most, self._events, None)
        finished = [_EVENT.unpack_from(self._events, _EVENT.size * place) for place in range(count)]
        for number, _, result, _ in finished:
            done = self._waiting.pop(number)
            done(OSError(-result, os.strerror(-result)) if result < 0 else None)

    def close(self) -> None:
        """Let go of it. Blocks until the kernel is done with what is under way, whose `done` is not called."""
        self._loop.remove_reader(self._ready)
        self._call(self._destroy, self._context)
        os.close(self._ready)

    def _call(self, number: int, *arguments: object) -> int:
        result = int(self._syscall(ctypes.c_long(number), *arguments))
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result

# -*- test-case-name: tests.storage.test_lmdb_alone -*-
"""
A lock between processes, as a file that the system unlocks when its holder ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from fcntl import LOCK_EX, LOCK_NB, flock
from typing import Final

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from nostrtx.interfaces.store import StoreError

#: How long to wait before the file is tried again, in seconds.
_RETRY_SECONDS: Final = 0.005


class LockFile:
    """
    A file that one process at a time has locked, and in it one call at a time.

    Args:
        path: Of the file; made if there is none, and left there.
        clock: Counts the time between two tries.
    """

    def __init__(self, path: str, clock: IReactorTime) -> None:
        self._path = path
        self._clock = clock
        self._here = DeferredLock()

    def acquire(self) -> Deferred[Callable[[], None]]:
        """
        Wait for the lock.

        Returns:
            Fires with what gives it back; may be cancelled. Fails with
            :class:`StoreError` if there cannot be such a file.
        """
        return Deferred.fromCoroutine(self._acquire())

    async def _acquire(self) -> Callable[[], None]:
        await self._here.acquire()
        try:
            file = await self._lock_file()
        except BaseException:
            self._here.release()
            raise

        def release() -> None:
            os.close(file)
            self._here.release()

        return release

    async def _lock_file(self) -> int:
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"cannot lock the store: {error.strerror}") from error
        try:
            while True:
                try:
                    flock(file, LOCK_EX | LOCK_NB)
                except BlockingIOError:
                    await deferLater(self._clock, _RETRY_SECONDS)
                else:
                    return file
        except BaseException:
            os.close(file)
            raise

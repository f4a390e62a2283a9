# -*- test-case-name: tests.storage.search.test_index -*-
"""
The thread by which the search index follows the store.

The store's arrival log is the truth: the index remembers up to where it has read it
and goes on from there, after a crash as after a second's pause. What is removed from
the store is never found, for the store is asked about every hit; from the index it
goes when it was hit, or when a slow round trip through all of it comes by.

One process holds the writer; others that share the store try now and then.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event as Signal
from threading import Thread
from time import monotonic
from typing import Any, Final

from twisted.logger import Logger

from nostrtx.interfaces.store import IEventStore
from nostrtx.storage.search.documents import document, within
from nostrtx.storage.search.index import SearchIndex

#: How many events are read at once.
_STRIDE: Final = 16

#: How often the log is looked at, and a busy writer asked for, in seconds.
_POLL: Final = 1.0

#: When the index is committed: after so many documents, or so many seconds. Every
#: commit waits for the disk and takes some 20 ms of computing; tantivy's queue holds
#: 10,000 documents.
_ENOUGH: Final = 128
_MOST: Final = 8000
_SECONDS: Final = 5.0

#: Removed events are looked for in so many ``seq`` at a time, and once through, again
#: after an hour.
_SWEEP: Final = 4096
_SWEEP_PAUSE: Final = 3600.0

#: After a failure, such as a full disk, it is tried again after so many seconds.
_RETRY: Final = 30.0

#: What a full or broken disk shows itself by: Python's error, and tantivy's.
_DISK_ERRORS: Final = (OSError, ValueError)


class IndexFollower:
    """
    Reads the store's log into the index.

    Args:
        index: The open index.
        store: The open store.
        breathe: Called after every stride with the seconds it took, to give way to
            the reactor's thread.
    """

    _log = Logger()

    def __init__(
        self,
        index: SearchIndex,
        store: IEventStore,
        breathe: Callable[[float], object],
    ) -> None:
        self._index = index
        self._store = store
        self._breathe = breathe
        self._writer: Any = None
        self._position = 0
        self._pending = 0
        self._pending_since = 0.0
        self._sweep_at = 0
        self._sweep_from = 0.0
        self._stopping = Signal()
        self._thread = Thread(target=self._run, name="nostrtx search", daemon=True)

    def start(self) -> None:
        """Begin to follow, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End after a last commit; waits for the thread, so not on the reactor's."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            pause = _POLL
            try:
                if self.begin():
                    self.catch_up(self._stopping.is_set)
                    self._commit_if_due()
                    self.sweep()
            except _DISK_ERRORS as error:
                self._log.error(
                    "Indexing for search failed; it is tried again: {why}", why=error
                )
                self._give_up()
                pause = _RETRY
            except Exception:
                self._log.failure("Indexing for search failed; it is tried again.")
                self._give_up()
                pause = _RETRY
            self._stopping.wait(pause)
        try:
            self.end()
        except _DISK_ERRORS as error:
            # The log has it all; the next start goes on from the last commit.
            self._log.error(
                "The last commit of the search index failed: {why}", why=error
            )
        except Exception:
            self._log.failure("The last commit of the search index failed.")

    def begin(self) -> bool:
        """Take the writer if it is free; False if another process has it."""
        if self._writer is None:
            self._writer = self._index.writer()
            if self._writer is None:
                return False
            # What was committed last may be further than what was noted after it.
            self._position = max(self._index.position(), self._index.last_seq())
            last = self._store.last_seq()
            if self._position > last:
                self._log.warn("The search index is of another store; made anew.")
                self._writer.delete_all_documents()
                self._writer.commit()
                self._position = 0
                self._index.set_position(0)
            if self._position < last:
                self._log.info(
                    "The search index has events up to {at} of {last}; catching up.",
                    at=self._position,
                    last=last,
                )
        return True

    def catch_up(
        self,
        is_enough: Callable[[], bool],
        show: Callable[[int], object] = lambda seq: None,
    ) -> bool:
        """
        Read the log to its end, or until ``is_enough`` says so.

        Args:
            is_enough: Asked after every stride.
            show: Told the ``seq`` up to which it is read.

        Returns:
            Whether the end was reached.
        """
        is_read = False
        while not is_enough():
            started = monotonic()
            log = self._store.events_after(self._position, _STRIDE)
            if not log:
                is_read = True
                break
            for seq, raw in log:
                entry = document(seq, raw)
                if entry is not None:
                    self._writer.add_document(entry)
                    self._changed(started)
            self._position = log[-1][0]
            show(self._position)
            if self._pending >= _MOST:
                self.commit()
            self._breathe(monotonic() - started)
        if not self._pending:
            self._note()
        return is_read

    def commit(self) -> None:
        """Make what was read durable and visible."""
        if self._pending:
            self._writer.commit()
            self._pending = 0
        self._note()

    def end(self) -> None:
        """Commit, and give the writer back."""
        if self._writer is not None:
            self.commit()
            writer, self._writer = self._writer, None
            writer.wait_merging_threads()

    def sweep(self) -> None:
        """Take some events out of the index that are not in the store any more."""
        while self._index.gone:
            self._forget(self._index.gone.pop())
        if monotonic() < self._sweep_from:
            return
        searcher, position = self._index.searcher()
        first, self._sweep_at = self._sweep_at, self._sweep_at + _SWEEP
        hits = searcher.search(
            within("seq", first, self._sweep_at - 1), _SWEEP, count=False
        ).hits
        seqs = searcher.fast_field_values("seq", [address for _, address in hits])
        for at in range(0, len(seqs), _STRIDE):
            some = seqs[at : at + _STRIDE]
            for seq, raw in zip(some, self._store.events_at(some), strict=True):
                if raw is None:
                    self._forget(seq)
            self._breathe(0)
        if self._sweep_at > position:
            self._sweep_at = 0
            self._sweep_from = monotonic() + _SWEEP_PAUSE

    def _changed(self, now: float) -> None:
        if not self._pending:
            self._pending_since = now
        self._pending += 1

    def _commit_if_due(self) -> None:
        if self._pending >= _ENOUGH or (
            self._pending and monotonic() - self._pending_since >= _SECONDS
        ):
            self.commit()

    def _note(self) -> None:
        if self._position > self._index.position():
            self._index.set_position(self._position)

    def _give_up(self) -> None:
        """Drop the writer, whatever state it is in."""
        self._writer = None
        self._pending = 0

    def _forget(self, seq: int) -> None:
        # By its term, tantivy would look for a signed number and find nothing.
        self._writer.delete_documents_by_query(within("seq", seq, seq))
        self._changed(monotonic())

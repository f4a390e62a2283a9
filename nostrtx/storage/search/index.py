# -*- test-case-name: tests.storage.search.test_index -*-
"""
The search index in its directory, for reading.

======== ==============================================================
version  what made it; an index of another version is made anew
position the ``seq`` up to which the committed index has all events
index/   tantivy's files
======== ==============================================================

One thread of one process writes to it (:mod:`nostrtx.storage.search.follower`);
others, in this process or not, read what was committed.
"""

from __future__ import annotations

import os
from pathlib import Path
from shutil import rmtree
from typing import Any, Final

import tantivy
from twisted.logger import Logger

from nostrtx.interfaces.store import StoreUnusable
from nostrtx.storage.search.documents import SCHEMA, VERSION


class SearchIndex:
    """
    The index in the directory ``path``.

    Args:
        path: The directory; made if there is none.

    Attributes:
        gone: The ``seq`` of events found in the index and not in the store any more.
    """

    _log = Logger()

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._tantivy: Any = None
        self._position = -1
        self.gone: set[int] = set()

    def open(self) -> None:
        """
        Open the index, or begin an empty one if there is none that can be used.

        Raises:
            StoreUnusable: The directory cannot be made.
        """
        try:
            self._open()
        except OSError as error:
            raise StoreUnusable(
                f"cannot make {self._path}: {error.strerror or error}"
            ) from None

    def _open(self) -> None:
        files = self._path / "index"
        version = self._path / "version"
        if files.is_dir():
            made_by = version.read_text() if version.is_file() else "nothing known"
            if made_by == VERSION:
                try:
                    self._tantivy = self._opened(files)
                    return
                except (ValueError, OSError) as error:
                    reason = f"it cannot be opened ({error})"
            else:
                reason = f"it was made by version {made_by}, this is {VERSION}"
            self._log.warn(
                "The search index in {path} is made anew: {reason}.",
                path=str(self._path),
                reason=reason,
            )
        self.clear(self._path)
        files.mkdir(parents=True, mode=0o700)
        version.write_text(VERSION)
        self._tantivy = self._opened(files)

    def _opened(self, files: Path) -> Any:
        index = tantivy.Index(SCHEMA, str(files))
        index.config_reader("manual")
        return index

    @staticmethod
    def clear(path: str | os.PathLike[str]) -> None:
        """Remove the index in a directory, if there is one; nobody may use it."""
        rmtree(path, ignore_errors=True)

    def searcher(self) -> tuple[Any, int]:
        """
        The index as it was committed last.

        Returns:
            Tantivy's searcher, and the ``seq`` up to which it has all events.
        """
        # What is read afterwards has at least this much.
        position = self.position()
        if position != self._position:
            self._tantivy.reload()
            self._position = position
        return self._tantivy.searcher(), position

    def position(self) -> int:
        """The ``seq`` up to which the committed index has all events."""
        try:
            return int((self._path / "position").read_bytes())
        except (OSError, ValueError):
            return 0

    def set_position(self, seq: int) -> None:
        """Say that all events up to ``seq`` are in what was committed."""
        new = self._path / "position.new"
        new.write_bytes(b"%d" % seq)
        new.replace(self._path / "position")

    def writer(self) -> Any | None:
        """Tantivy's writer, of which there is one; None while another one is open."""
        try:
            return self._tantivy.writer(_HEAP_BYTES, 1)
        except ValueError as error:
            if "LockBusy" in str(error):
                return None
            raise

    def last_seq(self) -> int:
        """The largest ``seq`` in the committed index."""
        self._tantivy.reload()
        hits = (
            self._tantivy.searcher()
            .search(tantivy.Query.all_query(), 1, count=False, order_by_field="seq")
            .hits
        )
        return hits[0][0] if hits else 0

    def size(self) -> int:
        """How many events the committed index has."""
        self._tantivy.reload()
        size: int = self._tantivy.searcher().num_docs
        return size


#: Memory for documents that are not committed yet.
_HEAP_BYTES: Final = 32_000_000

"""The LMDB store answers exactly as the store in memory does."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import IEventStore
from nostrtx.storage.lmdb.store import LMDBEventStore
from tests.storage.equivalence_tests import EquivalenceTests
from tests.storage.waiting_reactor import WaitingReactor


class LMDBEquivalenceTests(EquivalenceTests, SynchronousTestCase):
    """Tests that compare :mod:`nostrtx.storage.lmdb` with the reference."""

    @contextmanager
    def store_maker(self) -> Iterator[Callable[[WaitingReactor], IEventStore]]:
        """Makes a store in a directory of its own."""
        with tempfile.TemporaryDirectory() as directory:
            yield lambda reactor: LMDBEventStore(directory, 2**30, reactor)

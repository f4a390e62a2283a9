"""
What every store must do: :class:`EventStoreTests`, to be mixed into a test case.

A test case for a store derives from it and from trial's, and provides
``make_store`` and ``result_of`` (see :class:`tests.storage.store_case.StoreCase`).
"""

from __future__ import annotations

from tests.storage.ban_tests import BanTests
from tests.storage.count_tests import CountTests
from tests.storage.deletion_tests import DeletionTests, ExpiryTests
from tests.storage.filter_tests import FilterTests, OrderTests
from tests.storage.more_tests import MoreTests
from tests.storage.query_tests import QueryTests
from tests.storage.record_tests import RecordTests
from tests.storage.saving_tests import SavingTests
from tests.storage.screen_tests import ScreenTests
from tests.storage.sealed_set_tests import SealedSetTests
from tests.storage.vanish_tests import VanishTests
from tests.storage.vector_tests import VectorTests


class EventStoreTests(
    BanTests,
    CountTests,
    SavingTests,
    DeletionTests,
    ExpiryTests,
    FilterTests,
    MoreTests,
    OrderTests,
    QueryTests,
    RecordTests,
    SealedSetTests,
    ScreenTests,
    VanishTests,
    VectorTests,
):
    """All the rules of :class:`nostrtx.interfaces.IEventStore`."""

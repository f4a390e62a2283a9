"""Tests for :mod:`nostrtx.interfaces`."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from attrs.exceptions import FrozenInstanceError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface
from zope.interface.interface import InterfaceClass, Method
from zope.interface.verify import verifyClass

from nostrtx import interfaces
from nostrtx.broadcast.hub import Hub
from nostrtx.broadcast.local import LocalBroadcaster
from nostrtx.broadcast.overlap import OverlapBroadcaster
from nostrtx.broadcast.workers import WorkerBroadcaster
from nostrtx.interfaces.edge import IClient, IClientSession, IManagement, IRelay, ITurns
from nostrtx.interfaces.policies import (
    IConnectionPolicy,
    IEventCheck,
    IEventPolicy,
    IPolicyPlugin,
    IRequestPolicy,
)
from nostrtx.interfaces.processes import IBroadcaster, IMeeting, IOtherProcesses
from nostrtx.interfaces.queries import IScreen, IStoredCount, IStoredQuery, Page
from nostrtx.interfaces.register import IRegisterDatabase
from nostrtx.interfaces.store import IEventStore, SaveOutcome, SaveResult
from nostrtx.relay.bans import Bans
from nostrtx.relay.groups.admission import GroupAdmission
from nostrtx.relay.identification.policy import IdentifierPolicy
from nostrtx.relay.management.management import Management
from nostrtx.relay.membership.members import Membership
from nostrtx.relay.policies.policies import Policies
from nostrtx.relay.policies.programs.policy import ProgramPolicy
from nostrtx.relay.policies.rates import Rates
from nostrtx.relay.relay import Relay
from nostrtx.relay.roll_call import RollCall
from nostrtx.relay.session import ClientSession
from nostrtx.relay.visibility import Screen
from nostrtx.storage.lmdb.counting import LMDBStoredCount
from nostrtx.storage.lmdb.query import LMDBStoredQuery
from nostrtx.storage.lmdb.store import LMDBEventStore
from nostrtx.storage.memory import MemoryEventStore
from nostrtx.storage.postgres.register_database import PostgresRegisterDatabase
from nostrtx.storage.register_file import RegisterFile
from nostrtx.turns import EpollTurns, ScheduledTurns
from nostrtx.web.connection import NoSession, RelayWebSocketProtocol

_IMPLEMENTERS: dict[Any, tuple[type, ...]] = {
    IConnectionPolicy: (Policies, Rates),
    IEventCheck: (Bans, Policies, Rates),
    IEventPolicy: (
        GroupAdmission,
        IdentifierPolicy,
        Membership,
        Policies,
        ProgramPolicy,
        Rates,
    ),
    # The example has its own test.
    IPolicyPlugin: (),
    IRequestPolicy: (Policies, Rates),
    IBroadcaster: (LocalBroadcaster, OverlapBroadcaster, WorkerBroadcaster),
    IClient: (RelayWebSocketProtocol,),
    IClientSession: (ClientSession, NoSession),
    IEventStore: (LMDBEventStore, MemoryEventStore),
    IManagement: (Management,),
    IMeeting: (Hub, OverlapBroadcaster),
    IOtherProcesses: (RollCall,),
    IRegisterDatabase: (RegisterFile, PostgresRegisterDatabase),
    IRelay: (Relay,),
    IScreen: (Screen,),
    IStoredCount: (LMDBStoredCount,),
    IStoredQuery: (LMDBStoredQuery,),
    ITurns: (EpollTurns, ScheduledTurns),
}


class ValueTests(SynchronousTestCase):
    """Tests for the values that travel between the parts."""

    def test_save_result(self) -> None:
        """Only what was stored has a ``seq``; results are values."""
        self.assertEqual(SaveResult(SaveOutcome.DELETED).seq, 0)
        stored = SaveResult(SaveOutcome.STORED, 5)
        self.assertEqual(stored, SaveResult(SaveOutcome.STORED, 5))
        with self.assertRaises(FrozenInstanceError):
            stored.seq = 6  # type: ignore[misc]

    def test_page(self) -> None:
        """Pages are values."""
        page = Page([b"{}"], False)
        self.assertEqual(page, Page([b"{}"], False))
        self.assertNotEqual(page, Page([b"{}"], True))
        with self.assertRaises(FrozenInstanceError):
            page.done = True  # type: ignore[misc]


class InterfaceTests(SynchronousTestCase):
    """Tests for the interfaces and those who implement them."""

    def test_implementers(self) -> None:
        """Every interface is implemented, with the methods and arguments it has."""
        for interface, implementers in _IMPLEMENTERS.items():
            for implementer in implementers:
                self.assertTrue(verifyClass(interface, implementer), implementer)

    def test_all_are_listed(self) -> None:
        """No interface is without an implementer."""
        found = {
            value
            for module in iter_modules(interfaces.__path__, "nostrtx.interfaces.")
            for value in vars(import_module(module.name)).values()
            if isinstance(value, InterfaceClass) and value is not Interface
        }
        self.assertEqual(found, set(_IMPLEMENTERS))

    def test_documented(self) -> None:
        """Every interface and every method of it says what may be relied on."""
        for interface in _IMPLEMENTERS:
            self.assertTrue(interface.getDoc(), interface)
            for name in interface.names():
                member = interface[name]
                self.assertTrue(member.getDoc(), (interface, name))
                if isinstance(member, Method):
                    self.assertIsNone(member.getSignatureInfo()["varargs"], name)

"""Tests for :mod:`nostrtx.storage.postgres.exchange` and its neighbours."""

from __future__ import annotations

import psycopg
from psycopg import errors
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.storage.postgres.columns import (
    Uuid,
    byteas,
    int4s,
    int8s,
    uuids,
)
from nostrtx.storage.postgres.exchange import Ask
from nostrtx.storage.postgres.session import (
    Session,
    begin_reading,
    begin_writing,
    connection_parameters,
    last_seq_in,
)
from tests.live.postgres_server import shared_server
from tests.live.postgres_stores import empty_database, give_back

_COMMIT: Ask = ("COMMIT", {})


class SessionCase(SynchronousTestCase):
    """A test with a session in an empty store."""

    def setUp(self) -> None:
        """Connect."""
        self.name = empty_database()
        self.addCleanup(give_back, self.name)
        self.session = self.connect()

    def connect(self) -> Session:
        """Another session."""
        url = shared_server().url(self.name)
        session = Session.connect(connection_parameters(url))
        self.addCleanup(session.close)
        return session


class ExchangeTests(SessionCase):
    """Several statements in one round trip."""

    def test_values(self) -> None:
        """Values and columns of all types come back as they were sent."""
        values = {
            "one": Uuid(b"0123456789abcdef"),
            "raw": b"\x00\xff",
            "number": -(2**40),
            "text": "é",
            "uuids": uuids([b"x" * 16, None, b"\x00" * 16]),
            "byteas": byteas([b"", b"\x00", b"x" * 300]),
            "int4s": int4s([0, 65535]),
            "int8s": int8s([0, None, 2**62]),
            "none": int8s([]),
        }
        names = ", ".join(f"%({name})s" for name in values)
        for _ in range(3):
            [[row]] = self.session.ask((f"SELECT {names}", values))
            self.assertEqual(
                row,
                (
                    b"0123456789abcdef",
                    b"\x00\xff",
                    -(2**40),
                    "é",
                    [b"x" * 16, None, b"\x00" * 16],
                    [b"", b"\x00", b"x" * 300],
                    [0, 65535],
                    [0, None, 2**62],
                    [],
                ),
            )

    def test_many(self) -> None:
        """Each statement has its own rows, whatever the others have."""
        asks: list[Ask] = [
            ("SELECT generate_series(1, %(n)s)", {"n": number}) for number in range(50)
        ]
        answers = self.session.ask(*asks)
        self.assertEqual([len(rows) for rows in answers], list(range(50)))

    def test_much(self) -> None:
        """Much may be sent and come back at once, in both directions."""
        raw = b"x" * 3_000_000
        asks: list[Ask] = [("SELECT %(raw)s, %(raw)s", {"raw": raw})] * 5
        for [(one, other)] in self.session.ask(*asks):
            self.assertTrue(one == other == raw)

    def test_failure(self) -> None:
        """After a failure nothing more is done, and the session can be used again."""
        ask: Ask = ("SELECT %(a)s + 1", {"a": 1})
        self.session.ask(ask)
        for _ in range(3):
            with self.session.transaction():
                self.assertRaises(
                    errors.DivisionByZero,
                    self.session.ask,
                    ("BEGIN", {}),
                    ask,
                    ("SELECT 1 / 0", {}),
                    ("UPDATE nostrtx.counters SET last_seq = 9", {}),
                    _COMMIT,
                )
            [rows] = self.session.ask(("SELECT last_seq FROM nostrtx.counters", {}))
            self.assertEqual(rows, [(0,)])
        self.assertEqual(self.session.ask(ask), [[(2,)]])

    def test_many_statements(self) -> None:
        """More different statements than are kept prepared do no harm."""
        for number in range(450):
            self.assertEqual(self.session.ask((f"SELECT {number}", {})), [[(number,)]])

    def test_connection_is_lost(self) -> None:
        """A connection that is lost is known to be."""
        [[(pid,)]] = self.session.ask(("SELECT pg_backend_pid()", {}))
        shared_server().execute(f"SELECT pg_terminate_backend({pid})")
        for _ in range(2):
            self.assertRaises(psycopg.Error, self.session.ask, ("SELECT 1", {}))
            self.assertTrue(self.session.is_broken)


class TransactionTests(SessionCase):
    """How transactions begin."""

    def test_reading(self) -> None:
        """A reading transaction is one snapshot, and leaves nothing set behind."""
        show: Ask = ("SHOW statement_timeout", {})
        counter: Ask = ("SELECT last_seq FROM nostrtx.counters", {})
        other = self.connect()
        with self.session.transaction():
            _, floor, [setting] = self.session.ask(*begin_reading(1.5), show)
            other.ask(("UPDATE nostrtx.counters SET last_seq = 9", {}))
            self.assertEqual(self.session.ask(counter), [[(0,)]])
        self.assertEqual((last_seq_in(floor), setting), (0, ("1500ms",)))
        self.assertEqual(self.session.ask(show, counter), [[("0",)], [(9,)]])

    def test_writing(self) -> None:
        """A commit is waited for, though the database says it need not be."""
        server = shared_server()
        for default, used in (("off", "on"), ("local", "on"), ("remote_apply",) * 2):
            server.execute(
                f"ALTER DATABASE {self.name} SET synchronous_commit = {default}"
            )
            session = self.connect()
            with session.transaction():
                show: Ask = ("SHOW synchronous_commit", {})
                *_, counter, shown = session.ask(*begin_writing(1), show)
            self.assertEqual((counter, shown), ([(0, 0)], [(used,)]))
        server.execute(f"ALTER DATABASE {self.name} RESET synchronous_commit")

    def test_one_writes(self) -> None:
        """Who would write while another one does waits, and not for ever."""
        other = self.connect()
        with self.session.transaction():
            self.session.ask(*begin_writing(1))
            with other.transaction():
                self.assertRaises(
                    errors.LockNotAvailable, other.ask, *begin_writing(0.05)
                )
        with other.transaction():
            other.ask(*begin_writing(0.05))

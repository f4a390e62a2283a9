"""Tests for :mod:`nostrtx.relay.identification.policy`."""

from __future__ import annotations

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.policies import Source, Taken
from nostrtx.interfaces.store import StoreError
from nostrtx.nostr.errors import Rejected
from nostrtx.nostr.event import Event
from nostrtx.nostr.identifiers import Identifier
from nostrtx.nostr.json import dumps
from nostrtx.relay.identification.lookup import LookupFailed
from nostrtx.relay.identification.policy import IdentifierPolicy
from nostrtx.settings.access import Nip05Settings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from tests.relay.fakes import HeldStore
from tests.storage.events import ALICE, BOB, NOW, make_event

_REQUIRED = "restricted: a verified NIP-05 identifier is required"


def profile(nip05: str | None, pubkey: bytes = BOB, at: int = NOW) -> Event:
    """A kind 0 that states an identifier."""
    content = dumps({} if nip05 is None else {"nip05": nip05}).decode()
    return make_event(kind=0, pubkey=pubkey, content=content, created_at=at)


def _is_refused(failure: Failure) -> None:
    """A refusal that no test has looked at; anything else is a fault."""
    failure.trap(Rejected)


SOURCE = Source()


class PolicyTestCase(SynchronousTestCase):
    """A policy, and domains that answer when the test says."""

    settings = Nip05Settings(
        required=True, valid_seconds=1000, retry_seconds=100, grace_seconds=5000
    )

    def setUp(self) -> None:
        """Nothing is known yet."""
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = HeldStore()
        self.asked: list[tuple[Identifier, Deferred[bytes]]] = []
        self._waiting: list[Deferred[Taken | None]] = []
        self._policies: list[IdentifierPolicy] = []
        self.addCleanup(self.end)
        self.begin(self.settings)

    def end(self) -> None:
        """Nothing is left that waits."""
        for policy in self._policies:
            policy.stop()
        for waiting in self._waiting:
            waiting.addErrback(_is_refused)  # type: ignore[unused-awaitable]

    def begin(self, settings: Nip05Settings) -> None:
        """Make the policy."""
        self.live = LiveSettings(Settings(nip05=settings))
        self.policy = IdentifierPolicy(
            self.store,
            self.clock,
            self.live,
        )
        self._policies.append(self.policy)
        self.policy.start(self.fetch)

    async def fetch(self, identifier: Identifier) -> bytes:
        """Ask a domain."""
        answer: Deferred[bytes] = Deferred()
        self.asked.append((identifier, answer))
        return await answer

    def arrive(self, event: Event) -> None:
        """Let an event be admitted and stored."""
        self.assertIsNone(self.policy.admit(event, SOURCE))
        self.save(event)

    def save(self, event: Event) -> None:
        """Store an event and deliver it."""
        self.successResultOf(self.store.inner.save_events([event]))
        self.policy.note(event, 1, self.clock.seconds())

    def write(self, pubkey: bytes = BOB) -> Deferred[Taken | None]:
        """Ask for a note of an author to be admitted; it has to wait."""
        waiting = self.policy.admit(make_event(pubkey=pubkey), SOURCE)
        assert isinstance(waiting, Deferred)
        self._waiting.append(waiting)
        return waiting

    def answer(self, pubkey: bytes = BOB, name: str = "bob", at: int = -1) -> None:
        """Let a domain say whose the name is."""
        self.asked[at][1].callback(dumps({"names": {name: pubkey.hex()}}))

    def refusal(self, waiting: Deferred[Taken | None]) -> str:
        """Why an event is refused in the end."""
        refused = self.failureResultOf(waiting, Rejected).value
        assert isinstance(refused, Rejected)
        return refused.reason

    def assert_at_once(self, refusal: str | None = None, pubkey: bytes = BOB) -> None:
        """The verdict about an author is known and needs no asking."""
        before = len(self.asked)
        note = make_event(pubkey=pubkey)
        if refusal is None:
            self.assertIsNone(self.policy.admit(note, SOURCE))
        else:
            refused = self.assertRaises(Rejected, self.policy.admit, note, SOURCE)
            self.assertEqual(refused.reason, refusal)
        self.assertEqual(len(self.asked), before)


class VerificationTests(PolicyTestCase):
    """Who may write."""

    def test_verified(self) -> None:
        """The author's first event waits for the domain, later ones do not."""
        self.arrive(profile("bob@example.com"))
        waiting = self.write()
        self.assertNoResult(waiting)
        self.assertEqual(str(self.asked[0][0]), "bob@example.com")
        self.answer()
        self.assertIsNone(self.successResultOf(waiting))
        self.assert_at_once()

    def test_no_identifier(self) -> None:
        """Who states none is refused, and no domain is asked."""
        for event in (None, profile(None), profile("not an identifier", at=NOW + 1)):
            if event is not None:
                self.arrive(event)
            self.assertEqual(self.refusal(self.write()), _REQUIRED)
            self.assert_at_once(_REQUIRED)
        self.assertEqual(self.asked, [])

    def test_of_another_key(self) -> None:
        """Who states another's name is refused."""
        self.arrive(profile("bob@example.com"))
        waiting = self.write()
        self.answer(ALICE)
        why = f"{_REQUIRED}; bob@example.com is not this key's"
        self.assertEqual(self.refusal(waiting), why)
        self.assert_at_once(why)

    def test_open_kinds(self) -> None:
        """Profiles, deletions and requests to vanish need no identifier."""
        for kind in (0, 5, 62):
            self.assertIsNone(
                self.policy.admit(make_event(kind=kind, pubkey=BOB), SOURCE)
            )
        self.begin(attrs.evolve(self.settings, open_kinds=(1059,)))
        self.assertIsNone(self.policy.admit(make_event(kind=1059, pubkey=BOB), SOURCE))
        for kind in (0, 62):
            event = make_event(kind=kind, pubkey=BOB)
            self.assertIsNone(self.policy.admit(event, SOURCE))
        self.assertEqual(self.asked, [])

    def test_domains(self) -> None:
        """Blocked domains do not count, nor do others where some are named."""
        for allowed, blocked, host, is_taken in (
            ((), ("bad.example",), "bad.example", False),
            ((), ("bad.example",), "x.bad.example", False),
            ((), ("bad.example",), "good.example", True),
            (("good.example",), (), "good.example", True),
            (("good.example",), (), "other.example", False),
        ):
            self.begin(
                attrs.evolve(
                    self.settings, allowed_domains=allowed, blocked_domains=blocked
                )
            )
            self.asked.clear()
            self.store = HeldStore()
            self.begin(
                attrs.evolve(
                    self.settings, allowed_domains=allowed, blocked_domains=blocked
                )
            )
            self.arrive(profile(f"bob@{host}"))
            waiting = self.write()
            self.assertEqual(len(self.asked), is_taken, host)
            if not is_taken:
                self.assertEqual(
                    self.refusal(waiting),
                    f"blocked: identifiers of {host} are not taken here",
                )


class WaitingTests(PolicyTestCase):
    """While a domain is asked."""

    def test_turned_off(self) -> None:
        """What was known before it was turned off and on again is asked anew."""
        self.arrive(profile("bob@example.com"))
        _ = self.write()
        self.answer()
        self.assert_at_once()
        self.live.change(Settings(nip05=attrs.evolve(self.settings, required=False)))
        self.live.change(Settings(nip05=self.settings))
        asked = len(self.asked)
        _ = self.write()
        self.assertEqual(len(self.asked), asked + 1)

    def test_other_domains(self) -> None:
        """Whom other settings rule out is refused, though a domain has vouched."""
        self.arrive(profile("bob@example.com"))
        _ = self.write()
        self.answer()
        self.assert_at_once()
        blocking = attrs.evolve(self.settings, blocked_domains=("example.com",))
        self.live.change(Settings(nip05=blocking))
        self.assertIn("are not taken here", self.refusal(self.write()))
        self.live.change(Settings(nip05=attrs.evolve(blocking, open_kinds=(1,))))
        self.assert_at_once()

    def test_asked_once(self) -> None:
        """All events of an author wait for one answer."""
        self.arrive(profile("bob@example.com"))
        waiting = [self.write() for _ in range(3)]
        self.assertEqual(len(self.asked), 1)
        self.answer()
        for one in waiting:
            self.assertIsNone(self.successResultOf(one))

    def test_others_go_on(self) -> None:
        """One slow domain holds up nobody else."""
        self.arrive(profile("bob@slow.example"))
        self.arrive(profile("alice@example.com", ALICE))
        slow = self.write()
        quick = self.write(ALICE)
        self.answer(ALICE, "alice")
        self.assertIsNone(self.successResultOf(quick))
        self.assertNoResult(slow)

    def test_bounded(self) -> None:
        """So many may wait and no more; there is room again once some are through."""
        self.begin(attrs.evolve(self.settings, max_waiting=2))
        self.arrive(profile("bob@example.com"))
        waiting = [self.write(), self.write()]
        refused = self.assertRaises(
            Rejected, self.policy.admit, make_event(pubkey=ALICE), SOURCE
        )
        self.assertTrue(refused.reason.startswith("rate-limited: "))
        self.answer()
        for one in waiting:
            self.successResultOf(one)
        self.assertEqual(self.refusal(self.write(ALICE)), _REQUIRED)

    def test_profile_on_its_way(self) -> None:
        """A note right behind the profile is judged by it, stored yet or not."""
        self.assertIsNone(self.policy.admit(profile("bob@example.com"), SOURCE))
        waiting = self.write()
        self.assertEqual(str(self.asked[0][0]), "bob@example.com")
        self.answer()
        self.assertIsNone(self.successResultOf(waiting))

    def test_profile_changes_meanwhile(self) -> None:
        """If the profile changes while its domain is asked, the new one decides."""
        self.arrive(profile("bob@example.com"))
        waiting = self.write()
        self.assertIsNone(
            self.policy.admit(profile("bob@new.example", at=NOW + 1), SOURCE)
        )
        self.answer(at=0)
        self.assertNoResult(waiting)
        self.assertEqual(str(self.asked[1][0]), "bob@new.example")
        self.answer(ALICE)
        self.assertIn("bob@new.example", self.refusal(waiting))

    def test_store_fails(self) -> None:
        """If the profile cannot be read the event is refused as our fault."""
        self.store.query_error = StoreError("cannot be read")
        self.assertTrue(self.refusal(self.write()).startswith("error: "))
        self.assertEqual(len(self.flushLoggedErrors(StoreError)), 1)
        self.store.query_error = None
        self.assertEqual(self.refusal(self.write()), _REQUIRED)

    def test_stop(self) -> None:
        """After the stop no domain is waited for."""
        self.arrive(profile("bob@example.com"))
        waiting = self.write()
        self.policy.stop()
        self.assertTrue(self.refusal(waiting).startswith("error: "))


class TimeTests(PolicyTestCase):
    """How long a verdict holds."""

    def setUp(self) -> None:
        """An author who is verified."""
        super().setUp()
        self.arrive(profile("bob@example.com"))
        waiting = self.write()
        self.answer()
        self.successResultOf(waiting)

    def fail(self, at: int = -1) -> None:  # type: ignore[override]
        """Let a domain not answer."""
        self.asked[at][1].errback(LookupFailed("gone"))

    def test_asked_again(self) -> None:
        """When its word has grown old, the domain is asked again."""
        self.clock.advance(999)
        self.assert_at_once()
        self.clock.advance(1)
        waiting = self.write()
        self.answer(ALICE)
        self.assertIn("is not this key's", self.refusal(waiting))

    def test_grace(self) -> None:
        """While the domain does not answer its last word holds on for some time."""
        self.clock.advance(1000)
        waiting = self.write()
        self.fail()
        self.assertIsNone(self.successResultOf(waiting))
        self.assert_at_once()
        self.clock.advance(4999)
        waiting = self.write()
        self.fail()
        self.assertIsNone(self.successResultOf(waiting))
        self.clock.advance(100)
        waiting = self.write()
        self.fail()
        self.assertIn("example.com did not answer", self.refusal(waiting))

    def test_no_grace_for_the_unverified(self) -> None:
        """A domain that never vouched for a key has no last word."""
        self.arrive(profile("alice@gone.example", ALICE))
        waiting = self.write(ALICE)
        self.fail()
        why = f"{_REQUIRED}; gone.example did not answer"
        self.assertEqual(self.refusal(waiting), why)
        self.clock.advance(99)
        self.assert_at_once(why, ALICE)
        self.clock.advance(1)
        waiting = self.write(ALICE)
        self.answer(ALICE, "alice")
        self.assertIsNone(self.successResultOf(waiting))

    def test_another_identifier(self) -> None:
        """Who states another identifier is verified anew, at once."""
        self.arrive(profile("bob@new.example", at=NOW + 1))
        waiting = self.write()
        self.assertEqual(str(self.asked[-1][0]), "bob@new.example")
        self.fail()
        self.assertIn("did not answer", self.refusal(waiting))

    def test_same_identifier(self) -> None:
        """A profile that changes in other ways does not have the domain asked often."""
        self.arrive(profile("Bob@example.com", at=NOW + 1))
        self.assertIsNone(self.successResultOf(self.write()))
        self.assertEqual(len(self.asked), 1)
        self.clock.advance(100)
        self.arrive(profile("bob@example.com", at=NOW + 2))
        self.assertNoResult(self.write())
        self.assertEqual(len(self.asked), 2)

    def test_older_profile(self) -> None:
        """A profile that is older than the stored one changes nothing in the end."""
        self.assertIsNone(self.policy.admit(profile(None, at=NOW - 1), SOURCE))
        self.assertIsNone(self.successResultOf(self.write()))

    def test_deleted(self) -> None:
        """Who deletes the profile is verified no more."""
        stored = profile("bob@example.com")
        self.arrive(make_event(kind=5, pubkey=BOB, tags=[["e", stored.id.hex()]]))
        self.assertEqual(self.refusal(self.write()), _REQUIRED)

    def test_vanished(self) -> None:
        """Who vanishes is looked at again."""
        self.policy.note(make_event(kind=62, pubkey=BOB), 1, NOW)
        self.assertIsNone(self.successResultOf(self.write()))

# -*- test-case-name: tests.relay.policies.test_trust -*-
"""
Whom the operator's people trust: how many steps of following lead to somebody.

It is found in the follow lists in the store, every so often by one of the relay's
processes, and kept there for the others; the next start begins with it, and finds it
anew meanwhile. In between, whom somebody follows newly is trusted at once; who is
followed no more stays until then, or for a minute if it was a root who followed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from nostrtx.interfaces.processes import IBroadcaster
from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.event import Event
from nostrtx.nostr.json import NotJSONError, dumps, loads
from nostrtx.nostr.kinds import FOLLOW_LIST
from nostrtx.nostr.lists import listed_pubkeys
from nostrtx.relay.complaint import Complaint
from nostrtx.relay.moment import Moment
from nostrtx.relay.pieces import Pieces
from nostrtx.relay.policies.distances import Distances
from nostrtx.relay.policies.follow_lists import follow_lists
from nostrtx.relay.policies.trust_record import CLAIM, RECORD, TrustRecord, unpack
from nostrtx.relay.tasks import BackgroundTasks
from nostrtx.settings.policies import TrustSettings

#: The topic of the bus: that it was found anew. What was, is in the store.
TOPIC: Final = "trust"

#: How long after a root's list has changed all is found anew, in seconds.
ROOT_SECONDS: Final = 60.0

#: How long others wait for the process that finds it, in seconds, and after how long
#: that asks them to go on waiting.
_CLAIM_SECONDS: Final = 30.0
_RENEWED_SECONDS: Final = 10.0

#: What was found so many seconds ago is not found anew at the start.
_FRESH_SECONDS: Final = 10.0

#: How long to wait before trying again, in seconds.
_RETRY_SECONDS: Final = 5.0

#: How many lists that came lately are remembered.
_MOST_NOTED: Final = 10_000


class Trust:
    """
    How far everybody is from the roots.

    Args:
        settings: Who the roots are, and how far it goes.
        store: Where follow lists are.
        broadcaster: Hears from other processes, and tells them.
        clock: Wall-clock time.
        random_bytes: Makes a name for this process that no other has.

    Attributes:
        known: When all of it has been found since the start.
    """

    _log = Logger()

    def __init__(
        self,
        settings: TrustSettings,
        store: IEventStore,
        broadcaster: IBroadcaster,
        clock: IReactorTime,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.known = Moment()
        self._settings = settings
        self._store = store
        self._bus = broadcaster
        self._clock = clock
        self._roots = tuple(sorted({bytes.fromhex(key) for key in settings.roots}))
        self._depths = self._nobody()
        self._random_bytes = random_bytes
        self._name = ""
        self._begun_at = 0.0
        self._due_at = 0.0
        self._claimed_at = 0.0
        self._noted: deque[tuple[float, bytes]] = deque(maxlen=_MOST_NOTED)
        self._unread: set[bytes] = set()
        self._is_reading = False
        self._runs = False
        self._complaint = Complaint(self._log, "Finding whom to trust")
        self._tasks = BackgroundTasks()

    def __len__(self) -> int:
        return len(self._depths)

    def depth(self, pubkey: bytes) -> int | None:
        """How many steps lead from a root to somebody; None if none do."""
        return self._depths.get(pubkey)

    def nearest(self, most: int) -> list[bytes]:
        """So many of those who are trusted, the nearest first as far as is known."""
        return self._depths.first(most)

    def start(self) -> None:
        """Take what is known from the store, and keep up; the store is open."""
        self._runs = True
        if not self._roots:
            self.known.comes()
        else:
            self._name = self._random_bytes(8).hex()
            self._tasks.start(self._follow(), "Finding whom to trust")

    def stop(self) -> None:
        """Keep up no more."""
        self._runs = False
        self._tasks.cancel_all()

    def heard(self) -> None:
        """Another process has found it anew."""
        if self._runs and self._roots:
            self._tasks.start(self._look_again(), "Reading whom to trust")

    def note(self, event: Event, seq: int, now: float) -> None:
        """Take note of whom somebody follows newly."""
        if event.kind != FOLLOW_LIST:
            return
        distance = self._depths.get(event.pubkey)
        if distance is None or distance >= self._settings.depth:
            return
        self._noted.append((now, event.pubkey))
        follows = listed_pubkeys(event.raw)
        self._unread.update(self._add(distance + 1, follows, self._depths))
        self._read_soon()
        if distance == 0:
            self._due_at = min(self._due_at, now + ROOT_SECONDS)

    def _add(
        self,
        distance: int,
        pubkeys: list[bytes],
        depths: Distances,
    ) -> list[bytes]:
        """
        Take people in who are followed from one step nearer.

        Returns:
            Whose lists are to be read next.
        """
        nearer = depths.beyond(dict.fromkeys(pubkeys), distance)
        room = max(self._settings.max_pubkeys - len(depths), 0)
        if len(nearer) > room:
            new = [pubkey for pubkey in nearer if depths.get(pubkey) is None]
            left_out = set(new[room:])
            nearer = [pubkey for pubkey in nearer if pubkey not in left_out]
        depths.put(nearer, distance)
        return nearer if distance < self._settings.depth else []

    async def _follow(self) -> None:
        await self._try(self._look(at_once=True))
        if self._begun_at < self._clock.seconds() - _FRESH_SECONDS:
            # Lists may have come that no process has noted there.
            self._due_at = 0.0
        elif self._begun_at:
            self._unread.update(self._roots)
            self._read_soon()
        while True:
            wait = self._due_at - self._clock.seconds()
            if wait > 0:
                # A root's list may make it due earlier.
                await deferLater(self._clock, min(wait, ROOT_SECONDS / 4))
            elif not await self._try(self._refresh()):
                await deferLater(self._clock, _RETRY_SECONDS)

    async def _look_again(self) -> None:
        await self._try(self._look())

    async def _try(self, doing: Awaitable[bool]) -> bool:
        """Wait for something; False if it fails, of which note is taken."""
        try:
            done = await doing
        except CancelledError:
            raise
        except Exception as error:
            self._complaint.fails(error)
            return False
        self._complaint.works()
        return done

    async def _look(self, at_once: bool = False) -> bool:
        """
        Take what the store has, if it is newer and fits the settings.

        Raises:
            StoreError: The store failed.
        """
        packed = self._store.record(RECORD)
        if isinstance(packed, Deferred):
            packed = await packed
        record = unpack(packed)
        if (
            record is None
            or record.roots != self._roots
            or record.depth != self._settings.depth
            or record.begun_at <= self._begun_at
        ):
            return False
        depths = Distances()
        pieces = Pieces(self._clock)
        for distance, keys in record.parts():
            depths.put(keys, distance)
            if not at_once:
                await pieces.rest_if_due()
        self._take(depths, record.begun_at)
        return True

    async def _refresh(self) -> bool:
        """
        Find all of it anew, unless another process does; whether it is known.

        Raises:
            StoreError: The store failed.
        """
        if await self._look() and self._due_at > self._clock.seconds():
            return True
        now = self._clock.seconds()
        if not await self._claim(_CLAIM_SECONDS):
            return False
        depths = await self._find()
        self._take(depths, now)
        found = await self._sorted(depths)
        # That is called in a thread, as a rule.
        await self._store.change_record(
            RECORD, lambda there: TrustRecord.of(self._roots, now, found).pack()
        )
        await self._claim(0)
        self._bus.publish(TOPIC, b"")
        self._log.info(
            "{count} keys are trusted, at most {depth} steps from the roots.",
            count=len(depths),
            depth=self._settings.depth,
        )
        return True

    async def _claim(self, seconds: float) -> bool:
        """
        Be the only process that finds it, so long, or no more if that is 0.

        Returns:
            False if another one is.
        """
        now = self._clock.seconds()
        until = now + seconds if seconds else 0
        mine = dumps({"by": self._name, "until": until})

        def change(there: bytes | None) -> bytes | None:
            by, until = _claim_there(there)
            return mine if by == self._name or until < now else None

        self._claimed_at = now
        return await self._store.change_record(CLAIM, change)

    async def _find(self) -> Distances:
        """Whom the follow lists in the store lead to, nearest first."""
        depths = self._nobody()
        if self._begun_at == 0.0:
            # Nothing is known yet, so what is found counts at once.
            self._depths = depths
        unread = list(self._roots)
        for distance in range(1, self._settings.depth + 1):
            nearer, unread = unread, []
            async for _, pubkeys in follow_lists(self._store, self._clock, nearer):
                unread += self._add(distance, pubkeys, depths)
                if self._clock.seconds() > self._claimed_at + _RENEWED_SECONDS:
                    await self._claim(_CLAIM_SECONDS)
        return depths

    async def _sorted(self, depths: Distances) -> list[bytearray]:
        """The keys of all who are so far away, from 0 on."""
        keys = [bytearray() for _ in range(self._settings.depth + 1)]
        pieces = Pieces(self._clock)
        for part in depths.parts():
            for key, distance in part:
                keys[distance] += key
            await pieces.rest_if_due()
        return keys

    def _nobody(self) -> Distances:
        """What is known at first: the roots."""
        depths = Distances()
        depths.put(self._roots, 0)
        return depths

    def _take(self, depths: Distances, begun_at: float) -> None:
        """Let what was found hold, with what came since that was begun."""
        self._depths = depths
        self._begun_at = begun_at
        self._due_at = begun_at + self._settings.refresh_seconds
        self.known.comes()
        while self._noted and self._noted[0][0] < begun_at - 1:
            self._noted.popleft()
        self._unread.update(pubkey for _, pubkey in self._noted)
        self._read_soon()

    def _read_soon(self) -> None:
        if self._runs and self._unread and not self._is_reading:
            self._is_reading = True
            self._tasks.start(self._read_on(), "Reading follow lists")

    async def _read_on(self) -> None:
        """Go on from those whose lists have not been read."""
        try:
            while self._unread:
                some, self._unread = list(self._unread), set()
                await self._try(self._read(some))
        finally:
            self._is_reading = False

    async def _read(self, people: list[bytes]) -> bool:
        async for pubkey, follows in follow_lists(self._store, self._clock, people):
            distance = self._depths.get(pubkey)
            if distance is not None and distance < self._settings.depth:
                self._unread.update(self._add(distance + 1, follows, self._depths))
        return True


def _claim_there(there: bytes | None) -> tuple[str, float]:
    """Which process finds it, and until when others wait for that."""
    try:
        claim: Any = loads(there or b"{}")
        return str(claim.get("by", "")), float(claim.get("until", 0))
    except (NotJSONError, AttributeError, TypeError, ValueError):
        return "", 0.0

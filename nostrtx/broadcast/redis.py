# -*- test-case-name: tests.broadcast.test_redis -*-
"""News between nodes through Redis, sealed: Redis itself need not be trusted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from txredisapi import RedisError
from zope.interface import implementer

from nostrtx.broadcast.connection import LinkLost
from nostrtx.broadcast.envelope import Envelopes, Refused, Seal
from nostrtx.broadcast.link import Link
from nostrtx.broadcast.losses import Losses
from nostrtx.broadcast.presence import REFRESH_SECONDS, Presence
from nostrtx.broadcast.servers import Found, Servers
from nostrtx.interfaces.processes import BroadcasterUnusable, IBroadcaster
from nostrtx.redis_url import RedisAddress

#: How long Redis may be out of reach before this process serves without it.
_START_SECONDS: Final = 5.0

#: How long what was published may take to leave at the end.
_STOP_SECONDS: Final = 5.0

#: How long to wait before connecting again, at first and at most.
_FIRST_SECONDS: Final = 0.05
_MOST_SECONDS: Final = 5.0

#: What can only be our own fault.
_FAULTS: Final = (AssertionError, AttributeError, LookupError, TypeError)


@implementer(IBroadcaster)
class RedisBroadcaster:
    """
    Provides :class:`IBroadcaster` among all that use one channel of one Redis.

    Args:
        name: What this process is called among the others.
        shares_store: Whether all read one embedded store.
        servers: Knows which server to connect to.
        address: Tells user, password and database.
        channel: Begins the names of all that is in Redis.
        secrets: What messages are sealed with (the first) and opened with (any).
        facts: What all must agree in, each with its name: the store, the schema.
        instance: What tells this start of this process from all others: 16 random
            bytes.
        clock: For waiting, and the time of messages.
        random_bytes: Spreads out in time when nodes connect again.
        on_refused: Called if this process may not join the others, when that comes
            out after it was started: it should end.
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        shares_store: bool,
        servers: Servers,
        address: RedisAddress,
        channel: str,
        secrets: Sequence[bytes],
        facts: Mapping[str, str],
        instance: bytes,
        clock: IReactorTime,
        random_bytes: Callable[[int], bytes],
        on_refused: Callable[[BroadcasterUnusable], None],
    ) -> None:
        self.name = name
        self.shares_store = shares_store
        self._servers = servers
        self._address = address
        self._channel = f"{channel}:news".encode()
        self._clock = clock
        self._random_bytes = random_bytes
        self._on_refused = on_refused
        self._envelopes = Envelopes(Seal(secrets, f"{channel} news", instance), name)
        self._presence = Presence(
            channel, name, facts, Seal(secrets, f"{channel} presence", instance), clock
        )
        self._losses = Losses(clock)
        self._published = self._received = self._connections = 0
        self._listeners: dict[str, list[Callable[[str, bytes], None]]]
        self._listeners = defaultdict(list)
        self._connected: list[Callable[[], None]] = []
        self._link: Link | None = None
        self._running: Deferred[None] | None = None
        self._starting: Deferred[None] | None = None
        self._patience: IDelayedCall | None = None
        self._opening: Link | None = None
        self._refreshing: Deferred[None] | None = None
        self._refused: BroadcasterUnusable | None = None
        self._told: set[str] = set()

    @property
    def is_connected(self) -> bool:
        """Whether both connections stand and this process is one of the others."""
        return self._link is not None

    def facts(self) -> dict[str, int]:
        """Counters since the start, by name."""
        kinds = ("unsent", "foreign", "forged", "replayed")
        return {
            "news_published": self._published,
            "news_received": self._received,
            **{f"news_{kind}": self._losses.counts[kind] for kind in kinds},
            "redis_reconnections": max(0, self._connections - 1),
        }

    def listen(self, topic: str, heard: Callable[[str, bytes], None]) -> None:
        """Have ``heard`` called with what others publish on ``topic``."""
        self._listeners[topic].append(heard)

    def on_connected(self, call: Callable[[], None]) -> None:
        """Have ``call`` made whenever both connections stand."""
        self._connected.append(call)

    def start(self) -> Deferred[None]:
        """
        Connect and join the others.

        Returns:
            Fires once this process has joined, or Redis was out of reach for some
            seconds. Fails with :class:`BroadcasterUnusable` if it may not join.
        """
        starting = self._starting = Deferred()
        self._patience = self._clock.callLater(_START_SECONDS, self._lose_patience)
        self._running = Deferred.fromCoroutine(self._stay_connected())
        _ = self._running.addErrback(self._failed)
        return starting

    def publish(self, topic: str, payload: bytes) -> bool:
        """Tell all others; False if that is not possible now, and the news is lost."""
        if self._link is not None:
            sealed = self._envelopes.write(topic, payload, self._clock.seconds())
            if self._link.say(self._channel, sealed):
                self._published += 1
                return True
        self._losses.add("unsent")
        return False

    def stop(self) -> Deferred[None]:
        """Send what was published, give up the name, and close the connections."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        link = self._link
        if self._running is not None:
            self._running.cancel()
        if link is not None:
            leaving = Deferred.fromCoroutine(self._leave(link))
            try:
                await leaving.addTimeout(_STOP_SECONDS, self._clock)
            except CancelledError:
                raise
            except Exception as error:
                # The name expires soon.
                link.abort(_reason(error))
        self._serve()
        self._losses.stop()

    async def _leave(self, link: Link) -> None:
        # Answers come in order: with these, all that was said has arrived.
        await self._presence.leave(link.saying)
        await link.close()

    async def _stay_connected(self) -> None:
        attempt = 0
        while True:
            began = self._clock.seconds()
            try:
                why = await self._connect()
            except BroadcasterUnusable as unusable:
                self._refuse(unusable)
                return
            except CancelledError:
                raise
            except Exception as error:
                why = _reason(error)
                if isinstance(error, _FAULTS):
                    self._log.failure("Connecting to Redis failed.")
                if self._patience is None:
                    self._serve()
            self._tell_lost(why)
            if self._clock.seconds() - began > _MOST_SECONDS:
                attempt = 0
            await deferLater(self._clock, self._delay(attempt))
            attempt += 1

    def _delay(self, attempt: int) -> float:
        """Seconds to wait, so that not all nodes connect at the same time."""
        most: float = min(_MOST_SECONDS, _FIRST_SECONDS * 2 ** min(attempt, 20))
        return most * (0.5 + self._random_bytes(1)[0] / 512)

    async def _connect(self) -> str:
        """
        Connect, join, and hear, until the connection is lost.

        Returns:
            Why it was lost.

        Raises:
            BroadcasterUnusable: This process may not join.
            Exception: There is no connection.
        """
        found = await self._servers.find()
        link = Link(found, self._address, self._clock, self._lose)
        self._opening = link
        try:
            await self._presence.join(await link.open())
            await link.hear(self._channel, self._heard)
            # Now it is certain that this process can be heard, too.
            hello = self._envelopes.write("", b"", self._clock.seconds())
            await link.say_surely(self._channel, hello)
        except BaseException as error:
            lost = link.why
            link.abort(_reason(error))
            if lost is not None and isinstance(error, RedisError):
                raise LinkLost(lost) from error
            raise
        finally:
            self._opening = None
        self._link = link
        refreshing = LoopingCall(self._refresh, link)
        refreshing.clock = self._clock
        _ = refreshing.start(REFRESH_SECONDS, now=False)
        try:
            self._tell_connected(found)
            why = await link.ended
        finally:
            self._link = None
            refreshing.stop()
            if self._refreshing is not None:
                self._refreshing.cancel()
        if self._refused is not None:
            raise self._refused
        return why

    def _tell_connected(self, found: Found) -> None:
        """Tell the log, whoever waits for the start, and those that asked for it."""
        self._connections += 1
        self._told.clear()
        self._log.info("Connected to Redis at {where}.", where=found.where)
        for call in self._connected:
            try:
                call()
            except Exception:
                self._log.failure("Being connected could not be told.")
        self._serve()

    def _tell_lost(self, why: str) -> None:
        """Tell the log why there is no connection, each reason once per outage."""
        if why not in self._told:
            self._told.add(why)
            self._log.warn(
                "No connection to Redis: {why}. News of other nodes comes late.",
                why=why,
            )

    def _refresh(self, link: Link) -> Deferred[None]:
        self._refreshing = Deferred.fromCoroutine(self._refresh_now(link))
        return self._refreshing

    async def _refresh_now(self, link: Link) -> None:
        try:
            await self._presence.refresh(link.saying)
        except BroadcasterUnusable as unusable:
            self._refused = unusable
            link.abort(str(unusable))
        except CancelledError:
            # All is over; whoever calls this so often need not know.
            pass
        except Exception as error:
            link.abort(_reason(error))

    def _heard(self, sealed: bytes) -> None:
        """Take in what somebody said on the channel."""
        if self._link is None:
            return
        try:
            message = self._envelopes.read(sealed, self._clock.seconds())
        except Refused as refused:
            self._losses.add(refused.refusal.value)
            return
        if message is None or not message.topic:
            return
        self._received += 1
        for heard in self._listeners.get(message.topic, ()):
            try:
                heard(message.sender, message.payload)
            except Exception:
                self._log.failure(
                    "News on {topic} was not understood.", topic=message.topic
                )

    def _lose(self) -> None:
        """Count a message that was sent but may not have arrived."""
        self._losses.add("unsent")

    def _lose_patience(self) -> None:
        """Serve, unless Redis is there and it is being found out who else is."""
        self._patience = None
        if self._opening is None or not self._opening.is_answered:
            self._serve()

    def _serve(self) -> None:
        """Tell whoever waits that this process may serve."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._starting is not None:
            # Not now: whoever waits may stop all of this at once.
            self._clock.callLater(0, self._starting.callback, None)
            self._starting = None

    def _refuse(self, unusable: BroadcasterUnusable) -> None:
        """Tell that this process may not join the others."""
        if self._starting is not None:
            self._clock.callLater(0, self._starting.errback, unusable)
            self._starting = None
            self._serve()
            return
        self._log.critical("This node cannot join the others: {why}.", why=unusable)
        self._on_refused(unusable)

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("Keeping up the connection to Redis failed.", failure)


def _reason(error: BaseException) -> str:
    return str(error).rstrip(".") or type(error).__name__

# -*- test-case-name: tests.sync.test_conversation -*-
"""
What is said to another relay, and whom its answers are for (NIP-01, NIP-42, NIP-77).

Knows nothing of sockets: whoever has the connection hands messages in and out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, Final, TypeAlias, TypeVar

import attrs
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from nostrtx.nostr.json import NotJSONError, dumps, loads

_T = TypeVar("_T")

#: A decoded JSON object, not yet checked.
Members: TypeAlias = dict[str, Any]

#: How long an answer may take, in seconds.
ANSWER_SECONDS: Final = 60.0

#: After a NOTICE, how long an answer to NEG-OPEN may still come, in seconds.
_NOTICE_SECONDS: Final = 3.0

#: The first words of a refusal after which authenticating may help.
_AUTH_PREFIXES: Final = ("auth-required:", "restricted:")


class RelayTrouble(Exception):
    """The other relay does not do its part; the text is one line that says why."""


class Refused(RelayTrouble):
    """The relay refused, with this reason."""


class DoesNotReconcile(RelayTrouble):
    """The relay does not do NIP-77, or not for us."""


@attrs.define(eq=False)
class _Request:
    """
    A REQ under way.

    Attributes:
        take: Gets each event, and says whether it was waited for.
        done: Fires upon EOSE.
        giving_up: Ends it when the relay says nothing for too long.
    """

    take: Callable[[Members], bool]
    done: Deferred[None]
    giving_up: IDelayedCall


class Conversation:
    """
    One connection to a relay, from the client's side.

    Args:
        send: Sends one message.
        clock: Measures how long answers take.
        prove: Makes the authentication event for a challenge; None if this client
            has no key.
    """

    _log = Logger()

    def __init__(
        self,
        send: Callable[[bytes], None],
        clock: IReactorTime,
        prove: Callable[[str], Members] | None = None,
    ) -> None:
        self._send = send
        self._clock = clock
        self._prove = prove
        self._names = count(1)
        self._challenge: str | None = None
        self._proved: str | None = None
        self._requests: dict[str, _Request] = {}
        self._published: dict[str, Deferred[tuple[bool, str]]] = {}
        self._reconciled: dict[str, Deferred[str]] = {}
        self._giving_up: IDelayedCall | None = None
        self._lost: str | None = None

    def message_received(self, text: bytes) -> None:
        """Take one message of the relay; what makes no sense is passed over."""
        try:
            message = loads(text)
        except NotJSONError:
            return
        match message:
            case ["EVENT", str(name), dict(members), *_] if name in self._requests:
                request = self._requests[name]
                if request.take(members):
                    # However long it takes, as long as it gets on.
                    request.giving_up.reset(ANSWER_SECONDS)
            case ["EOSE", str(name), *_] if name in self._requests:
                self._requests.pop(name).done.callback(None)
            case ["OK", str(event_id), bool(accepted), *rest] if (
                event_id in self._published
            ):
                self._published.pop(event_id).callback((accepted, _text(rest)))
            case ["CLOSED", str(name), *rest] if name in self._requests:
                self._requests.pop(name).done.errback(Refused(_text(rest)))
            case ["NEG-MSG", str(name), str(answer), *_] if name in self._reconciled:
                self._reconciled.pop(name).callback(answer)
            case ["NEG-ERR" | "CLOSED", str(name), *rest] if name in self._reconciled:
                self._reconciled.pop(name).errback(_negentropy_error(rest))
            case ["AUTH", str(challenge), *_]:
                self._challenge = challenge
            case ["NOTICE", *rest]:
                self._notice(_text(rest))

    def connection_lost(self, why: str) -> None:
        """Fail everything that is under way, and all that is asked from now on."""
        self._lost = why
        waiting: list[Deferred[Any]] = [
            *(request.done for request in self._requests.values()),
            *self._published.values(),
            *self._reconciled.values(),
        ]
        self._requests, self._published, self._reconciled = {}, {}, {}
        for one in waiting:
            one.errback(RelayTrouble(why))

    async def publish(self, raw: bytes, event_id: str) -> tuple[bool, str]:
        """
        Publish an event.

        Args:
            raw: The event as JSON.
            event_id: Its id in hexadecimal.

        Returns:
            Whether the relay has it now, and what it says to that.

        Raises:
            RelayTrouble: It does not answer.
        """
        accepted, reason = await self._publish(raw, event_id)
        if not accepted and await self._may_help(reason):
            accepted, reason = await self._publish(raw, event_id)
        return accepted, reason

    async def query(
        self, filters: Sequence[Mapping[str, object]], take: Callable[[Members], bool]
    ) -> None:
        """
        Fetch what the relay has stored.

        Args:
            filters: Of the REQ.
            take: Gets each event, not yet checked, and says whether that is one that
                was waited for.

        Raises:
            Refused: The relay closed the subscription.
            RelayTrouble: It does not answer.
        """
        try:
            await self._query(filters, take)
        except Refused as refusal:
            if not await self._may_help(str(refusal)):
                raise
            await self._query(filters, take)

    async def open_reconciliation(
        self, filter_: Mapping[str, object], message: bytes
    ) -> tuple[str, bytes]:
        """
        Begin to reconcile what matches a filter.

        Returns:
            The session's name and the relay's first message.

        Raises:
            Refused: The relay refuses this.
            DoesNotReconcile: It does not do it at all.
            RelayTrouble: It does not answer any more.
        """
        try:
            return await self._open(filter_, message)
        except Refused as refusal:
            if not await self._may_help(str(refusal)):
                raise
            return await self._open(filter_, message)

    async def reconcile(self, name: str, message: bytes) -> bytes:
        """
        Send the next message of a reconciliation, and wait for the answer to it.

        Raises:
            RelayTrouble: There is none, or the relay ends the session.
        """
        answer = self._asked(name, self._reconciled)
        self._say("NEG-MSG", name, message.hex())
        return _unhexed(await self._in_time(answer, "NEG-MSG"))

    def close_reconciliation(self, name: str) -> None:
        """End a session."""
        if self._lost is None:
            self._say("NEG-CLOSE", name)

    async def _open(
        self, filter_: Mapping[str, object], message: bytes
    ) -> tuple[str, bytes]:
        name = self._name()
        answer = self._asked(name, self._reconciled)
        self._say("NEG-OPEN", name, filter_, message.hex())
        try:
            return name, _unhexed(await self._in_time(answer, "NEG-OPEN"))
        except TimeoutError:
            raise DoesNotReconcile("it does not answer NEG-OPEN") from None
        finally:
            if self._giving_up is not None:
                self._giving_up.cancel()
                self._giving_up = None

    async def _publish(self, raw: bytes, event_id: str) -> tuple[bool, str]:
        answer = self._asked(event_id, self._published)
        self._send(b'["EVENT",%b]' % raw)
        try:
            return await self._in_time(answer, "EVENT")
        except TimeoutError:
            raise RelayTrouble("the relay does not answer EVENT") from None

    async def _query(
        self, filters: Sequence[Mapping[str, object]], take: Callable[[Members], bool]
    ) -> None:
        self._check_open()
        name = self._name()
        done: Deferred[None] = Deferred()
        giving_up = self._clock.callLater(
            ANSWER_SECONDS,
            lambda: done.errback(RelayTrouble("the relay does not answer REQ")),
        )
        self._requests[name] = _Request(take, done, giving_up)
        self._say("REQ", name, *filters)
        try:
            await done
        finally:
            self._requests.pop(name, None)
            if giving_up.active():
                giving_up.cancel()
        if self._lost is None:
            self._say("CLOSE", name)

    async def _may_help(self, reason: str) -> bool:
        """Authenticate if that may turn a refusal into something better."""
        challenge = self._challenge
        if not reason.startswith(_AUTH_PREFIXES) or challenge is None:
            return False
        if self._prove is None or challenge == self._proved:
            return False
        self._proved = challenge
        event = self._prove(challenge)
        answer = self._asked(event["id"], self._published)
        self._say("AUTH", event)
        try:
            accepted, why = await self._in_time(answer, "AUTH")
        except TimeoutError:
            raise RelayTrouble("the relay does not answer AUTH") from None
        if not accepted:
            raise Refused(why)
        return True

    def _asked(self, name: str, where: dict[str, Deferred[_T]]) -> Deferred[_T]:
        self._check_open()

        def forget(_: Deferred[_T]) -> None:
            where.pop(name, None)

        answer: Deferred[_T] = Deferred(forget)
        where[name] = answer
        return answer

    def _in_time(self, answer: Deferred[_T], verb: str) -> Deferred[_T]:
        return answer.addTimeout(ANSWER_SECONDS, self._clock)

    def _check_open(self) -> None:
        if self._lost is not None:
            raise RelayTrouble(self._lost)

    def _notice(self, text: str) -> None:
        """A relay that does not know NEG-OPEN says so in a NOTICE, or nothing."""
        self._log.debug("The relay says: {text}", text=text)
        if self._reconciled and self._giving_up is None:
            self._giving_up = self._clock.callLater(
                _NOTICE_SECONDS, self._give_up, text
            )

    def _give_up(self, text: str) -> None:
        self._giving_up = None
        waiting, self._reconciled = self._reconciled, {}
        for one in waiting.values():
            one.errback(DoesNotReconcile(f"it says: {text}"))

    def _name(self) -> str:
        return f"nostrtx-{next(self._names)}"

    def _say(self, *message: object) -> None:
        self._send(dumps(list(message)))


def _text(rest: Sequence[object]) -> str:
    """What a relay says for people, in one line."""
    text = rest[0] if rest else ""
    return " ".join(text.split())[:300] if type(text) is str else ""


def _negentropy_error(rest: Sequence[object]) -> RelayTrouble:
    reason = _text(rest)
    if reason.startswith("unsupported:"):
        return DoesNotReconcile(f"it says: {reason}")
    if len(rest) > 1 and type(rest[1]) is int:
        reason += f" (the relay reconciles up to {rest[1]:,} events)"
    return Refused(reason)


def _unhexed(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise RelayTrouble("the relay's NEG-MSG is not hexadecimal") from None

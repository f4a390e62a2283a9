# -*- test-case-name: tests.test_interfaces -*-
"""What the relay and the edge, where clients connect, promise one another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface


class IClient(Interface):
    """
    One connection, as a session sees it: where answers go.
    """

    address: str = Attribute("The client's IP address; empty if it has none.")

    def send(message: bytes) -> None:
        """
        Queue one message (UTF-8 JSON); it leaves at the end of the reactor's turn.

        Harmless after the connection was lost.
        """

    def send_shared(head: bytes, body: bytes) -> None:
        """
        Queue the message ``head + body``, whose body goes to other clients as well.

        Hand the very same ``body`` to one client after the other, with nothing else
        between: then what they have in common is made once.
        """

    def send_events(head: bytes, events: Sequence[bytes]) -> None:
        """
        Queue one message for each of ``events``, in order, as :meth:`send` does.

        Args:
            head: What stands before the event in each message; a ``]`` follows it.
            events: Events as :attr:`Event.raw`.
        """

    def is_full() -> bool:
        """Whether so much is unsent that a stored query should wait."""

    def when_ready() -> Deferred[None]:
        """
        Fires when the client has taken enough that :meth:`is_full` is False.

        Fires with CancelledError if the connection is lost; may be cancelled.
        """

    def close(code: int, reason: str) -> None:
        """Send what is queued, then close with an RFC 6455 code and reason."""


class IClientSession(Interface):
    """What the relay holds for one connection: its messages go in here."""

    def message_received(text: bytes) -> None:
        """Take one message, the UTF-8 text of one WebSocket message. Never raises."""

    def binary_received() -> None:
        """Take note that the client sent a binary message, which means nothing."""

    def connection_lost() -> None:
        """Release all that is held for the client; nothing is sent any more."""

    def shut_down(why: str = "shutting down") -> None:
        """
        Answer what is asked: CLOSED for every subscription, which says ``why``.

        Events under way are still answered; whoever asks later is told the same.
        """


class IRelay(Interface):
    """What the edge asks of the relay."""

    def session(client: IClient) -> IClientSession:
        """Begin a session for a client that has just connected."""

    def refusal(address: str) -> tuple[int, str] | None:
        """
        HTTP status and reason if ``address`` may not connect now, else None.

        Args:
            address: An IP address; empty where there is none.
        """

    def arrival(address: str) -> tuple[int, str, int] | None:
        """
        HTTP status, reason, and after how many seconds to try again (0: unsaid).

        None if no policy refuses the connection. Asked once for each connection that
        :meth:`refusal` has nothing against.
        """

    def on_refusals(call: Callable[[], None]) -> None:
        """Have ``call`` made whenever other addresses are refused than before."""


class IManagement(Interface):
    """Does what owners and moderators ask for over HTTP (NIP-86)."""

    def answer(
        authorization: bytes | None, query: str, body: bytes
    ) -> Deferred[tuple[int, bytes]]:
        """
        Do what a POST request asks for, if it may.

        Args:
            authorization: The value of its header of that name, if it has one.
            query: Of its URL, without the question mark; mostly empty.
            body: The whole of it.

        Returns:
            The HTTP status and the body of the answer; fires when what was asked
            for is durable and holds in this process. It does not fail.
        """


class ITurns(Interface):
    """
    The turns of the reactor, at whose end gathered work is done once.

    Much arrives in one turn: signatures to check, events to store, frames to
    send. Who gathers such work registers a call here and does it in bulk.
    """

    def at_end(call: Callable[[], bool]) -> None:
        """
        Make ``call`` at the end of turns, before the reactor waits for I/O.

        Calls are made in the order in which they were registered, also in turns
        in which there is nothing to do, so they must be quick to find out.

        Args:
            call: Returns whether it left work for which the reactor must not wait.
                Must not raise; if it does, that is logged and it is called again
                in the next turn.
        """

    def needed() -> None:
        """
        Say that there is something to do at the end of this turn.

        Costs next to nothing, but say it once and not for every piece of work.
        """

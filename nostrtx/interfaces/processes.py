# -*- test-case-name: tests.test_interfaces -*-
"""What the processes of one relay promise one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface


class BroadcasterUnusable(Exception):
    """This node cannot join the others; the text is one line that says why."""


class IBroadcaster(Interface):
    """
    News between the processes of one relay, workers of a machine or nodes.

    News may be lost: what matters for long is in the store, and is looked for there.
    Nobody hears what it said itself. What one process says on one topic arrives in
    that order.
    """

    name: str = Attribute(
        "What this process is called; unique among those that hear one another."
    )

    shares_store: bool = Attribute(
        """
        Whether all that hear it read one embedded store, so that stored events need
        not travel.
        """
    )

    is_connected: bool = Attribute("Whether news arrives and can be sent now.")

    def listen(topic: str, heard: Callable[[str, bytes], None]) -> None:
        """
        Have ``heard`` called with the sender's name and each payload on ``topic``.

        To be called before :meth:`start`. The news are as the sender said them: the
        broadcaster lets in nobody else.
        """

    def on_connected(call: Callable[[], None]) -> None:
        """Have ``call`` made whenever a connection stands; before, news was lost."""

    def start() -> Deferred[None]:
        """
        Join the others.

        Returns:
            Fires once this process may serve, also when the others cannot be
            reached at this moment. Fails with :class:`BroadcasterUnusable` if it may
            never join them.
        """

    def publish(topic: str, payload: bytes) -> bool:
        """
        Tell all others; False if there is no connection and the news is lost.

        Args:
            topic: ASCII, at most 32 characters.
            payload: Any bytes.
        """

    def facts() -> Mapping[str, int]:
        """What has been counted since the start, by name, to be told; only grows."""

    def stop() -> Deferred[None]:
        """Send what was published, then leave; fires when that is done."""


class IMeeting(Interface):
    """
    Where processes of two relays hear one another, while one takes over from the other.
    """

    version: str = Attribute("Those with another one do not understand one another.")

    def join(name: str, descriptor: int) -> None:
        """
        Take in a process, or several behind one stream.

        Args:
            name: Of the process, as it calls itself in its news; what the log calls
                several.
            descriptor: Of a stream socket, non-blocking; it is duplicated.
        """


class IOtherProcesses(Interface):
    """
    The relay's other processes, as those see them who tell each other of themselves.

    Whoever does so tells everything on an arrival, and what has changed later on; and
    forgets what was heard of a process on its departure.
    """

    are_none: bool = Attribute(
        "Whether nobody else is there, so that all telling is idle."
    )

    is_first: bool = Attribute(
        """
        Whether of all processes that are there this one was started first: for work
        that one should do, and of which it does no harm that two do it, as they may
        while they do not hear one another.
        """
    )

    instance: str = Attribute(
        "Names this start of this process; what started later has a larger one."
    )

    def listen(topic: str, heard: Callable[[str, bytes], None]) -> None:
        """As :meth:`IBroadcaster.listen`; whoever is heard has arrived before."""

    def publish(topic: str, payload: bytes) -> bool:
        """As :meth:`IBroadcaster.publish`."""

    def on_beat(call: Callable[[], None]) -> None:
        """Have ``call`` made about once a second."""

    def on_arrival(call: Callable[[], None]) -> None:
        """Have ``call`` made when another process needs to be told everything."""

    def on_departure(call: Callable[[str], None]) -> None:
        """
        Have ``call`` made with the name of a process that is gone.

        One that was only out of reach may come back as it was.
        """

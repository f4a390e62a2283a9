# -*- test-case-name: tests.test_joining -*-
"""Joining the relay's other processes as a service, and what if that may not be."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from socket import gethostname
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from nostrtx.interfaces.processes import BroadcasterUnusable, IBroadcaster
from nostrtx.relay.moment import Moment
from nostrtx.relay.roll_call import RollCall
from nostrtx.settings.tree import Settings

_log = Logger()


class BroadcasterService(Service):
    """
    News between the processes of the relay, while this runs.

    Args:
        broadcaster: Brings and takes the news.
        roll_call: Says that this process is here, and farewell in the end.
        give_up: Ends the process because it may not join the others; is told why, in
            one line.

    Attributes:
        joined: When this process has joined the others, or found them out of reach:
            what news does not tell, the store's log does.
    """

    def __init__(
        self,
        broadcaster: IBroadcaster,
        roll_call: RollCall,
        give_up: Callable[[str], None],
    ) -> None:
        self._broadcaster = broadcaster
        self._roll_call = roll_call
        self._give_up = give_up
        self._joining: Deferred[None] | None = None
        self.joined = Moment()

    def startService(self) -> None:
        """Join the others."""
        super().startService()
        self._roll_call.start()
        self._joining = Deferred.fromCoroutine(self._join())

    def stopService(self) -> Deferred[None]:
        """Tell what is to be told, then leave."""
        super().stopService()
        if self._joining is not None:
            self._joining.cancel()
        self._roll_call.stop()
        return self._broadcaster.stop()

    async def _join(self) -> None:
        try:
            await self._broadcaster.start()
        except CancelledError:
            return
        except BroadcasterUnusable as error:
            self._give_up(f"nostr-relay: {error}")
            return
        except Exception:
            _log.failure("Joining the other processes failed.")
            self._give_up("nostr-relay: cannot join the other processes")
            return
        self.joined.comes()


def name_of_node(settings: Settings, random_bytes: Callable[[int], bytes]) -> str:
    """
    What this machine's process is called among the others.

    One that may take over is there together with its predecessor, and needs another
    name at every start.
    """
    name = settings.cluster.node or gethostname()
    if settings.listen.takeover:
        name = f"{name}.{random_bytes(4).hex()}"
    return name


def fail(reactor: Any, why: str) -> None:
    """Stop in order, and end a process of twistd with an exit code that says so."""
    _log.critical("{why}", why=why)

    def leave() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        # The reactor catches whatever is raised, and twistd ends with 0.
        os._exit(1)

    reactor.addSystemEventTrigger("after", "shutdown", leave)
    reactor.stop()

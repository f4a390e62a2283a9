"""nostrtx: a Nostr relay on Twisted and Autobahn."""

from typing import Final

__version__: Final = "0.1.0"

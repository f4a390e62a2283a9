"""
The relay for ``twistd -y relay.tac``.

The environment variable NOSTRTX_CONFIG names the settings file, if there is one.
"""

import os

from twisted.application.service import Application
from twisted.internet import reactor

from nostrtx.settings.file import (ConfigError, load_settings)
from nostrtx.tap import relay_service, with_log

path = os.environ.get("NOSTRTX_CONFIG")
path = path and os.path.abspath(path)

try:
    settings = load_settings(path)
    relay = relay_service(lambda: load_settings(path), reactor)
except ConfigError as error:
    raise SystemExit(f"nostr-relay: {error}") from None

application = Application("nostr-relay")
relay = with_log(relay, settings, {}, reactor)
relay.setServiceParent(application)

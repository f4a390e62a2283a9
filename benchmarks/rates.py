"""
What rates cost for each event, without the relay around them.

    python -m benchmarks.rates

Prints microseconds of the processor for each event: its bytes, the event itself, and
its author, as :mod:`nostrtx.relay` asks for them.
"""

from __future__ import annotations

import json
import time
from typing import Any, Final

from twisted.internet import reactor as _reactor

from benchmarks.material import notes_20k
from nostrtx.interfaces.policies import Source
from nostrtx.nostr.event import Event, parse_event
from nostrtx.relay.measurements import Measurements
from nostrtx.relay.policies.observed import Observation, Observed
from nostrtx.relay.policies.policies import Policies
from nostrtx.relay.policies.rates import RATES, Rates
from nostrtx.settings.rates import RateSettings

reactor: Any = _reactor

_ROUNDS: Final = 25

#: A rate that is never used up.
_AMPLE: Final = "1000000000000/d"


def microseconds(
    rates: Rates | None, events: list[Event], are_counted: bool = False
) -> float:
    """
    What an event costs with these rates, at best.

    Args:
        rates: These; None for the loop itself.
        events: Are published.
        are_counted: Whether what they say is counted, as in a relay.
    """
    asked: Rates | Policies | None = rates
    if are_counted:
        observation = Observation("rates", is_own=True)
        observed = [Observed(rates, observation, Measurements(), reactor)]
        asked = Policies(checks=observed, events=observed)
    sources = [Source(f"192.0.2.{number}") for number in range(100)]
    best = float("inf")
    for _ in range(_ROUNDS):
        start = time.process_time()
        for number, event in enumerate(events):
            source = sources[number % 100]
            if rates is not None and asked is not None:
                if rates.counts_bytes:
                    rates.message_received(source, 800)
                asked.check_event(event, source)
                asked.admit(event, source)
        best = min(best, time.process_time() - start)
    return best / len(events) * 1e6


def main() -> None:
    """Measure and print."""
    with notes_20k().open() as lines:
        events = [parse_event(json.loads(line)) for line in lines]
    loop = microseconds(None, events)
    ample: dict[str, Any] = dict.fromkeys(RATES, _AMPLE)
    every = RateSettings(**ample)
    told = Rates(every, reactor)
    for limit in told.limits.values():
        limit.is_told = True
    for title, rates in (
        ("no rates", Rates(RateSettings(), reactor)),
        (
            "address_events only",
            Rates(RateSettings(address_events=_AMPLE), reactor),
        ),
        ("all rates", Rates(every, reactor)),
        ("all rates, told to other processes", told),
    ):
        print(f"{title}: {microseconds(rates, events) - loop:.2f} µs an event")
    cost = microseconds(Rates(every, reactor), events, True) - loop
    print(f"all rates, asked and counted as in a relay: {cost:.2f} µs an event")


if __name__ == "__main__":
    main()

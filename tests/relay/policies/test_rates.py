"""Tests for :mod:`nostrtx.relay.policies.rates`, within a whole relay."""

from __future__ import annotations

from collections import Counter
from typing import Any

import attrs
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.edge import IClientSession
from nostrtx.nostr.json import dumps
from nostrtx.relay.policies.rates import RATES, Exempt
from nostrtx.relay.policies.verdicts import verdict_of
from nostrtx.settings.rates import RateSettings
from nostrtx.settings.tree import Settings
from tests.relay.fakes import FakeClient, RelayUnderTest, event_message, req_message
from tests.storage.events import signed_event

_SOMEONE = "192.0.2.1"
_SOMEONE_ELSE = "192.0.2.2"


class RatesTestCase(SynchronousTestCase):
    """Relays with rates, and what their clients hear."""

    def begin(self, **rates: Any) -> None:
        """Have a relay with these rates."""
        self.relay = RelayUnderTest(Settings(rates=RateSettings(**rates)))
        self.sent = 0

    def client(self, address: str = _SOMEONE) -> tuple[FakeClient, IClientSession]:
        """A client."""
        return self.relay.connect(address)

    def publish(
        self, client: tuple[FakeClient, IClientSession], secret: int = 1
    ) -> str:
        """What the OK to a new event says; ``yes`` if it was accepted."""
        self.sent += 1
        event = signed_event(secret, content=f"note {self.sent:04}")
        client[1].message_received(event_message(event))
        self.relay.turns.settle()
        [(id_, accepted, reason)] = [
            message[1:] for message in client[0].heard() if message[0] == "OK"
        ]
        self.assertEqual(id_, event.id.hex())
        self.assertEqual(accepted, not reason)
        return reason or "yes"

    def ask(self, client: tuple[FakeClient, IClientSession], *message: Any) -> str:
        """What the answer to a request says; ``yes`` if it was served."""
        client[1].message_received(dumps(message or ["REQ", "s", {"limit": 1}]))
        self.relay.turns.settle()
        answer: list[str] = client[0].heard()[-1]
        return answer[2] if answer[0] in ("CLOSED", "NEG-ERR") else "yes"

    def pass_seconds(self, seconds: float) -> None:
        """Let time go by."""
        self.relay.clock.advance(seconds)

    def facts(self) -> dict[str, int]:
        """Refusals by rate, without zeros."""
        found: Counter[str] = Counter()
        for fact, many in self.relay.relay.statistics.facts().items():
            counted = verdict_of(fact)
            if counted is not None and counted.verdict == "refused":
                assert counted.policy == "rates", counted
                found[counted.rule] += many
        return found


class EventTests(RatesTestCase):
    """How fast events may come."""

    def test_no_limit(self) -> None:
        """Without rates everything comes as fast as it can."""
        self.begin()
        client = self.client()
        answers = [self.publish(client) for _ in range(50)]
        self.assertEqual(set(answers), {"yes"})

    def test_by_address(self) -> None:
        """So many events come from one address, over however many connections."""
        self.begin(address_events="3/min")
        one, other = self.client(), self.client()
        answers = [self.publish(client) for client in (one, other, one)]
        self.assertEqual(answers, ["yes"] * 3)
        refusal = "at most 3 events per minute from one address, try again in 20 s"
        self.assertEqual(self.publish(other), f"rate-limited: {refusal}")
        self.assertEqual(self.publish(self.client(_SOMEONE_ELSE)), "yes")

    def test_served_later(self) -> None:
        """Who waits as long as told is served, however often it has tried."""
        self.begin(address_events="3/min")
        client = self.client()
        for _ in range(10):
            self.publish(client)
        self.pass_seconds(14.5)
        self.assertIn("try again in 6 s", self.publish(client))
        self.pass_seconds(6)
        self.assertEqual(self.publish(client), "yes")
        self.assertIn("try again in 20 s", self.publish(client))

    def test_clock_set_back(self) -> None:
        """A clock that is set back by ten minutes shuts nobody out for so long."""
        self.begin(address_events="3/min")
        client = self.client()
        for _ in range(4):
            self.publish(client)
        self.relay.clock.rightNow -= 600
        self.assertIn("try again in 20 s", self.publish(client))
        self.pass_seconds(20.1)
        self.assertEqual(self.publish(client), "yes")
        self.assertIn("try again in 20 s", self.publish(client))

    def test_ipv6(self) -> None:
        """Who has a whole /64 has no more than others."""
        self.begin(address_events="1/min")
        self.assertEqual(self.publish(self.client("2001:db8::1")), "yes")
        self.assertNotEqual(self.publish(self.client("2001:db8::2:3")), "yes")
        self.assertEqual(self.publish(self.client("2001:db8:0:1::1")), "yes")

    def test_by_connection(self) -> None:
        """A connection has a rate of its own, whatever others of its address do."""
        self.begin(connection_events="1/h")
        client = self.client()
        self.assertEqual(self.publish(client), "yes")
        self.assertEqual(
            self.publish(client),
            "rate-limited: at most 1 event per hour over one connection,"
            " try again in 3600 s",
        )
        self.assertEqual(self.publish(self.client()), "yes")

    def test_both(self) -> None:
        """What one rate refuses is not counted for another one."""
        self.begin(address_events="2/min", connection_events="1/min")
        one, other = self.client(), self.client()
        self.publish(one)
        for _ in range(5):
            self.assertIn("over one connection", self.publish(one))
        self.assertEqual(self.publish(other), "yes")
        self.assertIn("from one address", self.publish(self.client()))

    def test_fresh_keys(self) -> None:
        """Whoever takes a new key for each event is still the same address."""
        self.begin(address_events="2/min", pubkey_events="1/min")
        client = self.client()
        answers = [self.publish(client, secret) for secret in (1, 2, 3)]
        self.assertEqual(answers[:2], ["yes", "yes"])
        self.assertIn("from one address", answers[2])

    def test_before_signature(self) -> None:
        """Refusing costs no check of a signature, and forged events count."""
        self.begin(address_events="1/min")
        client, session = self.client()
        forged = attrs.evolve(signed_event(content="a"), sig=bytes(64))
        raw = forged.raw.replace(
            signed_event(content="a").sig.hex().encode(), b"0" * 128
        )
        session.message_received(b'["EVENT",' + raw + b"]")
        self.relay.turns.settle()
        self.assertEqual(client.heard()[0][3], "invalid: bad signature")
        self.assertIn("rate-limited:", self.publish((client, session)))

    def test_exempt(self) -> None:
        """Nothing applies to a proxy or an importer on the same machine."""
        self.begin(**dict.fromkeys(RATES, "1/d"))
        for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1", ""):
            client = self.client(address)
            for _ in range(3):
                self.assertEqual(self.publish(client), "yes", address)
                self.assertEqual(self.ask(client), "yes", address)
                self.assertIsNone(self.relay.relay.arrival(address), address)

    def test_nobody_exempt(self) -> None:
        """Even these are counted if nobody is exempt."""
        self.begin(address_events="1/d", exempt=())
        for address in ("127.0.0.1", ""):
            client = self.client(address)
            self.assertEqual(self.publish(client), "yes", address)
            self.assertIn("rate-limited:", self.publish(client), address)


class AuthorTests(RatesTestCase):
    """How much an author may publish."""

    def test_by_author(self) -> None:
        """So many events of one author are taken, wherever they come from."""
        self.begin(pubkey_events="2/d")
        self.publish(self.client(_SOMEONE))
        self.publish(self.client(_SOMEONE_ELSE))
        self.assertEqual(
            self.publish(self.client()),
            "rate-limited: at most 2 events per day by one author,"
            " try again in 43200 s",
        )
        self.assertEqual(self.publish(self.client(), secret=2), "yes")

    def test_forged(self) -> None:
        """Forged events use up nothing of whose they claim to be."""
        self.begin(pubkey_events="1/d")
        client, session = self.client()
        genuine = signed_event(content="genuine")
        raw = genuine.raw.replace(genuine.sig.hex().encode(), b"0" * 128)
        for _ in range(3):
            session.message_received(b'["EVENT",' + raw + b"]")
            self.relay.turns.settle()
            self.assertEqual(client.heard()[0][3], "invalid: bad signature")
        self.assertEqual(self.publish((client, session)), "yes")

    def test_bytes(self) -> None:
        """Large events use up more; the last one may be larger than what is left."""
        self.begin(pubkey_bytes="1000/d")
        client = self.client()
        # Each has some 350 bytes.
        answers = [self.publish(client) for _ in range(4)]
        self.assertEqual(answers[:3], ["yes"] * 3)
        self.assertIn("at most 1000 bytes per day by one author", answers[3])


class ByteTests(RatesTestCase):
    """How many bytes may come."""

    def test_events_and_requests(self) -> None:
        """When no bytes are left, events and requests are refused until there are."""
        self.begin(address_bytes="600/min")
        client = self.client()
        self.assertEqual(self.publish(client), "yes")
        self.assertEqual(self.publish(client), "yes")
        refused = self.publish(client)
        self.assertIn("at most 600 bytes per minute from one address", refused)
        self.assertEqual(self.ask(client), refused)
        seconds = int(refused.rpartition(" in ")[2].removesuffix(" s"))
        self.pass_seconds(seconds - 2)
        self.assertIn("rate-limited:", self.ask(client))
        self.pass_seconds(2)
        self.assertEqual(self.ask(client), "yes")

    def test_all_messages(self) -> None:
        """Whatever a client sends counts, and what makes no sense as well."""
        for message in (
            dumps(["CLOSE", "x" * 50]),
            b"x" * 70,
            dumps(["REQ", "x" * 65]),
        ):
            self.begin(connection_bytes="600/h")
            client = self.client()
            for _ in range(20):
                client[1].message_received(message)
            client[0].heard()
            self.assertIn("over one connection", self.publish(client), message)

    def test_never_larger(self) -> None:
        """A message that is larger than the rate passes when nothing was sent."""
        self.begin(address_bytes="10/s")
        client = self.client()
        self.assertEqual(self.publish(client), "yes")
        self.assertIn("rate-limited:", self.publish(client))


class RequestTests(RatesTestCase):
    """How fast clients may ask."""

    def test_every_verb(self) -> None:
        """Whatever asks for stored events counts, and is refused in its own way."""
        self.begin(address_requests="3/min")
        client = self.client()
        requests: tuple[tuple[Any, ...], ...] = (
            ("REQ", "r", {"limit": 1}),
            ("COUNT", "c", {}),
            ("NEG-OPEN", "n", {}, "61"),
        )
        self.assertEqual([self.ask(client, *one) for one in requests], ["yes"] * 3)
        text = "at most 3 requests per minute from one address, try again in 20 s"
        for request in requests:
            self.assertEqual(self.ask(client, *request), f"rate-limited: {text}")
        self.assertEqual(self.publish(client), "yes")

    def test_ends(self) -> None:
        """A REQ that is refused ends the subscription of that id, as any refusal."""
        self.begin(connection_requests="1/min")
        client, session = self.client()
        session.message_received(req_message("s", {}))
        self.relay.turns.settle()
        self.assertEqual(client.heard(), [["EOSE", "s"]])
        session.message_received(req_message("s", {}))
        [closed] = client.heard()
        self.assertEqual(closed[:2], ["CLOSED", "s"])
        self.relay.publish(signed_event(content="later"))
        self.assertEqual(client.heard(), [])


class ConnectionTests(RatesTestCase):
    """How fast clients may connect."""

    def test_refused(self) -> None:
        """A client hears when to come back, and may then."""
        self.begin(address_connections="2/min")
        relay = self.relay.relay
        self.assertIsNone(relay.arrival(_SOMEONE))
        self.assertIsNone(relay.arrival(_SOMEONE))
        text = "at most 2 connections per minute from one address, try again in 30 s"
        self.assertEqual(relay.arrival(_SOMEONE), (429, f"rate-limited: {text}", 30))
        self.assertIsNone(relay.arrival(_SOMEONE_ELSE))
        self.pass_seconds(30)
        self.assertIsNone(relay.arrival(_SOMEONE))


class ShadowTests(RatesTestCase):
    """Rates on trial."""

    def test_counts_only(self) -> None:
        """Nothing is refused; metrics and the log tell what would be."""
        rates = dict.fromkeys(RATES, "1/d")
        self.begin(**rates, shadow=True)
        client = self.client()
        with capturedLogs() as logs:
            for _ in range(3):
                self.assertEqual(self.publish(client), "yes")
                self.assertEqual(self.ask(client), "yes")
                self.assertIsNone(self.relay.relay.arrival(_SOMEONE))
        self.assertEqual(self.facts()["address_connections"], 2)
        self.assertIn("It would have refused", {one.get("what") for one in logs})


class InsightTests(RatesTestCase):
    """What the operator learns."""

    def test_counters(self) -> None:
        """Refusals are counted by the setting that caused them."""
        self.begin(address_events="2/min", connection_requests="1/min")
        client = self.client()
        for _ in range(5):
            self.publish(client)
            self.ask(client)
        expected = {"address_events": 3, "connection_requests": 4}
        self.assertEqual(self.facts(), expected)
        counted = self.relay.relay.statistics.facts()
        name = "policy_verdicts:rates:check:address_events:yes:refused"
        self.assertEqual(counted[name], 3)
        # Two that the rate let pass, each once before its signature and once after.
        for step in ("check", "admit"):
            self.assertEqual(counted[f"policy_verdicts:rates:{step}::yes:accepted"], 2)

    def test_not_yet(self) -> None:
        """A rate that was not used up is among the figures, at the step it is for."""
        self.begin(**dict.fromkeys(RATES, "1000/d"))
        facts = self.relay.relay.statistics.facts()
        steps = {
            one.rule: one.step
            for one in map(verdict_of, facts)
            if one is not None and one.policy == "rates" and one.rule
        }
        self.assertEqual(steps.keys(), set(RATES))
        self.assertEqual(steps["address_connections"], "connect")
        self.assertEqual(steps["connection_requests"], "request")
        self.assertEqual(steps["address_bytes"], "check")
        self.assertEqual(steps["pubkey_bytes"], "admit")

    def test_log(self) -> None:
        """The log says that a rate is reached once a minute, and no address."""
        self.begin(address_events="1/d")
        client = self.client()
        with capturedLogs() as logs:
            for _ in range(50):
                self.publish(client)
            self.pass_seconds(61)
            self.publish(client)
        reached = [one for one in logs if one["log_level"] is LogLevel.warn]
        self.assertEqual([one["refusals"] for one in reached], [1, 50])
        self.assertEqual({one["name"] for one in reached}, {"address_events"})
        self.assertNotIn(_SOMEONE, repr(reached))


class ApplyTests(RatesTestCase):
    """New settings while clients are connected."""

    def test_changed(self) -> None:
        """Clients that are connected go by the new rates at once."""
        self.begin(address_events="1/d")
        client = self.client()
        self.publish(client)
        self.assertIn("rate-limited:", self.publish(client))
        self.relay.relay.rates.apply(RateSettings(address_events="2/d"))
        answers = [self.publish(client) for _ in range(3)]
        self.assertEqual(answers[:2], ["yes", "yes"])
        self.assertIn("at most 2 events per day", answers[2])
        self.relay.relay.rates.apply(RateSettings())
        self.assertEqual(self.publish(client), "yes")
        self.assertEqual(self.facts(), {"address_events": 2})

    def test_other_settings(self) -> None:
        """Rates change with the settings of the relay."""
        self.begin()
        client = self.client()
        self.publish(client)
        rates = RateSettings(address_events="1/d")
        self.relay.settings.change(Settings(rates=rates))
        self.assertEqual(self.publish(client), "yes")
        self.assertIn("rate-limited:", self.publish(client))

    def test_unchanged(self) -> None:
        """Reading the same settings again is no way to get a full bucket."""
        self.begin(address_events="1/d")
        client = self.client()
        self.publish(client)
        again = RateSettings(address_events="1/d", pubkey_events="9/d")
        self.relay.relay.rates.apply(again)
        self.assertIn("rate-limited:", self.publish(client))

    def test_exempt(self) -> None:
        """Whom the new settings exempt is free at once."""
        self.begin(address_events="1/d", address_bytes="1/d")
        client = self.client()
        self.publish(client)
        self.assertIn("rate-limited:", self.publish(client))
        again = RateSettings(
            address_events="1/d", address_bytes="1/d", exempt=("192.0.2.0/24",)
        )
        self.relay.relay.rates.apply(again)
        self.assertEqual(self.publish(client), "yes")
        self.assertEqual(self.publish(client), "yes")


class ExemptTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.policies.rates.Exempt`."""

    def test_networks(self) -> None:
        """Addresses are found in networks of both kinds."""
        exempt = Exempt(("10.0.0.0/8", "2001:db8::/32", "192.0.2.7"))
        for address in ("10.1.2.3", "::ffff:10.1.2.3", "2001:db8::9", "192.0.2.7"):
            self.assertIn(address, exempt)
        for address in ("11.0.0.1", "2001:db9::1", "192.0.2.8", "", "no address"):
            self.assertNotIn(address, exempt)

    def test_unix(self) -> None:
        """Whoever has no address came over a UNIX socket."""
        self.assertIn("", Exempt(("unix",)))
        self.assertNotIn("127.0.0.1", Exempt(("unix",)))

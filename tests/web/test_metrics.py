"""Tests for :mod:`nostrtx.web.metrics`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.measurements import HISTOGRAMS
from nostrtx.relay.statistics import Statistics
from nostrtx.web.metrics import StoreState, exposition

_ROOT = Path(__file__).parents[2]

_ENDS = {"ssl:443": 1_800_000_000.5}

_STORE = StoreState(True, 7, {"events": 4096, "ids": 8192})


def parsed(text: bytes) -> dict[str, Any]:
    """Families by name, as Prometheus' own parser reads them."""
    return {
        family.name: family for family in text_string_to_metric_families(text.decode())
    }


class MetricsTests(SynchronousTestCase):
    """Facts as Prometheus reads them."""

    def setUp(self) -> None:
        """A process that has counted something."""
        self.statistics = Statistics()

    def shown(self) -> dict[str, Any]:
        """The families by name."""
        text, media_type = exposition(self.statistics.facts(), _STORE, _ENDS)
        self.assertTrue(media_type.startswith("text/plain; version="))
        return parsed(text)

    def values(self, name: str, label: str) -> dict[str, float]:
        """The values of a family by a label."""
        return {each.labels[label]: each.value for each in self.shown()[name].samples}

    def test_gauges(self) -> None:
        """What is now is a gauge."""
        self.statistics.sessions = 5
        family = self.shown()["nostrtx_connections"]
        self.assertEqual(family.type, "gauge")
        self.assertEqual([sample.value for sample in family.samples], [5])

    def test_outcomes(self) -> None:
        """Events are counted by what became of them, also what never happened."""
        self.statistics.events_stored = 3
        self.statistics.events_refused = 1
        self.assertEqual(
            self.values("nostrtx_events", "outcome"),
            {"stored": 3, "passed_on": 0, "taken": 0, "duplicate": 0, "refused": 1},
        )

    def test_labels_as_they_come(self) -> None:
        """Kinds and reasons appear once there was one."""
        self.assertEqual(self.values("nostrtx_events_accepted", "kind"), {})
        self.statistics.measurements.kinds.update(["1", "1", "ephemeral"])
        self.statistics.measurements.reasons["pow"] += 1
        self.assertEqual(
            self.values("nostrtx_events_accepted", "kind"), {"1": 2, "ephemeral": 1}
        )
        self.assertEqual(self.values("nostrtx_events_refused", "reason"), {"pow": 1})

    def test_policies(self) -> None:
        """What policies have said is one family, whichever they are."""
        record = self.statistics.measurements.policies
        record.of("rules", "check", False).count("refused", "no-links")
        record.of("rates", "connect", True).count("refused", "address_connections")
        record.of("spam-filter", "admit", True).accepted = 5
        samples = self.shown()["nostrtx_policy_verdicts"].samples
        labels = ("policy", "step", "rule", "enforced", "verdict")
        self.assertEqual(
            [
                (*(sample.labels[name] for name in labels), sample.value)
                for sample in samples
            ],
            [
                ("rates", "connect", "address_connections", "yes", "refused", 1),
                ("rules", "check", "no-links", "no", "refused", 1),
                ("spam-filter", "admit", "", "yes", "accepted", 5),
            ],
        )

    def test_policy_seconds(self) -> None:
        """How long each took is a histogram of its own at each step."""
        record = self.statistics.measurements.policies
        record.seconds_of("rates", "check").observe(0.000002, 17)
        record.seconds_of("spam-filter", "admit").observe(0.2)
        family = self.shown()["nostrtx_policy_seconds"]
        counts = {
            (sample.labels["policy"], sample.labels["step"]): sample.value
            for sample in family.samples
            if sample.name.endswith("_count")
        }
        self.assertEqual(counts, {("rates", "check"): 17, ("spam-filter", "admit"): 1})

    def test_messages(self) -> None:
        """Messages are counted by verb, wherever that was done."""
        self.statistics.events_received = 2
        self.statistics.requests = 3
        self.statistics.measurements.verbs["NEG-MSG"] = 4
        verbs = self.values("nostrtx_messages", "verb")
        self.assertEqual((verbs["EVENT"], verbs["REQ"], verbs["NEG-MSG"]), (2, 3, 4))
        self.assertEqual(len(verbs), 8)

    def test_histogram(self) -> None:
        """Buckets add up, the last one to all there was."""
        commit = self.statistics.measurements.commit_seconds
        for seconds in (0.003, 0.02, 99.0):
            commit.observe(seconds)
        family = self.shown()["nostrtx_commit_seconds"]
        self.assertEqual(family.type, "histogram")
        samples = {
            (each.name.rpartition("_")[2], each.labels.get("le")): each.value
            for each in family.samples
        }
        self.assertEqual(samples["bucket", "0.0025"], 0)
        self.assertEqual(samples["bucket", "0.005"], 1)
        self.assertEqual(samples["bucket", "0.025"], 2)
        self.assertEqual(samples["bucket", "+Inf"], 3)
        self.assertEqual(samples["count", None], 3)
        self.assertAlmostEqual(samples["sum", None], 99.023)

    def test_store(self) -> None:
        """Each part of the store tells its size."""
        self.assertEqual(
            self.values("nostrtx_store_bytes", "part"), {"events": 4096, "ids": 8192}
        )
        self.assertEqual(self.shown()["nostrtx_store_last_seq"].samples[0].value, 7)

    def test_store_is_down(self) -> None:
        """A store that does not answer is told of, and nothing is made up."""
        text, _ = exposition(self.statistics.facts(), StoreState(False), {})
        shown = parsed(text)
        self.assertEqual(shown["nostrtx_store_up"].samples[0].value, 0)
        self.assertNotIn("nostrtx_store_last_seq", shown)

    def test_certificates(self) -> None:
        """It is told when the certificate of each endpoint ends."""
        self.assertEqual(
            self.values("nostrtx_certificate_expiry_timestamp_seconds", "endpoint"),
            _ENDS,
        )

    def test_all_histograms(self) -> None:
        """Whatever is measured is shown."""
        self.assertTrue({f"nostrtx_{name}" for name in HISTOGRAMS} <= set(self.shown()))

    def test_guide(self) -> None:
        """docs/metrics.md names every family that is shown, and no other."""
        text = (_ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
        named = set(re.findall(r"^\| `(nostrtx_\w+)", text, re.MULTILINE))
        shown = {
            f"{name}_total" if family.type == "counter" else name
            for name, family in self.shown().items()
        }
        self.assertEqual(named, shown)


class QuestionsTestCase(SynchronousTestCase):
    """Questions to Prometheus, held against what there is to ask for."""

    def setUp(self) -> None:
        """Have a relay that has counted something of everything."""
        statistics = Statistics()
        measured = statistics.measurements
        measured.kinds["1"] += 1
        measured.reasons["pow"] += 1
        measured.policies.of("rates", "check", True).count("refused", "pubkey_bytes")
        measured.policies.seconds_of("rates", "check").observe(0.5)
        text, _ = exposition(statistics.facts(), _STORE, _ENDS)
        #: The labels of each name that there is.
        self.labels: dict[str, set[str]] = {}
        for family in parsed(text).values():
            for sample in family.samples:
                of_name = self.labels.setdefault(sample.name, set())
                of_name |= sample.labels.keys() | {"job", "instance"}

    def check(self, question: str) -> tuple[set[str], set[str]]:
        """
        Fail if a question is about something that there is not.

        Returns:
            The names that it is about, and by what labels it is answered.
        """
        names = set(re.findall(r"nostrtx_\w+", question))
        self.assertTrue(names, question)
        self.assertLessEqual(names, self.labels.keys(), question)
        known = set.union(*[self.labels[name] for name in names])
        grouped = [
            set(re.split(r",\s*", labels))
            for labels in re.findall(r"by \(([^)]*)\)", question)
        ]
        matched = set(re.findall(r"(\w+)(?:=~|!=|=)\"", question))
        self.assertLessEqual(set().union(matched, *grouped), known, question)
        return names, grouped[0] if grouped else set()


class AlertTests(QuestionsTestCase):
    """The alerts for Prometheus."""

    def setUp(self) -> None:
        """Read them."""
        super().setUp()
        path = _ROOT / "deploy" / "prometheus" / "nostrtx.rules.yml"
        self.text = path.read_text(encoding="utf-8")

    def test_names(self) -> None:
        """They ask for nothing that does not exist."""
        questions = re.findall(r"^ +expr: (.+)$", self.text, re.MULTILINE)
        for question in questions:
            self.check(question)
        self.assertEqual(len(questions), self.text.count("- alert: "))

    def test_guide(self) -> None:
        """docs/metrics.md explains each."""
        guide = (_ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
        self.assertEqual(
            re.findall(r"^\| `(Nostrtx\w+)`", guide, re.MULTILINE),
            re.findall(r"- alert: (\w+)", self.text),
        )


class DashboardTests(QuestionsTestCase):
    """The dashboard for Grafana."""

    def setUp(self) -> None:
        """Read it."""
        super().setUp()
        path = _ROOT / "deploy" / "grafana" / "nostrtx.json"
        self.panels = json.loads(path.read_text(encoding="utf-8"))["panels"]

    def targets(self) -> list[tuple[str, str]]:
        """Each question with the text of its answers."""
        return [
            (target["expr"], target["legendFormat"])
            for panel in self.panels
            for target in panel.get("targets", [])
        ]

    def test_names(self) -> None:
        """It asks for nothing that does not exist, by no label that does not."""
        asked: set[str] = set()
        for question, answer in self.targets():
            names, labels = self.check(question)
            asked |= names
            told = set(re.findall(r"{{(\w+)}}", answer))
            self.assertEqual(told, labels, question)
        self.assertGreater(len(asked), 30)

    def test_complete(self) -> None:
        """Whatever there is to see is on it, but for the version of the relay."""
        asked = " ".join([question for question, _ in self.targets()])
        ends = re.compile("_(bucket|count|sum|created)$")
        families = {ends.sub("", name) for name in self.labels}
        missing = {name for name in families if name not in asked}
        self.assertEqual(missing, {"nostrtx_build_info"})

    def test_layout(self) -> None:
        """No panel lies over another one, and each has a number of its own."""
        taken: set[tuple[int, int]] = set()
        for panel in self.panels:
            at = panel["gridPos"]
            self.assertLessEqual(at["x"] + at["w"], 24, panel["title"])
            for x in range(at["x"], at["x"] + at["w"]):
                for y in range(at["y"], at["y"] + at["h"]):
                    self.assertNotIn((x, y), taken, panel["title"])
                    taken.add((x, y))
        numbers = [panel["id"] for panel in self.panels]
        self.assertEqual(len(numbers), len(set(numbers)))

    def test_units(self) -> None:
        """What is a time is shown as one, and what is a rate as one."""
        for panel in self.panels:
            unit = panel.get("fieldConfig", {}).get("defaults", {}).get("unit")
            for target in panel.get("targets", []):
                question = target["expr"]
                is_rate = (
                    re.search(r"rate\(|deriv\(", question) and "_bucket" not in question
                )
                if "quantile" in question or "seconds_sum" in question:
                    expected = {"s", "percentunit"}
                elif "store_bytes" in question:
                    expected = {"bytes"}
                elif "timestamp" in question:
                    expected = {"s"}
                elif is_rate and "_count" not in question:
                    expected = {"ops"}
                else:
                    expected = {"short"}
                self.assertIn(unit, expected, question)

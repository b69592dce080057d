"""``/metrics`` of a server under test, as Prometheus reads it.

What belongs here: asking for it and adding up. What does not: what the numbers should be.
"""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from .server import Server


@dataclass(frozen=True)
class Sample:
    """One line."""

    name: str
    labels: dict[str, str]
    value: float


class Scrape:
    """What one worker said of all."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = [
            Sample(sample.name, sample.labels, sample.value)
            for family in self.families.values()
            for sample in family.samples
        ]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of a metric (without its prefix) over whatever is not among ``labels``."""
        named = self.named(name)
        assert named, f"there is no pushapp_{name}"
        return sum(s.value for s in named if labels.items() <= s.labels.items())

    def named(self, name: str) -> list[Sample]:
        """Return all lines of this name."""
        return [sample for sample in self.samples if sample.name == f"pushapp_{name}"]


def scrape_all(server: Server) -> Scrape:
    """Ask each of the workers: one that is asked says how it is now, the others of a second ago."""
    for pid in server.workers():
        with server.only(pid):
            found = scrape(server)
    return found


def scrape(server: Server) -> Scrape:
    """Ask any of the workers."""
    reply = server.ask("GET", "/metrics")
    assert reply.status == 200, reply
    return Scrape(reply.body.decode())

"""What the polling and the subscription of this process count, as Prometheus asks for it. No meter is a label."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from collectors.forward import Forwarder
from collectors.spool import Spool
from collectors.subscriber import Subscriber
from ingest.tally import Polled


class PollMetrics(Collector):
    """Polls by model and result, how long meters take, how busy each line is, and how many lines are polled here."""

    def __init__(self, tally: Polled, lines: Callable[[], int]) -> None:
        self._tally = tally
        self._lines = lines

    def collect(self) -> Iterator[Metric]:
        polls = CounterMetricFamily("amr_polls", "Polls by meter model and result", labels=["model", "result"])
        for (model, result), count in self._tally.polls.items():
            polls.add_metric([model, result], count)
        yield polls
        answers = HistogramMetricFamily("amr_poll_seconds", "How long a poll takes, by meter model", labels=["model"])
        for model, durations in self._tally.answers.items():
            answers.add_metric([model], durations.cumulative(), durations.total)
        yield answers
        busy = CounterMetricFamily("amr_line_busy_seconds", "Seconds a line was spoken on: its use", labels=["line"])
        for line, use in self._tally.busy.items():
            busy.add_metric([line], use.seconds)
        yield busy
        yield GaugeMetricFamily("amr_lines", "Lines this process polls", value=self._lines())


class SubscriberMetrics(Collector):
    """The subscription: connected or not, what came, what is in flight."""

    def __init__(self, subscriber: Subscriber) -> None:
        self._subscriber = subscriber

    def collect(self) -> Iterator[Metric]:
        counts = self._subscriber.counts
        yield GaugeMetricFamily(
            "amr_mqtt_connected", "1 while the broker is connected", value=float(self._subscriber.connected.is_set())
        )
        yield GaugeMetricFamily(
            "amr_mqtt_in_flight", "Messages received and not acknowledged yet", value=self._subscriber.held
        )
        for name, what, count in (
            ("messages", "Messages received", counts.messages),
            ("readings", "Readings in them", counts.readings),
            ("rejects", "Parts of messages that are no readings", counts.rejects),
            ("acknowledged", "Messages acknowledged, after their commit", counts.acknowledged),
            ("unstored", "Messages that could not be stored and stay with the broker", counts.unstored),
            ("connections", "Connections made", counts.connections),
        ):
            yield CounterMetricFamily(f"amr_mqtt_{name}", what, value=count)


class ForwardMetrics(Collector):
    """A collector without a store: connected or not, what was sent, what the central ingest confirmed."""

    def __init__(self, forwarder: Forwarder, tally: Polled, lines: Callable[[], int]) -> None:
        self._forwarder = forwarder
        self._polls = PollMetrics(tally, lines)

    def collect(self) -> Iterator[Metric]:
        yield from self._polls.collect()
        counts = self._forwarder.counts
        yield GaugeMetricFamily(
            "amr_forward_connected",
            "1 while the central broker is connected",
            value=float(self._forwarder.connected.is_set()),
        )
        for name, what, count in (
            ("messages", "Messages sent to the central ingest", counts.messages),
            ("repeated", "Messages sent again: their confirmation did not come in time", counts.repeated),
            ("confirmed", "Deliveries the central ingest has confirmed, and that left this disk", counts.confirmed),
        ):
            yield CounterMetricFamily(f"amr_forward_{name}", what, value=count)


class SpoolMetrics(Collector):
    """What waits on disk."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def collect(self) -> Iterator[Metric]:
        state = self._spool.state()
        yield GaugeMetricFamily("amr_spool_items", "Deliveries that wait on disk", value=state.depth)
        yield GaugeMetricFamily("amr_spool_bytes", "Bytes they take", value=state.bytes)
        yield GaugeMetricFamily("amr_spool_limit_bytes", "Bytes they may take", value=state.max_bytes)
        yield GaugeMetricFamily("amr_spool_oldest_seconds", "Age of the oldest", value=state.age.total_seconds())
        yield GaugeMetricFamily("amr_spool_alert", "1 while the spool is nearly full or too old", value=state.alert)

"""The expectations of the TCP tests themselves: complete, and able to fail."""

import pytest

from tests.e2e.harness import scrape
from tests.e2e.harness.tcp_families import Counts, families, label_sets
from tests.e2e.test_matchers import HTTP

COUNTS = Counts(opened=2, closed=1, received=6, sent=12)


@pytest.mark.parametrize("name", label_sets())
def test_label_sets_spell_out_every_label(name: str) -> None:
    labels = label_sets()[name]
    assert sorted(labels) == sorted(HTTP[:23])
    assert all(isinstance(value, str) for value in labels.values()), labels


def test_label_sets_differ() -> None:
    sets = [tuple(sorted(labels.items())) for labels in label_sets().values()]
    assert len(set(sets)) == len(sets)


def test_counts_become_families() -> None:
    found = families("west", {"west": COUNTS})
    values = {name: list(family.series.values()) for name, family in found.items()}
    assert values == {
        "istio_build": [1],
        "istio_tcp_connections_opened_total": [2],
        "istio_tcp_connections_closed_total": [1],
        "istio_tcp_received_bytes_total": [6],
        "istio_tcp_sent_bytes_total": [12],
        "istio_tcp_connection_duration_milliseconds": [1],
    }
    assert list(families("west", {"west": Counts()})) == ["istio_build"]


@pytest.mark.parametrize(
    "other",
    [
        {"west": Counts(opened=2, closed=1, received=5, sent=12)},
        {"west": Counts(opened=2, closed=1, received=6)},
        {"west_alone": COUNTS},
        {"west": COUNTS, "west_alone": Counts(received=1)},
    ],
    ids=["one_byte", "no_sent_bytes", "other_labels", "one_more_series"],
)
def test_another_count_or_label_is_a_difference(other: dict[str, Counts]) -> None:
    wanted = families("west", {"west": COUNTS})
    assert not scrape.differences(wanted, wanted)
    assert scrape.differences(families("west", other), wanted)

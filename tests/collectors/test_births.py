"""What Sparkplug nodes said at birth: names behind aliases, numbers that were missed, and memory with a bound."""

from __future__ import annotations

import pytest

from collectors import births
from collectors.births import BETWEEN_REBIRTHS, Births
from collectors.sparkplug import Metric, Payload


def metric(alias: int | None, name: str | None = None, datatype: int | None = None) -> Metric:
    return Metric(name, alias, None, datatype, "int_value", 7)


def birth(*aliases: int, seq: int = 0) -> Payload:
    return Payload(seq, tuple(metric(alias, f"m{alias}", 3) for alias in aliases))


def data(*aliases: int, seq: int) -> Payload:
    return Payload(seq, tuple(metric(alias) for alias in aliases))


def names(known: Births, node: str, *aliases: int) -> list[str | None]:
    found = [known.named(node, metric(alias)) for alias in aliases]
    return [None if one is None else one.name for one in found]


def test_an_alias_has_the_name_and_type_of_its_birth_and_another_node_has_its_own() -> None:
    known = Births()
    assert not known.learn("g/1", "NBIRTH", birth(1, 2), 0.0)
    assert not known.learn("g/1", "DBIRTH", birth(3, seq=1), 0.0)
    assert names(known, "g/1", 1, 2, 3, 4) == ["m1", "m2", "m3", None]
    assert names(known, "g/2", 1) == [None]
    found = known.named("g/1", metric(1))
    assert found is not None
    assert found.datatype == 3
    assert not known.learn("g/1", "NBIRTH", birth(2), 1.0)
    assert names(known, "g/1", 1, 2, 3) == [None, "m2", None]


def test_a_number_that_was_missed_and_an_alias_never_told_ask_for_a_rebirth_but_not_all_the_time() -> None:
    known = Births()
    known.learn("g/1", "NBIRTH", birth(1), 0.0)
    assert not known.learn("g/1", "NDATA", data(1, seq=1), 1.0)
    assert known.learn("g/1", "NDATA", data(1, seq=3), 2.0)
    assert not known.learn("g/1", "NDATA", data(1, seq=9), 2.0 + BETWEEN_REBIRTHS - 1)
    assert not known.learn("g/1", "NDATA", data(1, seq=10), 100.0)
    assert known.learn("g/1", "NDATA", data(5, seq=11), 101.0)
    assert known.learn("g/2", "DDATA", data(5, seq=0), 101.0)


def test_numbers_go_from_255_to_0_and_a_death_has_that_of_its_birth() -> None:
    known = Births()
    known.learn("g/1", "NBIRTH", birth(1, seq=254), 0.0)
    assert not known.learn("g/1", "NDATA", data(1, seq=255), 0.0)
    assert not known.learn("g/1", "NDEATH", Payload(0, ()), 0.0)
    assert not known.learn("g/1", "NDATA", data(1, seq=0), 0.0)


def test_what_is_remembered_has_a_bound_for_each_node_and_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(births, "MOST_ALIASES", 4)
    monkeypatch.setattr(births, "MOST_TOGETHER", 10)
    monkeypatch.setattr(births, "MOST_NODES", 5)
    known = Births()
    for seq, device in enumerate(([1, 2, 3], [4, 5, 6])):
        known.learn("g/1", "DBIRTH", birth(*device, seq=seq), 0.0)
    assert names(known, "g/1", 1, 2, 3, 4, 5, 6) == [None, None, "m3", "m4", "m5", "m6"]
    for number in (2, 3):
        known.learn(f"g/{number}", "NBIRTH", birth(1, 2, 3), 0.0)
    assert names(known, "g/1", 6) == ["m6"]
    known.learn("g/1", "NBIRTH", birth(1), 0.0)
    known.learn("g/4", "NBIRTH", birth(1, 2, 3), 0.0)
    assert names(known, "g/1", 1) == ["m1"]
    known.learn("g/5", "NBIRTH", birth(1), 0.0)
    assert names(known, "g/1", 1) == [None]
    assert names(known, "g/5", 1) == ["m1"]
    for number in range(6, 30):
        known.learn(f"g/{number}", "NDATA", data(seq=0), 0.0)
    assert len(known._nodes) == 5
    assert known._aliases == 0

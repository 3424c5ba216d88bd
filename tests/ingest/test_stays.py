"""Exchanges, changes of K, returns and gaps of any shape: the sums of a second, naive implementation, exactly."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.consumption import Policy, consumption
from ingest.model import Quality
from tests.ingest import naive
from tests.ingest.stays import DIGITS, cuts_of, known_of, point_with, stays_of, stretches_of


@settings(max_examples=300)
@given(seed=st.integers(0, 2**32))
def test_every_sum_is_that_of_the_naive_one(seed: int) -> None:
    rng = Random(seed)
    stays = stays_of(rng)
    point = point_with(stays, rng.choice(DIGITS), rng)
    cuts = cuts_of(rng, stays)
    if len(cuts) < 2:
        return
    gap = timedelta(hours=rng.choice([2, 24, 48, 9600]))
    found = consumption(stretches_of(point, stays, cuts), cuts, Policy(gap_limit=gap))
    longest = max(gap, max(end - begin for begin, end in pairwise(cuts)) * 3 / 2)
    for amount, wanted in zip(found, naive.over_stays(known_of(stays), cuts, longest), strict=True):
        assert (None if amount.amount is None else Fraction(amount.amount) * 10**6) == wanted.amount
        assert int(amount.completeness * 10_000) == wanted.measured * 10_000 // (amount.end - amount.begin)
        estimated = Quality.ESTIMATED if wanted.estimated else Quality.GOOD
        assert amount.quality == (Quality.MISSING if wanted.amount is None else estimated)

"""Which couples are tried next: by a simulated judge whose truth is known, against trying by lot."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duckrabbit.evaluation.search.halving import ETA, NEW, RUNGS, Tally, choose, proposed

SUBJECTS = [f"thing {k}" for k in range(60)]


class World:
    """Couples have a true alignment, of what their subjects are worth and of luck; a seed shows it with noise."""

    def __init__(self, seed):
        chance = Random(seed)
        self.worth = {subject: chance.gauss(0, 0.1) for subject in SUBJECTS}
        self.luck, self.chance = {}, chance

    def true(self, couple):
        key = frozenset(couple)
        if key not in self.luck:
            self.luck[key] = self.chance.gauss(0.3, 0.1)
        return self.luck[key] + sum(self.worth[subject] for subject in couple)

    def seeds(self, couple, count):
        return [self.true(couple) + self.chance.gauss(0, 0.15) for _ in range(count)]


def searched(world, pictures, ordered=False):
    """The tallies after so many pictures."""
    tallies, chance, made = {}, Random(1), 0
    while made < pictures:
        due = choose(tallies, SUBJECTS, ordered=ordered, chance=chance)
        for couple in due:
            rung = tallies[couple].rung + 1 if couple in tallies else 0
            seen = world.seeds(couple, RUNGS[rung].seeds)
            made += len(seen)
            tallies[couple] = tallies.get(couple, NEW).plus(rung, seen, [a > 0.6 for a in seen])
    return tallies


def best(world, tallies, count=10):
    """The mean true alignment of the couples that look best, of those on the highest rungs."""
    top = sorted(tallies, key=lambda c: (tallies[c].rung, tallies[c].alignment), reverse=True)[:count]
    return sum(world.true(c) for c in top) / count


def test_it_finds_better_couples_than_lots_do_with_as_many_pictures():
    """Six worlds, 2,000 pictures each: the ten that it ends with, against the ten best of 125 drawn with 16 seeds."""
    ours, lots = [], []
    for seed in range(6):
        world = World(seed)
        ours.append(best(world, searched(world, 2000)))
        chance, drawn = Random(2), {}
        while len(drawn) < 125:
            couple = tuple(chance.sample(SUBJECTS, 2))
            seen = world.seeds(couple, 16)
            drawn[couple] = Tally(0, 16, 0, sum(seen) / 16)
        lots.append(best(world, drawn))
    assert all(a > b for a, b in zip(ours, lots, strict=True))
    assert sum(ours) / 6 - sum(lots) / 6 > 0.05  # half a standard deviation of a subject's worth


def test_about_a_third_climbs_each_rung_and_only_of_the_best():
    tallies = searched(World(9), 3000)
    counts = [sum(t.rung >= rung for t in tallies.values()) for rung in range(len(RUNGS))]
    for below, above, rung in zip(counts[:-1], counts[1:], RUNGS[1:], strict=True):
        assert above <= below / ETA + rung.abreast
        assert above >= below / ETA / 2 - rung.abreast
    of_rung = [[t.alignment for t in tallies.values() if t.rung == r] for r in (0, len(RUNGS) - 1)]
    mean = [sum(alignments) / len(alignments) for alignments in of_rung]
    assert mean[1] > mean[0] + 0.1


def test_a_group_is_of_one_rung_and_as_large_as_a_call_takes():
    world, tallies, chance = World(3), {}, Random(0)
    for _ in range(200):
        due = choose(tallies, SUBJECTS, ordered=False, chance=chance)
        rungs = {tallies[c].rung + 1 if c in tallies else 0 for c in due}
        assert len(rungs) == 1
        (rung,) = rungs
        assert len(due) == len(set(due)) == RUNGS[rung].abreast
        for couple in due:
            tallies[couple] = tallies.get(couple, NEW).plus(rung, world.seeds(couple, RUNGS[rung].seeds), [])


@settings(max_examples=20)
@given(st.integers(0, 99), st.integers(2, 5), st.booleans())
def test_every_couple_is_proposed_in_the_end_and_none_twice(seed, count, ordered):
    subjects, tallies, chance = SUBJECTS[:count], {}, Random(seed)
    for _ in range(4):
        new = proposed(tallies, subjects, 8, ordered=ordered, chance=chance)
        assert len(set(new)) == len(new)
        assert not set(new) & set(tallies)
        assert all(a != b and (ordered or a < b) for a, b in new)
        tallies |= dict.fromkeys(new, Tally(0, 2, 0, 0.1))
    assert len(tallies) == count * (count - 1) // (1 if ordered else 2)
    left = choose({c: Tally(len(RUNGS) - 1, 30, 0, 0.1) for c in tallies}, subjects, ordered=ordered, chance=chance)
    assert left == []


@pytest.mark.parametrize(("first", "then", "mean"), [([0.2, 0.4], [0.6], 0.4), ([], [0.5, 0.7], 0.6)])
def test_a_tally_is_the_mean_of_all_its_seeds(first, then, mean):
    tally = NEW.plus(0, first, [True] * len(first)) if first else NEW
    tally = tally.plus(1, then, [False] * len(then))
    assert (tally.rung, tally.tried, tally.read) == (1, len(first) + len(then), len(first))
    assert tally.alignment == pytest.approx(mean)

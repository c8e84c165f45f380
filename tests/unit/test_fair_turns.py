"""Turns shared between senders: whatever they do, in any order, each gets its share and the totals are bounded."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelgres.collector.otlp.fair_turns import (
    OVER_SHARE_SECONDS,
    WITHIN_SHARE_SECONDS,
    FairTurns,
    State,
    TooManyWaiting,
    Turn,
)

TURNS, RESERVED, PLACES = 4, 2, 6


class Model:
    """The turns, a clock that the test moves, and everything that was ever asked for."""

    def __init__(self, turns: int = TURNS, reserved: int = RESERVED, places: int = PLACES) -> None:
        self.now = 0.0
        self.turns = FairTurns(turns, reserved, places, clock=lambda: self.now)
        self.asked: list[Turn] = []
        self.granted: list[str] = []

    def ask(self, sender: str) -> Turn | None:
        try:
            turn = self.turns.ask(sender, self._changed)
        except TooManyWaiting:
            return None
        self.asked.append(turn)
        if turn.state is State.HELD:
            self.granted.append(sender)
        return turn

    def _changed(self, turn: Turn) -> None:
        if turn.state is State.HELD:
            self.granted.append(turn.sender)

    def of(self, state: State) -> list[Turn]:
        return [turn for turn in self.asked if turn.state is state]

    def by_sender(self, state: State) -> Counter[str]:
        return Counter(turn.sender for turn in self.of(state))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from("aaaabcdefgh")),
        st.tuples(st.just("leave"), st.integers(0, 50)),
        st.tuples(st.just("pass"), st.sampled_from([0.1, OVER_SHARE_SECONDS, WITHIN_SHARE_SECONDS])),
    ),
    max_size=80,
)


@given(STEPS)
def test_whatever_happens_totals_are_bounded_nothing_is_idle_and_nobody_is_kept_from_its_share(
    steps: list[tuple[str, str | int | float]],
) -> None:
    model = Model()
    for kind, value in steps:
        if kind == "ask":
            before = model.by_sender(State.WAITING)
            if model.ask(str(value)) is None:
                # Only who has as many places as any other is sent away.
                assert before[str(value)] + 1 >= max(before.values())
        elif kind == "leave":
            there = model.of(State.HELD) + model.of(State.WAITING)
            if there:
                model.turns.leave(there[int(value) % len(there)])
        else:
            model.now += float(value)
            ended, granted = len(model.of(State.GAVE_WAY)), len(model.granted)
            model.turns.preempt()
            assert (len(model.of(State.GAVE_WAY)) > ended) == (len(model.granted) > granted), "ended for another's turn"
            _nobody_has_to_give_way(model)
        held, waiting = model.by_sender(State.HELD), model.by_sender(State.WAITING)
        assert (held.total(), waiting.total()) == (model.turns.held, model.turns.waiting)
        assert held.total() <= TURNS + RESERVED
        assert waiting.total() <= PLACES
        for sender in waiting:
            assert held.total() >= TURNS, "work conserving"
            assert held[sender] or held.total() == TURNS + RESERVED, "a reserved turn is free"
    for turn in model.of(State.HELD) + model.of(State.WAITING):
        model.turns.leave(turn)
    assert (model.turns._held, model.turns._waiting) == ({}, {}), "nothing is kept of senders that have left"


def _nobody_has_to_give_way(model: Model) -> None:
    held, waiting = model.by_sender(State.HELD), model.by_sender(State.WAITING)
    fewest = min((held[sender] for sender in waiting), default=None)
    if fewest is None:
        return
    most = max(held.values())
    ages = {sender: model.now - min(t.since for t in model.of(State.HELD) if t.sender == sender) for sender in held}
    needed = held.total() - TURNS + 1 if fewest else 1
    if most - fewest > needed:
        newest = [
            sorted(turn.since for turn in model.of(State.HELD) if turn.sender == sender)[needed - 1]
            for sender in held
            if held[sender] == most
        ]
        assert model.now - max(newest) < OVER_SHARE_SECONDS
    elif fewest == 0:
        assert max(ages.values()) < WITHIN_SHARE_SECONDS


@given(st.integers(2, 6), st.integers(1, 5), st.randoms(use_true_random=False))
def test_nobody_waits_more_than_one_round(senders: int, each: int, random: object) -> None:
    model = Model(1, 0, senders * each + 1)
    first = model.ask("first")
    names = [str(number) for number in range(senders)] * each
    random.shuffle(names)  # type: ignore[attr-defined]
    for name in names:
        model.ask(name)
    assert first is not None
    model.turns.leave(first)
    while model.of(State.HELD):
        model.turns.leave(model.of(State.HELD)[0])
    rounds = model.granted[1:]
    for start in range(0, len(rounds), senders):
        assert len(set(rounds[start : start + senders])) == senders


def test_one_alone_has_all_turns_and_another_has_one_at_once_and_its_share_in_a_second() -> None:
    model = Model(16, 4, 512)
    for _ in range(100):
        model.ask("greedy")
    assert model.by_sender(State.HELD) == {"greedy": 16}
    for _ in range(20):
        model.ask("modest")
    assert model.by_sender(State.HELD) == {"greedy": 16, "modest": 1}
    model.turns.preempt()
    assert model.of(State.GAVE_WAY) == [], "a turn has some time"
    model.now += OVER_SHARE_SECONDS
    model.turns.preempt()
    assert model.by_sender(State.HELD) == {"greedy": 8, "modest": 8}


def test_of_full_places_the_newest_of_the_one_with_the_most_gives_way() -> None:
    model = Model(1, 0, 3)
    greedy = [model.ask("greedy") for _ in range(4)]
    assert model.ask("greedy") is None
    modest = model.ask("modest")
    assert modest is not None
    assert modest.state is State.WAITING
    assert [turn.state for turn in greedy if turn] == [State.HELD, State.WAITING, State.WAITING, State.GAVE_WAY]
    # Two and one: the next one of the modest would have as many.
    assert model.ask("modest") is None


def test_when_each_has_one_turn_the_oldest_ends_for_who_has_none_after_a_longer_time() -> None:
    model = Model(2, 1, 3)
    for name in "abc":
        model.ask(name)
        model.now += 1
    waiting = model.ask("d")
    assert waiting is not None
    left = model.turns.preempt()
    assert left == pytest.approx(WITHIN_SHARE_SECONDS - 3)
    model.now += WITHIN_SHARE_SECONDS - 3
    model.turns.preempt()
    assert waiting.state is State.HELD
    assert model.by_sender(State.GAVE_WAY) == {"a": 1}

"""The order of waiting requests: by bytes in turn, in order within a sender, and nobody is kept waiting by another."""

from collections import defaultdict
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from otelgres.collector.queue.fair_queue import FairQueue

SENDERS = st.sampled_from("abcd")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), SENDERS, st.integers(0, 100)),
        st.tuples(st.just("take"), st.just(""), st.integers(1, 150)),
        st.tuples(st.just("drop"), st.just(""), st.integers(0, 200)),
    ),
    max_size=80,
)


@given(STEPS, st.integers(1, 150), st.sets(SENDERS))
def test_every_request_comes_once_in_order_within_bounds(
    steps: list[tuple[str, str, int]], share: int, small: set[str]
) -> None:
    queue: FairQueue[int] = FairQueue()
    waiting: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    numbers = count()
    for kind, sender, size in steps:
        if kind == "append":
            number = next(numbers)
            queue.append(sender, number, size)
            waiting[sender].append((number, size))
        elif kind == "take":
            taken = queue.take(size, share, small, 20)
            by_sender: defaultdict[str, list[int]] = defaultdict(list)
            for number, whose, bytes_ in taken:
                assert waiting[whose].pop(0) == (number, bytes_)
                by_sender[whose].append(bytes_)
            assert len(taken) == 1 or sum(bytes_ for _, _, bytes_ in taken) <= size
            for whose, sizes in by_sender.items():
                assert sum(sizes) <= 20 if whose in small else len(sizes) == 1 or sum(sizes) <= share
            if not taken:
                assert all(whose in small and there[0][1] > 20 for whose, there in waiting.items() if there)
        elif (dropped := queue.drop_largest(size)) is not None:
            largest = max(waiting, key=lambda whose: sum(bytes_ for _, bytes_ in waiting[whose]))
            most = sum(bytes_ for _, bytes_ in waiting[largest])
            assert most > size
            assert any(
                sum(bytes_ for _, bytes_ in there) == most and there[-1] == dropped and there.pop()
                for there in waiting.values()
                if there
            )
        assert queue.senders == sum(map(bool, waiting.values()))
        assert bool(queue) == (queue.senders > 0)
        for whose in "abcd":
            assert queue.bytes_of(whose) == sum(bytes_ for _, bytes_ in waiting[whose])
    assert sorted(queue.clear()) == sorted(number for there in waiting.values() for number, _ in there)
    assert not queue


@given(st.lists(st.tuples(SENDERS, st.integers(1, 100)), max_size=60), st.integers(1, 300))
def test_those_that_wait_are_served_the_same_to_within_a_request(requests: list[tuple[str, int]], most: int) -> None:
    queue: FairQueue[int] = FairQueue()
    left: defaultdict[str, int] = defaultdict(int)
    for sender, size in requests:
        queue.append(sender, 0, size)
        left[sender] += 1
    served: defaultdict[str, int] = defaultdict(int)
    while queue:
        for _, sender, size in queue.take(most, most):
            served[sender] += size
            left[sender] -= 1
            waiting = [served[one] for one in left if left[one]]
            # As much as one request of the other and one of its own.
            assert not waiting or max(served[sender], *waiting) - min(waiting) <= 200


def test_a_large_request_does_not_delay_small_ones_and_is_not_starved() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(3):
        queue.append("greedy", f"large {number}", 50_000_000)
    for number in range(3):
        queue.append("modest", f"small {number}", 1000)
    order = []
    while queue:
        order.append([item for item, _, _ in queue.take(1_500_000, 375_000)])
    assert order == [["large 0"], ["small 0", "small 1", "small 2"], ["large 1"], ["large 2"]]


def test_who_begins_again_has_saved_no_turns_and_owes_what_it_had() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(5):
        queue.append("steady", f"s{number}", 100)
    queue.append("on and off", "o0", 300)
    order = []
    for number in range(1, 3):
        for _ in range(2):
            order += [item for item, _, _ in queue.take(1, 1)]
        queue.append("on and off", f"o{number}", 300)
    while queue:
        order += [item for item, _, _ in queue.take(1, 1)]
    assert order == ["s0", "o0", "s1", "s2", "s3", "o1", "s4", "o2"]


def test_who_comes_late_has_saved_up_nothing() -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(8):
        queue.append("steady", "s", 100)
    for _ in range(4):
        queue.take(1, 1)
    for _ in range(4):
        queue.append("late", "l", 100)
    order = ""
    while queue:
        order += "".join(item for item, _, _ in queue.take(1, 1))
    assert order in ("slslslsl", "lslslsls")


def test_what_is_remembered_of_senders_is_bounded() -> None:
    queue: FairQueue[int] = FairQueue()
    queue.append("steady", 0, 10**9)
    queue.append("steady", 0, 10**9)
    for number in range(10_000):
        queue.append(str(number), 0, 1)
    while queue.senders > 1:
        queue.take(1, 1)
    assert len(queue._ahead) <= 4096
    queue.take(1, 1)
    assert not queue._ahead

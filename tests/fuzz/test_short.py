"""A few seconds of each kind of fuzzing, seeded, so that a contract that is broken is noticed in every run."""

import random

import pytest

from tests.fuzz.http import fuzz_http
from tests.fuzz.rows import fuzz_rows
from tests.fuzz.run import fuzz
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_the_contract_holds(name: str) -> None:
    target = TARGETS[name]
    assert any(target.check(seed) for seed in target.seeds), "where it starts from is taken"
    fuzz(name, target, 1500, random.Random(name), list(target.seeds))


def test_no_bytes_make_a_500() -> None:
    answered = fuzz_http(300, 3)
    assert answered[200] + answered[204] > 10
    assert answered[400] > 10


def test_rows_are_stored_or_rejected_and_other_rows_are_stored(database: str) -> None:
    answers = fuzz_rows(database, 600, 3)
    assert answers["Accepted"] > 100
    assert answers["Invalid"] > 10

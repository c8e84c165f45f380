"""The loop: ``python -m tests.fuzz.run [--inputs N] [--seconds S] [--seed N] [--only TARGET]``.

Mutates, checks, keeps what was taken to go on from, and counts. Ends with a line of JSON: inputs by target, the slowest
one, memory before and after. A finding ends it with the input in hex. Bounded by inputs and by time.
"""

import argparse
import json
import logging
import random
import sys
import time
from typing import Any

import psutil

from tests.fuzz.targets import TARGETS, Target

_POOL = 256
_BATCH = 500
_SLOW_SECONDS = 1.0


class Finding(AssertionError):  # noqa: N818 (what it is)
    """A contract that does not hold, for the input in the message."""


def fuzz(name: str, target: Target, inputs: int, rng: random.Random, pool: list[bytes]) -> float:
    """Tries ``inputs`` inputs; the seconds of the slowest. Raises Finding."""
    slowest = 0.0
    for _ in range(inputs):
        data = target.mutator(rng.choice(pool), pool, rng)
        began = time.perf_counter()
        try:
            taken = target.check(data)
        except Exception as error:
            raise Finding(f"{name}: {type(error).__name__}: {error}: {data.hex()}") from error
        took = time.perf_counter() - began
        if took > _SLOW_SECONDS:
            raise Finding(f"{name}: {took:.1f} s: {data.hex()}")
        slowest = max(slowest, took)
        if taken and rng.random() < 0.02:
            if len(pool) < _POOL:
                pool.append(data)
            else:
                pool[rng.randrange(len(target.seeds), _POOL)] = data
    return slowest


def main(inputs: int, seconds: float, seed: int, only: str | None) -> dict[str, Any]:
    """Runs the targets in turn; what to report."""
    rng = random.Random(seed)
    targets = {name: target for name, target in TARGETS.items() if only in (None, name)}
    pools = {name: list(target.seeds) for name, target in targets.items()}
    counts = dict.fromkeys(targets, 0)
    slowest = dict.fromkeys(targets, 0.0)
    process = psutil.Process()
    began = time.monotonic()
    warm = 0
    while sum(counts.values()) < inputs and time.monotonic() - began < seconds:
        for name, target in targets.items():
            slowest[name] = max(slowest[name], fuzz(name, target, _BATCH, rng, pools[name]))
            counts[name] += _BATCH
        if not warm and time.monotonic() - began > min(30.0, seconds / 4):
            warm = process.memory_info().rss
    return {
        "inputs": sum(counts.values()),
        "seconds": round(time.monotonic() - began),
        "seed": seed,
        "by_target": counts,
        "slowest_ms": {name: round(1000 * took, 1) for name, took in slowest.items()},
        "rss_warm_mb": round(warm / 1e6, 1),
        "rss_end_mb": round(process.memory_info().rss / 1e6, 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", type=int, default=10**9)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=list(TARGETS))
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    try:
        print(json.dumps(main(given.inputs, given.seconds, given.seed, given.only)))
    except Finding as finding:
        sys.exit(str(finding))

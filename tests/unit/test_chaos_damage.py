"""What chaos says that its damage must cost is what the reader finds: two ways to the same number."""

import random
from collections import Counter
from pathlib import Path

from otelgres.collector.tools.chaos.damage import SpoolDamage
from otelgres.collector.tools.chaos.items import ItemKind, Items
from otelgres.collector.tools.chaos.ledger import SentLedger
from otelgres.exporters.batch import Batch
from otelgres.exporters.spool.queue import SpoolQueue

ITEMS = Items(5, 1_790_000_000_000_000_000)


def test_damage_is_known_by_its_bytes(tmp_path: Path) -> None:
    done: Counter[str] = Counter()
    for seed in range(400):
        rng = random.Random(seed)
        folder = tmp_path / str(seed) / "0"
        ledger = SentLedger()
        spool = SpoolQueue(folder, 1 << 24)
        kinds = [rng.choice(list(ItemKind)) for _ in range(12)]
        numbers = [ledger.take(kind, rng.randint(1, 12)) for kind in kinds]
        batches = [Batch(kind.signal, ITEMS.request(kind, some)) for kind, some in zip(kinds, numbers, strict=True)]
        spool.append(batches)
        settled = rng.randint(0, 4)
        if settled:
            spool.forget(spool.read(1 << 20)[settled - 1].position)
        spool.close()
        done[SpoolDamage(folder.parent, ledger).damage_one_file(rng)] += 1

        spool = SpoolQueue(folder, 1 << 24)
        found = [item.batch for item in spool.read(1 << 24)]
        if found:
            spool.forget(spool.read(1 << 24)[-1].position)
        assert sum(loss.batches for loss in spool.losses()) == ledger.damaged_batches, f"seed {seed}: {done}"
        for kind, some, batch in list(zip(kinds, numbers, batches, strict=True))[settled:]:
            assert (batch in found) == ledger.damaged_numbers(kind).isdisjoint(some), f"seed {seed}"
        spool.close()
    assert len(done) == 6

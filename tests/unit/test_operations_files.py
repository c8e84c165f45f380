"""Operations as JSON lines on disk: the folders, a file a day, rotated by size, from many threads at once."""

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

from otel_setup.operations.files import FOLDERS, OperationFiles
from otel_setup.operations.labels import Tiers
from otel_setup.operations.logger import DatabaseLogger


def test_files_are_rotated_by_size_and_the_oldest_go(tmp_path: Path) -> None:
    files = OperationFiles(tmp_path, max_bytes=1000, keep=2)
    for number in range(200):
        files.put("sync_operation", {"number": number, "text": "x" * 80})
    assert files.flush()
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    folder = tmp_path / "sync_operations"
    # A day may have ended in between.
    assert {path.name for path in folder.iterdir()} >= {f"{day}.jsonl"}
    kept = sorted(folder.glob(f"{day}*.jsonl"))
    assert len(kept) <= 3
    assert all(path.stat().st_size < 1200 for path in kept)
    newest = [json.loads(line) for line in (folder / f"{day}.jsonl").read_text().splitlines()]
    assert newest[-1]["number"] == 199
    assert files.dropped == 0


def test_each_kind_has_its_folder_and_threads_break_no_line(tmp_path: Path) -> None:
    logger = DatabaseLogger(tmp_path, tiers=Tiers(excellent=1, good=2, acceptable=3, slow=4))

    def work(number: int) -> None:
        for _ in range(50):
            logger.log_database_event("database_operation", {"n": number}, {"execution_time_ms": 3.5}, {})
            logger.log_sync_operation({"batch_size": 1}, {"success": True})
            logger.log_migration_operation({}, {"success": True})
            logger.log_error("bad", {})
            logger.log_performance_metrics("work", {"execution_time_ms": 3.5})
            logger.log_monitoring_data("health", {"status": "ok"})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert logger.flush(30)
    found = {
        folder.name: [json.loads(line) for path in folder.iterdir() for line in path.read_text().splitlines()]
        for folder in tmp_path.iterdir()
    }
    assert {name: len(lines) for name, lines in found.items()} == dict.fromkeys(FOLDERS.values(), 400)
    for name in ("database_operations", "performance_metrics"):
        assert {line["training_labels"]["performance_tier"] for line in found[name]} == {"slow"}, "by the bounds given"

"""How the embedded server is tuned: one table, a reason on every line, and the file that is made of it.

Refuses to know where that file lies and who reads it.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

MIB = 1 << 20
OURS = "otelgres.conf"  # written at each start
LOCAL = "local.conf"  # the user's: read after ours, made empty, then never written by us
LOCAL_TEXT = (
    "# Your own PostgreSQL settings: read at each start, after otelgres.conf. otelgres never changes this file.\n"
)
LOGS = "log"
INCLUDES = (
    f"\n# The last word in this file: otelgres' settings, then yours.\ninclude '{OURS}'\ninclude_if_exists '{LOCAL}'\n"
)


def usable_memory() -> int:
    """Bytes of memory this process may count on: the machine's, or less if its control group says so."""
    total = psutil.virtual_memory().total
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            total = min(total, int(Path(limit).read_text()))
        except (OSError, ValueError):  # no such group, or "max"
            continue
    return total


def table(memory: int, version: str) -> list[tuple[str, str, str]]:
    """(setting, value, reason) for a machine with ``memory`` bytes and a major ``version`` of PostgreSQL."""
    buffers = max(32, min(memory // 4 // MIB, 1024))
    rows = [
        ("fsync", "on", "an acknowledged batch survives a power failure"),
        ("synchronous_commit", "on", "the acknowledgement is sent after COMMIT, so COMMIT has to mean stored"),
        ("full_page_writes", "on", "a page torn by a power failure can be repaired"),
        ("shared_buffers", f"{buffers}MB", "a quarter of memory, at most 1 GB: we share the machine with applications"),
        ("effective_cache_size", f"{max(64, memory // 2 // MIB)}MB", "what the system's own cache likely holds"),
        ("work_mem", "16MB", "reports sort and hash a day of spans; the default 4 MB spills them to disk"),
        ("maintenance_work_mem", f"{max(32, min(memory // 16 // MIB, 256))}MB", "index builds and vacuum in one pass"),
        ("checkpoint_timeout", "15min", "fewer checkpoints: after each, every page's first change is logged whole"),
        ("max_wal_size", "4GB", "checkpoints come by the clock and not by volume, up to 2.4 MB of WAL a second"),
        ("min_wal_size", "512MB", "WAL files are reused instead of created and filled with zeros under load"),
        (
            "wal_compression",
            "off",
            "the build has only pglz: 8 % more CPU and not one byte less for pages of random ids",
        ),
        ("random_page_cost", "1.1", "the data lies on a solid-state disk, or in memory"),
        ("jit", "off", "our queries take milliseconds, compiling them takes hundreds"),
        ("max_connections", "100", "writers, dashboards and people; each idle one costs little"),
        ("max_locks_per_transaction", "256", "a query over a year locks every day's partition and its indexes"),
        ("timezone", "'UTC'", "days of partitions and of reports are UTC days wherever the server stands"),
        ("log_timezone", "'UTC'", "the log reads like the data"),
        ("logging_collector", "on", "errors are in a file when nobody watches the terminal"),
        ("log_directory", f"'{LOGS}'", "inside the data directory, so that it moves along"),
        ("log_filename", "'postgresql-%a.log'", "one file for each day of the week ..."),
        ("log_truncate_on_rotation", "on", "... started afresh a week later: logs cannot fill the disk by age"),
        ("log_rotation_age", "1d", "see above"),
        ("log_rotation_size", "0", "a second file for the same day would have the same name"),
        ("log_lock_waits", "on", "says who blocked whom when ingest stands still"),
        ("cluster_name", "'otelgres'", "processes say whose they are in ps"),
    ]
    if sys.platform == "linux" and int(version) < 18:
        rows.append(("effective_io_concurrency", "16", "what 18 has by default; 1 was for spinning disks"))
    return rows


def render(memory: int, version: str, more: Mapping[str, str]) -> str:
    """The text of the settings file; ``more`` (setting to value, as the file spells it) comes last and wins."""
    lines = ["# Written by otelgres at each start. Your own settings go to local.conf beside this file, which wins."]
    lines += [f"{name} = {value}  # {reason}" for name, value, reason in table(memory, version)]
    lines += [f"{name} = {value}" for name, value in more.items()]
    return "\n".join(lines) + "\n"

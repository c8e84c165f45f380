"""The settings of the embedded server: one table with a reason for each, and the text of the settings file."""

import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

MIB = 1 << 20
OURS = "otelgres.conf"  # written at each start
LOCAL = "local.conf"  # the user's: read last, created once with a comment only, then never changed
LOCAL_TEXT = (
    "# Your own PostgreSQL settings: read at each start, after otelgres.conf. otelgres never changes this file.\n"
)
LOGS = "log"
INCLUDES = (
    f"\n# These override the settings above: otelgres', then yours.\ninclude '{OURS}'\ninclude_if_exists '{LOCAL}'\n"
)


def usable_memory() -> int:
    """Bytes of memory available to this process: the machine's, or the limit of its control group if lower."""
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
        ("synchronous_commit", "on", "the acknowledgement is sent after COMMIT, so COMMIT must be durable"),
        ("full_page_writes", "on", "a page torn by a power failure can be repaired"),
        ("shared_buffers", f"{buffers}MB", "a quarter of memory, at most 1 GB: applications share the machine"),
        ("effective_cache_size", f"{max(64, memory // 2 // MIB)}MB", "the likely size of the system's cache"),
        ("work_mem", "16MB", "reports sort and hash a day of spans; the default 4 MB spills them to disk"),
        ("maintenance_work_mem", f"{max(32, min(memory // 16 // MIB, 256))}MB", "index builds and vacuum in one pass"),
        ("checkpoint_timeout", "15min", "fewer checkpoints: after each, a page's first change logs the whole page"),
        ("max_wal_size", "4GB", "checkpoints are triggered by time, not by volume, up to 2.4 MB of WAL a second"),
        ("min_wal_size", "512MB", "WAL files are reused instead of created and zero-filled under load"),
        (
            "wal_compression",
            "off",
            "the build has only pglz: 8 % more CPU and no saving for pages of random ids",
        ),
        ("random_page_cost", "1.1", "the data is on a solid-state disk, or in memory"),
        ("jit", "off", "queries take milliseconds, compiling them hundreds of milliseconds"),
        ("max_connections", "100", "writers, dashboards and people; each idle one costs little"),
        ("reserved_connections", "8", "of these, for owner and writers: readers cannot lock them out"),
        ("max_locks_per_transaction", "256", "a query over a year locks every day's partition and its indexes"),
        ("timezone", "'UTC'", "partitions and reports use UTC days on every server"),
        ("log_timezone", "'UTC'", "the log has the same times as the data"),
        ("logging_collector", "on", "errors are kept in a file"),
        ("log_directory", f"'{LOGS}'", "inside the data directory, so that it moves with it"),
        ("log_filename", "'postgresql-%a.log'", "one file for each day of the week ..."),
        ("log_truncate_on_rotation", "on", "... overwritten a week later, so that old logs do not fill the disk"),
        ("log_rotation_age", "1d", "see above"),
        ("log_rotation_size", "0", "a second file for the same day would have the same name"),
        ("log_lock_waits", "on", "shows which process blocked which"),
        ("cluster_name", "'otelgres'", "identifies the processes in ps"),
    ]
    if int(version) >= 17:
        rows.append(("max_notify_queue_pages", "1024", "8 MB: a login that only listens cannot fill the disk"))
    if sys.platform == "linux" and int(version) < 18:
        rows.append(("effective_io_concurrency", "16", "the default of version 18; 1 is for spinning disks"))
    return rows


def render(memory: int, version: str, more: Mapping[str, str]) -> str:
    """The text of the settings file; ``more`` (setting to value, as spelled in the file) overrides the table."""
    lines = ["# Written by otelgres at each start. Put your own settings in local.conf, which overrides this file."]
    lines += [f"{name} = {value}  # {reason}" for name, value, reason in table(memory, version)]
    lines += [f"{name} = {value}" for name, value in more.items()]
    return "\n".join(lines) + "\n"

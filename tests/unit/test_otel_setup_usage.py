"""What the process and its machine use, with psutil and without."""

import logging
import sys
import threading
from pathlib import Path

import psutil
import pytest

from otel_setup.process import usage


@pytest.fixture(params=["proc", "psutil"])
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """From /proc, and as on a system that has none."""
    if request.param == "proc" and sys.platform != "linux":
        pytest.skip("not Linux")
    monkeypatch.setattr(usage, "_LINUX", request.param == "proc")
    monkeypatch.setattr(usage._Psutil, "imported", False)


@pytest.mark.usefixtures("source")
def test_the_figures_are_those_of_psutil(tmp_path: Path) -> None:
    resident = usage.resident_bytes()
    assert resident == pytest.approx(psutil.Process().memory_info().rss, rel=0.2)
    assert usage.thread_count() == pytest.approx(threading.active_count(), abs=psutil.Process().num_threads())
    assert usage.process_cpu_seconds() == pytest.approx(sum(psutil.Process().cpu_times()[:2]), abs=2)
    memory = usage.machine_memory()
    assert memory is not None
    assert memory.total == psutil.virtual_memory().total
    assert 0 < memory.available <= memory.total
    cpu = usage.machine_cpu_seconds()
    assert cpu is not None
    assert 0 < cpu[0] < cpu[1]
    space = usage.disk_free(tmp_path)
    assert space is not None
    assert space[0] == pytest.approx(psutil.disk_usage(str(tmp_path)).percent / 100, abs=0.05)
    moved, expected = usage.disk_bytes(), psutil.disk_io_counters()
    if expected is not None:
        assert moved is not None
        assert moved[0] == pytest.approx(expected.read_bytes, rel=0.1)
        assert moved[1] == pytest.approx(expected.write_bytes, rel=0.1)


def test_without_psutil_one_warning_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(usage, "_LINUX", False)
    monkeypatch.setattr(usage._Psutil, "imported", False)
    monkeypatch.setattr(usage._Psutil, "module", None)
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert [usage.resident_bytes(), usage.thread_count(), usage.machine_memory(), usage.disk_bytes()] == [None] * 4
    assert usage.machine_cpu_seconds() is None
    assert usage.process_cpu_seconds() > 0
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("otel_setup", logging.WARNING)
    assert "pip install 'otelgres[server]'" in record.getMessage()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_figures_that_the_system_lacks_are_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(usage, "_PROC", tmp_path)
    assert [usage.resident_bytes(), usage.machine_memory(), usage.machine_cpu_seconds()] == [None] * 3
    assert usage.disk_bytes() is None
    assert usage.disk_free(tmp_path / "none") is None

"""Where settings come from, who wins, and what is said about those that cannot be used."""

from pathlib import Path

import pytest

from otelgres.collector.service.settings import ReceiverSettings, SettingError, load, parse_address


def test_flags_beat_variables_beat_the_file_beats_the_default(tmp_path: Path) -> None:
    file = tmp_path / "otelgres.yaml"
    file.write_text("grpc: 127.0.0.1:1\nhttp: 127.0.0.1:2\nwriters: 3\n")
    environ = {"OTELGRES_CONFIG": str(file), "OTELGRES_HTTP": "127.0.0.1:20", "OTELGRES_WRITERS": "4"}
    settings = load({"writers": 5, "grpc": None}, environ)
    assert (settings.grpc, settings.http, settings.writers) == ("127.0.0.1:1", "127.0.0.1:20", 5)
    assert settings.past_days == ReceiverSettings().past_days


def test_a_file_in_the_working_directory_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("otelgres.yaml").write_text("shutdown_seconds: 2.5\n")
    assert load({}, {}).shutdown_seconds == 2.5


@pytest.mark.parametrize(
    ("environ", "file", "words"),
    [
        ({"OTELGRES_GRCP": "x"}, "", ["OTELGRES_GRCP", "not a setting", "grpc"]),
        ({}, "grcp: x\n", ["unknown keys", "grcp"]),
        ({"OTELGRES_WRITERS": "two"}, "", ["writers", "OTELGRES_WRITERS", "int", "'two'"]),
        ({}, "writers: true\n", ["writers", "int", "True"]),
        ({}, "dsn: 5\n", ["dsn", "str"]),
        ({}, "- a list\n", ["keys and values"]),
        ({}, "a: [\n", ["cannot be read as YAML"]),
    ],
)
def test_what_cannot_be_used_is_named_with_its_origin(
    environ: dict[str, str], file: str, words: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "otelgres.yaml"
    path.write_text(file)
    with pytest.raises(SettingError) as caught:
        load({}, {"OTELGRES_CONFIG": str(path), **environ})
    for word in words:
        assert word in str(caught.value)


def test_a_named_file_that_is_missing_is_an_error() -> None:
    with pytest.raises(SettingError, match="nowhere"):
        load({}, {"OTELGRES_CONFIG": "nowhere.yaml"})


@pytest.mark.parametrize(
    ("text", "pair"),
    [("127.0.0.1:4317", ("127.0.0.1", 4317)), ("[::1]:0", ("::1", 0)), ("localhost:65535", ("localhost", 65535))],
)
def test_an_address_is_host_and_port(text: str, pair: tuple[str, int]) -> None:
    assert parse_address(text, "grpc") == pair


@pytest.mark.parametrize("text", ["4317", ":4317", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:http", ""])
def test_an_address_that_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingError, match="grpc must be HOST:PORT"):
        parse_address(text, "grpc")

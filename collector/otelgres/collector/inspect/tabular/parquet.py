"""Rows as a Parquet file, with pyarrow (extra ``parquet``). Column types follow the PostgreSQL types."""

from collections.abc import Sequence
from typing import Any, BinaryIO, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from otelgres.collector.inspect.tabular import Column
from otelgres.collector.inspect.tabular.plain import as_text

_GROUP: Final = 20_000
_TYPES: Final = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
    "bytea": pa.binary(),
}


class ParquetWriter:
    """Writes a Parquet file. ``numeric``, ``jsonb`` and types without a Parquet equivalent are stored as exact text."""

    def __init__(self, columns: Sequence[Column], out: BinaryIO) -> None:
        self._types = [_type(column.type) for column in columns]
        self._schema = pa.schema(
            [pa.field(column.name, kind) for column, kind in zip(columns, self._types, strict=True)]
        )
        self._writer = pq.ParquetWriter(out, self._schema, compression="zstd")
        self._columns: list[list[Any]] = [[] for _ in columns]
        self._held = 0

    def __enter__(self) -> Self:
        return self

    def write(self, row: Sequence[Any]) -> None:
        """Writes one row."""
        for values, kind, value in zip(self._columns, self._types, row, strict=True):
            values.append(_value(value, kind))
        self._held += 1
        if self._held >= _GROUP:
            self._flush()

    def _flush(self) -> None:
        arrays = [pa.array(values, kind) for values, kind in zip(self._columns, self._types, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._columns = [[] for _ in self._columns]
        self._held = 0

    def __exit__(self, *error: object) -> None:
        if error[0] is None and self._held:
            self._flush()
        self._writer.close()


def _type(name: str) -> pa.DataType:
    if name.endswith("[]"):
        return pa.list_(_TYPES.get(name.removesuffix("[]"), pa.string()))
    return _TYPES.get(name, pa.string())


def _value(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_string(kind):
        return as_text(value)
    if pa.types.is_list(kind) and pa.types.is_string(kind.value_type):
        return [None if one is None else as_text(one) for one in value]
    return value

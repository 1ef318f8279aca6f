"""Writes tests/data/columns: one value in every type that a Parquet column of numbers may have.

Needs pyarrow 26 and numpy 2: `python scripts/columns-expected.py`. The tests hold what is read of them to what a
person reads in such a table.
"""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = Path(__file__).parent.parent / "tests" / "data" / "columns"


def numbers():
    columns = {
        "float16": pa.array([np.float16(0.1), np.float16(7), None]),
        "float32": pa.array([0.1, 7, None], pa.float32()),
        "float64": pa.array([0.1, 7, float("nan")], pa.float64()),
        "endless": pa.array([float("inf"), float("-inf"), None], pa.float64()),
        "decimal": pa.array([Decimal("1.10"), Decimal("7.00"), None], pa.decimal128(10, 2)),
        "whole_decimal": pa.array([Decimal(-12), Decimal(7), None], pa.decimal128(5, 0)),
        "long_decimal": pa.array(
            [Decimal("12345678901234567890.25"), Decimal("-0.05"), None], pa.decimal128(38, 2)
        ),
        "uint64": pa.array([2**64 - 1, 7, None], pa.uint64()),
        "category": pa.array(["B", "A", None]).dictionary_encode(),
        "category_of_numbers": pa.array([3, 7, None], pa.int16()).dictionary_encode(),
        "bytes": pa.array([b"text", "\u00e9".encode(), None], pa.binary()),
        "truth": pa.array([True, False, None]),
        "list": pa.array([[0.1], [7], None], pa.list_(pa.float32())),
    }
    for bits in (8, 16, 32):
        for name, least in (("int", -(2 ** (bits - 1))), ("uint", 2**bits - 1)):
            columns[f"{name}{bits}"] = pa.array([least, 7, None], getattr(pa, f"{name}{bits}")())
    columns["int64"] = pa.array([-(2**63), 7, None], pa.int64())
    return pa.table(columns)


def norms():
    return pa.table(
        {
            "id": pa.array([2**63 + 1, 2], pa.uint64()),
            "question": ["1.05 + 0.05?", "3 + 4?"],
            "answer": pa.array([Decimal("1.10"), Decimal("7.00")], pa.decimal128(10, 2)),
            "condition": pa.array(["easy", "hard"]).dictionary_encode(),
            "rt_ms": pa.array([900.1, 1000], pa.float32()),
            "accuracy": pa.array([np.float16(0.9), np.float16(1)]),
        }
    )


def records():
    whole = lambda values: pa.array(values, pa.float64())  # As pandas keeps counts that may be missing.
    return pa.table(
        {
            "model": pa.array(["a", "a"]).dictionary_encode(),
            "seed": whole([1, None]),
            "task": ["t", "t"],
            "item_id": pa.array([17, 18], pa.int64()),
            "sample": pa.array([0, 0], pa.int8()),
            "prompt_tokens": whole([6, 6]),
            "reasoning_tokens": whole([2, 3]),
            "completion_tokens": whole([20, 21]),
            "correct": [True, None],
            "truncated": [False, False],
            "answer": pa.array([Decimal("1.10"), None], pa.decimal128(10, 2)),
        }
    )


def twice():
    schema = pa.schema([("prompt", pa.string()), ("completion", pa.string()), ("prompt", pa.string())])
    return pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"]), pa.array(["c"])], schema=schema)


def pictures():
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.table(
        {
            "prompt": ["What is it?"],
            "completion": [" A boat."],
            "image": pa.array([{"bytes": b"\x89PNG\r\n\x1a\n\xff", "path": None}], picture),
        }
    )


for make in (numbers, norms, records, twice, pictures):
    pq.write_table(make(), FOLDER / f"{make.__name__}.parquet", store_schema=False)

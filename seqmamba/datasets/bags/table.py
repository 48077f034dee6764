"""Long tables, one row per instance: ``bag_id``, the features, and what belongs to the bag."""

import re
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from seqmamba.datasets.bags.packed import PackedBags
from seqmamba.errors import DataError
from seqmamba.frames import require_columns

__all__ = ["LABELS", "TableBags", "from_table"]

OWN = ("bag_id", "instance", "x", "y", "instance_label", "features")
LABELS = ("label", "group", "split", "time", "event", "censored")  # one value per bag


class TableBags(NamedTuple):
    """Bags, and the columns that say something of a whole bag."""

    bags: PackedBags
    labels: pl.DataFrame | None  # bag_id and some of LABELS, one row per bag


def from_table(table: pl.DataFrame) -> TableBags:
    """Read a long table; bags in the order of their first row, instances in that of ``instance``.

    Features are the columns ``f0, f1, ...``, or one list column ``features``; nothing else is ever
    a feature.

    Raises
    ------
    DataError
        A column is missing or not numeric, lists of several widths, or a bag with two labels.
    """
    require_columns(table, ["bag_id"])
    if table["bag_id"].null_count():
        row = int(table["bag_id"].is_null().arg_true()[0]) + 1
        raise DataError(f"row {row} has no bag_id.", column="bag_id", where=f"row {row}")
    table = table.with_columns(pl.col("bag_id").cast(pl.String))
    names = _feature_names(table)
    order = table.group_by("bag_id", maintain_order=True).agg(_rows=pl.len())
    place = pl.DataFrame({"bag_id": order["bag_id"], "_bag": np.arange(order.height)})
    table = table.join(place, on="bag_id", how="left", maintain_order="left")
    keys = ["_bag", "instance"] if "instance" in table.columns else ["_bag"]
    table = table.sort(keys, maintain_order=True)
    lengths = order["_rows"].to_numpy().astype(np.int64)
    places = None
    if {"x", "y"} <= set(table.columns):
        places = table.select("x", "y").to_numpy().astype(np.float64)
    bags = PackedBags(order["bag_id"].to_list(), lengths, _rows(table, names), names, places)
    return TableBags(bags, _labels(table))


def _feature_names(table: pl.DataFrame) -> tuple[str, ...]:
    if "features" in table.columns:
        widths = table.select(pl.col("features").list.len())["features"]
        if widths.n_unique() != 1:
            row = int((widths != widths[0]).arg_true()[0])
            bag = table["bag_id"][row]
            raise DataError(
                f"bag {bag!r} has {widths[row]} features at row {row + 1}, row 1 has {widths[0]}; "
                "all need the same.",
                column="features",
                where=f"bag {bag}",
            )
        return tuple(f"f{j}" for j in range(int(widths[0])))
    names = [name for name in table.columns if re.fullmatch(r"f\d+", name)]
    if not names:
        raise DataError(
            "the table has no features: columns f0, f1, ... or one list column 'features'. "
            f"Columns: {', '.join(table.columns[:20])}.",
            column="features",
        )
    for name in names:
        if not (table.schema[name].is_numeric() or table.schema[name] == pl.Boolean):
            raise DataError(
                f"feature {name!r} holds {table.schema[name]}, not numbers.", column=name
            )
    return tuple(sorted(names, key=lambda name: int(name[1:])))


def _rows(table: pl.DataFrame, names: tuple[str, ...]) -> Any:
    if "features" in table.columns:
        return np.stack(list(table["features"].to_numpy())).astype(np.float32)
    rows = table.select(names).to_numpy()  # nulls become NaN
    return rows.astype(np.float32) if rows.dtype == np.float64 else rows


def _labels(table: pl.DataFrame) -> pl.DataFrame | None:
    """Return one row per bag of the columns that must agree within it."""
    present = [name for name in LABELS if name in table.columns]
    if not present:
        return None
    grouped = table.group_by("bag_id", maintain_order=True)
    counts = grouped.agg(pl.col(present).n_unique())
    for name in present:
        wrong = (counts[name] > 1).arg_true()
        if len(wrong):
            bag = counts["bag_id"][int(wrong[0])]
            values = table.filter(pl.col("bag_id") == bag)[name].unique(maintain_order=True)
            raise DataError(
                f"bag {bag!r} has more than one {name}: {values.to_list()[:3]}; "
                "a bag has one for all of its rows.",
                column=name,
                where=f"bag {bag}",
            )
    return grouped.agg(pl.col(present).first())

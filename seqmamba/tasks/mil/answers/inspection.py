"""What bags and labels are, told without fitting."""

from typing import Any

import numpy as np
import polars as pl

from seqmamba import frames
from seqmamba.datasets.bags.files import bag_name
from seqmamba.datasets.bags.labels import read_labels
from seqmamba.datasets.bags.read import BagSource

__all__ = ["inspection_table"]

LISTED = 5


def inspection_table(source: BagSource, y: Any = None) -> pl.DataFrame:
    """Return ``fact, value``; bags are read one after the other."""
    bags = source.bags
    sizes = np.quantile(bags.lengths, [0, 0.25, 0.5, 0.75, 1]).astype(int)
    facts: dict[str, Any] = {
        "bags": len(bags.ids),
        "instances": int(bags.lengths.sum()),
        "features": len(bags.names),
        "bag size: min, quartiles, max": ", ".join(map(str, sizes)),
        "coordinates": "yes" if len(bags.ids) and bags.coords(0) is not None else "no",
        **_values(source),
    }
    if y is not None or source.labels is not None:
        facts |= _label_facts(source, y)
    return pl.DataFrame([{"fact": k, "value": str(v)} for k, v in facts.items()])


def _values(source: BagSource) -> dict[str, Any]:
    """Count what is not finite, and features that never change."""
    nan = infinite = 0
    low = np.full(len(source.bags.names), np.inf)
    high = -low
    for i in range(len(source.bags.ids)):
        rows = source.bags.take(np.array([i])).astype(np.float64)
        nan += int(np.isnan(rows).sum())
        infinite += int(np.isinf(rows).sum())
        low, high = np.fmin(low, rows.min(0)), np.fmax(high, rows.max(0))
    constant = [source.bags.names[j] for j in np.flatnonzero(low == high)]
    return {"NaN": nan, "infinite": infinite, "constant features": _listed(constant)}


def _label_facts(source: BagSource, y: Any) -> dict[str, Any]:
    ids = source.bags.ids
    table = source.labels if y is None else _table(y, ids)
    if table is None:
        return {}
    key = next(name for name in ("bag_id", "slide_id") if name in table.columns)
    table = table.with_columns(_bag=pl.col(key).cast(pl.String).map_elements(bag_name, pl.String))
    named = set(table["_bag"])
    facts: dict[str, Any] = {
        "bags without label": _listed([name for name in ids if name not in named]),
        "labels without bag": _listed([name for name in table["_bag"] if name not in set(ids)]),
    }
    labels = read_labels(
        table.filter(pl.col("_bag").is_in(list(ids))).drop("_bag"),
        [name for name in ids if name in named],
    )
    if labels.label is not None:
        values, counts = np.unique(labels.label.astype(str), return_counts=True)
        facts["classes"] = ", ".join(f"{v} ({n})" for v, n in zip(values, counts, strict=True))
    if labels.group is not None:
        facts["groups"] = len(np.unique(labels.group))
        if labels.label is not None:
            pairs = pl.DataFrame(
                {"group": labels.group.astype(str), "label": labels.label.astype(str)}
            )
            mixed = pairs.group_by("group", maintain_order=True).agg(pl.col("label").n_unique())
            several = mixed.filter(pl.col("label") > 1)["group"].to_list()
            facts["groups of several labels"] = _listed(several)
    return facts


def _table(y: Any, ids: tuple[str, ...]) -> pl.DataFrame:
    if isinstance(y, list | tuple | np.ndarray):
        return pl.DataFrame({"bag_id": ids, "label": np.asarray(y)})
    return frames.read(y, text_columns=("bag_id", "slide_id"))[0]


def _listed(names: list[str]) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{len(names)}: {', '.join(names[:LISTED])}{more}"

"""Answers and facts as tables."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.datasets.records import Records
from seqmamba.errors import DataError
from seqmamba.tasks.ecg.reading import read_records, record_targets
from seqmamba.tasks.ecg.signal.preprocessing import Preprocessing

__all__ = ["describe", "probability_table"]


def probability_table(
    names: Sequence[str],
    classes: Sequence[Any],
    probabilities: NDArray[Any],
    decisions: NDArray[np.bool_],
) -> pl.DataFrame:
    """Return ``record, class, probability, decision``, the classes of a record together."""
    n, k = probabilities.shape
    return pl.DataFrame(
        {
            "record": np.repeat(np.array(names, dtype=object), k),
            "class": np.tile(np.array([str(name) for name in classes], dtype=object), n),
            "probability": probabilities.reshape(-1).astype(np.float64),
            "decision": decisions.reshape(-1).astype(np.int64),
        },
        schema_overrides={"record": pl.String, "class": pl.String},
    ).with_columns(
        pl.when(pl.col("probability").is_nan()).then(None).otherwise(pl.col(name)).alias(name)
        for name in ("probability", "decision")
    )


def describe(records: Records, preprocessing: Preprocessing, y: Any) -> pl.DataFrame:
    """Return what is known of recordings: ``fact, value``."""
    rates: Counter[str] = Counter()
    seconds: list[float] = []
    channels: Counter[str] = Counter()
    for record in records.read("skip"):
        assert record is not None
        rates[f"{record.fs:g} Hz"] += 1
        seconds.append(record.seconds)
        channels[" ".join(record.leads)] += 1
    reading = read_records(records, preprocessing, "skip")
    flags = Counter(flag for p in reading.prepared for flag in p.flags)
    facts = {
        "records": reading.n_source,
        "usable": len(reading.prepared),
        "rates": _counted(rates),
        "seconds": f"{min(seconds):.1f} to {max(seconds):.1f}" if seconds else "",
        "channels": _counted(channels, 3),
        "flags": _counted(flags, 10),
        **{f"failed: {failure.name}": failure.reason for failure in reading.failures[:20]},
        **_label_facts(y if y is not None else records.y, reading),
    }
    return pl.DataFrame([{"fact": name, "value": str(value)} for name, value in facts.items()])


def _label_facts(y: Any, reading: Any) -> dict[str, str]:
    try:
        labels = record_targets(y, reading, None, [str(k) for k in range(reading.n_source)])
    except DataError as error:
        return {"labels": str(error)} if y is not None else {}
    counts = np.nansum(labels.values, axis=0).astype(int)
    order = np.argsort(-counts, kind="stable")
    return {f"class {labels.classes[k]}": f"{counts[k]} records" for k in order}


def _counted(counts: Counter[str], most: int = 5) -> str:
    parts = [f"{name} ({count})" for name, count in counts.most_common(most)]
    rest = len(counts) - most
    return "; ".join(parts) + (f"; and {rest} more" if rest > 0 else "")

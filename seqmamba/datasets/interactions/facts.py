"""What a log of interactions looks like, in figures."""

from typing import Any

import numpy as np

from seqmamba.datasets.interactions.table import Interactions

__all__ = ["facts_of"]

FEW = 5  # events below which a user is short


def facts_of(data: Interactions, max_len: int) -> dict[str, Any]:
    """Return users, items, rows, density, lengths, repeats, ties and span of time.

    Parameters
    ----------
    data : Interactions
    max_len : int
        Newest items that the network reads; "covered" is the share of events within them.
    """
    counts, owner = data.counts, data.owners
    n_users, n_items, n_rows = len(data.users), len(data.items), len(data.sequence)
    pairs = owner.astype(np.int64) * (n_items + 1) + data.sequence
    next_is_same = (owner[1:] == owner[:-1]) & (data.sequence[1:] == data.sequence[:-1])
    low, middle, high = np.quantile(counts, [0.05, 0.5, 0.95])
    facts: dict[str, Any] = {
        "users": n_users,
        "items": n_items,
        "rows": n_rows,
        "density": f"{n_rows / (n_users * n_items):.4%}",
        "events per user, 5 % / median / 95 % / most": (
            f"{low:.0f} / {middle:.0f} / {high:.0f} / {counts.max()}"
        ),
        f"users with fewer than {FEW} events": f"{(counts < FEW).mean():.1%}",
        f"events covered by max_len={max_len}": f"{np.minimum(counts, max_len).sum() / n_rows:.1%}",
        "repeated (user, item) rows": n_rows - len(np.unique(pairs)),
        "same item twice in a row": int(next_is_same.sum()),
    }
    if data.times is None:
        return {**facts, "times": "none: the order of rows is taken as the order in time"}
    ties = (owner[1:] == owner[:-1]) & (data.times[1:] == data.times[:-1])
    span = data.times.max() - data.times.min()
    return {
        **facts,
        "ties in time within users": f"{ties.mean():.1%} of rows; they keep the order of rows",
        "span of time": f"{span:.10g} (dates in microseconds, numbers in their own unit)",
    }

"""The best one-to-one pairing of tracks and detections under a gate."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from seqmamba.metrics.tracking.overlap import BUFFER, SIMILARITIES, Boxes, Similarity

__all__ = ["Pairs", "assign", "candidates"]

Index = NDArray[np.int64]
Pairs = tuple[Index, Index]
BEYOND = 1e5  # cost of a pair beyond its gate
SPARSE = 4096  # from this many pairs on, boxes that cannot touch are sorted out first
WHOLE = 64  # up to this many rows one dense problem is faster than finding its components


def candidates(
    tracks: Boxes, detections: Boxes, similarity: Similarity, lowest: float
) -> tuple[Index, Index, NDArray[np.float64]]:
    """Return row, column and similarity of all pairs that reach the lowest gate.

    Parameters
    ----------
    tracks, detections : array (N, 4), (M, 4)
    similarity : {"iou", "giou", "hmiou", "biou"}
    lowest : float
        Boxes that do not touch pass only with GIoU and a negative value.
    """
    measure = SIMILARITIES[similarity]
    if lowest < 0 or len(tracks) * len(detections) <= SPARSE:
        values = measure(tracks[:, None], detections)
        rows, columns = np.nonzero((values >= lowest) & (values != 0))
        return rows, columns, values[rows, columns]
    rows, columns = _neighbours(tracks, detections, BUFFER if similarity == "biou" else 0.0)
    value = measure(tracks[rows], detections[columns])
    passed = (value >= lowest) & (value > 0)
    return rows[passed], columns[passed], value[passed]


def _neighbours(tracks: Boxes, detections: Boxes, margin: float) -> Pairs:
    """Return the pairs of boxes that touch once each is enlarged by ``margin`` of its size."""
    a, b = (
        np.concatenate([box[:, :2] - reach, box[:, 2:] + reach], axis=1).astype(np.float32)
        for box in (tracks, detections)
        for reach in [margin * (box[:, 2:] - box[:, :2]) + 1e-3]
    )
    touching = (a[:, None, 0] < b[:, 2]) & (b[:, 0] < a[:, None, 2])
    touching &= (a[:, None, 1] < b[:, 3]) & (b[:, 1] < a[:, None, 3])
    rows, columns = np.nonzero(touching)
    return rows, columns


def assign(rows: Index, columns: Index, costs: NDArray[np.float64]) -> Pairs:
    """Return as many disjoint pairs as possible, and among those the cheapest.

    Pairs that compete with no other are taken at once; the rest falls into connected components,
    which are solved one by one, so that the dense problem stays small.

    Parameters
    ----------
    rows, columns : int array (E,)
        Pairs that are allowed, each at most once.
    costs : array (E,)
        In [0, 2].

    Returns
    -------
    rows, columns : int array (K,)
        Sorted by row.
    """
    if not len(rows):
        return rows, columns
    alone = (np.bincount(rows)[rows] == 1) & (np.bincount(columns)[columns] == 1)
    found = [(rows[alone], columns[alone])]
    rows, columns, costs = rows[~alone], columns[~alone], costs[~alone]
    if len(rows):
        found += _contested(rows, columns, costs)
    row = np.concatenate([pair[0] for pair in found])
    column = np.concatenate([pair[1] for pair in found])
    order = np.argsort(row, kind="stable")
    return row[order], column[order]


def _contested(rows: Index, columns: Index, costs: NDArray[np.float64]) -> list[Pairs]:
    if len(np.unique(rows)) <= WHOLE:
        return [_dense(rows, columns, costs)]
    n, m = int(rows.max()) + 1, int(columns.max()) + 1
    graph = coo_array((np.ones(len(rows)), (rows, columns + n)), shape=(n + m, n + m))
    _, label = connected_components(graph, directed=False)
    order = np.argsort(label[rows], kind="stable")
    cuts = np.flatnonzero(np.diff(label[rows][order])) + 1
    return [_dense(rows[part], columns[part], costs[part]) for part in np.split(order, cuts)]


def _dense(rows: Index, columns: Index, costs: NDArray[np.float64]) -> Pairs:
    own_rows, row = np.unique(rows, return_inverse=True)
    own_columns, column = np.unique(columns, return_inverse=True)
    cost = np.full((len(own_rows), len(own_columns)), BEYOND)
    cost[row, column] = costs
    i, j = linear_sum_assignment(cost)
    kept = cost[i, j] < BEYOND
    return own_rows[i[kept]], own_columns[j[kept]]

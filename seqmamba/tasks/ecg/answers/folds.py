"""Folds with the same mixture of labels, in which patients stay together."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["stratified_group_folds"]


def stratified_group_folds(
    labels: NDArray[Any], groups: NDArray[Any] | None, n_folds: int, random_state: int = 0
) -> NDArray[np.int64]:
    """Return the fold of each record.

    Iterative stratification (Sechidis et al., 2011): the rarest label first; each group goes whole
    to the fold that lacks most of that label, and among equals to the one that lacks most records.

    Parameters
    ----------
    labels : array (n, K) of 0, 1 or NaN
    groups : array (n,) or None
        None: each record is its own group.
    n_folds : int
    random_state : int
        Order among equals.

    Returns
    -------
    array (n,) of int

    Examples
    --------
    >>> fold = stratified_group_folds(np.eye(2)[[0, 0, 1, 1]], None, 2)
    >>> [sorted(fold[:2].tolist()), sorted(fold[2:].tolist())]
    [[0, 1], [0, 1]]
    """
    n = len(labels)
    key = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
    counts = np.zeros((key.max(initial=-1) + 1, labels.shape[1] + 1))
    np.add.at(counts, key, np.column_stack([np.nan_to_num(labels), np.ones(n)]))
    need = np.tile(counts.sum(0) / n_folds, (n_folds, 1))  # last column: records
    random = np.random.default_rng(random_state)
    waiting = random.permutation(len(counts))
    fold = np.zeros(len(counts), dtype=np.int64)
    while len(waiting):
        left = counts[waiting, :-1].sum(0)
        if (left > 0).any():
            label = int(np.argmin(np.where(left > 0, left, np.inf)))
            chosen = waiting[counts[waiting, label] > 0]
        else:
            label, chosen = labels.shape[1], waiting
        for group in chosen[np.argsort(-counts[chosen, -1], kind="stable")]:
            order = np.lexsort((-need[:, -1], -need[:, label]))
            fold[group] = order[0]
            need[order[0]] -= counts[group]
        waiting = np.setdiff1d(waiting, chosen, assume_unique=True)
    return fold[key]

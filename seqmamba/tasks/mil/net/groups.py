"""Bags of similar length are padded together, so that little is computed in vain."""

import torch
from torch import Tensor

__all__ = ["groups_of"]


def groups_of(lengths: Tensor, max_tokens: int) -> list[Tensor]:
    """Return groups of bags, longest first, of at most ``max_tokens`` padded instances each.

    A bag that is longer is a group of its own.

    Parameters
    ----------
    lengths : int Tensor (B,)
    max_tokens : int

    Returns
    -------
    list of int Tensor
        Numbers of bags; together each once.

    Examples
    --------
    >>> [g.tolist() for g in groups_of(torch.tensor([3, 9, 4, 2]), 8)]
    [[1], [2, 0], [3]]
    """
    order = torch.argsort(lengths, descending=True, stable=True)
    sizes = lengths[order].tolist()
    cuts, start = [], 0
    for i in range(1, len(sizes)):
        if sizes[start] * (i + 1 - start) > max_tokens:
            cuts.append(i)
            start = i
    return list(torch.tensor_split(order, cuts))

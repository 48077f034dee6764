"""Features of a delay vector for ridge regression: monomials and random Fourier features."""

import math
from functools import cache
from itertools import combinations_with_replacement
from typing import Literal

import numpy as np
import torch
from torch import Tensor

__all__ = ["FeatureKind", "fourier", "monomials", "n_monomials", "projection"]

FeatureKind = Literal["monomials", "fourier"]


def n_monomials(dim: int, degree: int) -> int:
    """Return the number of monomials up to a degree, the constant among them."""
    return math.comb(dim + degree, degree)


def monomials(z: Tensor, degree: int) -> Tensor:
    """Return all monomials of (..., dim) up to a degree: (..., F), the constant first.

    Each is the product of a monomial of one degree less and a component, so that a degree costs one
    gathered product.

    Examples
    --------
    >>> monomials(torch.tensor([[2.0, 3.0]]), 2).tolist()
    [[1.0, 2.0, 3.0, 4.0, 6.0, 9.0]]
    """
    parts = [torch.ones_like(z[..., :1]), z]
    for parent, last in _tree(z.shape[-1], degree):
        parts.append(parts[-1].index_select(-1, parent) * z.index_select(-1, last))
    return torch.cat(parts, dim=-1)


def fourier(z: Tensor, projection: Tensor) -> Tensor:
    """Return the constant and the cosines of random projections (dim + 1, F): (..., 1 + F)."""
    waves = torch.cos(z @ projection[:-1] + projection[-1])
    return torch.cat([torch.ones_like(z[..., :1]), waves], dim=-1)


def projection(dim: int, n_features: int, length_scale: float, seed: int = 0) -> Tensor:
    """Return frequencies of a Gaussian kernel and phases: (dim + 1, n_features), float64.

    Source: Rahimi and Recht, NeurIPS 2007.
    """
    random = np.random.default_rng(seed)
    frequencies = random.standard_normal((dim, n_features)) / length_scale
    phases = random.uniform(0, 2 * np.pi, (1, n_features))
    return torch.from_numpy(np.concatenate([frequencies, phases]))


@cache
def _tree(dim: int, degree: int) -> list[tuple[Tensor, Tensor]]:
    """Return, per degree from 2, the index of the parent and of the component of each monomial."""
    found = []
    known: dict[tuple[int, ...], int] = {(i,): i for i in range(dim)}
    for order in range(2, degree + 1):
        names = list(combinations_with_replacement(range(dim), order))
        parents = torch.tensor([known[n[:-1]] for n in names])
        found.append((parents, torch.tensor([n[-1] for n in names])))
        known = {tuple(name): i for i, name in enumerate(names)}
    return found

"""Bags whose label depends on the order, on the place, or on the presence of key instances."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.errors import ConfigError

__all__ = ["Slides", "bags", "cluster_slides", "demo", "long_bag", "order_bags", "presence_bags"]
__all__ += ["bag_table", "survival_demo"]

Bag = NDArray[np.float32]
BACKGROUND = 8  # classes of instances that say nothing; two more are the keys
DEVIATION = 1.6  # of an instance about its class mean, for 64 features


class Slides(NamedTuple):
    """Bags, their labels, where each instance lies, and which instances are keys."""

    bags: list[Bag]
    labels: NDArray[np.int64]
    coords: list[NDArray[np.float64]]
    keys: list[NDArray[np.bool_]]


def bags(
    n: int = 200, *, n_features: int = 16, seed: int = 0
) -> tuple[list[Bag], NDArray[np.int64], list[NDArray[np.float64]]]:
    """Return bags, labels and coordinates: small slides whose key patches lie together or not.

    What pools the patches without regard to their place stays at chance; see
    :func:`cluster_slides`.

    Examples
    --------
    >>> found, labels, coords = bags(n=3, seed=0)
    >>> len(found), found[0].shape[1], labels.shape, coords[0].shape[1]
    (3, 16, (3,), 2)
    """
    made = cluster_slides(n, side=(7, 10), n_keys=(5, 7), n_features=n_features, seed=seed)
    return made.bags, made.labels, made.coords


def order_bags(
    n_bags: int = 800,
    *,
    n_min: int = 20,
    n_max: int = 60,
    n_features: int = 64,
    source: Literal["gauss", "digits"] = "gauss",
    seed: int = 0,
) -> Slides:
    """Make bags of instances of ten classes with one of class *a* and one of class *b* in each.

    The label is 1 if *a* comes first; as often as not. Source: multiple-instance specification, 7.

    Parameters
    ----------
    n_bags, n_min, n_max : int
        Bags; least and greatest number of instances.
    n_features : int
        Of "gauss"; digits have 64.
    source : {"gauss", "digits"}
        Gaussian clouds whose classes a nearest mean tells apart, or scikit-learn's images.
    seed : int
    """
    if n_min < 2 or n_max < n_min:
        raise ConfigError(f"2 <= n_min <= n_max is needed, got {n_min} and {n_max}.")
    rng = np.random.default_rng(seed)
    draw = _digits(rng) if source == "digits" else _clouds(rng, n_features)
    labels = rng.permutation(np.arange(n_bags) % 2)
    found, keys = [], []
    for label in labels:
        length = int(rng.integers(n_min, n_max + 1))
        kinds = rng.integers(0, BACKGROUND, length)
        first, second = np.sort(rng.choice(length, 2, replace=False))
        kinds[first], kinds[second] = (8, 9) if label else (9, 8)
        found.append(draw(kinds))
        keys.append(kinds >= BACKGROUND)
    return Slides(found, labels, [_line(len(bag)) for bag in found], keys)


def presence_bags(n_bags: int = 500, *, n_features: int = 64, seed: int = 0) -> Slides:
    """Make bags of about ten instances; the label is 1 if one or two of them are keys."""
    rng = np.random.default_rng(seed)
    draw = _clouds(rng, n_features)
    labels = rng.permutation(np.arange(n_bags) % 2)
    found, keys = [], []
    for label in labels:
        kinds = rng.integers(0, 9, int(rng.integers(6, 15)))
        if label:
            kinds[rng.choice(len(kinds), int(rng.integers(1, 3)), replace=False)] = 9
        found.append(draw(kinds))
        keys.append(kinds == 9)
    return Slides(found, labels, [_line(len(bag)) for bag in found], keys)


def cluster_slides(
    n: int = 240,
    *,
    side: tuple[int, int] = (14, 22),
    n_keys: tuple[int, int] = (10, 14),
    n_features: int = 64,
    patch: int = 512,
    seed: int = 0,
) -> Slides:
    """Make slides with a few key patches: together (label 1) or no two of them touching.

    Elliptic tissue in raster order with coordinates; both classes have as many keys. Source:
    multiple-instance specification, 7.

    Parameters
    ----------
    n : int
    side : (int, int)
        Least and greatest number of patches along height and width.
    n_keys : (int, int)
        Least and greatest number of key patches.
    n_features : int
    patch : int
        Pixels.
    seed : int
    """
    rng = np.random.default_rng(seed)
    draw = _clouds(rng, n_features)
    labels = rng.permutation(np.arange(n) % 2)
    found, coords, keys = [], [], []
    for label in labels:
        cells = _ellipse(*rng.integers(side[0], side[1] + 1, 2))
        count = int(rng.integers(n_keys[0], n_keys[1] + 1))
        chosen = _clustered(rng, cells, count) if label else _scattered(rng, cells, count)
        kinds = rng.integers(0, BACKGROUND, len(cells))
        kinds[chosen] = 9
        found.append(draw(kinds))
        coords.append(cells[:, ::-1].astype(np.float64) * patch)
        keys.append(kinds == 9)
    return Slides(found, labels, coords, keys)


def long_bag(length: int = 100_000, *, n_features: int = 1024, seed: int = 0) -> NDArray[Any]:
    """Return one bag of half precision with a needle at a random place: (L, F)."""
    rng = np.random.default_rng(seed)
    bag = rng.standard_normal((length, n_features), np.float32).astype(np.float16)
    bag[int(rng.integers(length))] += 4
    return bag


def bag_table(made: Slides) -> pl.DataFrame:
    """Return bags as one long table: ``bag_id, instance, x, y, label, f0, ...``."""
    lengths = [len(bag) for bag in made.bags]
    rows = np.concatenate(made.bags)
    x, y = np.concatenate(made.coords).T
    names = np.array([f"bag{i:04d}" for i in range(len(lengths))], dtype=object)
    head = pl.DataFrame(
        {
            "bag_id": np.repeat(names, lengths).tolist(),
            "instance": np.concatenate([np.arange(length) for length in lengths]),
            "x": x,
            "y": y,
            "label": np.repeat(made.labels, lengths),
        }
    )
    return head.hstack([pl.Series(f"f{j}", rows[:, j]) for j in range(rows.shape[1])])


def demo(seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return long tables to learn from (240 bags) and to score on (100 bags)."""
    made = cluster_slides(340, side=(7, 10), n_keys=(5, 7), n_features=16, seed=seed)
    table = bag_table(made)
    test = pl.col("bag_id") >= "bag0240"
    return table.filter(~test), table.filter(test)


def survival_demo(seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return long tables of 180 and 120 patients with ``time`` (months) and ``event``.

    The larger the share of key instances, the sooner the event; a third are censored before it.
    """
    rng = np.random.default_rng(seed)
    draw = _clouds(rng, 16)
    shares = rng.uniform(0, 0.6, 300)
    drawn = [rng.random(int(rng.integers(10, 25))) < share for share in shares]
    keys = [np.asarray(chosen, bool) for chosen in drawn]
    bags = [draw(np.where(k, 9, rng.integers(0, BACKGROUND, len(k)))) for k in keys]
    time = 60 * np.exp(-5 * shares) * rng.exponential(size=300)
    event = rng.random(300) >= 1 / 3
    time = np.where(event, time, time * rng.random(300))
    lengths = [len(bag) for bag in bags]
    table = bag_table(Slides(bags, np.arange(300), [_line(n) for n in lengths], keys))
    outcome = {"time": np.repeat(time, lengths), "event": np.repeat(event, lengths).astype(int)}
    table = table.drop("label", "x", "y").with_columns(
        **{k: pl.Series(v) for k, v in outcome.items()}
    )
    test = pl.col("bag_id") >= "bag0180"
    return table.filter(~test), table.filter(test)


def _clouds(rng: np.random.Generator, n_features: int) -> Any:
    means = rng.standard_normal((BACKGROUND + 2, n_features))
    deviation = DEVIATION * np.sqrt(n_features / 64)

    def draw(kinds: NDArray[np.int64]) -> Bag:
        noise = deviation * rng.standard_normal((len(kinds), n_features))
        cloud: Bag = (means[kinds] + noise).astype(np.float32)
        return cloud

    return draw


def _digits(rng: np.random.Generator) -> Any:
    from sklearn.datasets import load_digits  # images: only for this source

    images, digits = load_digits(return_X_y=True)
    pools: Sequence[Any] = [
        np.flatnonzero(digits == kind) for kind in (0, 1, 2, 4, 5, 6, 8, 9, 3, 7)
    ]

    def draw(kinds: NDArray[np.int64]) -> Bag:
        rows = [int(rng.choice(pools[kind])) for kind in kinds]
        bag: Bag = images[rows].astype(np.float32)
        return bag

    return draw


def _line(length: int) -> NDArray[np.float64]:
    return np.column_stack([np.arange(length, dtype=np.float64), np.zeros(length)])


def _ellipse(height: int, width: int) -> NDArray[np.int64]:
    """Return the cells (row, column) of an ellipse in raster order."""
    row, column = np.mgrid[:height, :width]
    y, x = (2 * row + 1) / height - 1, (2 * column + 1) / width - 1
    return np.argwhere(x**2 + y**2 <= 1.05)


def _clustered(rng: np.random.Generator, cells: NDArray[np.int64], count: int) -> Any:
    centre = cells[rng.integers(len(cells))]
    return np.argsort(((cells - centre) ** 2).sum(1), kind="stable")[:count]


def _scattered(rng: np.random.Generator, cells: NDArray[np.int64], count: int) -> Any:
    """Take cells in random order that touch none taken before, not even at a corner."""
    chosen: list[int] = []
    for cell in rng.permutation(len(cells)):
        if all(np.abs(cells[cell] - cells[other]).max() > 1 for other in chosen):
            chosen.append(int(cell))
        if len(chosen) == count:
            break
    return np.array(chosen)

"""Full ranking beside the baselines: every metric for the network, its anchor and the cheap models.

Two protocols: ``seen="keep"`` ranks all items, as RecBole does for sequential models;
``seen="filter"`` takes the items of the history out, as a service does.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqmamba.datasets.samples import Batch, Info
from seqmamba.metrics import ranking
from seqmamba.metrics.metric import skill
from seqmamba.metrics.recommendation import LIST_METRICS, METRICS, Ranks, describe, measure
from seqmamba.tasks.recommend.data import History, query_samples
from seqmamba.tasks.recommend.net.anchored import BlendedRanker
from seqmamba.tasks.recommend.serve.topk import first_best
from seqmamba.tasks.recommend.splits import Queries

__all__ = ["Group", "Seen", "group_names", "rank_all", "report"]

Seen = Literal["keep", "filter"]
Group = Literal["length", "popularity", "user"]
Scorer = Callable[[Batch], Tensor]
Ints = NDArray[np.int64]


def rank_all(
    scorers: Mapping[str, nn.Module],
    log: History,
    queries: Queries,
    *,
    max_len: int,
    device: str,
    seen: tuple[Seen, ...] = ("keep", "filter"),
    shown: int = 0,
) -> dict[tuple[str, Seen], Ranks]:
    """Rank the answers of all questions by every scorer, in one walk over the questions.

    With ``shown`` also the lists of so many best items are kept.
    """
    samples = query_samples(log, queries, max_len, info=Info(channels=1))
    keys = [(name, way) for name in scorers for way in seen]
    found: dict[tuple[str, Seen], list[tuple[Ints, Ints]]] = {key: [] for key in keys}
    lists: dict[tuple[str, Seen], Ints] = {
        key: np.zeros((len(queries), shown), np.int64) for key in keys if shown
    }
    owners = []
    with torch.inference_mode():
        for rows, batch in samples.walk():
            answers = _answers(log, queries, rows)
            owners.append(rows[answers[0]])
            for name, scores in _all_scores(scorers, batch.to(device)):
                for way in seen:
                    hidden = _seen(log, queries, rows) if way == "filter" else None
                    found[name, way].append(_bounds(scores, answers, hidden))
                    if shown:
                        best = _best(scores, hidden, shown)
                        lists[name, way][rows, : best.shape[1]] = best
    owner = np.concatenate(owners) if owners else np.zeros(0, np.int64)
    order = np.argsort(owner, kind="stable")  # back from the walk
    ranks = {}
    for key, parts in found.items():
        greater, equal = _joined(parts)
        ranks[key] = Ranks(owner[order], greater[order], equal[order], lists.get(key))
    return ranks


def report(
    ranks: Mapping[tuple[str, Seen], Ranks],
    metrics: tuple[str, ...],
    baselines: tuple[str, ...],
    counts: Ints,
    n_users: int,
    groups: NDArray[Any] | None = None,
) -> pl.DataFrame:
    """Return one row per protocol, group and metric.

    ``counts`` (V,) are the training events of each item, ``n_users`` the users they came from.
    Columns: metric, seen[, group], users, value, baseline (the best cheap model's value), best (its
    name), skill, gain with its 95 % bootstrap interval ``gain_low, gain_high``, and one column per
    scorer. Coverage, novelty and popularity of the lists are no contest: they have no best model.
    """
    rows = []
    labels = [None] if groups is None else [*dict.fromkeys(groups.tolist())]
    for way in dict.fromkeys(way for _, way in ranks):
        mine = {name: found for (name, its_way), found in ranks.items() if its_way == way}
        for label in labels:
            chosen = slice(None) if groups is None or label is None else groups == label
            for metric in metrics:
                row: dict[str, Any] = {"metric": metric, "seen": way}
                if groups is not None:
                    row["group"] = label
                if metric in LIST_METRICS:
                    lists = {name: found.lists[chosen] for name, found in mine.items()}  # type: ignore[index]  # kept for these metrics
                    row |= _describe(metric, lists, counts, n_users)
                else:
                    row |= _compare(metric, mine, chosen, baselines)
                rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None)


def group_names(kind: Group, log: History, queries: Queries, counts: Ints) -> NDArray[Any]:
    """Return the group of each question.

    By length of the history: ``1-5``, ``6-20``, ``over 20``. By popularity of the first answer:
    ``head`` (the most frequent items that make up half of all training events), ``mid`` (the next
    30 %) and ``tail``. By user: ``known`` if any of their events trained, else ``new``.
    """
    if kind == "user":
        return np.where(log.trained[queries.users] > 0, "known", "new")
    if kind == "length":
        places = np.digitize(queries.cuts, [6, 21])
        return np.array(["1-5", "6-20", "over 20"])[places]
    order = np.argsort(-counts, kind="stable")
    share = np.cumsum(counts[order]) / max(counts.sum(), 1)
    kinds = np.empty(len(counts), dtype="<U4")
    kinds[order] = np.array(["head", "mid", "tail"])[np.digitize(share, [0.5, 0.8])]
    answers = log.sequence[log.offsets[queries.users] + queries.cuts]
    named: NDArray[Any] = kinds[answers - 1]
    return named


def _compare(
    metric: str, ranks: Mapping[str, Ranks], chosen: Any, baselines: tuple[str, ...]
) -> dict[str, Any]:
    """Compare the model with the best of the baselines."""
    values = {name: measure(metric, found)[chosen] for name, found in ranks.items()}
    ours = values["model"]
    means = {name: float(v.mean()) if len(v) else float("nan") for name, v in values.items()}
    row: dict[str, Any] = {"users": len(ours), "value": means.pop("model")} | _NO_RIVAL
    there = [name for name in baselines if name in values]
    if there and len(ours):
        best = max(there, key=means.__getitem__)
        gain, low, high = ranking.paired_bootstrap(ours, values[best])
        row |= {"baseline": means[best], "best": best}
        row["skill"] = skill(row["value"], means[best], METRICS[metric])
        row |= {"gain": gain, "gain_low": low, "gain_high": high}
    return row | means


def _describe(metric: str, lists: Mapping[str, Ints], counts: Ints, n_users: int) -> dict[str, Any]:
    """Describe the lists of each scorer."""
    found = {name: describe(metric, shown, counts, n_users) for name, shown in lists.items()}
    return {"users": len(lists["model"]), "value": found.pop("model")} | _NO_RIVAL | found


_NO_RIVAL = dict.fromkeys(("baseline", "best", "skill", "gain", "gain_low", "gain_high"))


def _all_scores(
    scorers: Mapping[str, nn.Module], batch: Batch
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Give the scores (B, V) of each scorer; network and anchor of a blend are run once."""
    known: dict[int, Tensor] = {}

    def scores_of(module: nn.Module) -> Tensor:
        if isinstance(module, BlendedRanker):
            own, cheap = module.blend.tolist()
            parts = [w * scores_of(m) for w, m in ((own, module.net), (cheap, module.anchor)) if w]
            return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]
        if id(module) not in known:
            known[id(module)] = module(batch)
        return known[id(module)]

    for name, scorer in scorers.items():
        yield name, scores_of(scorer).cpu().numpy()


def _answers(log: History, queries: Queries, rows: Ints) -> tuple[Ints, Ints]:
    """Return (place in the batch, column) of every answer."""
    counts = queries.stops[rows] - queries.cuts[rows]
    who = np.repeat(np.arange(len(rows)), counts)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    begin = log.offsets[queries.users[rows]] + queries.cuts[rows]
    return who, log.sequence[begin[who] + place].astype(np.int64) - 1


def _seen(log: History, queries: Queries, rows: Ints) -> tuple[Ints, Ints]:
    """Return (place in the batch, column) of every item of the histories."""
    counts = queries.cuts[rows]
    who = np.repeat(np.arange(len(rows)), counts)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return who, log.sequence[log.offsets[queries.users[rows]][who] + place].astype(np.int64) - 1


def _bounds(
    scores: NDArray[Any], answers: tuple[Ints, Ints], hidden: tuple[Ints, Ints] | None
) -> tuple[Ints, Ints]:
    """Rank answers; an answer that was seen before stays in the ranking."""
    who, column = answers
    if hidden is not None:
        kept = scores[who, column]
        scores = scores.copy()
        scores[hidden] = -np.inf
        scores[who, column] = kept
    single = len(who) == len(scores)
    return ranking.rank_bounds(scores if single else scores[who], column)


def _best(scores: NDArray[Any], hidden: tuple[Ints, Ints] | None, k: int) -> Ints:
    """Return the numbers 1..V of the k best items of each row that are not hidden, 0 = none."""
    if hidden is not None:
        scores = scores.copy()
        scores[hidden] = -np.inf
    values, columns = first_best(torch.from_numpy(scores), min(k, scores.shape[1]))
    best: Ints = torch.where(values > -torch.inf, columns + 1, 0).numpy()
    return best


def _joined(parts: list[tuple[Ints, Ints]]) -> tuple[Ints, Ints]:
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    greater, equal = zip(*parts, strict=True)
    return np.concatenate(greater), np.concatenate(equal)

"""Answers of a fitted recommender: ranked items, vectors, similar items, explanations."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqmamba.datasets.interactions.ids import Ids
from seqmamba.datasets.samples import Info
from seqmamba.errors import DataError
from seqmamba.tasks.recommend.data import SequenceSamples, query_samples
from seqmamba.tasks.recommend.net.anchored import BlendedRanker
from seqmamba.tasks.recommend.net.model import SIGMANet
from seqmamba.tasks.recommend.serve.questions import Asked
from seqmamba.tasks.recommend.serve.shown import Shown
from seqmamba.tasks.recommend.serve.topk import BLOCK, Forbidden, Ranked, top_items
from seqmamba.tasks.recommend.serve.vectors import history_vectors
from seqmamba.tasks.recommend.splits import Queries

__all__ = ["ColdUser", "Server"]

ColdUser = Literal["popular", "skip", "error"]
SCORES_AT_ONCE = 2**25  # 128 MiB of scores per batch of users
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Server:
    """What serving needs of a fitted model."""

    net: SIGMANet | BlendedRanker
    item_ids: Ids
    max_len: int
    popularity: NDArray[np.float32]  # (V,) counts of the training part, for cold users
    device: str

    def recommend(
        self,
        asked: Asked,
        shown: Shown,
        *,
        topk: int,
        cold_user: ColdUser = "popular",
        batch_size: int | None = None,
        proba: bool = False,
        block: int = BLOCK,
    ) -> pl.DataFrame:
        """Return user_id, item_id, rank, score, source; best items first, users in order."""
        warm = np.flatnonzero(asked.log.counts > 0)
        cold = np.flatnonzero(asked.log.counts == 0)
        if len(cold) and cold_user == "error":
            raise DataError(
                f"{len(cold)} users have no known item in their history, first "
                f"{asked.ids[int(cold[0])]!r}; pass cold_user='popular' or 'skip'."
            )
        size = batch_size or self._users_at_once(len(shown.columns), block)
        parts = [
            self._rank(asked, warm[start : start + size], shown, topk, proba, block)
            for start in range(0, len(warm), size)
        ]
        if len(cold) and cold_user == "popular":
            parts.append(self._popular(cold, shown, topk, proba))
        return self._table(asked, parts)

    def vectors(self, asked: Asked) -> Tensor:
        """Return the vectors of all asked histories, which must not be empty: (Q, D)."""
        samples = self._samples(asked, np.arange(len(asked.ids)))
        return history_vectors(self.net, samples, self.device).cpu()

    # -- one batch of users --------------------------------------------------------------------

    def _rank(
        self, asked: Asked, rows: Ints, shown: Shown, topk: int, proba: bool, block: int
    ) -> dict[str, NDArray[Any]]:
        samples = self._samples(asked, rows)
        everybody = np.arange(len(rows))
        columns = torch.from_numpy(shown.columns).to(self.device)
        own, cheap = _blend(self.net)
        h = history_vectors(self.net, samples, self.device) * own
        extra = None
        if cheap:
            assert isinstance(self.net, BlendedRanker)
            logs = self.net.anchor(samples.batch(everybody).to(self.device))
            extra = cheap * logs[:, columns]
        ranked = top_items(
            h,
            self.net.item_vectors()[columns],
            topk,
            extra=extra,
            forbidden=_forbidden(asked, rows, shown),
            block=block,
        )
        total = ranked.log_total[:, None]
        scores = (ranked.scores - total).exp() if proba else ranked.scores
        return _flat(rows, ranked, shown, scores, "model")

    def _popular(self, rows: Ints, shown: Shown, topk: int, proba: bool) -> dict[str, Any]:
        counts = torch.from_numpy(self.popularity[shown.columns]).expand(len(rows), -1)
        one = torch.zeros(len(rows), 1), torch.zeros(len(shown.columns), 1)
        empty = _forbidden_pairs(rows, shown)
        ranked = top_items(*one, topk, extra=counts, forbidden=empty)
        scores = ranked.scores
        if proba:
            scores = scores / counts.sum(1, keepdim=True).clamp(min=1)
        return _flat(rows, ranked, shown, scores, "popular")

    def _samples(self, asked: Asked, rows: Ints) -> SequenceSamples:
        cuts = asked.log.counts[rows]
        queries = Queries(rows, cuts, cuts)
        info = Info(channels=1)
        return query_samples(asked.log, queries, self.max_len, info=info, has_targets=False)

    def _users_at_once(self, n_columns: int, block: int) -> int:
        blend = _blend(self.net)
        width = n_columns if blend[1] else min(n_columns, block)
        return int(np.clip(SCORES_AT_ONCE // max(width, 1), 16, 1024))

    def _table(self, asked: Asked, parts: list[dict[str, Any]]) -> pl.DataFrame:
        names = ("row", "item", "rank", "score", "source")
        joined = {
            name: np.concatenate([np.zeros(0, _KINDS[name]), *(p[name] for p in parts)])
            for name in names
        }
        order = np.argsort(joined["row"], kind="stable")
        joined = {name: values[order] for name, values in joined.items()}
        return pl.DataFrame(
            {
                "user_id": asked.ids.gather(joined["row"].astype(np.uint32)),
                "item_id": self.item_ids.take(joined["item"]),
                "rank": joined["rank"],
                "score": joined["score"],
                "source": joined["source"],
            }
        )


_KINDS = {"row": "i8", "item": "i8", "rank": "i8", "score": "f8", "source": "<U7"}


def _flat(
    rows: Ints, ranked: Ranked, shown: Shown, scores: Tensor, source: str
) -> dict[str, NDArray[Any]]:
    """Return lists (B, k) as columns, without the places that stay empty."""
    real = np.isfinite(ranked.scores.cpu().numpy())
    rank = np.broadcast_to(np.arange(1, real.shape[1] + 1), real.shape)
    return {
        "row": np.broadcast_to(rows[:, None], real.shape)[real],
        "item": shown.columns[ranked.columns.cpu().numpy()][real],
        "rank": rank[real],
        "score": scores.double().cpu().numpy()[real],
        "source": np.full(int(real.sum()), source),
    }


def _blend(net: SIGMANet | BlendedRanker) -> tuple[float, float]:
    if not isinstance(net, BlendedRanker):
        return 1.0, 0.0
    own, cheap = net.blend.tolist()
    return own, cheap


def _forbidden(asked: Asked, rows: Ints, shown: Shown) -> Forbidden | None:
    """Return the seen items of some questions, and whatever their own lists leave out."""
    pairs = _forbidden_pairs(rows, shown)
    if not shown.hides_seen:
        return pairs
    counts = asked.log.counts[rows]
    begin = asked.log.offsets[:-1][rows]
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    seen = asked.log.sequence[np.repeat(begin, counts) + place] - 1
    who, columns = _to_columns(np.repeat(np.arange(len(rows)), counts), seen, shown)
    if pairs is not None:
        who, columns = np.append(who, pairs.rows), np.append(columns, pairs.columns)
    return Forbidden.of(who, columns)


def _forbidden_pairs(rows: Ints, shown: Shown) -> Forbidden | None:
    """Return what the questions' own candidate lists leave out."""
    if shown.pairs is None:
        return None
    question, item = shown.pairs
    allowed = np.zeros((len(rows), len(shown.columns)), dtype=bool)
    local = np.full(int(max(question.max(initial=-1), rows.max(initial=-1))) + 1, -1)
    local[rows] = np.arange(len(rows))
    mine = local[question] >= 0
    who, columns = _to_columns(local[question[mine]], item[mine], shown)
    allowed[who, columns] = True
    return Forbidden.of(*np.nonzero(~allowed))


def _to_columns(who: Ints, items: NDArray[Any], shown: Shown) -> tuple[Ints, Ints]:
    """Translate item places into columns of ``shown``, dropping those that are not there."""
    columns = np.searchsorted(shown.columns, items)
    there = columns < len(shown.columns)
    there[there] = shown.columns[columns[there]] == items[there]
    return who[there], columns[there]

"""The recommender: interactions in, ranked items out."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

from seqmamba import frames
from seqmamba.datasets.interactions import read_interactions
from seqmamba.errors import ConfigError, DataError
from seqmamba.frames import Like
from seqmamba.metrics.recommendation import METRICS
from seqmamba.metrics.score import named
from seqmamba.tasks.recommend.anchored import BlendedRanker
from seqmamba.tasks.recommend.baselines import make_baselines
from seqmamba.tasks.recommend.data import History, SequenceSamples
from seqmamba.tasks.recommend.evaluation import (
    Group,
    Seen,
    group_names,
    rank_all,
    report,
)
from seqmamba.tasks.recommend.net.model import SIGMANet
from seqmamba.tasks.recommend.serve.questions import (
    Asked,
    ask_histories,
    ask_users,
    given_answers,
    item_codes,
    read_ids,
    translate,
)
from seqmamba.tasks.recommend.serve.server import ColdUser, Server, Shown
from seqmamba.tasks.recommend.splits import Queries
from seqmamba.tasks.recommend.training import TrainableRecommender
from seqmamba.train.anchor import Anchor

__all__ = ["SIGMARecommender"]

EvaluationSplit = Literal["fit", "leave_one_out", "temporal", "given"]
LEAK = (
    "leave-one-out trains on events that happened after other users' answers; "
    "split='temporal' does not."
)

log = logging.getLogger(__name__)


@dataclass(eq=False, repr=False)
class SIGMARecommender(TrainableRecommender):
    """Next-item recommender with a gated, partially flipped Mamba encoder (SIGMA).

    Fitted attributes besides the common ones: ``item_ids_``, ``user_ids_``, ``max_len_``,
    ``batch_size_``, ``blend_`` (weights of network and anchor in the scores).

    Source: arXiv 2408.11451; recommendation specification.

    Examples
    --------
    >>> log = {"user_id": [1, 1, 1, 1, 2, 2, 2], "item_id": list("abcabca")}
    >>> model = SIGMARecommender(max_epochs=1, random_state=0).fit(log)
    >>> model.predict([2], topk=2, filter_seen=False).columns
    ['user_id', 'item_id', 'rank', 'score', 'source']
    """

    def predict(
        self,
        users: Any = None,
        *,
        history: Any = None,
        topk: int = 10,
        filter_seen: bool = True,
        candidates: Any = None,
        exclude: Any = None,
        cold_user: ColdUser = "popular",
        proba: bool = False,
        batch_size: int | Literal["auto"] = "auto",
    ) -> Any:
        """Return the best next items: user_id, item_id, rank, score, source.

        Parameters
        ----------
        users : list, column, table or file of user ids, or None
            Their stored history, all of it, is read; None: everybody known, or in ``history``.
        history : table, file or list of lists of items, or None
            Histories to read instead; its users may be unknown. Never needs a fit.
        topk : int
            Items per user; fewer come back where fewer may be shown.
        filter_seen : bool
            Leave out the items of the whole history.
        candidates : list of items, or table of user_id and item_id, or None
            Items that alone may be shown, to all or per user.
        exclude : list, column, table or file of items, or None
            Items that are never shown.
        cold_user : {"popular", "skip", "error"}
            What a user without any known item gets.
        proba : bool
            Softmax over the items that may be shown, instead of the raw score.
        batch_size : int or "auto"
            Users at a time.

        Returns
        -------
        table
            Users in the order asked for, best items first, rank from 1; equal scores in the order
            of the vocabulary. ``source`` says ``model`` or ``popular``.

        Raises
        ------
        DataError
            No candidate is known, or a user is cold under ``cold_user="error"``.
        """
        check_is_fitted(self, "net_")
        if topk < 1:
            raise ConfigError(f"topk must be at least 1, got {topk}")
        asked = self._asked(users, history)
        shown = self._shown(asked, candidates, exclude, filter_seen)
        with self._threads(), torch.inference_mode():
            answer = self._server().recommend(
                asked,
                shown,
                topk=topk,
                cold_user=cold_user,
                batch_size=None if batch_size == "auto" else batch_size,
                proba=proba,
            )
        names = {"user_id": self.user_col, "item_id": self.item_col}
        return frames.write(answer.rename(names), asked.like)

    def evaluate(
        self,
        X: Any = None,
        y: Any = None,
        *,
        split: EvaluationSplit = "fit",
        seen: tuple[Seen, ...] | Seen = ("keep", "filter"),
        metrics: Sequence[str] | None = ("hr@10", "ndcg@10"),
        by: Group | None = None,
    ) -> pl.DataFrame:
        """Rank all items for held-out events, beside the network alone, the anchor and baselines.

        Parameters
        ----------
        X : table, file or None
            None: the test part that ``fit`` held out.
        y : None
            Not used; the answers are events of X.
        split : {"fit", "leave_one_out", "temporal", "given"}
            How X is cut into histories and answers; "fit" as the model was fitted, "given": all
            rows of X are answers to the stored histories.
        seen : {"keep", "filter"} or both
            Rank all items, as RecBole does; or leave out the items of the history, as a service.
        metrics : sequence of str or None
            ``hr ndcg mrr recall map`` at 5, 10 or 20; None = all.
        by : {"length", "popularity"} or None
            One row per group of users: length of their history, frequency of the answer.

        Returns
        -------
        polars.DataFrame
            metric, seen, users, value, baseline (the best cheap model), best (its name), skill,
            gain over it with a 95 % bootstrap interval, and the value of every scorer.
        """
        check_is_fitted(self, "net_")
        wanted = tuple(named(metrics, METRICS))
        history, queries = self._questions(X, split)
        if self.times_ is not None and "leave_one_out" in (split, self.split):
            log.info(LEAK)
        cheap = self._fitted_baselines()
        ranks = rank_all(
            self._scorers(cheap),
            history,
            queries,
            max_len=self.max_len_,
            device=self.device_,
            seen=(seen,) if isinstance(seen, str) else tuple(seen),
        )
        groups = None if by is None else group_names(by, history, queries)
        table = report(ranks, wanted, tuple(cheap), groups=groups)
        self._flag(table)
        return table

    def embed(
        self, what: Literal["items", "users"] = "items", ids: Any = None, *, history: Any = None
    ) -> Any:
        """Return vectors whose inner product is the network's score: id, v0, v1, ...

        Parameters
        ----------
        what : {"items", "users"}
            Item vectors, or vectors of histories.
        ids : list, column, table or file, or None
            None = all.
        history : table, file or list of lists, or None
            Histories to embed instead of the stored ones (users only).
        """
        check_is_fitted(self, "net_")
        with self._threads(), torch.inference_mode():
            if what == "users":
                asked = self._asked(ids, history)
                self._refuse_empty(asked)
                return _vector_table(
                    asked.ids, self.user_col, self._server().vectors(asked), asked.like
                )
            wanted, like = self.item_ids_.values, Like()
            if ids is not None:
                wanted, like = read_ids(ids, self.item_col)
            codes = self.item_ids_.codes(wanted)
            self._refuse_unknown(wanted, codes)
            vectors = self._ranker().item_vectors()[torch.from_numpy(codes).to(self.device_)].cpu()
            return _vector_table(wanted, self.item_col, vectors, like)

    def similar(self, items: Any, *, topk: int = 10) -> Any:
        """Return the items with the nearest vectors: item_id, similar_id, rank, score (cosine).

        Parameters
        ----------
        items : list, column, table or file of item ids
        topk : int
            Neighbours per item, the item itself left out.
        """
        check_is_fitted(self, "net_")
        wanted, like = read_ids(items, self.item_col)
        codes = self.item_ids_.codes(wanted)
        self._refuse_unknown(wanted, codes)
        with torch.inference_mode():
            unit = torch.nn.functional.normalize(self._ranker().item_vectors(), dim=1).cpu()
            cosine = unit[codes] @ unit.T
            cosine[torch.arange(len(codes)), torch.from_numpy(codes)] = -torch.inf
            k = min(topk, len(self.item_ids_) - 1)
            values, places = cosine.sort(dim=1, descending=True, stable=True)
        answer = pl.DataFrame(
            {
                self.item_col: wanted.gather(np.repeat(np.arange(len(codes), dtype=np.uint32), k)),
                "similar_id": self.item_ids_.take(places[:, :k].flatten().numpy()),
                "rank": np.tile(np.arange(1, k + 1), len(codes)),
                "score": values[:, :k].flatten().double().numpy(),
            }
        )
        return frames.write(answer, like)

    def explain(self, user: Any, *, item: Any = None, n_newest: int = 20) -> pl.DataFrame:
        """Return how far a score falls when each of the newest items is left out: item_id, loss.

        Parameters
        ----------
        user : id
            A known user.
        item : id or None
            Whose score; None = the first recommendation.
        n_newest : int
        """
        check_is_fitted(self, "net_")
        asked = self._asked([user], None)
        self._refuse_empty(asked)
        if item is None:
            item = self.predict([user], topk=1)[self.item_col][0]
        own = asked.log.sequence[-min(len(asked.log.sequence), self.max_len_) :]
        n = min(n_newest, len(own) - 1)
        whole = [own, *(np.delete(own, len(own) - 1 - age) for age in range(n))]
        lengths = [len(row) for row in whole]
        log = History(
            np.concatenate(whole),
            np.concatenate([[0], np.cumsum(lengths)]),
            np.array(lengths),
            len(self.item_ids_),
        )
        several = Asked(pl.Series("row", np.arange(n + 1)), log, Like())
        column = item_codes([item], self.item_col, self.item_ids_, "items")
        with torch.inference_mode():
            ranked = self._server().recommend(several, Shown(column, hides_seen=False), topk=1)
        scores = ranked["score"].to_numpy()
        left_out = self.item_ids_.take(own[::-1][:n] - 1)
        return pl.DataFrame({self.item_col: left_out, "loss": scores[0] - scores[1:]})

    # -- evaluation ----------------------------------------------------------------------------

    def _questions(self, X: Any, split: EvaluationSplit) -> tuple[History, Queries]:
        """Return histories and questions of an evaluation."""
        if X is None:
            log, queries = self.log_, Queries(*self.asked_)
        else:
            data = translate(self._interactions(X), self.item_ids_)
            if split == "given":
                return given_answers(self.log_, self.user_ids_, data)
            test = self._divide(data, self.split if split == "fit" else split).test
            log = History(data.sequence, data.offsets, data.counts, len(self.item_ids_))
            queries = test or Queries(*self.asked_[:, :0])
        if len(queries) == 0:
            raise DataError(
                "no event is held out to evaluate on; pass a table, or fit with "
                "split='leave_one_out'."
            )
        return log, queries

    def _fitted_baselines(self) -> dict[str, Anchor]:
        """Return all cheap models, learned from the training part."""
        samples = SequenceSamples(self.log_, *(np.zeros(0, np.int64),) * 3, info=self.info_)
        return {name: cheap.fit(samples) for name, cheap in make_baselines().items()}

    def _scorers(self, cheap: Mapping[str, Anchor]) -> dict[str, nn.Module]:
        """Return the model, its parts and the cheap models, by the names of the report."""
        net = self._ranker()
        parts: dict[str, nn.Module] = {"model": net}
        if isinstance(net, BlendedRanker):
            parts |= {"network": net.net, "anchor": net.anchor}
        return {**parts, **cheap}

    def _flag(self, table: pl.DataFrame) -> None:
        """Say so if the model does not beat the cheap models."""
        if "gain" in table.columns and (lost := table.filter(pl.col("gain") <= 0)).height:
            row = lost.row(0, named=True)
            log.warning(
                "%s (seen=%s): %.4f does not beat %s with %.4f",
                *(row[name] for name in ("metric", "seen", "value", "best", "baseline")),
            )

    # -- who and what --------------------------------------------------------------------------

    def _asked(self, users: Any, history: Any) -> Asked:
        if history is None:
            if users is None:
                users = self.user_ids_.values
            return ask_users(users, self.user_col, self.user_ids_, self.log_)
        columns = {"user_col": self.user_col, "item_col": self.item_col, "time_col": self.time_col}
        data = read_interactions(history, format=self.format, **columns)  # type: ignore[arg-type]  # three texts
        asked = ask_histories(data, self.item_ids_, Like())
        if users is None:
            return asked
        return ask_users(users, self.user_col, data.users, asked.log)

    def _shown(self, asked: Asked, candidates: Any, exclude: Any, filter_seen: bool) -> Shown:
        columns = np.arange(len(self.item_ids_))
        pairs = None
        if candidates is not None:
            table = None if isinstance(candidates, list | tuple) else frames.read(candidates)[0]
            if table is not None and self.user_col in table.columns:
                frames.require_columns(table, {self.item_col: "item_col"})
                pairs = self._pairs(asked, table)
                columns = np.unique(pairs[1])
            else:
                named = candidates if table is None else table
                codes = item_codes(named, self.item_col, self.item_ids_, "candidates")
                columns = np.unique(codes)
        if exclude is not None:
            codes = item_codes(exclude, self.item_col, self.item_ids_, "excluded items")
            columns = np.setdiff1d(columns, codes)
        return Shown(columns, pairs, filter_seen)

    def _pairs(self, asked: Asked, table: pl.DataFrame) -> tuple[Any, Any]:
        """Return (question, item place) of a candidate table."""
        items = self.item_ids_.codes(table[self.item_col])
        if not (items >= 0).any():
            raise DataError(
                f"none of the {table.height} candidates is known to the model.",
                column=self.item_col,
            )
        place = pl.DataFrame({"id": asked.ids.cast(pl.String)}).with_row_index("question")
        wanted = pl.DataFrame({"id": table[self.user_col].cast(pl.String), "item": items})
        joined = wanted.filter(pl.col("item") >= 0).join(place, on="id")
        return joined["question"].cast(pl.Int64).to_numpy(), joined["item"].to_numpy()

    def _ranker(self) -> SIGMANet | BlendedRanker:
        net = self.net_
        assert isinstance(net, SIGMANet | BlendedRanker)
        net.eval()
        return net

    def _server(self) -> Server:
        counts = self.log_.training_counts().astype(np.float32)
        return Server(self._ranker(), self.item_ids_, self.max_len_, counts, self.device_)

    def _refuse_empty(self, asked: Asked) -> None:
        empty = np.flatnonzero(asked.log.counts == 0)
        if len(empty):
            raise DataError(
                f"user {asked.ids[int(empty[0])]!r} has no known item; only users with a history "
                "have a vector.",
                column=self.user_col,
            )

    def _refuse_unknown(self, ids: pl.Series, codes: Any) -> None:
        unknown = np.flatnonzero(codes < 0)
        if len(unknown):
            raise DataError(
                f"item {ids[int(unknown[0])]!r} is not known to the model ({len(unknown)} of "
                f"{len(ids)} are not); known ones look like {self.item_ids_.values[0]!r}.",
                column=self.item_col,
                value=ids[int(unknown[0])],
            )


def _vector_table(ids: pl.Series, name: str, vectors: torch.Tensor, like: Like) -> Any:
    columns = {f"v{i}": column for i, column in enumerate(vectors.numpy().T)}
    return frames.write(pl.DataFrame({name: ids, **columns}), like)

"""How good the recommender is: full ranking of held-out events, beside its parts and baselines."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import polars as pl
import sklearn.base
import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

from seqmamba.datasets.interactions.facts import facts_of
from seqmamba.datasets.interactions.table import Interactions
from seqmamba.errors import DataError
from seqmamba.metrics.recommendation import LIST_METRICS, METRICS
from seqmamba.metrics.score import named
from seqmamba.params import check_params
from seqmamba.tasks.recommend.baselines import Baseline, make_baselines
from seqmamba.tasks.recommend.data import History, SequenceSamples, query_samples
from seqmamba.tasks.recommend.net.anchored import BlendedRanker
from seqmamba.tasks.recommend.net.model import SIGMANet
from seqmamba.tasks.recommend.report import Group, Seen, group_names, rank_all, report
from seqmamba.tasks.recommend.serve.questions import given_answers, translate
from seqmamba.tasks.recommend.serve.vectors import Index, history_vectors, index_recall
from seqmamba.tasks.recommend.splits import Queries
from seqmamba.tasks.recommend.training import TrainableRecommender

__all__ = ["EvaluatedRecommender", "EvaluationSplit"]

EvaluationSplit = Literal["fit", "leave_one_out", "temporal", "given"]
LEAK = (
    "leave-one-out trains on events that happened after other users' answers; "
    "split='temporal' does not."
)

log = logging.getLogger(__name__)


@dataclass(eq=False, repr=False)
class EvaluatedRecommender(TrainableRecommender):
    """``evaluate`` of the recommender."""

    def evaluate(
        self,
        X: Any = None,
        y: Any = None,
        *,
        split: EvaluationSplit = "fit",
        seen: tuple[Seen, ...] | Seen = ("keep", "filter"),
        metrics: Sequence[str] | None = ("hr@10", "ndcg@10"),
        by: Group | None = None,
        seeds: int = 1,
        index: Index | None = None,
    ) -> pl.DataFrame:
        """Rank all items for held-out events, beside the network alone, the anchor and baselines.

        Parameters
        ----------
        X : table, file or None
            None: the test part that ``fit`` held out.
        y : None
            Not used.
        split : {"fit", "leave_one_out", "temporal", "given"}
            How X is cut into histories and answers; "fit" as the model was fitted, "given": all
            rows of X are answers to the stored histories.
        seen : {"keep", "filter"} or both
            Rank all items, as RecBole does; or leave out the items of the history, as a service.
        metrics : sequence of str or None
            ``hr ndcg mrr recall map`` of the answers and ``coverage novelty popularity`` of the
            lists, at 5, 10 or 20; None = all.
        by : {"length", "popularity", "user"} or None
            One row per group of users: length of their history, frequency of the answer, known
            or new (no event of theirs trained).
        seeds : int
            Above 1 the model is trained again on its events with so many seeds in all; values are
            means, ``sd`` is the deviation of ``value``, the interval the widest of all.
        index : callable (vectors (Q, D), k) -> array (Q, k) of rows of ``embed("items")``, or None
            An approximate index. Adds ``index_recall@k``: the share of the network's k best items
            that it finds.

        Returns
        -------
        polars.DataFrame
            metric, seen, users, value, baseline (the best cheap model), best (its name), skill,
            gain over it with a 95 % bootstrap interval, and the value of every scorer.
        """
        check_is_fitted(self, "net_")
        if seeds > 1:
            twins = (self._with_seed(self._seed + i) for i in range(1, seeds))
            return _over_seeds(
                [
                    model.evaluate(X, split=split, seen=seen, metrics=metrics, by=by)
                    for model in (self, *twins)
                ]
            )
        wanted = tuple(named(metrics, {**METRICS, **LIST_METRICS}))
        history, queries = self._questions(X, split)
        if self.times_ is not None and "leave_one_out" in (split, self.split):
            log.warning(LEAK)
        cheap, counts = self._fitted_baselines(), self.log_.training_counts()
        ranks = rank_all(
            self._scorers(cheap),
            history,
            queries,
            max_len=self.max_len_,
            device=self.device_,
            seen=(seen,) if isinstance(seen, str) else tuple(seen),
            shown=max([0, *(int(name.split("@")[1]) for name in wanted if name in LIST_METRICS)]),
        )
        groups = None if by is None else group_names(by, history, queries, counts)
        table = report(ranks, wanted, tuple(cheap), counts, len(self.user_ids_), groups)
        self._flag(table)
        if index is None:
            return table
        cuts = sorted({int(name.split("@")[1]) for name in wanted})
        return pl.concat([table, self._index_rows(index, history, queries, cuts)], how="diagonal")

    def inspect(self, X: Any, y: Any = None, **tables: Any) -> pl.DataFrame:
        """Read and check interactions, and return what was understood: fact, value. Fits nothing.

        More than the template's facts: what decides over ``max_len``, ``min_user`` and the split.
        """
        check_params(self)
        reader = sklearn.base.clone(self)  # reading with fit=True leaves fitted attributes
        windows = reader._read(X, None, True)
        data = Interactions(
            reader.user_ids_, reader.item_ids_, reader.sequence_, reader.offsets_, reader.times_
        )
        facts = facts_of(data, reader.max_len_)
        facts |= {"training windows": len(windows), "held-out questions": reader.asked_.shape[1]}
        return pl.DataFrame({"fact": list(facts), "value": [str(v) for v in facts.values()]})

    def _questions(self, X: Any, split: EvaluationSplit) -> tuple[History, Queries]:
        """Return histories and questions of an evaluation."""
        if X is None:
            log, queries = self.log_, Queries(*self.asked_)
        else:
            data = translate(self._interactions(X, filtered=split != "given"), self.item_ids_)
            if split == "given":
                return given_answers(self.log_, self.user_ids_, data)
            test = self._divide(data, self.split if split == "fit" else split).test
            codes = self.user_ids_.codes(data.users.values)
            trained = np.where(codes >= 0, self.trained_[codes.clip(0)], 0)
            log = History(data.sequence, data.offsets, trained, len(self.item_ids_))
            queries = test or Queries(*self.asked_[:, :0])
        if len(queries) == 0:
            raise DataError(
                "no event is held out to evaluate on; pass a table, or fit with "
                "split='leave_one_out'."
            )
        return log, queries

    def _with_seed(self, seed: int) -> Self:
        """Return a model that was trained on the same events with another seed."""
        events = self.log_
        owner = np.repeat(np.arange(len(self.user_ids_)), events.counts)
        table = {
            self.user_col: self.user_ids_.take(owner),
            self.item_col: self.item_ids_.take(events.sequence - 1),
        }
        time_col = None if events.times is None else self.time_col
        if time_col is not None:
            table[time_col] = pl.Series(events.times)
        twin: Self = sklearn.base.clone(self).set_params(random_state=seed, time_col=time_col)
        return twin.fit(pl.DataFrame(table))

    def _index_rows(
        self, index: Index, history: History, queries: Queries, cuts: list[int]
    ) -> pl.DataFrame:
        """Return how much of the exact answer an approximate index finds."""
        net = self._ranker()
        samples = query_samples(history, queries, self.max_len_, info=self._info())
        with self._threads(), torch.inference_mode():
            h = history_vectors(net, samples, self.device_)
            found = index_recall(index, h, net.item_vectors(), cuts)
        names = [f"index_recall@{k}" for k in found]
        rows = {"metric": names, "seen": ["keep"] * len(names), "users": [len(h)] * len(names)}
        return pl.DataFrame({**rows, "value": list(found.values())})

    def _fitted_baselines(self) -> dict[str, Baseline]:
        """Return all cheap models, learned from the training part."""
        samples = SequenceSamples(self.log_, *(np.zeros(0, np.int64),) * 3, info=self.info_)
        return {name: cheap.fit(samples) for name, cheap in make_baselines().items()}

    def _scorers(self, cheap: Mapping[str, Baseline]) -> dict[str, nn.Module]:
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

    def _ranker(self) -> SIGMANet | BlendedRanker:
        net = self.net_
        assert isinstance(net, SIGMANet | BlendedRanker)
        net.eval()
        return net


def _over_seeds(tables: list[pl.DataFrame]) -> pl.DataFrame:
    """Return the mean table of several seeds."""
    first = tables[0]
    means = [name for name, kind in first.schema.items() if kind == pl.Float64]
    stacked = {name: np.stack([table[name].to_numpy() for table in tables]) for name in means}
    columns = {name: pl.Series(name, values.mean(0)) for name, values in stacked.items()}
    if "gain_low" in columns:
        columns["gain_low"] = pl.Series("gain_low", stacked["gain_low"].min(0))
        columns["gain_high"] = pl.Series("gain_high", stacked["gain_high"].max(0))
    sd = pl.Series("sd", stacked["value"].std(0, ddof=1))
    place = first.columns.index("value") + 1
    return first.with_columns(columns.values()).insert_column(place, sd)

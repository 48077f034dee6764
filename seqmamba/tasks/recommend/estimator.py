"""The recommender: interactions in, ranked items out."""

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from seqmamba import frames
from seqmamba.datasets.interactions.table import read_interactions
from seqmamba.errors import ConfigError, DataError
from seqmamba.frames import Like
from seqmamba.tasks.recommend.evaluation import EvaluatedRecommender
from seqmamba.tasks.recommend.serve.explain import losses_without
from seqmamba.tasks.recommend.serve.questions import (
    Asked,
    ask_histories,
    ask_users,
    item_codes,
    read_ids,
    with_titles,
)
from seqmamba.tasks.recommend.serve.server import ColdUser, Server
from seqmamba.tasks.recommend.serve.shown import Shown, shown_items
from seqmamba.tasks.recommend.serve.stream import Stream, advance, begin
from seqmamba.tasks.recommend.update import merge

__all__ = ["SIGMARecommender"]


@dataclass(eq=False, repr=False)
class SIGMARecommender(EvaluatedRecommender):
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
        items: Any = None,
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
        items : table or file with the column of items, or None
            Its other columns (titles) are put beside the answer.
        cold_user : {"popular", "skip", "error"}
            What a user without any known item gets.
        proba : bool
            Softmax over the items that may be shown, instead of the raw score.
        batch_size : int or "auto"
            Users at a time.

        Returns
        -------
        table
            Users in the order asked for, best items first; equal scores in the order of the
            vocabulary. ``source`` says ``model`` or ``popular``.
        """
        check_is_fitted(self, "net_")
        if topk < 1:
            raise ConfigError(f"topk must be at least 1, got {topk}")
        asked = self._asked(users, history)
        shown = self._shown(asked, candidates, exclude, hides_seen=filter_seen)
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
        answer = answer.rename(names)
        if items is not None:
            answer = with_titles(answer, items, self.item_col)
        return frames.write(answer, asked.like)

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
        place = item_codes([item], self.item_col, self.item_ids_, "items")
        with self._threads(), torch.inference_mode():
            answer = losses_without(self._server(), asked, int(place[0]), n_newest)
        return answer.rename({"item_id": self.item_col})

    def start(self, history: Any = ()) -> Stream:
        """Return the state of one user after some items; causal presets only.

        Parameters
        ----------
        history : list of items
            Unknown ones are left out.
        """
        check_is_fitted(self, "net_")
        stream = begin(self._ranker())
        for item in history:
            self.step(stream, item)
        return stream

    def step(self, state: Stream, item: Any) -> NDArray[Any]:
        """Read one more item; return the scores of all items in the order of ``item_ids_``: (V,).

        The state changes in place, in constant time. As long as the history has at most
        ``max_len_`` items, the scores are those of ``predict``.
        """
        code = int(self.item_ids_.codes([item])[0])
        if code >= 0:
            with self._threads(), torch.inference_mode():
                advance(self._ranker(), state, code + 1)
        return np.asarray(state.scores)

    def update(
        self, X: Any, *, epochs: int = 0, cold: Literal["wait", "neighbours"] = "wait"
    ) -> Self:
        """Append new events to the histories; with ``epochs`` also train on them.

        Parameters
        ----------
        X : table or file
            Events that happened after those known; users and items may be new.
        epochs : int
            0: newer histories only. Else passes, at a tenth of the learning rate, over windows
            that end in the new events and as many old ones.
        cold : {"wait", "neighbours"}
            New items may be recommended after training, or at once by the mean vector of the items
            beside which they occurred.
        """
        check_is_fitted(self, "net_")
        data = self._interactions(X, filtered=False)
        merged = merge(self.log_, self.user_ids_, self.item_ids_, data)
        n_known = len(self.item_ids_)
        self._grow(data, merged.items)
        self.user_ids_, self.item_ids_ = merged.users, merged.items
        self.sequence_, self.offsets_ = merged.log.sequence, merged.log.offsets
        self.trained_, self.times_ = merged.log.trained, merged.log.times
        self.info_ = self._info()
        if cold == "wait":
            self.hidden_ = np.append(self.hidden_, np.arange(n_known, len(merged.items)))
        if epochs:
            self._train_further(merged, epochs)
        return self

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

    def _shown(self, asked: Asked, candidates: Any, exclude: Any, *, hides_seen: bool) -> Shown:
        return shown_items(
            asked,
            self.item_ids_,
            candidates=candidates,
            exclude=exclude,
            hidden=self.hidden_,
            hides_seen=hides_seen,
            user_col=self.user_col,
            item_col=self.item_col,
        )

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

"""What a recommendation rests on: how far its score falls without each item of the history."""

import numpy as np
import polars as pl

from seqmamba.frames import Like
from seqmamba.tasks.recommend.data import History
from seqmamba.tasks.recommend.serve.questions import Asked
from seqmamba.tasks.recommend.serve.server import Server
from seqmamba.tasks.recommend.serve.shown import Shown

__all__ = ["losses_without"]


def losses_without(server: Server, asked: Asked, place: int, n_newest: int) -> pl.DataFrame:
    """Return item_id and loss of score for each of the newest items, newest first.

    Parameters
    ----------
    asked : Asked
        One user.
    place : int
        0..V-1 of the item whose score is explained.
    n_newest : int
        Items that are left out, one at a time; the last one left is never left out.
    """
    own = asked.log.sequence[-server.max_len :]
    n = min(n_newest, len(own) - 1)
    variants = [own, *(np.delete(own, len(own) - 1 - age) for age in range(n))]
    counts = np.array([len(variant) for variant in variants])
    offsets = np.concatenate([[0], np.cumsum(counts)])
    log = History(np.concatenate(variants), offsets, counts, asked.log.n_items)
    questions = Asked(pl.Series("row", np.arange(n + 1)), log, Like())
    answer = server.recommend(questions, Shown(np.array([place]), hides_seen=False), topk=1)
    scores = answer["score"].to_numpy()
    left_out = server.item_ids.take(own[::-1][:n].astype(np.int64) - 1)
    return pl.DataFrame({"item_id": left_out, "loss": scores[0] - scores[1:]})

"""How the recommender learns: the hooks of the estimator template."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqmamba.datasets.interactions.ids import Ids
from seqmamba.datasets.interactions.table import Interactions, read_interactions
from seqmamba.datasets.samples import Batch, Info, Samples
from seqmamba.errors import ConfigError, DataError
from seqmamba.metrics import ranking
from seqmamba.tasks.recommend.baselines import Baseline, make_baselines
from seqmamba.tasks.recommend.data import (
    History,
    SequenceSamples,
    Targets,
    query_samples,
    train_samples,
)
from seqmamba.tasks.recommend.net import losses
from seqmamba.tasks.recommend.net.anchored import BlendedRanker, blend_scores
from seqmamba.tasks.recommend.net.model import SIGMANet
from seqmamba.tasks.recommend.parameters import RecommenderParameters
from seqmamba.tasks.recommend.serve.questions import given_answers, translate
from seqmamba.tasks.recommend.splits import (
    Queries,
    Split,
    SplitName,
    leave_one_out,
    temporal,
    train_on_all,
)
from seqmamba.tasks.recommend.update import Merged, new_vectors, update_samples
from seqmamba.train import loop
from seqmamba.train.anchor import Anchor
from seqmamba.train.seeds import stream
from seqmamba.train.settings import Settings

__all__ = ["TrainableRecommender"]

FEW_EXAMPLES = 200_000  # below it, 512 targets per step; above, the published 2048
MAX_LEN_RANGE = (10, 200)


@dataclass(eq=False, repr=False)
class TrainableRecommender(RecommenderParameters):
    """Reading, building, training and blending; the answers are in the class below it."""

    _task: ClassVar[str] = "recommend"
    _state_names: ClassVar[tuple[str, ...]] = (
        "sequence_",
        "offsets_",
        "trained_",
        "times_",
        "asked_",
        "hidden_",
        "max_len_",
        "_user_bytes",
        "_item_bytes",
    )

    # -- the hooks of the template -------------------------------------------------------------

    def _read(self, X: Any, y: Any, fit: bool, **tables: Any) -> SequenceSamples:
        """Return training windows (``fit``), or the questions of an evaluation table."""
        data = self._interactions(X, filtered=fit)
        if not fit:
            answers = translate(data, self.item_ids_)
            log, queries = given_answers(self.log_, self.user_ids_, answers)
            return query_samples(log, queries, self.max_len_, info=self._info())
        self._check_enough(data)
        split = self._divide(data, self.split)
        self._remember(data, split)
        info = self._info()
        valid = None
        if split.valid is not None and len(split.valid):
            valid = query_samples(self.log_, split.valid, self.max_len_, info=info)
        return train_samples(
            self.log_,
            self.max_len_,
            targets=self._resolved_targets(),
            keep_last=self.keep_last,
            info=info,
            valid=valid,
        )

    def _split(self, samples: Samples) -> tuple[Samples, Samples | None]:
        assert isinstance(samples, SequenceSamples)
        return samples, samples.valid  # the reader cut it off already

    def _build(self, info: Info) -> nn.Module:
        net = SIGMANet(info.n_outputs, self._net_settings())
        if self.sparse:
            loss = losses.resolve_loss(0, info.n_outputs) if self.loss == "auto" else self.loss
            if loss not in losses.SAMPLED:
                raise ConfigError(
                    f"sparse=True needs a loss that draws items ({', '.join(losses.SAMPLED)}); "
                    f"{loss!r} moves the vectors of all of them."
                )
            net.item_embedding.sparse = True
        return net

    def _anchors(self, info: Info) -> Mapping[str, Anchor]:
        return make_baselines()

    def _make_net(self, anchor: Anchor | None) -> None:
        # The template's sum with a zero last layer does not fit tied item vectors: scores are
        # blended in log space instead.
        super()._make_net(None)
        if anchor is not None:
            assert isinstance(anchor, Baseline)
            self.net_ = BlendedRanker(self.net_, anchor)

    def _loss(self, net: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(net, SIGMANet | BlendedRanker)
        assert batch.y is not None
        h = net.hidden(batch.x, batch.extra["lengths"], batch.extra["at"])  # (B, T, D)
        wanted = batch.y > 0
        h, targets, items = h[wanted], batch.y[wanted], net.item_vectors()
        rows = net.item_rows()
        name = losses.resolve_loss(len(h), len(items)) if self.loss == "auto" else self.loss
        if name == "softmax":
            return losses.softmax(h, items, targets, self.label_smoothing)
        if name == "softmax_chunked":
            return losses.softmax_chunked(h, items, targets, self.label_smoothing)
        if name == "sampled":
            return losses.sampled_softmax(h, rows, targets, self.n_negatives)
        if name == "gbce":
            return losses.gbce(h, rows, targets, self.n_negatives, self.calibration)
        return losses.bpr(h, rows, targets, batch.x[wanted.nonzero()[:, 0]])

    def _objective(self) -> loop.Objective:
        def measure(net: nn.Module, samples: Samples) -> float:
            total = 0.0
            for scores, target in _scored(net, samples, self.device_):
                bounds = ranking.rank_bounds(scores.cpu().numpy(), target)
                total -= float(ranking.ndcg(*bounds, 10).sum())
            return total / max(len(samples), 1)

        return measure

    def _settings(
        self, checkpoint: str | Path | None, resume: str | Path | None, n_samples: int
    ) -> Settings:
        # batch_size may be "auto" here: it counts targets, not windows.
        former, self.batch_size = self.batch_size, self.batch_size_
        try:
            settings = super()._settings(checkpoint, resume, n_samples)
        finally:
            self.batch_size = former
        return replace(settings, start_is_candidate=False)  # the blend looks at the anchor alone

    def _prepare(self, train: Samples, valid: Samples | None) -> None:
        assert isinstance(train, SequenceSamples)
        self.batch_size_ = self._windows_per_step(train)
        if valid is None and self.anchor not in (None, "auto"):
            raise ConfigError(
                f"anchor={self.anchor!r} is weighed on a validation part, and there is none: use "
                "split='leave_one_out' or 'temporal', pass eval_set, or anchor=None."
            )
        if valid is None and self.anchor == "auto":
            anchor, self.anchor = self.anchor, None  # nothing to choose by
            super()._prepare(train, valid)
            self.anchor = anchor
        else:
            super()._prepare(train, valid)

    def _finish(self, train: Samples, valid: Samples | None) -> None:
        net = self.net_
        if not isinstance(net, BlendedRanker) or valid is None:
            return
        assert isinstance(valid, SequenceSamples)
        scores = blend_scores(net, valid, self.device_)
        if self.history_.best_epoch == 0:
            scores = {(0.0, 1.0): scores[0.0, 1.0]}  # an untrained network is no candidate
        best = max(scores, key=scores.__getitem__)
        net.blend.copy_(torch.tensor(best))
        self.history_.best = -scores[best]

    # -- reading -------------------------------------------------------------------------------

    def _interactions(self, X: Any, *, filtered: bool = True) -> Interactions:
        names = ["user_col", "item_col", "time_col", "format", "duplicates", "min_rating"]
        if filtered:
            names += ["min_user", "min_item", "max_user", "max_item"]
        return read_interactions(X, **{name: getattr(self, name) for name in names})

    def _check_enough(self, data: Interactions) -> None:
        if len(data.items) < 2:
            raise DataError(
                f"there is one single item ({data.items.values[0]!r}); a recommender needs at "
                "least two.",
                column=self.item_col,
            )
        if int(data.counts.max()) < 2:
            raise DataError(
                "no user has two interactions, so there is nothing to learn from; "
                f"is user_col={self.user_col!r} the right column?",
                column=self.user_col,
            )

    def _divide(self, data: Interactions, split: SplitName) -> Split:
        if split == "none":
            return train_on_all(data.counts)
        if split == "leave_one_out":
            return leave_one_out(data.counts)
        valid_size = 0.1 if self.val_size is None else float(self.val_size)
        return temporal(data, valid_size=valid_size, test_size=self.test_size)

    def _remember(self, data: Interactions, split: Split) -> None:
        """Keep what prediction needs: the histories, whole, and the ids."""
        self.user_ids_, self.item_ids_ = data.users, data.items
        self.sequence_, self.offsets_, self.times_ = data.sequence, data.offsets, data.times
        self.trained_ = split.trained
        self.hidden_ = np.zeros(0, dtype=np.int64)  # items that update() keeps back
        held_out = split.test or Queries(*(np.zeros(0, np.int64),) * 3)
        self.asked_ = np.stack([held_out.users, held_out.cuts, held_out.stops])
        if self.max_len == "auto":
            low, high = MAX_LEN_RANGE
            longest = float(np.quantile(split.trained, 0.95, method="higher"))
            self.max_len_ = int(np.clip(longest, low, high))
        else:
            self.max_len_ = int(self.max_len)

    def _info(self) -> Info:
        n_items = len(self.item_ids_)
        facts = {"users": len(self.user_ids_), "items": n_items, "rows": len(self.sequence_)}
        return Info(channels=1, length=(1, self.max_len_), n_outputs=n_items, extra=facts)

    @property
    def log_(self) -> History:
        """The histories of all known users."""
        return History(
            self.sequence_, self.offsets_, self.trained_, len(self.item_ids_), self.times_
        )

    @property
    def blend_(self) -> tuple[float, float]:
        """Weights of network and anchor in the scores."""
        if not isinstance(self.net_, BlendedRanker):
            return 1.0, 0.0
        own, cheap = self.net_.blend.tolist()
        return own, cheap

    # Ids travel through the model file as JSON bytes.
    @property
    def _user_bytes(self) -> NDArray[np.uint8]:
        return self.user_ids_.to_bytes()

    @_user_bytes.setter
    def _user_bytes(self, stored: NDArray[np.uint8]) -> None:
        self.user_ids_ = Ids.from_bytes(stored)

    @property
    def _item_bytes(self) -> NDArray[np.uint8]:
        return self.item_ids_.to_bytes()

    @_item_bytes.setter
    def _item_bytes(self, stored: NDArray[np.uint8]) -> None:
        self.item_ids_ = Ids.from_bytes(stored)

    # -- training ------------------------------------------------------------------------------

    def _resolved_targets(self) -> Targets:
        settings = self._net_settings()
        if self.targets != "auto":
            return self.targets
        if settings.is_causal:
            return "all"
        tail = settings.conv == "causal" and settings.flip == "aware"
        return "tail" if tail and settings.padding == "masked" else "last"

    def _windows_per_step(self, train: SequenceSamples) -> int:
        if self.batch_size != "auto":
            return int(self.batch_size)
        n_targets = int(train.n_targets.sum())
        wanted = 512 if n_targets < FEW_EXAMPLES else 2048
        return max(1, round(wanted * len(train) / max(n_targets, 1)))

    def _grow(self, data: Interactions, items: Ids) -> None:
        """Give new items a place in network and anchor; the old vectors stay as they are."""
        ranker = self.net_
        bare = ranker.net if isinstance(ranker, BlendedRanker) else ranker
        assert isinstance(bare, SIGMANet)
        with stream(self._seed, "initialisation"), torch.no_grad():
            fresh = new_vectors(bare.item_vectors(), data, self.item_ids_, items)
            table = torch.cat([bare.item_embedding.weight, fresh])
            size, width = table.shape
            bare.item_embedding = nn.Embedding(
                size, width, padding_idx=0, sparse=self.sparse, _weight=table
            )
        if isinstance(ranker, BlendedRanker):
            ranker.anchor.grow(len(items))

    def _train_further(self, merged: Merged, epochs: int) -> None:
        """Train on the new events and as many old ones; afterwards all events count as known."""
        generator = np.random.default_rng([self._seed, len(self.sequence_)])
        samples = update_samples(merged, self.max_len_, self.info_, generator)
        settings = replace(
            self._settings(None, None, len(samples)),
            learning_rate=self.learning_rate_ / 10,
            batch_size=512,
            max_epochs=epochs,
        )
        with self._threads():
            loop.run(self.net_, self._loss, samples, None, settings=settings, seed=self._seed)
        self.trained_, self.hidden_ = merged.log.counts, self.hidden_[:0]
        if isinstance(self.net_, BlendedRanker):
            self.net_.anchor.fit(samples)


def _scored(net: nn.Module, samples: Samples, device: str) -> Any:
    """Give scores (B, V) and target columns (B,) of all samples, batch by batch."""
    assert isinstance(samples, SequenceSamples)
    for _, batch in samples.walk():
        assert batch.y is not None
        yield net(batch.to(device)), batch.y[:, 0].numpy() - 1

"""What the estimators over bags share: reading, the network, answers in the caller's form."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from seqmamba.datasets.bags.labels import Labels, read_labels
from seqmamba.datasets.bags.read import BagSource, read_bags
from seqmamba.datasets.samples import Batch, Info, Samples
from seqmamba.errors import DataError
from seqmamba.tasks.mil.data import BagSamples, FeatureScale, row_length
from seqmamba.tasks.mil.net.blend import BagBlend
from seqmamba.tasks.mil.net.ensemble import BagEnsemble
from seqmamba.tasks.mil.net.model import BagNet, Pooled
from seqmamba.tasks.mil.parameters import BagParameters
from seqmamba.train.settings import Settings

__all__ = ["BagEstimator", "sized_steps"]

MAX_STEP = 256  # bags in one step without gradients


@dataclass(eq=False, repr=False)
class BagEstimator(BagParameters):
    """Reading of bags, the network and its walk over new bags."""

    _task: ClassVar[str] = "mil"
    _state_names: ClassVar[tuple[str, ...]] = (
        "d_model_",
        "n_layers_",
        "n_members_",
        "rate_",
        "instance_noise_",
    )
    _default_val_size: ClassVar[float | int] = 0.15

    def _samples(self, source: BagSource, labels: Labels) -> BagSamples:
        bags = source.bags
        info = Info(
            channels=len(bags.names),
            length=(int(bags.lengths.min()), int(bags.lengths.max())),
            feature_names=bags.names,
            extra={"bags": len(bags.ids), "instances": int(bags.lengths.sum())},
        )
        return BagSamples(
            bags=bags,
            index=np.arange(len(bags.ids)),
            info=info,
            groups=labels.group,
            seed=getattr(self, "_seed", 0),
            nan=self.nan,
        )

    def _source(self, X: Any, coords: Any = None) -> BagSource:
        if isinstance(X, BagSource):  # read already, as each fold of a cross-validation is
            return X
        return read_bags(X, coords, cache_bytes=self.cache_bytes)

    def _labels(self, source: BagSource, y: Any, groups: Any) -> Labels:
        """Collect what is known of the bags: from their table, a label table, or arrays."""
        ids, labels = source.bags.ids, Labels()
        if source.labels is not None:
            labels = read_labels(source.labels, ids)
        if y is not None:
            labels = _given(y, ids, labels)
        if groups is not None:
            labels = replace(labels, group=_per_bag(groups, len(ids), "groups"))
        return labels

    def _build(self, info: Info) -> nn.Module:
        scale = None
        if self._scale is not None:
            mean, spread = self._scale.mean, self._scale.spread
            scale = torch.from_numpy(mean).float(), torch.from_numpy(spread).float()
        settings = self._net_settings()
        nets = [
            BagNet(info.channels, info.n_outputs, settings, scale) for _ in range(self.n_members_)
        ]
        return nets[0] if len(nets) == 1 else BagEnsemble(nets)

    @property
    def _scale(self) -> FeatureScale | None:
        """Of the training bags; a loaded network brings it along as buffers."""
        found: FeatureScale | None = getattr(self, "_feature_scale", None)
        return found

    def _parts(self, samples: Samples, eval_set: Any, tables: Any) -> tuple[Any, Any]:
        self.n_members_ = self._members(len(samples))
        train, valid = super()._parts(samples, eval_set, tables)
        assert isinstance(train, BagSamples)
        self._crosses = train.fold is not None
        self._resolve_course(self._crosses)
        return train, valid

    def _split(self, samples: Samples) -> tuple[Samples, Samples | None]:
        """Cut off the validation part, or let each network of an ensemble leave out another."""
        if self.val_size is not None or self.n_members_ == 1:
            return super()._split(samples)
        assert isinstance(samples, BagSamples)
        crossed = samples.crossed(self.n_members_)
        return crossed, crossed

    def _judged(self, net: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return logits (R, K), and of which bag of the batch each row is: (R,).

        Where bags are dealt to folds, a network learns from all folds but its own, and is judged
        on that: validation is then by all bags.
        """
        fold = batch.extra.get("fold")
        if fold is None:
            logits: Tensor = net(batch)
            return logits, torch.arange(len(logits), device=logits.device)
        assert isinstance(net, BagEnsemble)
        each = net.each(batch)  # (B, M, K)
        own = fold[:, None] == torch.arange(each.shape[1], device=fold.device)
        chosen = ~own if net.training else own
        return each[chosen], chosen.nonzero()[:, 0]

    def _prepare(self, train: Samples, valid: Samples | None) -> None:
        """Resolve what depends on the training bags, then build."""
        assert isinstance(train, BagSamples)
        self._feature_scale: FeatureScale | None = None
        if self.standardize is not False:
            scale = FeatureScale.of(train)
            if self.standardize is True or not scale.is_standard():
                self._feature_scale = scale
        self._resolve(len(train), row_length(train))
        self._step = sized_steps(train.lengths, self.max_tokens_per_batch)
        super()._prepare(train, valid)

    def _settings(
        self, checkpoint: str | Path | None, resume: str | Path | None, n_samples: int
    ) -> Settings:
        settings = super()._settings(checkpoint, resume, n_samples)
        return replace(
            settings,
            max_epochs=self.max_epochs_,
            lr_schedule=self.lr_schedule_,
            keep="last" if self._crosses else "best",
            min_epochs=self.min_epochs,
            valid_batch=self._step,
        )

    # -- the walk over new bags ----------------------------------------------------------------

    def _asked(self, X: Any, coords: Any = None) -> tuple[BagSamples, BagSource]:
        check_is_fitted(self, "net_")
        source = self._source(X, coords)
        samples = self._samples(source, Labels())
        self.info_.check_same_features(samples.info)
        return samples, source

    def _walk(self, samples: BagSamples) -> Iterator[tuple[NDArray[np.int64], Pooled, Batch]]:
        """Give the network's view of all bags in groups: numbers, result, batch."""
        net = self.net_
        assert isinstance(net, BagNet | BagEnsemble | BagBlend)
        device = next(net.parameters()).device
        step = sized_steps(samples.lengths, self.max_tokens_per_batch)
        with self._threads(), torch.inference_mode():
            for start in range(0, len(samples), step):
                rows = np.arange(start, min(start + step, len(samples)))
                batch = samples.batch(rows).to(device)
                for chosen, pooled in net.pooled(batch):
                    yield rows[chosen.cpu().numpy()], pooled, batch

    def _logits(self, samples: BagSamples) -> Tensor:
        """Return the logits of all bags: (n, K), on the CPU."""
        out = torch.zeros(len(samples), self.info_.n_outputs)
        for rows, pooled, _ in self._walk(samples):
            out[torch.from_numpy(rows)] = pooled.logits.float().cpu()
        return out

    def _held_out_logits(self, samples: BagSamples) -> Tensor:
        """Return logits of validation bags, each by networks that did not learn from it: (n, K)."""
        step = sized_steps(samples.lengths, self.max_tokens_per_batch)
        return self._outputs(
            samples, batch_size=step, forward=lambda net, batch: self._judged(net, batch)[0]
        )

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return the embedding z of each bag: (n, d_model), of several networks side by side."""
        samples, _ = self._asked(X)
        out = np.zeros((len(samples), self.n_members_ * self.d_model_), np.float32)
        for rows, pooled, _ in self._walk(samples):
            out[rows] = pooled.embedding.float().cpu().numpy()
        return out


def sized_steps(lengths: NDArray[np.int64], max_tokens: int) -> int:
    """Return how many bags one step without gradients may take."""
    mean = float(lengths.mean()) if len(lengths) else 1.0
    return int(np.clip(max_tokens / max(mean, 1.0), 1, MAX_STEP))


def _given(y: Any, ids: tuple[str, ...], labels: Labels) -> Labels:
    """Read ``y``: a table with ids, or one value per bag."""
    is_table = isinstance(y, str | Path) or hasattr(y, "columns") or isinstance(y, dict)
    if is_table:
        found = read_labels(y, ids)
        known = {k: v for k, v in vars(found).items() if v is not None}
        return replace(labels, **known)
    return labels.with_label(_per_bag(y, len(ids), "y"))


def _per_bag(values: Any, n_bags: int, name: str) -> NDArray[Any]:
    array = np.asarray(values)
    if array.shape != (n_bags,):
        raise DataError(
            f"{name} has shape {array.shape}, but there are {n_bags} bags; one value per bag is "
            "expected.",
            column=name,
        )
    return array

"""The classifier of bags."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn import functional

from seqmamba.datasets.samples import Batch, Info, Samples
from seqmamba.errors import ConfigError, DataError, SeqmambaWarning
from seqmamba.frames import write
from seqmamba.metrics import classification
from seqmamba.metrics.score import named
from seqmamba.params import param
from seqmamba.tasks.mil.answers.blending import blend
from seqmamba.tasks.mil.answers.calibration import best_temperature
from seqmamba.tasks.mil.answers.scores import score_beside
from seqmamba.tasks.mil.answers.verbs import BagVerbs
from seqmamba.tasks.mil.bag_estimator import BagEstimator
from seqmamba.tasks.mil.baselines import BagStatistics
from seqmamba.tasks.mil.data import BagSamples
from seqmamba.tasks.mil.net.blend import BagBlend, StatisticsAnchor
from seqmamba.train.anchor import Anchor

__all__ = ["MILClassifier"]

LEAST_TO_CALIBRATE = 30  # validation bags


@dataclass(eq=False, repr=False)
class MILClassifier(BagVerbs, ClassifierMixin, BagEstimator):  # type: ignore[misc]  # scikit-learn: untyped
    """Class of a bag of instances, by MambaMIL and its kin.

    ``encoder="srmamba"`` reads the instances in order and once more reordered (MambaMIL, arXiv
    2403.06800), ``"bimamba"`` in both directions, ``"lbmamba"`` with local look-back (arXiv
    2506.15976), ``"s4d"`` is the one layer of S4MIL, a baseline; ``"none"`` leaves order aside
    (attention pooling: arXiv 1802.04712).

    Fitted attributes: ``classes_``, ``temperature_``, ``shares_`` (of the network and of what is
    blended with it), ``d_model_``, ``n_layers_``, ``n_members_``, ``rate_``.

    Examples
    --------
    >>> from seqmamba.datasets import simulate
    >>> bags, labels, coords = simulate.bags(n=40, seed=0)
    >>> model = MILClassifier(d_model=8, max_epochs=1, random_state=0).fit(bags, labels)
    >>> model.predict_proba(bags[:3]).shape
    (3, 2)
    """

    class_weight: Literal["balanced"] | None = param(
        "balanced", "weigh the loss by class", group="training"
    )
    sampler: Literal["balanced"] | None = param(
        None, "draw the classes equally often, with replacement", group="training"
    )
    blend: Literal["auto", "statistics"] | None = param(
        "auto",
        "regression on bag statistics whose logits are added to the network's, in shares chosen "
        "on held-out bags; auto = where averaged networks leave out bags",
    )
    calibrate: Literal["temperature"] | None = param(
        "temperature", "scale the logits on the validation part"
    )

    _state_names: ClassVar[tuple[str, ...]] = (
        *BagEstimator._state_names,
        "_classes",
        "temperature_",
        "calibration_",
        "_statistics_weights",
        "_prevalence",
        "shares_",
    )
    _metrics = classification.METRICS

    # -- hooks ---------------------------------------------------------------------------------

    def _read(
        self, X: Any, y: Any, fit: bool, *, groups: Any = None, coords: Any = None, **tables: Any
    ) -> BagSamples:
        """Read bags and their labels; ``sample_weight`` may come along."""
        source = self._source(X, coords)
        labels = self._labels(source, y, groups)
        samples = self._samples(source, labels)
        if labels.label is None:
            if fit:
                raise ConfigError(
                    "fit needs the class of each bag: y, a label table, or a column 'label'."
                )
            return samples
        if fit:
            self._learn_classes(labels.label)
        codes = self._codes(labels.label, samples)
        info = replace(samples.info, n_outputs=len(self._classes))
        weight = self._weights(codes, tables.get("sample_weight")) if fit else None
        return replace(samples, y=codes, strata=codes, info=info, weight=weight)

    def _anchors(self, info: Info) -> Mapping[str, Anchor]:
        """Return what a model file may hold beside a network; training does not stand on it."""
        return {"statistics": StatisticsAnchor()}

    def _make_net(self, anchor: Anchor | None) -> None:
        super()._make_net(None)
        if anchor is not None:
            self.net_ = BagBlend(self.net_, anchor)

    def _learn_classes(self, labels: NDArray[Any]) -> None:
        if labels.dtype.kind == "f" and not np.array_equal(labels, np.round(labels)):
            raise DataError(
                f"labels are classes, not numbers such as {labels[0]!r}; pass integers or text.",
                column="label",
            )
        found = np.unique(labels.astype(str) if labels.dtype == object else labels)
        if len(found) < 2:
            raise DataError(
                f"all bags are of class {found.tolist()[0]!r}; at least two classes are needed.",
                column="label",
                value=found[0],
            )
        self._classes = found.tolist()
        if self.class_weight is not None and self.sampler is not None:
            warnings.warn(
                "class_weight and sampler both balance the classes; rare ones count twice. "
                "Set one of them to None.",
                SeqmambaWarning,
                stacklevel=6,
            )

    @property
    def classes_(self) -> NDArray[Any]:
        """The classes, sorted, in the type of the labels."""
        return np.asarray(self._classes)

    def _codes(self, labels: NDArray[Any], samples: BagSamples) -> NDArray[np.int64]:
        known = self.classes_
        values = labels.astype(known.dtype) if labels.dtype == object else labels
        places = {value: code for code, value in enumerate(known.tolist())}
        codes = np.array([places.get(value, -1) for value in values.tolist()], np.int64)
        if (codes < 0).any():
            row = int(np.argmax(codes < 0))
            wrong = values.tolist()[row]
            raise DataError(
                f"bag {samples.ids[row]!r} is of class {wrong!r}, which the model does not "
                f"know; its classes: {', '.join(map(repr, known.tolist()))}.",
                column="label",
                where=f"bag {samples.ids[row]}",
                value=wrong,
            )
        return codes

    def _weights(self, codes: NDArray[np.int64], given: Any) -> NDArray[np.float32]:
        weight = np.ones(len(codes)) if given is None else np.asarray(given, np.float64)
        if weight.shape != codes.shape or (weight < 0).any():
            raise DataError("sample_weight needs one number per bag, none below 0.")
        if self.class_weight == "balanced":
            present = np.unique(codes)
            of_class = np.zeros(len(self._classes))
            of_class[present] = compute_class_weight("balanced", classes=present, y=codes)
            weight = weight * of_class[codes]
        scaled: NDArray[np.float32] = (weight / weight.mean()).astype(np.float32)
        return scaled

    def _parts(self, samples: Samples, eval_set: Any, tables: Any) -> tuple[Any, Any]:
        train, valid = super()._parts(samples, eval_set, {} if eval_set is not None else tables)
        assert isinstance(train, BagSamples)
        if self.sampler == "balanced":
            self._drawn: int | None = len(train)
            train = _oversampled(train)
        else:
            self._drawn = None
        if self.blend == "statistics" and valid is None:
            raise ConfigError(
                "blend='statistics' takes its shares from held-out bags; pass val_size above 0, "
                "an eval_set, or n_members above 1."
            )
        return train, valid

    def _epoch_samples(self) -> int | None:
        return self._drawn

    def _loss(self, net: nn.Module, batch: Batch) -> Tensor:
        assert batch.y is not None
        logits, bags = self._judged(net, batch)
        loss = functional.cross_entropy(logits, batch.y[bags], reduction="none")
        weight = batch.extra.get("weight")
        return (loss if weight is None else weight[bags] * loss).mean()

    def _finish(self, train: Samples, valid: Samples | None) -> None:
        """Fit the yardstick of :meth:`evaluate`, blend, and calibrate."""
        assert isinstance(train, BagSamples)
        assert train.y is not None
        self._prevalence = (
            np.bincount(train.y, minlength=len(self._classes)) / len(train)
        ).tolist()
        self._statistics_weights = BagStatistics.fit(train, len(self._classes)).weights
        self.temperature_ = 1.0
        self.calibration_: dict[str, float] = {}
        self.shares_: dict[str, float] = {"network": 1.0}
        if valid is None:
            return
        assert isinstance(valid, BagSamples)
        blends, calibrates = self._blends(valid), self._calibrates(valid)
        if not (blends or calibrates):
            return
        logits = self._held_out_logits(valid).double().numpy()
        if blends:
            found = blend(self.net_, logits, train, valid, len(self._classes))
            self.net_, logits, self.anchor_ = found.net, found.logits, "statistics"
            self.shares_ = dict(zip(("network", "statistics"), found.shares, strict=True))
        if calibrates:
            assert valid.y is not None
            self.temperature_, self.calibration_ = best_temperature(logits, valid.y)

    def _blends(self, valid: BagSamples) -> bool:
        if self.blend == "auto":
            return valid.fold is not None and len(valid) >= LEAST_TO_CALIBRATE
        return self.blend is not None

    def _calibrates(self, valid: BagSamples) -> bool:
        if self.calibrate is None:
            return False
        if len(valid) < LEAST_TO_CALIBRATE:
            warnings.warn(
                f"{len(valid)} validation bags are too few to calibrate on "
                f"({LEAST_TO_CALIBRATE} are needed); probabilities stay as they are. "
                "Pass calibrate=None to say so.",
                SeqmambaWarning,
                stacklevel=5,
            )
            return False
        return True

    # -- answers -------------------------------------------------------------------------------

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return the calibrated logits: (n, K), or (n,) of two classes, positive for the second."""
        samples, _ = self._asked(X)
        logits = self._logits(samples).double().numpy() / self.temperature_
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each class: (n, K), rows of sum 1, columns as ``classes_``."""
        return self._probabilities(self._asked(X)[0])

    def _probabilities(self, samples: BagSamples) -> NDArray[np.float64]:
        logits = self._logits(samples).double()
        probability: NDArray[np.float64] = torch.softmax(logits / self.temperature_, 1).numpy()
        return probability

    # lists in, labels out, as scikit-learn has it; tables and files in, a table out
    def predict(self, X: Any) -> Any:
        """Return the likeliest class of each bag.

        Parameters
        ----------
        X : folder, file, table or list of arrays
            As in ``fit``.

        Returns
        -------
        array (n,), or a table ``bag_id, class, p_<class>...`` in the library of a table
        """
        samples, source = self._asked(X)
        probability = self._probabilities(samples)
        labels = self.classes_[probability.argmax(1)]
        if source.like is None:
            return labels
        columns = {f"p_{name}": probability[:, k] for k, name in enumerate(self._classes)}
        table = pl.DataFrame({"bag_id": samples.ids, "class": labels.tolist(), **columns})
        return write(table, source.like)

    # metrics are of probabilities; beside them stand the prevalence and the bags' statistics
    def evaluate(
        self, X: Any, y: Any = None, *, metrics: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """Score on labelled bags, beside the class shares and a regression on bag statistics.

        Parameters
        ----------
        X : folder, file, table or list of arrays
        y : array, label table or path, or None
            None = the column ``label`` of the table.
        metrics : sequence of str or None
            Names of :data:`seqmamba.metrics.classification.METRICS`; None = all.

        Returns
        -------
        DataFrame
            ``metric, value, low, high`` (95 % by bootstrap), ``baseline`` (the better of the two
            below), ``skill, prevalence, statistics``.
        """
        wanted = named(metrics, self._metrics)
        samples = self._asked_with_truth(X, y)
        assert samples.y is not None
        statistics = BagStatistics(self._statistics_weights).predict(samples)
        constant = np.tile(np.asarray(self._prevalence), (len(samples), 1))
        baselines = {"prevalence": constant, "statistics": statistics}
        return score_beside(samples.y, self._probabilities(samples), baselines, wanted)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the accuracy; greater is better."""
        samples = self._asked_with_truth(X, y)
        right = self._probabilities(samples).argmax(1) == samples.y
        return float(np.average(right, weights=sample_weight))

    def _asked_with_truth(self, X: Any, y: Any) -> BagSamples:
        check_is_fitted(self, "net_")
        samples = self._read(X, y, False)
        self.info_.check_same_features(samples.info)
        if samples.y is None:
            raise ConfigError(
                "the true classes are needed: y, a label table, or a column 'label' of X."
            )
        return samples


def _oversampled(samples: BagSamples) -> BagSamples:
    """Repeat the bags of rarer classes until all classes have as many."""
    assert samples.y is not None
    counts = np.bincount(samples.y)
    most = counts.max()
    rows = [np.resize(np.flatnonzero(samples.y == k), most) for k in np.flatnonzero(counts)]
    return samples.part(np.concatenate(rows))

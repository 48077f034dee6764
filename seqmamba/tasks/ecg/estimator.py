"""The classifier of recordings: several labels, or one of several classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, Unpack

import numpy as np
import polars as pl
import sklearn.base
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from seqmamba.base import BaseEstimator
from seqmamba.datasets.records.read import OnError
from seqmamba.datasets.samples import Batch, Info, Samples
from seqmamba.errors import DataError
from seqmamba.frames import write
from seqmamba.params import check_params
from seqmamba.tasks.ecg.answers.probabilities import (
    baseline_probabilities,
    calibrator_of,
    combined,
    decide,
    objective_of,
)
from seqmamba.tasks.ecg.answers.scores import Weights, score_classes, score_records
from seqmamba.tasks.ecg.answers.table import describe, probability_table
from seqmamba.tasks.ecg.attributes import FittedAttributes
from seqmamba.tasks.ecg.baselines import RhythmAnchor
from seqmamba.tasks.ecg.building import build_network, preprocessing_of, rate_of
from seqmamba.tasks.ecg.data import open_source, read_samples
from seqmamba.tasks.ecg.net.losses import asymmetric_loss, class_weights, masked_bce, softmax_loss
from seqmamba.tasks.ecg.parameters import ECGParameters
from seqmamba.tasks.ecg.reading import Recorded, is_plain
from seqmamba.tasks.ecg.reporting import tune_decisions
from seqmamba.tasks.ecg.samples import RecordSamples
from seqmamba.tasks.ecg.signal.augmentation import augment, mix_up
from seqmamba.tasks.ecg.verbs import ECGVerbs
from seqmamba.train.anchor import Anchor
from seqmamba.train.callbacks import Callback
from seqmamba.train.loop import Objective
from seqmamba.train.settings import Settings

__all__ = ["ECGClassifier"]

Floats = NDArray[np.float64]
LEARNING_RATES = {"small": 4e-3, "base": 1e-3, "paper": 5e-4}


@dataclass(eq=False, repr=False)
class ECGClassifier(ECGVerbs, ECGParameters, FittedAttributes, ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # sklearn
    """Labels of 12-lead recordings by convolutions and a bidirectional Mamba encoder.

    Takes any rate, unit, order of leads and length; plain arrays (n, T) too, as scikit-learn's
    classifiers do. Source of the network: arXiv 2510.13046.

    Examples
    --------
    >>> from seqmamba.datasets import simulate
    >>> x, y = simulate.ecg(n=24, seed=0)
    >>> model = ECGClassifier(d_model=8, n_layers=1, max_epochs=1, random_state=0).fit(x, y)
    >>> model.predict_proba(x).shape
    (24, 11)
    """

    # -- hooks ---------------------------------------------------------------------------------

    def _read(self, X: Any, y: Any, fit: bool, **tables: Any) -> Samples:
        return read_samples(self, X, y, fit, tables)[0]

    def _build(self, info: Info) -> nn.Module:
        return build_network(self, info)

    def _anchors(self, info: Info) -> Mapping[str, Anchor]:
        """Return what recordings have and plain sequences have not: a rhythm."""
        return {} if self.is_plain_ else {"rhythm": RhythmAnchor(len(self.class_names_))}

    def _loss(self, net: nn.Module, batch: Batch) -> Tensor:
        if net.training and self.augment and not self.is_plain_:
            batch = augment(batch, rate_of(self), self.augment_strength)
        if net.training and self.mixup > 0:
            batch = mix_up(batch, self.mixup)
        logits = net(batch)
        assert batch.y is not None
        smoothing = self.label_smoothing if net.training else 0.0
        weight = None
        asked = net.training or isinstance(self.class_weight, Mapping)
        if asked and self._class_weights is not None:
            weight = torch.as_tensor(self._class_weights).to(logits)
        if not self.is_multilabel_:
            return softmax_loss(logits, batch.y, weight, smoothing)
        if self.loss == "asl" and net.training:
            return asymmetric_loss(logits, batch.y)
        return masked_bce(logits, batch.y, weight, smoothing)

    def _objective(self) -> Objective | None:
        """Validate by 1 - macro AUPRC of the records."""
        return objective_of(self)

    def _settings(self, checkpoint: Any, resume: Any, n_samples: int) -> Settings:
        # the largest step follows the preset, which only the instance knows
        if self.learning_rate == "auto":
            self.learning_rate_ = LEARNING_RATES[self.preset]
        return super()._settings(checkpoint, resume, n_samples)

    # the labels of the training part alone give the weights of the loss
    def _prepare(self, train: Samples, valid: Samples | None) -> None:
        assert isinstance(train, RecordSamples)
        assert train.y is not None
        if len(train) == 0:
            raise DataError(f"{len(train)} samples are left to learn from; more are needed.")
        self._class_weights = class_weights(train.y, self.class_names_, self.class_weight)
        self.prevalence_ = np.nan_to_num(np.nanmean(train.y, axis=0))
        super()._prepare(train, valid)

    def _finish(self, train: Samples, valid: Samples | None) -> None:
        """Calibrate, tune thresholds, and fit the baseline."""
        assert isinstance(train, RecordSamples)
        tune_decisions(self, train, valid if isinstance(valid, RecordSamples) else None)

    def _decode(self, out: Tensor, samples: Samples) -> Floats:
        """Return calibrated probabilities (records, K) from the windows' logits."""
        assert isinstance(samples, RecordSamples)
        return calibrator_of(self)(combined(self, out.double().numpy(), samples))

    def _record_logits(self, samples: RecordSamples) -> Floats:
        """Return logits of records (n, K)."""
        return combined(self, self._outputs(samples).double().numpy(), samples)

    def _answers(self, X: Any, tables: Mapping[str, Any]) -> tuple[tuple[str, ...], Floats, Any]:
        """Return names, probabilities (n, K), and the library of a table that is the answer."""
        check_is_fitted(self, "net_")
        samples, reading = read_samples(self, X, None, False, tables)
        found = self._decode(self._outputs(samples), samples)
        if reading is None:
            return samples.names, found, None
        names, probabilities = samples.names, found
        if tables["on_error"] == "nan":
            probabilities = np.full((reading.n_source, found.shape[1]), np.nan)
            probabilities[reading.rows] = found
            names = reading.source_names
        return names, probabilities, reading.like

    # -- fit -----------------------------------------------------------------------------------

    # own signature: recordings need a rate, names and a unit, which the command line offers
    def fit(  # type: ignore[override]  # the tables that it takes are named
        self,
        X: Any,
        y: Any = None,
        *,
        groups: Any = None,
        eval_set: Any = None,
        checkpoint: str | Path | None = None,
        resume: str | Path | None = None,
        callbacks: Sequence[Callback] = (),
        on_error: OnError = "raise",
        **recorded: Unpack[Recorded],
    ) -> Self:
        """Learn from recordings and their labels.

        Parameters
        ----------
        X : array, list, path or table
            Recordings, as :func:`seqmamba.datasets.records.open_records` takes; or plain
            sequences (n, T).
        y : table, array, path or None
            ``record`` and one column of 0, 1 or empty per class, or ``record, dx``; an array
            (n, K), or (n,) of classes. None = the diagnoses in the headers, or what X holds.
        groups : array (n,) or None
            Patients; those of the validation part are not learned from.
        eval_set : (X, y) or None
            Validation part; None = cut off from X by ``val_size``.
        checkpoint : path or None
            File written after each epoch and when interrupted.
        resume : path or None
            Checkpoint to go on from.
        callbacks : sequence of Callback
            Watchers.
        on_error : {"raise", "skip", "nan"}
            A damaged record is an error, left out, or without an answer.
        recorded : keywords of :class:`Recorded`
            Rate, leads and unit of arrays.
        """
        return super().fit(
            X,
            y,
            eval_set=eval_set,
            checkpoint=checkpoint,
            resume=resume,
            callbacks=callbacks,
            groups=groups,
            on_error=on_error,
            **recorded,
        )

    # -- answers -------------------------------------------------------------------------------

    def predict_proba(
        self,
        X: Any,
        *,
        on_error: OnError = "raise",
        **recorded: Unpack[Recorded],
    ) -> NDArray[np.float32]:
        """Return probabilities (n, K) in the order of ``classes_``.

        Parameters
        ----------
        X : array, list, path or table
        on_error : {"raise", "skip", "nan"}
            A damaged record is an error, left out, or without an answer.
        recorded : keywords of :class:`Recorded`
            Rate, leads and unit of arrays.
        """
        return self._answers(X, {**recorded, "on_error": on_error})[1].astype(np.float32)

    # also answers for files and tables of recordings, where the rows have names
    def predict(
        self,
        X: Any,
        *,
        on_error: OnError = "raise",
        **recorded: Unpack[Recorded],
    ) -> Any:
        """Return decisions by the tuned thresholds.

        Parameters
        ----------
        X : array, list, path or table
        on_error : {"raise", "skip", "nan"}
            A damaged record is an error, left out, or without an answer.
        recorded : keywords of :class:`Recorded`
            Rate, leads and unit of arrays.

        Returns
        -------
        array or table
            Arrays: 0 or 1 (n, K), or classes (n,). Files and tables: ``record, class,
            probability, decision``, in the caller's library.
        """
        names, probabilities, like = self._answers(X, {**recorded, "on_error": on_error})
        decisions = decide(self, probabilities)
        if like is not None:
            table = probability_table(names, self.class_names_, probabilities, decisions)
            return write(table, like)
        if self.is_multilabel_:
            return decisions.astype(np.int64)
        return self.classes_[decisions.argmax(1)]

    # the baseline is a fitted model and not a constant; classes have scores of their own
    def evaluate(
        self,
        X: Any,
        y: Any = None,
        *,
        metrics: Sequence[str] | None = None,
        by: Literal["class"] | None = None,
        weights_df: str | Path | None = None,
        on_error: OnError = "raise",
        **recorded: Unpack[Recorded],
    ) -> pl.DataFrame:
        """Score the model beside logistic regression on simple features.

        Parameters
        ----------
        X : array, list, path or table
        y : table, array, path or None
            Labels, as in ``fit``.
        metrics : sequence of str or None
            Names of metrics; None = all that apply.
        by : "class" or None
            "class": one row per class.
        weights_df : path or None
            Weights of the challenge metric (``weights.csv`` of PhysioNet/CinC 2021).
        on_error : {"raise", "skip", "nan"}
            A damaged record is an error, left out, or without an answer.
        recorded : keywords of :class:`Recorded`
            Rate, leads and unit of arrays.

        Returns
        -------
        DataFrame
            ``metric, value, baseline, skill``; by class ``class, positives, auroc, auprc, f1`` and
            the baseline's.
        """
        check_is_fitted(self, "net_")
        samples = self._read(X, y, False, on_error=on_error, **recorded)
        assert isinstance(samples, RecordSamples)
        if samples.y is None:
            raise DataError("evaluate needs labels: pass y, a table of 'record' and classes.")
        own = self._decode(self._outputs(samples), samples)
        theirs = baseline_probabilities(self, samples)
        answers = (own, decide(self, own)), (theirs, decide(self, theirs))
        if by == "class":
            return score_classes(samples.y, *answers, self.class_names_)
        weights = None if weights_df is None else Weights.read(weights_df, self.class_names_)
        return score_records(samples.y, *answers, metrics, weights)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the accuracy of exclusive classes, or the macro AUROC of several labels."""
        name = "auroc" if getattr(self, "is_multilabel_", False) else "accuracy"
        return float(self.evaluate(X, y, metrics=[name])["value"][0])

    def inspect(  # type: ignore[override]  # the tables that it takes are named
        self,
        X: Any,
        y: Any = None,
        **recorded: Unpack[Recorded],
    ) -> pl.DataFrame:
        """Read and check recordings, and return what was understood: fact, value. Fits nothing.

        Parameters
        ----------
        X : array, list, path or table
        y : table, array, path or None
            Labels; None = those that X holds.
        recorded : keywords of :class:`Recorded`
            Rate, leads and unit of arrays.
        """
        if is_plain(X):
            return super().inspect(X, y)
        check_params(self)
        records = open_source(sklearn.base.clone(self), X, True, recorded)
        if records.flat is not None:
            return super().inspect(records.flat, records.y if y is None else y)
        return describe(records, preprocessing_of(self), y)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True  # paths of recordings
        return tags

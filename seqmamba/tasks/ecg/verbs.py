"""What a fitted classifier does besides classifying: reports, reasons, long recordings, folds."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Unpack, cast

import polars as pl
from sklearn.utils.validation import check_is_fitted

from seqmamba.datasets.records.read import OnError
from seqmamba.params import check_params
from seqmamba.tasks.ecg.answers.cross_validation import cross_validate
from seqmamba.tasks.ecg.answers.report import ECGReport
from seqmamba.tasks.ecg.answers.saliency import SaliencyName
from seqmamba.tasks.ecg.answers.stream import Moment, pieces_of
from seqmamba.tasks.ecg.reading import Recorded
from seqmamba.tasks.ecg.reporting import answer_stream, explain, report_on

if TYPE_CHECKING:
    from seqmamba.tasks.ecg.estimator import ECGClassifier

__all__ = ["ECGVerbs"]


class ECGVerbs:
    """Mixin of :class:`ECGClassifier`: the methods behind ``fit`` and ``predict``."""

    @property
    def _model(self) -> "ECGClassifier":
        return cast("ECGClassifier", self)  # what this class is mixed into

    def predict_record(
        self,
        X: Any,
        *,
        target: str | None = None,
        **recorded: Unpack[Recorded],
    ) -> ECGReport:
        """Report on one recording: probabilities, quality of the signal, a picture.

        Parameters
        ----------
        X : path, array (leads, T) or Record
        target : str or None
            Class whose reasons the picture shows; None = the most probable that is answered.
        recorded : keywords of :class:`Recorded`
            Rate, leads and unit of arrays.
        """
        return report_on(self._model, X, target, recorded)

    def saliency(
        self,
        X: Any,
        *,
        target: str,
        method: SaliencyName = "integrated_gradients",
        **recorded: Unpack[Recorded],
    ) -> Any:
        """Say which leads and samples an answer rests on.

        Parameters
        ----------
        X : array, list, path or table
        target : str
            A class.
        method : {"integrated_gradients", "grad_input", "occlusion"}
            Gradients along the way from silence, at its end, or leads left out.
        recorded : keywords of :class:`Recorded`
            Rate, leads and unit of arrays.

        Returns
        -------
        array or table
            Arrays: (n, leads, T) at the model's rate, a list where lengths differ. Files and
            tables: ``record, lead, share``.
        """
        check_is_fitted(self, "net_")
        with self._model._threads():
            return explain(self._model, X, target, method, recorded)

    def predict_stream(
        self,
        source: Any,
        *,
        hop: float = 5.0,
        **recorded: Unpack[Recorded],
    ) -> Iterator[Moment]:
        """Answer every few seconds of a recording of any length, in constant memory.

        Parameters
        ----------
        source : path, or iterable of array (leads, any length)
            A WFDB record, read from disk in pieces; or pieces of a recording as they come.
        hop : float
            Seconds between the starts of two windows.
        recorded : keywords of :class:`Recorded`
            Rate, leads and unit of arrays.

        Yields
        ------
        Moment
            ``start, end`` (seconds), ``probabilities`` (K,), ``flags``.
        """
        check_is_fitted(self, "net_")
        pieces = pieces_of(source, recorded)
        yield from answer_stream(self._model, pieces, hop)

    def cv(
        self,
        X: Any,
        y: Any = None,
        *,
        folds: int = 5,
        resnet: bool = True,
        groups: Any = None,
        on_error: OnError = "raise",
        **recorded: Unpack[Recorded],
    ) -> pl.DataFrame:
        """Score out of folds, beside a residual network and logistic regression.

        Parameters
        ----------
        X : array, list, path or table
        y : table, array, path or None
            Labels, as in ``fit``; a column ``group`` keeps patients together.
        folds : int
            Number of folds.
        resnet : bool
            Train the residual network too.
        groups : array (n,) or None
            Patients.
        on_error : {"raise", "skip", "nan"}
            A damaged record is an error, left out, or without an answer.
        recorded : keywords of :class:`Recorded`
            Rate, leads and unit of arrays.

        Returns
        -------
        DataFrame
            ``class, positives``, AUROC and AUPRC of each model; two rows of means.
        """
        check_params(self)
        tables = {**recorded, "groups": groups, "on_error": on_error}
        return cross_validate(self._model, X, y, tables, folds=folds, resnet=resnet)

"""The adapter: recordings or plain sequences and their labels become samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, column_or_1d

from seqmamba.datasets.records import Failure, Labels, Record, Records, read_labels
from seqmamba.datasets.records.labels import codes_to_labels
from seqmamba.datasets.records.read import OnError
from seqmamba.datasets.samples import Info
from seqmamba.errors import DataError
from seqmamba.frames import Like
from seqmamba.tasks.ecg.samples import RecordSamples
from seqmamba.tasks.ecg.signal.preprocessing import Prepared, Preprocessing
from seqmamba.tasks.ecg.signal.rhythm import RHYTHM

__all__ = ["Reading", "Recorded", "is_plain", "plain_samples", "read_records"]
__all__ += ["record_targets", "sequence_targets"]


class Recorded(TypedDict, total=False):
    """What arrays hold, and tables that do not say.

    Parameters
    ----------
    fs : float or None
        Samples per second; None = that of the arrays in ``fit``, or the network's.
    lead_names : sequence of str or None
        Leads of arrays, in their order; 12 need no names.
    units : str or float
        Unit of arrays and tables: mV, uV, nV, V or a gain per mV.
    """

    fs: float | None
    lead_names: Sequence[str] | None
    units: str | float


@dataclass
class Reading:
    """Prepared recordings, and where they stood in the source.

    Parameters
    ----------
    prepared : list of Prepared
    rows : array (n,)
        Place of each in the source.
    n_source : int
        Records in the source, damaged ones too where ``on_error="nan"``.
    failures : list of Failure
    diagnoses : list of tuple of str
        Codes of the headers.
    source_names : tuple of str
        Of all records of the source.
    like : Like or None
        The caller's library.
    """

    prepared: list[Prepared]
    rows: NDArray[np.int64]
    n_source: int
    failures: list[Failure]
    diagnoses: list[tuple[str, ...]]
    source_names: tuple[str, ...] = ()
    like: Like | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the records."""
        return tuple(p.name for p in self.prepared)

    def samples(self, preprocessing: Preprocessing, window: int, extra: Mapping[str, Any]) -> Any:
        """Return the recordings as samples, without labels."""
        leads = preprocessing.leads
        lengths = [len(p.signal) for p in self.prepared] or [0]
        info = Info(
            channels=len(leads),
            length=(min(lengths), max(lengths)),
            feature_names=leads,
            extra=extra,
        )
        return RecordSamples.of(
            self.names,
            [p.signal for p in self.prepared],
            np.array([p.present for p in self.prepared]).reshape(len(self.prepared), len(leads)),
            np.array([p.level for p in self.prepared]),
            np.array([p.rhythm for p in self.prepared]).reshape(-1, len(RHYTHM)),
            window=window,
            info=info,
        )


def is_plain(X: Any) -> bool:
    """Say whether X is a matrix (n, T) of plain sequences, as scikit-learn's estimators take."""
    if isinstance(X, str) or hasattr(X, "__fspath__"):
        return False
    if isinstance(X, list | tuple):
        first = X[0] if len(X) else None
        return not (isinstance(first, str | np.ndarray | Record) or hasattr(first, "__fspath__"))
    if type(X) is dict:  # a sparse array may be a subclass
        return False
    if hasattr(X, "columns"):
        return "record" not in list(X.columns)
    return getattr(X, "ndim", 2) != 3


def read_records(records: Records, preprocessing: Preprocessing, on_error: OnError) -> Reading:
    """Prepare every recording of a source; a damaged one is raised, skipped or left out of rows."""
    prepared, rows, diagnoses = [], [], []
    failures: list[Failure] = []
    n_source = 0
    for record in records.read("raise" if on_error == "raise" else "nan"):
        place, n_source = n_source, n_source + 1
        if record is None:
            failures.append(records.failures[-1])
            continue
        try:
            prepared.append(preprocessing(record))
        except DataError as error:
            if on_error == "raise":
                raise
            failures.append(Failure(record.name, str(error)))
            continue
        rows.append(place)
        diagnoses.append(record.diagnoses)
    return Reading(
        prepared,
        np.array(rows, dtype=np.int64),
        n_source,
        failures,
        diagnoses,
        records.names or tuple(str(row) for row in range(n_source)),
        records.like,
    )


def record_targets(
    y: Any, reading: Reading, classes: Sequence[str] | None, names: Sequence[str]
) -> Labels:
    """Return the labels of the recordings that could be read.

    ``y`` is a table or array as :func:`read_labels` takes; None = the diagnoses in the headers.
    Rows of an array, or of a table without ``record``, belong to the records of the source, read or
    not.
    """
    if y is None:
        if not any(reading.diagnoses):
            raise DataError(
                "there are no labels: the headers hold no diagnosis (Dx). Pass y, a table of "
                "'record' and one column per class."
            )
        return codes_to_labels(reading.diagnoses, classes)
    by_name = not isinstance(y, np.ndarray | list | tuple) and _names_records(y)
    if by_name:
        return read_labels(y, reading.names, classes)
    whole = read_labels(y, names, classes)
    groups = None if whole.groups is None else whole.groups[reading.rows]
    return Labels(whole.values[reading.rows], whole.classes, groups)


def _names_records(y: Any) -> bool:
    if isinstance(y, str) or hasattr(y, "__fspath__"):
        return True
    return "record" in list(getattr(y, "columns", y))


def sequence_targets(
    y: Any, n: int, classes: Sequence[Any] | None
) -> tuple[NDArray[np.float64], list[Any], bool]:
    """Return labels (n, K), the classes, and whether several may be true.

    Parameters
    ----------
    y : array (n,) of classes, or (n, K) of 0 and 1
    n : int
        Number of sequences.
    classes : sequence or None
        Of a fitted model.
    """
    array = np.asarray(y)
    if array.ndim == 2 and array.shape[1] > 1:
        check_classification_targets(array)
        labels = read_labels(array, [str(row) for row in range(n)])
        return (
            labels.values,
            list(range(array.shape[1])) if classes is None else list(classes),
            True,
        )
    array = column_or_1d(array, warn=True)
    if array.dtype.kind == "f":
        assert_all_finite(array, input_name="y")
    check_classification_targets(array)
    if len(array) != n:
        raise DataError(f"{len(array)} labels for {n} sequences.")
    known = np.unique(array) if classes is None else np.asarray(classes)
    unknown = np.setdiff1d(array, known)
    if len(unknown):
        raise DataError(f"the labels hold {unknown[:5].tolist()}, which the model does not know.")
    one_hot = (array[:, None] == known[None, :]).astype(np.float64)
    return one_hot, known.tolist(), False


def plain_samples(x: NDArray[Any], scaling: NDArray[Any], extra: Mapping[str, Any]) -> Any:
    """Return sequences (n, T) of one channel as samples, by a fitted mean and deviation."""
    scaled = ((x - scaling[0]) / scaling[1]).astype(np.float32)[:, :, None]
    n, length = x.shape
    info = Info(channels=1, length=(length, length), feature_names=("x",), extra=extra)
    return RecordSamples.of(
        [str(row) for row in range(n)],
        list(scaled),
        np.ones((n, 1), dtype=bool),
        np.zeros(n),
        np.zeros((n, len(RHYTHM))),
        window=max(length, 1),
        info=info,
    )

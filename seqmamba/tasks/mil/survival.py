"""Risk of an event from a bag: discrete hazards over time bins."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn import functional

from seqmamba.datasets.bags.labels import Labels
from seqmamba.datasets.bags.packed import JoinedBags
from seqmamba.datasets.bags.read import BagSource
from seqmamba.datasets.samples import Batch
from seqmamba.errors import ConfigError, DataError
from seqmamba.frames import write
from seqmamba.metrics import survival
from seqmamba.metrics.metric import skill
from seqmamba.metrics.score import named
from seqmamba.params import param
from seqmamba.tasks.mil.bag_estimator import BagEstimator
from seqmamba.tasks.mil.data import BagSamples

__all__ = ["MILSurvival", "hazard_loss", "time_bins"]

SMALLEST = 1e-7


@dataclass(eq=False, repr=False)
class MILSurvival(BagEstimator):
    r"""Risk of a patient from all their bags, by MambaMIL's discrete-time survival head.

    Logits give the hazard of each time bin, :math:`\lambda_k = \sigma(o_k)`; the survival is
    :math:`S_k = \prod_{j \le k} (1 - \lambda_j)` and the risk :math:`-\sum_k S_k`. Source:
    multiple-instance specification, 2.4; MambaMIL, arXiv 2403.06800.

    Fitted attributes: ``edges_``, borders of the bins in the unit of the times.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> bags = [rng.normal(size=(5, 3)) for _ in range(20)]
    >>> model = MILSurvival(d_model=8, max_epochs=1, random_state=0)
    >>> model.fit(bags, time=rng.exponential(size=20), event=np.ones(20)).predict_risk(bags).shape
    (20,)
    """

    n_bins: int = param(4, "time bins", low=2)
    alpha: float = param(0.0, "extra weight of the uncensored", low=0, high=1)

    _task: ClassVar[str] = "survival"
    _state_names: ClassVar[tuple[str, ...]] = (*BagEstimator._state_names, "edges_")
    _metrics = survival.METRICS

    # time and event stand where other tasks have y
    def fit(
        self, X: Any, y: Any = None, *, time: Any = None, event: Any = None, **tables: Any
    ) -> Any:
        """Learn from bags and what became of the patients.

        Parameters
        ----------
        X : folder, file, table or list of arrays
        y : label table or path, or None
            Columns ``time`` or ``survival_months``, ``event`` or ``censorship``, and ``case_id``
            where a patient has several bags.
        time : array (n,) or None
            Of the event, or of the last sight; any unit.
        event : array (n,) of 0 and 1, or None
            0 = censored.
        tables
            ``groups``, ``coords``, ``eval_set`` and the like, as for the classifier.
        """
        return super().fit(X, y, time=time, event=event, **tables)

    def _read(
        self,
        X: Any,
        y: Any,
        fit: bool,
        *,
        time: Any = None,
        event: Any = None,
        groups: Any = None,
        coords: Any = None,
        **tables: Any,
    ) -> BagSamples:
        """Read bags, join those of a patient, and put the times into bins."""
        source = self._source(X, coords)
        labels = self._labels(source, y, groups)
        if time is not None:
            times = np.asarray(time, np.float64)
            seen = np.ones(len(times), bool) if event is None else np.asarray(event).astype(bool)
            _check_lengths(times, seen, len(source.bags.ids))
            labels = replace(labels, time=times, event=seen)
        source, labels = _join_patients(source, labels)
        samples = replace(self._samples(source, labels), groups=None)
        samples = replace(samples, info=replace(samples.info, n_outputs=self.n_bins))
        if labels.time is None or labels.event is None:
            if fit:
                raise ConfigError(
                    "fit needs time and event of each bag: arrays, or a label table with both."
                )
            return samples
        if fit:
            self.edges_ = time_bins(labels.time, labels.event, self.n_bins)
        place = np.searchsorted(self.edges_[1:-1], labels.time, side="right")
        target = np.column_stack([place, ~labels.event]).astype(np.int64)
        return replace(samples, y=target, strata=target[:, 0] * 2 + target[:, 1])

    def _loss(self, net: nn.Module, batch: Batch) -> Tensor:
        assert batch.y is not None
        logits, bags = self._judged(net, batch)
        y = batch.y[bags]
        return hazard_loss(logits, y[:, 0], y[:, 1].bool(), self.alpha)

    def predict_survival(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of living through each time bin: (patients, n_bins)."""
        return self._curves(self._known(X))

    def predict_risk(self, X: Any) -> NDArray[np.float64]:
        """Return minus the sum of the survival curve; greater means sooner: (patients,)."""
        risk: NDArray[np.float64] = -self.predict_survival(X).sum(1)
        return risk

    # a risk has no unit to go back to; the curve stands beside it
    def predict(self, X: Any) -> Any:
        """Return the risk of each patient.

        Parameters
        ----------
        X : folder, file, table or list of arrays

        Returns
        -------
        array (n,), or a table ``bag_id, risk, survival_0...`` in the library of a table
        """
        samples = self._known(X)
        curves = self._curves(samples)
        like = self._source(X).like
        if like is None:
            return -curves.sum(1)
        columns = {f"survival_{k}": curves[:, k] for k in range(self.n_bins)}
        return write(pl.DataFrame({"bag_id": samples.ids, "risk": -curves.sum(1), **columns}), like)

    # the truth is a pair
    def evaluate(
        self,
        X: Any,
        y: Any = None,
        *,
        metrics: Sequence[str] | None = None,
        time: Any = None,
        event: Any = None,
    ) -> pl.DataFrame:
        """Return the concordance index beside that of chance.

        Parameters
        ----------
        X : folder, file, table or list of arrays
        y : label table or path, or None
        metrics : sequence of str or None
            Names of metrics; None = all.
        time : array (n,) or None
            True times, where no table has them.
        event : array (n,) or None
            0 = censored.
        """
        check_is_fitted(self, "net_")
        source = self._source(X)
        labels = self._labels(source, y, None)
        if time is not None:
            seen = np.ones(len(time), bool) if event is None else np.asarray(event).astype(bool)
            labels = replace(labels, time=np.asarray(time, np.float64), event=seen)
        source, labels = _join_patients(source, labels)
        if labels.time is None or labels.event is None:
            raise ConfigError("evaluate needs time and event of each bag.")
        risk = -self._curves(self._samples(source, Labels())).sum(1)
        rows = []
        for name, metric in named(metrics, self._metrics).items():
            value = metric.function(labels.time, labels.event, risk)
            row = {"metric": name, "value": value, "baseline": 0.5}
            rows.append({**row, "skill": skill(value, 0.5, metric)})
        return pl.DataFrame(rows)

    def score(self, X: Any, y: Any = None, *, time: Any = None, event: Any = None) -> float:
        """Return the concordance index; greater is better."""
        return float(self.evaluate(X, y, time=time, event=event)["value"][0])

    def _known(self, X: Any) -> BagSamples:
        check_is_fitted(self, "net_")
        samples = self._read(X, None, False)
        self.info_.check_same_features(samples.info)
        return samples

    def _curves(self, samples: BagSamples) -> NDArray[np.float64]:
        hazard = torch.sigmoid(self._logits(samples).double())
        curves: NDArray[np.float64] = torch.cumprod(1 - hazard, 1).numpy()
        return curves


def hazard_loss(logits: Tensor, place: Tensor, censored: Tensor, alpha: float = 0.0) -> Tensor:
    r"""Return the mean negative log-likelihood of discrete hazards.

    .. math:: \ell = -c \log S_Y - (1 - c) (\log S_{Y-1} + \log \lambda_Y), \qquad
              (1 - \alpha) \ell - \alpha (1 - c) (\log S_{Y-1} + \log \lambda_Y)

    with every argument of a logarithm at least 1e-7. Source: multiple-instance specification, 2.4.

    Parameters
    ----------
    logits : Tensor (B, K)
    place : int Tensor (B,)
        Bin Y of the time.
    censored : bool Tensor (B,)
    alpha : float
    """
    hazard = torch.sigmoid(logits)
    alive = functional.pad(torch.cumprod(1 - hazard, 1), (1, 0), value=1.0)  # S_-1, S_0, ...
    y = place[:, None]

    def log_of(table: Tensor, at: Tensor) -> Tensor:
        return table.gather(1, at).clamp(min=SMALLEST).log().squeeze(1)

    event = -(log_of(alive, y) + log_of(hazard, y)) * ~censored
    loss = event - log_of(alive, y + 1) * censored
    return ((1 - alpha) * loss + alpha * event).mean()


def time_bins(
    time: NDArray[np.float64], event: NDArray[np.bool_], n_bins: int
) -> NDArray[np.float64]:
    """Return the borders of bins with as many events each, (n_bins + 1,); outermost all times.

    Raises
    ------
    DataError
        There are fewer different event times than bins, or a time is not positive.
    """
    if not np.isfinite(time).all() or (time < 0).any():
        wrong = time[~(np.isfinite(time) & (time >= 0))][0]
        raise DataError(f"a time is {wrong}; times are finite and not negative.", column="time")
    known = time[event]
    if len(np.unique(known)) < n_bins:
        raise DataError(
            f"{len(np.unique(known))} different event times cannot fill {n_bins} bins; lower "
            "n_bins, or check which value of event means censored.",
            column="event",
        )
    edges: NDArray[np.float64] = np.quantile(known, np.linspace(0, 1, n_bins + 1))
    edges[0], edges[-1] = time.min() - 1e-6, time.max() + 1e-6
    return edges


def _check_lengths(times: NDArray[np.float64], event: NDArray[np.bool_], n_bags: int) -> None:
    if times.shape != (n_bags,) or event.shape != (n_bags,):
        raise DataError(
            f"time {times.shape} and event {event.shape} need one value for each of {n_bags} bags."
        )


def _join_patients(source: BagSource, labels: Labels) -> tuple[BagSource, Labels]:
    """Make one bag of all bags of a patient."""
    if labels.group is None or len(np.unique(labels.group)) == len(source.bags.ids):
        return source, labels
    names, first, owner = np.unique(labels.group, return_index=True, return_inverse=True)
    members = [np.flatnonzero(owner == k) for k in range(len(names))]
    for field in ("time", "event"):
        values = getattr(labels, field)
        if values is not None and (values != values[first][owner]).any():
            row = int(np.argmax(values != values[first][owner]))
            raise DataError(
                f"patient {str(labels.group[row])!r} has more than one {field}; a patient has one.",
                column=field,
                value=labels.group[row],
            )
    joined = JoinedBags(source.bags, [str(name) for name in names], members)
    kept = {k: v[first] for k, v in vars(labels).items() if v is not None}
    return BagSource(joined, None, source.like), Labels(**kept)

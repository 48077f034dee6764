"""What a fitted classifier of bags does besides predicting."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.errors import DataError
from seqmamba.params import check_params
from seqmamba.tasks.mil.answers.attention import (
    Method,
    attention_of,
    attribution_of,
    instance_table,
)
from seqmamba.tasks.mil.answers.heatmap import HeatMap
from seqmamba.tasks.mil.answers.inspection import inspection_table
from seqmamba.tasks.mil.answers.validation import cross_validate

if TYPE_CHECKING:
    from seqmamba.tasks.mil.estimator import MILClassifier

__all__ = ["BagVerbs"]

Floats = NDArray[np.float32]


class BagVerbs:
    """Mixin of :class:`seqmamba.MILClassifier`."""

    @property
    def _model(self) -> "MILClassifier":
        return cast("MILClassifier", self)  # what this class is mixed into

    def attention(self, X: Any, *, as_frame: bool = False) -> list[Floats] | pl.DataFrame:
        """Return the attention of every instance; it sums to 1 in each bag.

        Behind a sequence encoder the attention of an instance also reflects its neighbours:
        look at :meth:`attribution` too.

        Parameters
        ----------
        X : folder, file, table or list of arrays
        as_frame : bool
            A table ``bag_id, instance, x, y, attention, rank`` instead of a list of arrays (L,).
        """
        samples, _ = self._model._asked(X)
        values = attention_of(self._model, samples)
        if not as_frame:
            return values
        return instance_table(samples.bags, samples.ids, values, "attention")

    def attention_table(self, X: Any) -> pl.DataFrame:
        """Tell how much each instance counts: bag_id, instance, x, y, attention, rank.

        Parameters
        ----------
        X : folder, file, table or list of arrays
        """
        return cast(pl.DataFrame, self.attention(X, as_frame=True))

    def attribution(self, X: Any, y: Any = None, *, method: Method = "integrated") -> list[Floats]:
        """Return what each instance adds to the log-odds of a class: list of arrays (L,).

        Parameters
        ----------
        X : folder, file, table or list of arrays
        y : class, array (n,) of classes, or None
            Whose log-odds; None = the predicted class of each bag.
        method : {"integrated", "grad_input"}
            Gradients integrated from a bag of mean instances to this one: they sum to the
            difference of the two log-odds. Or the gradient at the bag times the standardised
            input: 64 times faster, and a guide by its magnitude alone.
        """
        model = self._model
        samples, _ = model._asked(X)
        if y is None:
            targets = model._logits(samples).argmax(1).numpy()
        else:
            wanted = np.broadcast_to(np.asarray(y), (len(samples),))
            targets = model._codes(wanted, samples)
        return attribution_of(model, samples, targets, method)

    def heatmap(
        self,
        X: Any,
        *,
        bag: str | None = None,
        value: Literal["attention", "attribution"] = "attention",
    ) -> HeatMap:
        """Draw which patches of a slide count, as .png, .geojson (QuPath) or .csv.

        Parameters
        ----------
        X : folder, file, table or list of arrays
            With coordinates.
        bag : str or None
            Which; None = the first.
        value : {"attention", "attribution"}
            What to draw.
        """
        samples, source = self._model._asked(X)
        name = samples.ids[0] if bag is None else bag
        if name not in samples.ids:
            raise DataError(f"there is no bag {name!r}; the first is {samples.ids[0]!r}.")
        one = samples.part(np.array([samples.ids.index(name)]))
        coords = source.bags.coords(int(one.index[0]))
        if coords is None:
            raise DataError(
                f"bag {name!r} has no coordinates, which a map needs: coords in .h5 files, or "
                "columns x and y.",
                where=f"bag {name}",
            )
        if value == "attention":
            values = attention_of(self._model, one)[0]
        else:
            codes = self._model._logits(one).argmax(1).numpy()
            values = attribution_of(self._model, one, codes)[0]
        return HeatMap(name, coords, values, value)

    def inspect(self, X: Any, y: Any = None, **tables: Any) -> pl.DataFrame:
        """Read and check bags and labels, and return what was understood: fact, value.

        Parameters
        ----------
        X : folder, file, table or list of arrays
        y : array, label table or path, or None
            Bags without labels, labels without bags and groups of several labels are listed.
        tables
            ``coords`` of a list.
        """
        check_params(self)
        return inspection_table(self._model._source(X, tables.get("coords")), y)

    def cross_validate(
        self,
        X: Any,
        y: Any = None,
        *,
        cv: int = 10,
        groups: Any = None,
        metrics: Sequence[str] | None = None,
        splits: str | None = None,
    ) -> pl.DataFrame:
        """Fit and score on folds: stratified, patients never cut, and resumed where they stopped.

        The estimator itself is left as it is; copies are fitted.

        Parameters
        ----------
        X : folder, file, table or list of arrays
        y : array, label table or path, or None
            None = the column ``label`` of the table.
        cv : int
            Folds.
        groups : array or None
            Patients, where neither table names them.
        metrics : sequence of str or None
            Names of metrics; None = all.
        splits : path or None
            Folder of ``splits_<i>.csv``: read if there are any, else written. Results of finished
            folds are kept there, and a second run goes on behind them.

        Returns
        -------
        DataFrame
            One row per fold, then mean, sd, and the score of all test bags together (pooled).
        """
        return cross_validate(self._model, X, y, groups, cv, metrics, splits)

"""Fitted attributes by the names that scikit-learn asks for."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FittedAttributes"]


class FittedAttributes:
    """Mixin of :class:`ECGClassifier`: classes, columns and tags."""

    class_names_: list[Any]
    info_: Any

    @property
    def classes_(self) -> NDArray[Any]:
        """Classes, in the order of the probabilities."""
        return np.array(self.class_names_)

    @property
    def n_features_in_(self) -> int:
        """Length of plain sequences, or number of leads."""
        if getattr(self, "columns_", None) is not None:
            return int(self.columns_["n"])
        return int(self.info_.channels)

    @n_features_in_.setter
    def n_features_in_(self, value: int) -> None:
        self.columns_: Any = {"n": int(value), "names": None}

    @property
    def feature_names_in_(self) -> NDArray[Any]:
        """Names of the columns of a table of plain sequences."""
        names = (getattr(self, "columns_", None) or {}).get("names")
        if names is None:
            raise AttributeError("fitted without names of columns")
        return np.array(names, dtype=object)

    @feature_names_in_.setter
    def feature_names_in_(self, names: Any) -> None:
        former: dict[str, Any] = getattr(self, "columns_", None) or {"n": len(names)}
        self.columns_ = {**former, "names": [str(name) for name in names]}

    @feature_names_in_.deleter
    def feature_names_in_(self) -> None:
        self.columns_ = {**self.columns_, "names": None}

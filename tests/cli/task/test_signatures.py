"""Signatures and docstrings say what an option needs."""

from collections.abc import Callable
from typing import Any, TypedDict, Unpack

from seqmamba.cli.task.signatures import data_is_optional, keywords, summary


class Recorded(TypedDict, total=False):
    """What arrays hold.

    Parameters
    ----------
    fs : float or None
        Samples per second. None is that of fit.
    """

    fs: float | None


class Model:
    def predict(
        self, X: Any = None, *, h: int | None = None, futr_df: Any = None, callbacks: Any = ()
    ) -> None:
        """Forecast the next rows.

        Parameters
        ----------
        X : table
        h : int or None
            Rows to forecast. None is the ``h`` of fit.
        futr_df : table
            Covariates that
            are known ahead.

        Returns
        -------
        table
            Not a parameter.
        """

    def report(self, X: Any, **recorded: Unpack[Recorded]) -> None:
        """Report."""

    def score(self, X: Any, y: Any = None) -> None:
        """Score.

        Parameters
        ----------
        y : None
            Not used.
        """


def test_keywords_carry_their_help() -> None:
    found = keywords(Model.predict)

    assert list(found) == ["h", "futr_df"]
    assert found["h"].help == "Rows to forecast"
    assert found["futr_df"].help == "Covariates that are known ahead"


def test_tables_become_files() -> None:
    found = keywords(Model.predict)

    assert found["futr_df"].file_option == "futr"
    assert found["h"].file_option is None


def test_hints_are_evaluated() -> None:
    assert keywords(Model.predict)["h"].annotation == int | None


def test_keywords_of_a_typed_dictionary_are_options() -> None:
    found = keywords(Model.report)

    assert list(found) == ["fs"]
    assert found["fs"].help == "Samples per second"
    assert found["fs"].annotation == float | None


def test_unused_keywords_are_left_out() -> None:
    assert keywords(Model.score) == {}


def test_data_may_be_optional() -> None:
    assert data_is_optional(Model.predict)
    assert not data_is_optional(Model.score)


def test_summary_is_the_first_line() -> None:
    assert summary(Model.predict) == "Forecast the next rows"


def test_functions_are_no_options() -> None:
    def evaluate(X: Any, *, index: Callable[[int], int] | None = None, k: int = 1) -> None:
        """Measure."""

    assert list(keywords(evaluate)) == ["k"]

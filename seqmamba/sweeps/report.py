"""Files of a finished sweep: table, recipe of the winner, model, and a page to look at."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
import polars as pl
import yaml
from optuna.exceptions import ExperimentalWarning

from seqmamba import frames
from seqmamba.errors import MissingPackageError, SeqmambaWarning
from seqmamba.params import params_of
from seqmamba.reports import GRID, Page, plot_style, require_matplotlib
from seqmamba.storage import write_atomic
from seqmamba.sweeps.plan import Plan
from seqmamba.sweeps.result import SweepResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["best_recipe", "write_results"]

SHOWN_RANGES = 8  # panels of a figure


def write_results(result: SweepResult, plan: Plan, folder: Path) -> None:
    """Write ``trials.csv``, ``best.yaml``, ``model.safetensors`` and ``study.html``."""
    folder.mkdir(parents=True, exist_ok=True)
    frames.write(result.trials_, folder / "trials.csv")
    write_atomic(folder / "best.yaml", best_recipe(result, plan).encode())
    result.best_estimator_.save(folder / "model.safetensors")
    study_page(result, plan).write(folder / "study.html")


def best_recipe(result: SweepResult, plan: Plan) -> str:
    """Return the recipe (YAML) that fits the winner again."""
    declared = params_of(plan.estimator)
    values = result.best_estimator_.get_params(deep=False)
    blocks: dict[str, Any] = {"task": plan.name, "params": {}, "train": {}}
    for name, value in values.items():
        if name != "verbose":
            block = "train" if declared[name].group == "training" else "params"
            blocks[block][name] = list(value) if isinstance(value, tuple) else value
    text: str = yaml.safe_dump(blocks, sort_keys=False, allow_unicode=True)
    return text


def study_page(result: SweepResult, plan: Plan) -> Page:
    """Return the page of a study; without matplotlib it has no figures."""
    study, table = result.study_, result.trials_
    best = study.best_trial.number
    measure = plan.space.metric or "validation objective"
    page = Page(f"Sweep of {type(plan.estimator).__name__}")
    page.add_text(_verdict(result, plan, measure))
    page.add_heading("The winner")
    page.add_table(_pairs("parameter", result.best_params_))
    if result.test_scores_ is not None:
        page.add_text("On the test part, which was read once, for the winner:")
        page.add_table(frames.read(result.test_scores_)[0])
    page.add_heading("Course")
    try:
        _add_figures(page, study, plan)
    except MissingPackageError as error:
        page.add_text(f"No figures: {error}")
        warnings.warn(f"study.html has no figures: {error}", SeqmambaWarning, stacklevel=2)
    page.add_heading("Trials")
    row = table["number"].to_list().index(best)
    page.add_table(table.drop("error") if table["error"].is_null().all() else table, marked=row)
    page.add_heading("Ranges")
    page.add_table(_pairs("parameter", plan.space.describe(), "range"))
    return page


def _verdict(result: SweepResult, plan: Plan, measure: str) -> str:
    table, best = result.trials_, result.study_.best_trial
    counts = table["state"].value_counts(sort=True).rows()
    text = (
        f"Best {measure}: {result.best_value_:.5g} (trial {best.number}), "
        f"{'smaller' if plan.direction == 'minimize' else 'greater'} is better. "
        f"{table.height} trials: {', '.join(f'{n} {state}' for state, n in counts)}."
    )
    named = table.filter(~pl.col("kind").is_in(["search"]) & pl.col("value").is_not_null())
    others = ", ".join(f"{kind} {value:.5g}" for kind, value in named["kind", "value"].rows())
    return f"{text} For comparison: {others}." if others else text


def _add_figures(page: Page, study: optuna.Study, plan: Plan) -> None:
    require_matplotlib()
    from optuna.visualization import matplotlib as plots  # only for plots

    complete = [t for t in study.trials if t.state.name == "COMPLETE"]
    varied = [n for n in plan.space.searches if len({t.params.get(n) for t in complete}) > 1]
    page.add_figure(
        _drawn(lambda: plots.plot_optimization_history(study), (9, 3.6)),
        "Value of each trial, and the best so far.",
    )
    if any(t.intermediate_values for t in study.trials):
        page.add_figure(
            _drawn(lambda: plots.plot_intermediate_values(study), (9, 3.6)),
            "Objective after each epoch; lines that end early were pruned.",
        )
    if not varied:
        return
    width = 2.6 * min(len(varied), SHOWN_RANGES) + 1
    page.add_figure(
        _drawn(lambda: plots.plot_slice(study, params=varied[:SHOWN_RANGES]), (width, 3.4)),
        "Value over each parameter; darker points came later.",
    )
    if sum(bool(t.params) for t in complete) > len(varied):
        page.add_figure(
            _drawn(lambda: plots.plot_param_importances(study, params=varied), (9, 3.2)),
            "Share of the variance of the value that each parameter explains (fANOVA).",
        )


def _drawn(draw: Callable[[], Any], size: tuple[float, float]) -> "Figure":
    """Let optuna draw, take the figure away from pyplot, and give it our looks."""
    from matplotlib import pyplot  # only for plots
    from matplotlib.ticker import NullFormatter

    with warnings.catch_warnings(), plot_style():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.simplefilter("ignore", UserWarning)  # legends without entries, layouts
        drawn = draw()
        figure: Figure = (drawn if hasattr(drawn, "figure") else drawn.flat[0]).figure
        pyplot.close(figure)
    figure.set_size_inches(*size)
    figure.suptitle("")
    for axes in figure.axes:
        for place in ("left", "center"):
            axes.set_title("", loc=place)
        axes.set_facecolor("white")
        axes.grid(color=GRID)
        axes.set_axisbelow(True)
        axes.xaxis.set_minor_formatter(NullFormatter())  # of log scales: they overlap
        legend = axes.get_legend()
        if legend is not None and len(legend.get_texts()) != 2:  # a line per trial says nothing
            legend.remove()
    return figure


def _pairs(name: str, values: Mapping[str, Any], column: str = "value") -> pl.DataFrame:
    rows = [
        {name: key, column: f"{value:.4g}" if isinstance(value, float) else str(value)}
        for key, value in values.items()
    ]
    return pl.DataFrame(rows, schema={name: pl.String, column: pl.String})

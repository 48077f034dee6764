"""The answer for one recording: a table, the quality of the signal, a picture."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.datasets.records.record import Record
from seqmamba.errors import ConfigError
from seqmamba.reports import Page, save_figure
from seqmamba.storage import write_atomic
from seqmamba.tasks.ecg.answers.plot import draw_recording
from seqmamba.tasks.ecg.signal.conditioning import band, fill_gaps
from seqmamba.tasks.ecg.signal.leads import STANDARD, arrange
from seqmamba.tasks.ecg.signal.quality import Quality

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ECGReport", "confidence_of"]

DISCLAIMER = "Research software. Not a medical device; not for diagnosis or treatment."
NEAR = 0.7  # on the scale of logits: a factor of two in the odds
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class ECGReport:
    """What a model says of one recording.

    Parameters
    ----------
    record : Record
        The recording, or the window of it that is shown.
    start : float
        Second at which the window begins.
    seconds : float
        Length of the whole recording.
    table : DataFrame
        ``class, probability, threshold, decision, confidence``, the most probable first.
    quality : Quality
    flags : tuple of str
        What preparation had to say.
    model : mapping
        Facts about the model and its preparation.
    heat : mapping of str to array, or None
        Per lead, how much the answer rests on each sample, in [0, 1].
    target : str or None
        The class that ``heat`` explains.
    """

    record: Record
    start: float
    seconds: float
    table: pl.DataFrame
    quality: Quality
    flags: tuple[str, ...]
    model: dict[str, Any]
    heat: dict[str, Floats] | None = None
    target: str | None = None

    @property
    def answers(self) -> list[str]:
        """Classes that are answered, the most probable first."""
        return self.table.filter(pl.col("decision") == 1)["class"].to_list()

    def json(self) -> str:
        """Return the report as JSON."""
        rate = self.quality.heart_rate
        content = {
            "record": self.record.name,
            "seconds": round(self.seconds, 3),
            "fs": self.record.fs,
            "leads": list(self.record.leads),
            "answers": self.answers,
            "classes": self.table.to_dicts(),
            "heart_rate": None if math.isnan(rate) else round(rate, 1),
            "flags": [*self.flags, *self.quality.flags],
            "model": self.model,
            "note": DISCLAIMER,
        }
        return json.dumps(content, indent=2, ensure_ascii=False)

    def text(self) -> str:
        """Return the report as lines of text."""
        lines = [f"Record {self.record.name}: {', '.join(self.answers) or 'no class is answered'}"]
        lines.append(f"{self._facts()}")
        for row in self.table.iter_rows(named=True):
            mark = "*" if row["decision"] else " "
            lines.append(
                f"{mark} {row['class']:<12} {row['probability']:6.3f}  "
                f"(threshold {row['threshold']:.3f})  {row['confidence']}"
            )
        lines += [f"! {flag}" for flag in (*self.flags, *self.quality.flags)]
        return "\n".join([*lines, DISCLAIMER])

    def figure(self) -> "Figure":
        """Return the recording on the clinical grid."""
        return draw_recording(self._leads(), self.record.fs, saliency=self._shown_heat())

    def page(self) -> Page:
        """Return the report as a page."""
        page = Page(f"Recording {self.record.name}")
        page.add_text(self._facts())
        page.add_heading("Answer")
        page.add_text(", ".join(self.answers) or "No class reaches its threshold.")
        page.add_table(
            self.table.with_columns(pl.col("decision").replace_strict({0: "", 1: "yes"}))
        )
        flags = [*self.flags, *self.quality.flags]
        page.add_heading("Quality of the signal")
        page.add_text("; ".join(flags) + "." if flags else "Nothing to remark.")
        page.add_heading("Recording")
        caption = f"{self.start:.1f} to {self.start + self.record.seconds:.1f} s"
        if self.target is not None:
            caption += f"; red where the signal speaks for {self.target}"
        page.add_figure(self.figure(), caption + ".")
        page.add_heading("Model")
        rows = [{"fact": k, "value": str(v)} for k, v in self.model.items()]
        page.add_table(pl.DataFrame(rows))
        page.add_text(DISCLAIMER)
        return page

    def save(self, path: str | Path) -> Path:
        """Write the report; the suffix (.html, .png, .svg, .pdf, .json, .txt) names the format."""
        path = Path(path)
        if path.suffix == ".html":
            self.page().write(path)
        elif path.suffix in (".png", ".svg", ".pdf"):
            save_figure(self.figure(), path)
        elif path.suffix in (".json", ".txt"):
            text = self.json() if path.suffix == ".json" else self.text()
            write_atomic(path, (text + "\n").encode("utf-8"))
        else:
            raise ConfigError(f"{path}: a report is .html, .png, .svg, .pdf, .json or .txt.")
        return path

    def _facts(self) -> str:
        rate = self.quality.heart_rate
        beat = "heart rate unknown" if math.isnan(rate) else f"heart rate {rate:.0f} a minute"
        count = len(self.record.leads)
        leads = f"{count} lead{'s' if count > 1 else ''}"
        return f"{self.seconds:.1f} s at {self.record.fs:g} Hz, {leads}; {beat}."

    def _leads(self) -> dict[str, Floats]:
        """Return the leads in millivolts, without wander of the baseline."""
        signal, present, _ = arrange(self.record.signal, self.record.leads, STANDARD)
        signal = band(fill_gaps(signal, self.record.fs)[0], self.record.fs, "highpass")
        return {name: signal[k] for k, name in enumerate(STANDARD) if present[k]}

    def _shown_heat(self) -> dict[str, Floats] | None:
        """Return the heat at the rate of the recording; none for leads that the model never saw."""
        if self.heat is None:
            return None
        length = self.record.signal.shape[1]
        wanted = np.linspace(0, 1, length)
        none = np.zeros(2)
        return {
            name: np.interp(wanted, np.linspace(0, 1, len(heat)), heat)
            for name in STANDARD
            for heat in [self.heat.get(name, none)]
        }


def confidence_of(probability: float, threshold: float, *, is_few: bool) -> str:
    """Return "clear", "near the threshold", or "few examples"."""
    if is_few:
        return "few examples"
    gap = abs(_logit(probability) - _logit(threshold))
    return "near the threshold" if gap < NEAR else "clear"


def _logit(p: float) -> float:
    p = min(max(p, 1e-6), 1 - 1e-6)
    return math.log(p / (1 - p))

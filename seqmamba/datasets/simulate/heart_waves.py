"""What a simulated heart's beats look like: waves, blocks, ST segments, and the noise on them."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from seqmamba.datasets.simulate.heart_rhythm import Rhythm

__all__ = ["LEADS", "Shape", "draw_noise", "draw_shape", "leads_of"]

Floats = NDArray[np.float64]
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
DOWER = np.array(  # rows I, II, V1 ... V6 on (x left, y down, z back)
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)
P, Q, R, S, T = range(5)
CENTRES = np.array([0.0, -0.022, 0.0, 0.028, 0.0])  # seconds from R; P and T follow the rhythm
WIDTHS = np.array([0.022, 0.010, 0.012, 0.012, 0.05])
AXES = np.array(
    [
        [0.08, 0.10, -0.02],
        [-0.10, -0.03, -0.18],
        [1.0, 0.8, 0.25],
        [-0.20, -0.15, 0.55],
        [0.28, 0.22, -0.20],
    ]
)


@dataclass
class Shape:
    """Waves of one heart; ``vector`` draws them at the beats of a rhythm."""

    axes: Floats
    widths: Floats
    rotation: Floats
    labels: set[str] = field(default_factory=set)
    severity: dict[str, float] = field(default_factory=dict)
    qt_extra: float = 0.0
    t_scale: float = 1.0
    st_axis: Floats = field(default_factory=lambda: np.zeros(3))
    ventricular: Floats = field(default_factory=lambda: np.zeros(3))
    f_wave: tuple[float, float] = (6.0, 0.5)

    def vector(self, time: Floats, rhythm: Rhythm, random: np.random.Generator) -> Floats:
        """Return the heart's vector: (T, 3)."""
        out = np.zeros((len(time), 3))
        kinds = np.array(rhythm.kinds)
        normal = kinds != "V"
        beats, gaps = rhythm.beats[normal], np.clip(rhythm.intervals[normal], 0.3, 1.6)
        self._ventricles(out, time, beats)
        self._recovery(out, time, beats, gaps)
        self._atria(out, time, rhythm, random)
        self._ectopic(out, time, rhythm.beats[~normal])
        return out @ self.rotation.T

    def _ventricles(self, out: Floats, time: Floats, beats: Floats) -> None:
        waves = (R,) if "LBBB" in self.labels else (Q, R, S)
        for wave in waves:
            _add(out, time, beats + CENTRES[wave], self.widths[wave], self.axes[wave])
        if "RBBB" in self.labels:
            late = np.array([-0.42, -0.05, -0.62]) * self.severity["RBBB"]
            _add(out, time, beats + 0.066, 0.019, late)
        if "LBBB" in self.labels:
            late = np.array([0.75, 0.25, 0.85]) * self.severity["LBBB"]
            _add(out, time, beats + 0.058, 0.022, late)

    def _recovery(self, out: Floats, time: Floats, beats: Floats, gaps: Floats) -> None:
        root = np.sqrt(gaps)
        ends = 0.26 * root + 0.02 + self.qt_extra
        _add(out, time, beats + ends, 0.05 * root, self.axes[T] * self.t_scale)
        if "STE" in self.labels:
            offset = time[:, None] - beats
            edges = np.tanh((offset - 0.055) / 0.012) - np.tanh((offset - ends) / 0.03)
            out += 0.5 * edges.sum(1)[:, None] * self.st_axis

    def _atria(
        self, out: Floats, time: Floats, rhythm: Rhythm, random: np.random.Generator
    ) -> None:
        if rhythm.name == "AF":
            rate, gain = self.f_wave
            drift = np.cumsum(random.normal(0, 0.02, len(time)))
            wave = np.sin(2 * np.pi * rate * time + drift + random.uniform(0, 2 * np.pi))
            out += gain * 0.08 * (wave + 0.4 * wave**2)[:, None] * np.array([0.1, 0.25, -1.0])
            return
        usual, ectopic = rhythm.atria[~rhythm.of_ectopic], rhythm.atria[rhythm.of_ectopic]
        _add(out, time, usual, self.widths[P], self.axes[P])
        _add(out, time, ectopic, self.widths[P], self.axes[P] * np.array([0.4, -1.0, 1.0]))

    def _ectopic(self, out: Floats, time: Floats, beats: Floats) -> None:
        _add(out, time, beats, 0.034, self.ventricular)
        _add(out, time, beats + 0.06, 0.034, 0.5 * self.ventricular)
        _add(out, time, beats + 0.30, 0.06, -0.35 * self.ventricular)


def draw_shape(random: np.random.Generator, difficulty: float) -> Shape:
    """Draw the waves of one heart, its conduction and its repolarisation."""
    axes = AXES * np.exp(random.normal(0, 0.28 * difficulty, AXES.shape))
    axes[P] *= random.uniform(0.4 + 0.4 * (1 - difficulty), 1.2)
    flat = random.random() < 0.15 * difficulty  # a flat T wave, which is not inverted
    axes[T] *= random.uniform(0.08, 0.25) if flat else random.uniform(0.5, 1.2)
    widths = WIDTHS.copy()
    widths[[Q, R, S]] *= random.uniform(0.9, 1.15)
    shape = Shape(axes, widths, _rotation(random.uniform(-30, 30, 3) * difficulty))
    shape.f_wave = float(random.uniform(4.5, 8.5)), float(random.uniform(0.2, 1.0))
    side = np.array([-0.9, 0.9, 0.9]) if random.random() < 0.5 else np.array([0.8, -0.9, 0.8])
    shape.ventricular = side * np.exp(random.normal(0, 0.15, 3))
    _draw_conduction(shape, random, difficulty)
    _draw_repolarisation(shape, random, difficulty)
    return shape


def _draw_conduction(shape: Shape, random: np.random.Generator, difficulty: float) -> None:
    kind = random.random()
    severity = max(float(random.uniform(0.35, 1.1)), 1 - difficulty)
    if kind < 0.15:
        shape.labels.add("RBBB")
        shape.severity["RBBB"] = severity
        shape.axes[T, 2] += 0.14
        shape.qt_extra = 0.03
    elif kind < 0.30:
        shape.labels.add("LBBB")
        shape.severity["LBBB"] = max(severity, 0.5)
        shape.axes[R] *= 0.8
        shape.widths[R] = 0.020
        shape.axes[T] = -np.array([0.30, 0.10, 0.30])
        shape.qt_extra = 0.05


def _draw_repolarisation(shape: Shape, random: np.random.Generator, difficulty: float) -> None:
    if random.random() < 0.17:
        shape.labels.add("STE")
        severity = max(float(random.uniform(0.3, 1.1)), 1 - difficulty)
        anterior = random.random() < 0.5
        axis = np.array([0.05, 0.0, -0.22]) if anterior else np.array([-0.08, 0.24, 0.02])
        shape.st_axis, shape.severity["STE"] = axis * severity, severity
    if random.random() < 0.17:
        shape.labels.add("TINV")
        severity = max(float(random.uniform(0.3, 1.0)), 1 - difficulty)
        shape.t_scale, shape.severity["TINV"] = -severity, severity


def leads_of(vector: Floats) -> Floats:
    """Return the twelve leads (12, T) of a vector (T, 3)."""
    one, two, *chest = DOWER @ vector.T
    return np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2, *chest])


def draw_noise(random: np.random.Generator, time: Floats, difficulty: float) -> Floats:
    """Return baseline wander, white noise, mains, and now and then a burst or a step: (12, T)."""
    shape, seconds = (len(LEADS), len(time)), time[-1] + time[1] - 2 * time[0]
    slow = random.uniform(0.05, 0.5, (len(LEADS), 3, 1))
    phase = random.uniform(0, 2 * np.pi, slow.shape)
    size = random.normal(0, 0.05, slow.shape)
    noise = np.sum(size * np.sin(2 * np.pi * slow * time + phase), axis=1)
    noise += random.normal(0, random.uniform(0.02, 0.02 + 0.08 * difficulty), shape)
    mains = random.choice([50.0, 60.0])
    noise += random.uniform(0, 0.015) * np.sin(2 * np.pi * mains * time)
    if random.random() < 0.25 * difficulty:  # muscles
        start, length = random.uniform(0, seconds), random.uniform(0.4, 1.5)
        inside = (time >= start) & (time < start + length)
        noise[:, inside] += random.normal(0, 0.15, (len(LEADS), int(inside.sum())))
    if random.random() < 0.25 * difficulty:  # an electrode moves
        start = random.uniform(0, seconds)
        jump = random.normal(0, 0.5) * np.exp(-np.clip(time - start, 0, None) / 0.3)
        noise[random.integers(len(LEADS))] += np.where(time >= start, jump, 0)
    return np.asarray(noise * (0.3 + 0.7 * difficulty))


def _rotation(degrees: Floats) -> Floats:
    out = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        turn = np.eye(3)
        i, j = [k for k in range(3) if k != axis]
        turn[[i, i, j, j], [i, j, i, j]] = (
            np.cos(angle),
            -np.sin(angle),
            np.sin(angle),
            np.cos(angle),
        )
        out = turn @ out
    return out


def _add(out: Floats, time: Floats, centres: Floats, width: Floats | float, axis: Floats) -> None:
    """Add a Gaussian wave at each centre."""
    if len(centres):
        wave = np.exp(-0.5 * np.square((time[:, None] - centres) / width))
        out += wave.sum(1)[:, None] * axis

"""Do forecasts stay on the attractor? Distances between invariant measures and spectra."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["dh_paper", "dstsp_gmm", "dstsp_gmm_paper", "dstsp_hist", "spectral_distance"]

Array = NDArray[np.float64]

SMOOTHING = 20.0  # bins
FINITE = 1e6  # standard deviations; what lies outside is as good as infinite


def dstsp_gmm(
    truth: Any, generated: Any, *, variance: float = 0.1, samples: int = 1_000, seed: int = 0
) -> float:
    """Return the divergence of Gaussian mixtures around true and generated points.

    ``KL(p || q)`` by sampling from p, on channels scaled by the truth; log-sum-exp, so that nothing
    underflows and no diverged trajectory is dropped.

    Parameters
    ----------
    truth, generated : array (n, V), (m, V)
        Trajectories of at least 3000 samples; at most 3000, evenly drawn, are centres.
    variance : float
        Of each Gaussian, in variances of the truth.

    Returns
    -------
    float
        0 where both have the same points; larger is worse.
    """
    true, made = _scaled(truth, generated)
    true, made = _thinned(true, 3_000), _thinned(made, 3_000)
    return _mixture_divergence(true, made, variance, samples, np.random.default_rng(seed))


def dstsp_gmm_paper(truth: Any, generated: Any, *, samples: int = 1_000, seed: int = 0) -> float:
    """Return the paper's form: raw units, unit variance, mean over trajectories (M, H, V).

    The released code drops what is not finite, which are the diverged ones; here nothing is.
    """
    random = np.random.default_rng(seed)
    pairs = zip(np.asarray(truth, float), np.asarray(generated, float), strict=True)
    return float(np.mean([_mixture_divergence(a, b, 1.0, samples, random) for a, b in pairs]))


def dstsp_hist(
    truth: Any, generated: Any, *, bins: int = 30, alpha: float = 1e-5, margin: float = 0.1
) -> float:
    """Return the divergence of histograms over the range of the truth, up to three channels.

    Source: DurstewitzLab/GTF-shPLRNN (margin 0.1 standard deviations; DynaMix takes 0). Compares
    only at equal bins, alpha and numbers of samples; at least 10 000 of them.

    Parameters
    ----------
    truth, generated : array (n, V), (m, V)
    """
    true, made = np.asarray(truth, float), np.asarray(generated, float)
    spread = margin * true.std(axis=0)
    low, high = true.min(axis=0) - spread, true.max(axis=0) + spread
    ranges = list(zip(low, high, strict=True))
    p = np.histogramdd(true, bins, ranges)[0].ravel()
    q = np.histogramdd(made[np.isfinite(made).all(axis=1)], bins, ranges)[0].ravel()
    p = (p + alpha) / (p.sum() + alpha * p.size)
    q = (q + alpha) / (q.sum() + alpha * q.size)
    return float(np.sum(p * np.log(p / q)))


def spectral_distance(truth: Any, generated: Any) -> float:
    """Return the mean Hellinger distance of smoothed power spectra, 0 to 1.

    Each channel is scaled, its power smoothed by a Gaussian of 20 bins and normalised; at least
    10 000 samples, equally many of both.

    Parameters
    ----------
    truth, generated : array (n, V)
    """
    true, made = _scaled(truth, generated)
    n = min(len(true), len(made))
    p, q = _spectrum(true[:n]), _spectrum(made[:n])
    overlap = np.sqrt(p * q).sum(axis=0)
    return float(np.mean(np.sqrt(np.clip(1 - overlap, 0, None))))


def dh_paper(truth: Any, generated: Any) -> float:
    """Return the spectral distance of the paper's table, trajectories (M, H, V).

    Sic: neither detrended nor smoothed, and the first 100 of H two-sided bins are compared
    without normalising again, so that equal spectra do not give 0.
    """
    distances = []
    for true, made in zip(np.asarray(truth, float), np.asarray(generated, float), strict=True):
        p, q = (np.abs(np.fft.fft(x, axis=0)) ** 2 for x in (true, made))
        p, q = (s[:100] / s.sum(axis=0) for s in (p, q))
        distances.append(np.sqrt(np.clip(1 - np.sqrt(p * q).sum(axis=0), 0, None)).mean())
    return float(np.mean(distances))


def _spectrum(x: Array) -> Array:
    from scipy.ndimage import gaussian_filter1d  # heavy: the list of tasks names this module

    scaled = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-12)
    power = np.abs(np.fft.rfft(scaled, axis=0)) ** 2
    smooth: Array = gaussian_filter1d(power, SMOOTHING, axis=0, mode="reflect")
    smooth /= smooth.sum(axis=0) + 1e-300
    return smooth


def _mixture_divergence(
    true: Array, made: Array, variance: float, samples: int, random: np.random.Generator
) -> float:
    made = np.nan_to_num(made, nan=FINITE, posinf=FINITE, neginf=-FINITE)
    chosen = random.integers(len(true), size=samples)
    points = true[chosen] + np.sqrt(variance) * random.standard_normal((samples, true.shape[1]))
    p = _log_density(points, true, variance)
    q = _log_density(points, made, variance)
    return float(np.mean(p - q))


def _log_density(points: Array, centres: Array, variance: float) -> Array:
    """Return the log density of a mixture up to the constant that both mixtures share."""
    from scipy.special import logsumexp  # heavy: the list of tasks names this module

    square = (points**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)[None]
    square = square - 2 * points @ centres.T
    density: Array = logsumexp(-np.clip(square, 0, None) / (2 * variance), axis=1)
    density -= np.log(len(centres))
    return density


def _scaled(truth: Any, generated: Any) -> tuple[Array, Array]:
    true, made = np.asarray(truth, np.float64), np.asarray(generated, np.float64)
    mean, spread = true.mean(axis=0), true.std(axis=0) + 1e-12
    with np.errstate(over="ignore", invalid="ignore"):
        other = (made - mean) / spread
    other = np.nan_to_num(other, nan=FINITE, posinf=FINITE, neginf=-FINITE)
    return (true - mean) / spread, np.clip(other, -FINITE, FINITE)


def _thinned(x: Array, n: int) -> Array:
    return x[np.linspace(0, len(x) - 1, n).astype(int)] if len(x) > n else x

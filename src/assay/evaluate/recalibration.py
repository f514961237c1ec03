"""Stated confidence put right after training, by two numbers: Platt's hook, saved and applied.

before = fit(stated, right)                    # on at least a hundred attempts of the domain
before.save(path);  Platt.load(path)(0.75)     # what 0.75 is worth there
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, final

import numpy as np
from jaxtyping import Bool, Float64, Int64
from msgspec import structs

from assay.errors import DataError
from assay.files.atomic import publish
from assay.records import ModelStep, Trajectory

SCHEMA: Final = "assay.recalibration/1"
EDGE: Final = 1e-3
"""What is nearer to 0 or 1 counts as this far off: log-odds there have no end."""
_PULL: Final = 1e-3
"""Pull of the slope to 1 and the intercept to 0: it decides where all state one value."""


@final
@dataclass(frozen=True, slots=True)
class Platt:
    """q' = sigmoid(slope logit(q) + intercept); slope 1 with intercept 0 changes nothing."""

    slope: float
    """Below 1: what was stated was too sure, either way."""
    intercept: float
    """Below 0: it was too high."""
    samples: int = 0
    """On how many it was fitted."""

    def __call__(self, stated: float) -> float:
        """Returns what a stated confidence is worth."""
        return float(self.on(np.array([stated]))[0])

    def on(self, stated_U: Float64[np.ndarray, " U"]) -> Float64[np.ndarray, " U"]:
        """Returns what stated confidences are worth, in (0, 1); of NaN NaN."""
        z_U = self.slope * _logit(stated_U) + self.intercept
        return 0.5 * (1.0 + np.tanh(0.5 * z_U))

    def applied(self, record: Trajectory) -> Trajectory:
        """Returns a trajectory with every stated confidence replaced by what it is worth."""
        steps = tuple(
            structs.replace(step, confidence=self(step.confidence))
            if type(step) is ModelStep and step.confidence is not None
            else step
            for step in record.steps
        )
        return structs.replace(record, steps=steps)

    def save(self, path: Path) -> None:
        """Writes it as JSON."""
        data = {"schema": SCHEMA, **asdict(self)}
        publish(path, json.dumps(data, indent=1).encode() + b"\n")

    @staticmethod
    def load(path: Path) -> "Platt":
        """Returns what `save` wrote.

        Raises:
            DataError: it is no such file.
        """
        try:
            data = json.loads(path.read_bytes())
            if data.pop("schema") != SCHEMA:
                raise ValueError("another schema")
            made = Platt(float(data.pop("slope")), float(data.pop("intercept")), **data)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path}: {error!r}; expected a file of schema {SCHEMA}, as assay eval "
                "--recalibrate writes it"
            ) from None
        if not np.isfinite([made.slope, made.intercept]).all():
            raise DataError(f"{path}: slope and intercept must be finite numbers")
        return made


def fit(stated_U: Float64[np.ndarray, " U"], right_U: Bool[np.ndarray, " U"]) -> Platt:
    """Returns the slope and intercept under which what came true is likeliest.

    Platt 1999, Probabilistic outputs for support vector machines, on log-odds; with his targets
    (n+ + 1)/(n+ + 2) and 1/(n- + 2) in place of 1 and 0, so that both stay finite where the right
    and the wrong ones do not overlap. Ours: a weak pull to slope 1 and intercept 0.

    Raises:
        DataError: no sample, or as many answers as there are not confidences.
    """
    if not stated_U.size or stated_U.size != right_U.size:
        raise DataError(
            f"recalibration: {stated_U.size} confidences, {right_U.size} answers; expected as many "
            "of each, at least one"
        )
    n_right = int(right_U.sum())
    target_U = np.where(
        right_U, (n_right + 1.0) / (n_right + 2.0), 1.0 / (right_U.size - n_right + 2.0)
    )
    x_UJ = np.stack([_logit(stated_U), np.ones(stated_U.size)], axis=1)
    at = np.array([1.0, 0.0])
    for _ in range(100):  # convex, damped: it ends long before
        found = _newton(x_UJ, target_U, at)
        if np.abs(found - at).max() < 1e-10:
            break
        at = found
    return Platt(float(at[0]), float(at[1]), int(stated_U.size))


def cross_fitted(
    stated_U: Float64[np.ndarray, " U"],
    right_U: Bool[np.ndarray, " U"],
    task_U: Int64[np.ndarray, " U"],
) -> Float64[np.ndarray, " U"]:
    """Returns what each confidence is worth by a fit on the other half of the tasks.

    Halves are tasks of even and of odd number, so that no attempt is measured by what another one
    at its task taught. Where a half is empty nothing is changed.
    """
    worth_U = stated_U.copy()
    for half in (0, 1):
        mine_U = task_U % 2 == half
        if mine_U.any() and not mine_U.all():
            worth_U[mine_U] = fit(stated_U[~mine_U], right_U[~mine_U]).on(stated_U[mine_U])
    return worth_U


def _logit(stated_U: Float64[np.ndarray, " U"]) -> Float64[np.ndarray, " U"]:
    q_U = np.clip(stated_U, EDGE, 1.0 - EDGE)
    return np.log(q_U) - np.log1p(-q_U)


def _newton(
    x_UJ: Float64[np.ndarray, "U 2"],
    target_U: Float64[np.ndarray, " U"],
    at: Float64[np.ndarray, " 2"],
) -> Float64[np.ndarray, " 2"]:
    """Returns the next point: Newton's step, halved until the loss does not grow."""
    p_U = 0.5 * (1.0 + np.tanh(0.5 * x_UJ @ at))
    pull = np.array([_PULL, _PULL])
    towards = at - np.array([1.0, 0.0])
    slope = x_UJ.T @ (p_U - target_U) + pull * towards
    bend = (x_UJ * (p_U * (1.0 - p_U))[:, None]).T @ x_UJ + np.diag(pull)
    step, before = np.linalg.solve(bend, slope), _loss(x_UJ, target_U, at)
    size = 1.0
    allowed = before + 1e-12 * abs(before)  # near the end a full step differs by rounding alone
    while _loss(x_UJ, target_U, at - size * step) > allowed and size > 1e-6:
        size /= 2
    return at - size * step


def _loss(
    x_UJ: Float64[np.ndarray, "U 2"],
    target_U: Float64[np.ndarray, " U"],
    at: Float64[np.ndarray, " 2"],
) -> float:
    z_U = x_UJ @ at
    off = at - np.array([1.0, 0.0])
    return float((np.logaddexp(0.0, z_U) - target_U * z_U).sum() + 0.5 * _PULL * off @ off)

"""Safety on the negative side: every setting, off unless a recipe says so.

Sources: clip and masks PPO dual clip and DeepSeek-V3.2; likelihood LLDS 2025, arXiv:2512.04220;
entropy regimes QAE 2025, arXiv:2509.22611.
"""

from dataclasses import dataclass, fields
from typing import Any, Literal, final

from assay.errors import UsageError


def require(holds: bool, message: str) -> None:
    """Raises UsageError with the message unless the condition holds."""
    if not holds:
        raise UsageError(message)


@final
@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """A few verified successes, kept with their log-probabilities and trained on again."""

    size: int = 64
    """Successes kept, the newest one per prompt."""
    per_step: int = 4
    """Successes replayed in a step."""
    weight: float = 0.1
    """Factor on the term, against a policy loss of one mean token."""
    below: float = 0.1
    """Replay where the positive share of the batch's |A| is below this; 1: in every step."""
    cap: float = 2.0
    """Bound on the importance ratio of a replayed token (truncated)."""

    def __post_init__(self) -> None:
        """Refuses what is out of range."""
        require(self.size > 0 and self.per_step > 0, "replay: size and per_step must be above 0")
        require(self.weight > 0 and self.cap > 0, "replay: weight and cap must be above 0")
        require(0 < self.below <= 1, f"replay: below must lie in (0, 1]; got {self.below:g}")


@final
@dataclass(frozen=True, slots=True)
class RegimeSettings:
    """Which sign to damp, by where the entropy stands against its own start."""

    low: float = 0.5
    """Collapse below this share of the entropy at the start."""
    high: float = 1.5
    """Explosion above this share of it."""
    band: float = 0.1
    """Hysteresis: back to normal only this far inside the bound."""
    damp: float = 0.5
    """Factor on the damped sign: 0 masks it."""
    warmup: int = 5
    """Steps whose mean is "the start"."""
    patience: int = 2
    """Steps in a row that a change of state takes."""

    def __post_init__(self) -> None:
        """Refuses what is out of range."""
        require(0 < self.low < 1 < self.high, "entropy: expected 0 < low < 1 < high")
        require(
            self.band >= 0 and self.low + self.band < self.high - self.band,
            f"entropy: band {self.band:g} leaves no normal regime between low and high",
        )
        require(0 <= self.damp < 1, f"entropy: damp must lie in [0, 1); got {self.damp:g}")
        require(self.warmup > 0 and self.patience > 0, "entropy: warmup and patience start at 1")


@final
@dataclass(frozen=True, slots=True)
class BackOffSettings:
    """When to weaken the negative side, and how much."""

    ratio: float = 10.0
    """Trips when a token's probability ratio new / old exceeds it."""
    length: float = 2.0
    """Trips when the mean length exceeds this many times its running mean."""
    probe: float = 0.5
    """Trips when known-good trajectories lost this many nats per token since their best."""
    factor: float = 0.5
    """What one trip multiplies negative advantages by."""
    floor: float = 0.125
    """Least scale."""
    hold: int = 5
    """Quiet steps before the scale goes back up by one factor."""

    def __post_init__(self) -> None:
        """Refuses what is out of range."""
        require(self.ratio > 1 and self.length > 1, "back_off: ratio and length must be above 1")
        require(self.probe > 0, f"back_off: probe must be above 0; got {self.probe:g}")
        require(0 < self.floor <= self.factor < 1, "back_off: expected 0 < floor <= factor < 1")
        require(self.hold > 0, f"back_off: hold must be above 0; got {self.hold}")


@final
@dataclass(frozen=True, slots=True)
class Safety:
    """What may not happen on the negative side."""

    cap: float = float("inf")
    """Bound on the absolute advantage of a token, methods mixed."""
    all_fail: Literal["method", "zero", "bounded", "flat"] = "method"
    """What groups get in which all failed alike: what the method says, 0, -1/sqrt(G+1) each with
    copies of one trajectory counted once, or -1 each (for comparison: it costs pass@1)."""
    all_fail_share: float = 0.25
    """With "bounded": the most of the batch's |A| that such groups may hold."""
    delta: float | None = None
    """Two-sided clip (Ye et al. 2019, arXiv:1912.09729): the ratio of a token with A < 0 counts as
    at most this. Usual: 3."""
    off_policy: float | None = None
    """Drop sequences of negative total advantage whose mean log-probability fell by more than this
    many nats per token since sampling. Usual: 0.5."""
    preserve: float = 0.0
    """Weight of the likelihood-preserving term on actions with A >= 0. Usual: 0.2."""
    skip_empty: bool = True
    """Skip optimiser and scheduler when no token of the step has an advantage."""
    replay: ReplaySettings | None = None
    entropy: RegimeSettings | None = None
    back_off: BackOffSettings | None = None

    def __post_init__(self) -> None:
        """Refuses what is out of range."""
        require(self.cap > 0, f"safety: cap must be above 0; got {self.cap:g}")
        require(
            0 < self.all_fail_share < 1,
            f"safety: all_fail_share must lie in (0, 1); got {self.all_fail_share:g}",
        )
        require(
            self.all_fail == "bounded" or self.all_fail_share == 0.25,
            'safety: all_fail_share is read by all_fail = "bounded" only',
        )
        require(
            self.delta is None or self.delta > 1, f"safety: delta must be above 1: {self.delta}"
        )
        require(
            self.off_policy is None or self.off_policy > 0,
            f"safety: off_policy must be above 0; got {self.off_policy}",
        )
        require(self.preserve >= 0, f"safety: preserve must be at least 0; got {self.preserve:g}")

    @property
    def active(self) -> tuple[str, ...]:
        """Names of the settings that differ from their defaults."""
        default: Any = Safety()
        return tuple(
            f.name for f in fields(self) if getattr(self, f.name) != getattr(default, f.name)
        )

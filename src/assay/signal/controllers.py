"""Pure arithmetic and small state machines that keep the negative side in bounds. No torch.

Axes: N tokens, K trajectories, G groups.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, final

import numpy as np
from jaxtyping import Bool, Float64

from assay.batch import Batch
from assay.credit.groups import counts
from assay.gate import first_copy
from assay.kernels.term import Term
from assay.recipes.settings import BackOffSettings, RegimeSettings, Safety

Regime = Literal["normal", "collapse", "explosion"]


def bounded_term(batch: Batch, failed_K: Bool[np.ndarray, " K"]) -> Term:
    """Returns the term that gives failed trajectories a small negative advantage.

        A_k = -1 / sqrt(G + 1) / copies of k in its group,   G scored members

    What NGRPO (2509.18851) gives an all-fail group, with copies counted once.
    """
    size_K = counts(batch, batch.value_K)[batch.group_K]
    first_K = first_copy(batch)
    copies_K = np.bincount(first_K[failed_K], minlength=first_K.size)[first_K]
    value_K = -1.0 / np.sqrt(size_K + 1.0) / np.maximum(copies_K, 1)
    return _on_failed(batch, failed_K, value_K)


def flat_term(batch: Batch, failed_K: Bool[np.ndarray, " K"]) -> Term:
    """Returns the term that gives failed trajectories -1, however many failed together."""
    return _on_failed(batch, failed_K, np.full(failed_K.size, -1.0))


def _on_failed(
    batch: Batch, failed_K: Bool[np.ndarray, " K"], value_K: Float64[np.ndarray, " K"]
) -> Term:
    return Term(
        name="all_fail",
        value_U=np.where(failed_K, value_K, 0.0),
        unit_R=np.where(np.append(failed_K, False)[batch.all_sampled_R], batch.all_sampled_R, -1),
        weight_U=batch.weight_K,
    )


def share_factor(
    advantage_N: Float64[np.ndarray, " N"], part_N: Bool[np.ndarray, " N"], share: float
) -> float:
    """Returns what to multiply a part of the tokens by, so that it holds at most `share` of |A|.

        f F / (f F + O) <= share   =>   f = min(1, share / (1 - share) * O / F)

    F being the part's sum of |A| and O the others'. 0 where there is nothing but the part.
    """
    mass_N = np.abs(np.nan_to_num(advantage_N))
    inside = float(mass_N[part_N].sum())
    outside = float(mass_N.sum()) - inside
    if inside == 0.0:
        return 1.0
    return min(1.0, share / (1.0 - share) * max(outside, 0.0) / inside)


@final
@dataclass(frozen=True, slots=True)
class Scales:
    """What the controllers multiply advantages by, by sign."""

    positive: float = 1.0
    negative: float = 1.0

    def applied(self, advantage_N: Float64[np.ndarray, " N"]) -> Float64[np.ndarray, " N"]:
        """Returns the scaled advantages; NaN stays NaN."""
        if self.positive == self.negative == 1.0:
            return advantage_N
        factor_N = np.where(advantage_N < 0, self.negative, self.positive)
        return np.where(
            factor_N == 0.0, np.where(np.isnan(advantage_N), np.nan, 0.0), advantage_N * factor_N
        )


@final
@dataclass(slots=True)
class EntropyRegime:
    """Decides which sign to damp. Normal, collapse (damp positives), explosion (damp negatives).

    QAE (2509.22611) finds that with a wide upper clip negatives drive entropy up and masking them
    helps, and with a narrow one positives drive it down and masking those helps: so the regime
    decides, not a constant. Unlike QAE it damps a sign everywhere, not on hard prompts alone. The
    entropy is read relative to its mean over the first `warmup` steps. A change takes `patience`
    steps in a row that ask for it, and the way back needs `band` more than the way in.
    """

    settings: RegimeSettings
    state: Regime = "normal"
    reference: float | None = None
    first: list[float] = field(default_factory=list)
    streak: int = 0
    wanted: Regime = "normal"
    """What the last `streak` steps asked for."""

    def observe(self, entropy: float) -> str | None:
        """Takes a step's mean token entropy, nats; returns a message when the state changes."""
        if not np.isfinite(entropy):
            return None
        if self.reference is None:
            self.first.append(entropy)
            if len(self.first) == self.settings.warmup:
                self.reference = max(float(np.mean(self.first)), 1e-12)
            return None
        ratio = entropy / self.reference
        wanted = self._asked(ratio)
        self.streak = self.streak + 1 if wanted == self.wanted else 1
        self.wanted = wanted
        if wanted == self.state or self.streak < self.settings.patience:
            return None
        self.state = wanted
        return self._message(entropy, ratio)

    def _asked(self, ratio: float) -> Regime:
        s = self.settings
        match self.state:
            case "normal":
                return "collapse" if ratio < s.low else "explosion" if ratio > s.high else "normal"
            case "collapse":
                return "normal" if ratio > s.low + s.band else "collapse"
            case "explosion":
                return "normal" if ratio < s.high - s.band else "explosion"

    def _message(self, entropy: float, ratio: float) -> str:
        s = self.settings
        doing = {
            "normal": "both signs count in full again",
            "collapse": f"below {s.low:g}: positive advantages times {s.damp:g}",
            "explosion": f"above {s.high:g}: negative advantages times {s.damp:g}",
        }[self.state]
        return f"entropy {entropy:.3g} is {ratio:.2f} of its start {self.reference:.3g}, {doing}"

    @property
    def scales(self) -> Scales:
        """What to multiply each sign by now."""
        damp = self.settings.damp
        return Scales(
            positive=damp if self.state == "collapse" else 1.0,
            negative=damp if self.state == "explosion" else 1.0,
        )


@final
@dataclass(slots=True)
class BackOff:
    """Weakens the negative side when a step looks unsafe, says why, and recovers slowly.

    The scale acts on the next generated batch: however many steps are made on one, it trips once.
    """

    settings: BackOffSettings
    scale: float = 1.0
    quiet: int = 0
    length: float | None = None
    """Running mean of the mean length, in tokens, over quiet batches (decay 0.9)."""
    best_probe: float | None = None
    fallen: bool = False
    """The last look at the probe tripped: until the next one no step is quiet."""
    tripped: bool = False
    """The batch that is being trained on has tripped already."""

    def observe(
        self, *, ratio: float, length: float | None, probe: float | None = None
    ) -> str | None:
        """Takes what a step showed; returns a message when the scale changes.

        Args:
            ratio: largest probability ratio new / old of a sampled token.
            length: mean sampled tokens of a trajectory. None: another step on the batch before.
            probe: mean log-probability of known-good tokens, nats. None: not measured.
        """
        self.tripped = self.tripped and length is None
        reasons = self._reasons(ratio, length, probe)
        if reasons:
            return self._trip(reasons)
        if length is not None:
            self.length = length if self.length is None else 0.9 * self.length + 0.1 * length
        return self._rest()

    def _trip(self, reasons: list[str]) -> str | None:
        self.quiet = 0
        before, s = self.scale, self.settings
        if not self.tripped:
            self.scale = max(self.scale * s.factor, s.floor)
        self.tripped = True
        if self.scale == before:
            return None
        return f"{'; '.join(reasons)}: negative advantages times {self.scale:g}"

    def _rest(self) -> str | None:
        s = self.settings
        self.quiet = 0 if self.fallen else self.quiet + 1
        if self.scale == 1.0 or self.quiet < s.hold:
            return None
        self.scale, self.quiet = min(1.0, self.scale / s.factor), 0
        return f"{s.hold} quiet steps: negative advantages times {self.scale:g}"

    def _reasons(self, ratio: float, length: float | None, probe: float | None) -> list[str]:
        s, reasons = self.settings, list[str]()
        if not ratio <= s.ratio:  # NaN trips as well
            reasons.append(f"largest ratio {ratio:.3g} is above {s.ratio:g}")
        if self.length is not None and length is not None and length > s.length * self.length:
            reasons.append(
                f"mean length {length:.4g} is above {s.length:g} times its running mean "
                f"{self.length:.4g}"
            )
        if probe is None:
            return reasons
        self.fallen = self.best_probe is not None and not probe >= self.best_probe - s.probe
        if self.fallen:
            reasons.append(
                f"log-probability of known-good trajectories fell from {self.best_probe:.3g} to "
                f"{probe:.3g} nats a token"
            )
        if self.best_probe is None or probe > self.best_probe:
            self.best_probe = probe
        return reasons


@final
class Controllers:
    """The controllers of a recipe, those that it has switched on."""

    def __init__(self, safety: Safety) -> None:
        """Starts them afresh."""
        self.regime = None if safety.entropy is None else EntropyRegime(safety.entropy)
        self.back_off = None if safety.back_off is None else BackOff(safety.back_off)

    @property
    def scales(self) -> tuple[Scales, ...]:
        """What they multiply advantages by now."""
        found: list[Scales] = []
        if self.regime is not None:
            found.append(self.regime.scales)
        if self.back_off is not None:
            found.append(Scales(negative=self.back_off.scale))
        return tuple(found)

    def observe(
        self, *, entropy: float, ratio: float, length: float | None, probe: float | None = None
    ) -> list[str]:
        """Takes what a step showed (`EntropyRegime.observe`, `BackOff.observe`); returns what
        changed, in words."""
        said: list[str | None] = []
        if self.regime is not None:
            said.append(self.regime.observe(entropy))
        if self.back_off is not None:
            said.append(self.back_off.observe(ratio=ratio, length=length, probe=probe))
        return [each for each in said if each]

    def state(self) -> dict[str, Any]:
        """Returns what a checkpoint must hold of them."""
        machines = {"regime": self.regime, "back_off": self.back_off}
        return {k: None if each is None else state_of(each) for k, each in machines.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state` returned."""
        if self.regime is not None:
            restore(self.regime, state["regime"])
        if self.back_off is not None:
            restore(self.back_off, state["back_off"])


def state_of(machine: EntropyRegime | BackOff) -> dict[str, Any]:
    """Returns what a checkpoint must hold to go on as if nothing had happened; plain data."""
    state = asdict(machine)
    del state["settings"]
    return state


def restore(machine: EntropyRegime | BackOff, state: dict[str, Any]) -> None:
    """Puts back what `state_of` returned."""
    for name in state_of(machine):
        setattr(machine, name, state[name])

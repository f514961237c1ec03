"""What is predicted, and what would refute it: of sign by difficulty, written before any run; of
the dead start, written after runs at seed 0 and before any at the seeds that count.

Numbers P1 to P20 follow the order in which they were set down; what is not read of them an
experiment names (`unread`). "P1 grows", "P7 weak" and "P7 many" were set down with the others but
first read from rows when most had been run.
"""

from dataclasses import dataclass
from math import inf
from typing import Final, Literal, final

from assay.claims import measures as m
from assay.claims.measures import Measure, Seen
from assay.evaluate.intervals import Estimate

Verdict = Literal["held", "refuted", "open", "not run"]
Zone = tuple[float, float]
"""Open interval: a bound is not in it, so that no difference at all agrees with no direction."""
ENOUGH: Final = 3
"""Seeds below which nothing is said: an interval over fewer is too narrow."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What should be seen, and what would refute it."""

    id: str
    says: str
    expected: str
    """Direction and size, before anything was run."""
    refuted_if: str
    measure: Measure
    """What is looked at; None: cells are missing."""
    holds: Zone
    """Values that agree with the prediction."""
    refutes: tuple[Zone, ...]
    """Values that refute it. Between the zones nothing is said."""
    unit: str = "points"
    """"points": shares, shown in percent; else as they are."""

    def verdict(self, seen: Seen | None) -> Verdict:
        """Returns what an interval says: it must lie in a zone as a whole, with `ENOUGH` seeds."""
        if seen is None:
            return "not run"
        if seen.estimate is None or (seen.seeds is not None and seen.seeds < ENOUGH):
            return "open"
        if _inside(seen.estimate, self.holds):
            return "held"
        return "refuted" if any(_inside(seen.estimate, zone) for zone in self.refutes) else "open"


def _inside(seen: Estimate, zone: Zone) -> bool:
    return zone[0] < seen.low and seen.high < zone[1]


NEGATIVE: Final[Zone] = (-inf, 0.0)
POSITIVE: Final[Zone] = (0.0, inf)


def _gap(first: str, second: str, start: str, k: int = 1) -> Measure:
    return lambda rows: m.difference(rows, first, second, start, k)


PREDICTIONS: Final = (
    Prediction(
        id="P1 weak",
        says="From a weak prior NSR reaches only part of what GRPO gains in pass@1",
        expected="50 to 65 % of the gain",
        refuted_if="95 % or more",
        measure=lambda rows: m.share_of_gain(rows, "nsr", "grpo", "weak"),
        holds=(-inf, 0.95),
        refutes=((0.95, inf),),
    ),
    Prediction(
        id="P1 strong",
        says="From a strong prior NSR reaches most of it",
        expected="80 to 95 % of the gain",
        refuted_if="less than 65 %",
        measure=lambda rows: m.share_of_gain(rows, "nsr", "grpo", "strong"),
        holds=(0.65, inf),
        refutes=((-inf, 0.65),),
    ),
    Prediction(
        id="P1 grows",
        says="The share grows with the prior's strength",
        expected="by about 30 points; shown: from strong less from weak",
        refuted_if="it falls",
        measure=lambda rows: m.growth_of_share(rows, "nsr", "grpo", ("weak", "strong")),
        holds=POSITIVE,
        refutes=(NEGATIVE,),
    ),
    Prediction(
        id="P2",
        says="On-policy, PSR and NSR come closer as the batch grows: their expectation is the same",
        expected="the gap in pass@1 halves when the batch is four times as large",
        refuted_if="the gap stays or grows",
        measure=lambda rows: m.gap_by_batch(rows, "strong", 4),
        holds=NEGATIVE,
        refutes=(POSITIVE,),
    ),
    Prediction(
        id="P3 sign",
        says="At equal pass@1, NSR keeps more of pass@k than PSR",
        expected="open: the paper says 5 points more, a pilot 1 to 2 less",
        refuted_if="it keeps less",
        measure=lambda rows: m.at_equal_height(rows, "psr", "nsr", "weak"),
        holds=POSITIVE,
        refutes=(NEGATIVE,),
    ),
    Prediction(
        id="P3 weight",
        says="At equal pass@1, the positive half of GRPO keeps at least as much of it as NSR",
        expected="0 to 5 points more",
        refuted_if="it keeps less",
        measure=lambda rows: m.at_equal_height(rows, "nsr", "grpo_positive", "weak"),
        holds=POSITIVE,
        refutes=(NEGATIVE,),
    ),
    Prediction(
        id="P4",
        says="The negative half of GRPO loses pass@k below the base: it weighs easy tasks",
        expected="5 to 12 points less than the base",
        refuted_if="no more than 1 point less",
        measure=lambda rows: m.over_base(rows, "grpo_negative", "weak"),
        holds=(-inf, -0.01),
        refutes=((-0.01, inf),),
    ),
    Prediction(
        id="P5 upper",
        says="At equal steps NSR has more entropy than GRPO",
        expected="more",
        refuted_if="less",
        measure=lambda rows: m.entropy_gap(rows, "grpo", "nsr", "weak"),
        holds=POSITIVE,
        refutes=(NEGATIVE,),
        unit="nats a token",
    ),
    Prediction(
        id="P5 lower",
        says="and GRPO at least as much as PSR",
        expected="as much or more",
        refuted_if="less",
        measure=lambda rows: m.entropy_gap(rows, "psr", "grpo", "weak"),
        holds=POSITIVE,
        refutes=(NEGATIVE,),
        unit="nats a token",
    ),
    Prediction(
        id="P6",
        says="From a weak prior pass@1 grows with lambda of W-REINFORCE up to 1",
        expected="15 to 18 points more at 1 than at 0.03; shown: 1 less 0.1",
        refuted_if="0.1 is better than 1",
        measure=_gap("w_0.1", "w_1", "weak"),
        holds=POSITIVE,
        refutes=(NEGATIVE,),
    ),
    Prediction(
        id="P7 weak",
        says="-1 for every all-fail group on top of GRPO costs pass@1",
        expected="1 to 4 points",
        refuted_if="it rises by more than 1 point",
        measure=_gap("grpo", "grpo_flat", "weak"),
        holds=NEGATIVE,
        refutes=((0.01, inf),),
    ),
    Prediction(
        id="P7 dead",
        says="and more of it from a dead start",
        expected="5 to 10 points",
        refuted_if="it rises by more than 1 point",
        measure=_gap("grpo", "grpo_flat", "dead"),
        holds=NEGATIVE,
        refutes=((0.01, inf),),
    ),
    Prediction(
        id="P7 many",
        says="and buys some pass@k: it buys entropy",
        expected="0 to 2 points more",
        refuted_if="it falls",
        measure=_gap("grpo", "grpo_flat", "weak", 0),
        holds=POSITIVE,
        refutes=(NEGATIVE,),
    ),
    Prediction(
        id="P8",
        says="The bounded all-fail term is within noise of GRPO",
        expected="less than 1.5 points either way",
        refuted_if="more than 3 points either way",
        measure=_gap("grpo", "grpo_bounded", "weak"),
        holds=(-0.015, 0.015),
        refutes=((-inf, -0.03), (0.03, inf)),
    ),
    Prediction(
        id="P9",
        says="NGRPO's virtual success in mixed groups too costs pass@1",
        expected="1 to 3 points",
        refuted_if="it gains",
        measure=_gap("grpo", "ngrpo", "weak"),
        holds=NEGATIVE,
        refutes=(POSITIVE,),
    ),
    Prediction(
        id="P12",
        says="20 % false negatives hurt NSR more than they hurt GRPO",
        expected="twice as much; shown: NSR's loss less 1.2 times GRPO's",
        refuted_if="less than 1.2 times as much",
        measure=lambda rows: m.hurt(rows, "nsr", "grpo", "strong", 1.2),
        holds=POSITIVE,
        refutes=(NEGATIVE,),
    ),
    Prediction(
        id="P15",
        says="A long NSR run ends with held-out pass@k below the base",
        expected="3 to 8 points below",
        refuted_if="above the base",
        measure=lambda rows: m.over_base(rows, "nsr", "strong", length=3),
        holds=NEGATIVE,
        refutes=(POSITIVE,),
    ),
    Prediction(
        id="P18 likely",
        says="Pushing down a token of probability above 0.5 raises the entropy of its position",
        expected="above 0",
        refuted_if="below 0",
        measure=lambda rows: m.squeezed(rows, "likely"),
        holds=POSITIVE,
        refutes=(NEGATIVE,),
        unit="nats",
    ),
    Prediction(
        id="P18 rare",
        says="and pushing down one below 0.05 lowers it",
        expected="below 0",
        refuted_if="above 0",
        measure=lambda rows: m.squeezed(rows, "rare"),
        holds=NEGATIVE,
        refutes=(POSITIVE,),
        unit="nats",
    ),
    Prediction(
        id="P20",
        says='An untrained copy "solves" tasks that the base never solved, by one success in n',
        expected="10 to 30 % of them",
        refuted_if="none; shown: fewer than 1 %",
        measure=m.frozen_expansion,
        holds=POSITIVE,
        refutes=((-inf, 0.01),),
    ),
)

DEAD_START: Final = (
    Prediction(
        id="D1",
        says="From a dead start GRPO learns: there is something to reach",
        expected="more than 2 points above the base",
        refuted_if="it ends no better than the base",
        measure=lambda rows: m.over_base(rows, "grpo", "dead", 1),
        holds=POSITIVE,
        refutes=(NEGATIVE,),
    ),
    Prediction(
        id="D2 half",
        says="Assay's recipe reaches the pass@1 with which GRPO ends for half its tokens",
        expected="at least as high",
        refuted_if="lower",
        measure=lambda rows: m.for_tokens(rows, "grpo", "assay", "dead", 0.5),
        holds=POSITIVE,
        refutes=(NEGATIVE,),
    ),
    Prediction(
        id="D2 all",
        says="and ends higher for as many",
        expected="twice as high",
        refuted_if="lower",
        measure=lambda rows: m.for_tokens(rows, "grpo", "assay", "dead", 1.0),
        holds=POSITIVE,
        refutes=(NEGATIVE,),
    ),
)
"""What is predicted of a dead start: GRPO against Assay's recipe as it is shipped."""

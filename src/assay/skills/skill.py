"""One skill: what it says, the steps that it rests on, and how it did where it was shown."""

from hashlib import sha256
from typing import Annotated, Final, Literal, final

from msgspec import Meta, field, structs

from assay.kernels.uplift import again
from assay.kernels.wilson import apart, wilson
from assay.records.base import Record
from assay.records.evidence import ResolvedLevel

Kind = Literal["lesson", "demonstration"]
Status = Literal["candidate", "active", "retired"]
LONGEST: Final = 1200
"""Characters of a text of a skill."""
_EVEN: Final = 1e-9
"""Share of rollouts that weights which are equal lose by round-off."""
_LEAST: Final = 1e-9
"""Probability that is told from 0, and from 1."""
_COUNTS: Final = ("shown", "passed", "held", "held_passed")


class Evidence(Record, frozen=True):
    """Where a skill comes from."""

    trajectory: str
    """Its id."""
    task: str
    steps: tuple[int, ...] = ()
    """Indices into its steps: of a lesson where it went wrong, of a demonstration its calls."""
    level: ResolvedLevel = "none"
    """Of its outcome: E2 or better."""
    digest: str = ""
    """Short hash of its outcome and of what was done: logs may call other attempts the same. Empty:
    not known."""


@final
class Rest(Record, frozen=True):
    """Evidence of a skill that is counted and not kept."""

    tasks: str = ""
    """How the names of its tasks begin, up to a slash and a number. Empty: all sorts of them."""
    count: int = 0
    """Pieces."""
    first: int = 0
    last: int = -1
    """The least and the largest of those numbers; first > last: no name ends in one."""


@final
class Arm(Record, frozen=True):
    """Rollouts that chance showed a skill to, or held it back from, with a probability that is
    known and neither 0 nor 1. Each weighs w, one over the probability of what became of it."""

    count: Annotated[int, Meta(ge=1)]
    passed: Annotated[int, Meta(ge=0)]
    weight: Annotated[float, Meta(gt=0)]
    """Sum of w."""
    won: Annotated[float, Meta(ge=0)]
    """Sum of w of those that passed."""
    square: Annotated[float, Meta(gt=0)]
    """Sum of w^2."""

    @staticmethod
    def of(count: int, passed: int, weight: float) -> "Arm | None":
        """Returns rollouts that all weigh the same. None: there are none."""
        if not count:
            return None
        sums = {"won": passed * weight, "square": count * weight * weight}
        return Arm(count=count, passed=passed, weight=count * weight, **sums)

    def plus(self, other: "Arm") -> "Arm":
        """Returns both together."""
        return Arm(
            count=self.count + other.count,
            passed=self.passed + other.passed,
            weight=self.weight + other.weight,
            won=self.won + other.won,
            square=self.square + other.square,
        )

    @property
    def effective(self) -> tuple[float | int, float | int]:
        """Passes and rollouts of equal weight that say as much: (sum w)^2 / sum w^2 of them (Kish
        1965, Survey Sampling), with the share sum w y / sum w. The counts themselves, to the digit,
        where weights differ by no more than round-off."""
        size = self.weight * self.weight / self.square
        if size >= self.count * (1.0 - _EVEN):
            return self.passed, self.count
        return size * (self.won / self.weight), size


@final
class Exposure(Record, frozen=True):
    """What became of rollouts that a skill was retrieved for, by whether it was shown.

    Counts beyond those of `fixed_` and of `on` and `off` are of a bank from before probabilities
    were named. They are taken for drawn at one constant chance, the share that it was shown to.
    """

    shown: int = 0
    passed: int = 0
    """Of those it was shown to."""
    held: int = 0
    """From how many it was held back."""
    held_passed: int = 0
    fixed_shown: int = 0
    """Of these, by no chance: the probability was 0 or 1. They say nothing of help."""
    fixed_passed: int = 0
    fixed_held: int = 0
    fixed_held_passed: int = 0
    on: Arm | None = None
    """Of these, drawn with a probability that is known: shown."""
    off: Arm | None = None
    """Likewise, held back."""

    def at(self, chance: float) -> "Exposure":
        """Returns these counts as drawn with a probability of being shown; one that is nearer than
        1e-9 to 0 or 1 is taken for it."""
        if _LEAST <= chance <= 1.0 - _LEAST:
            on = Arm.of(self.shown, self.passed, 1.0 / chance)
            off = Arm.of(self.held, self.held_passed, 1.0 / (1.0 - chance))
            return structs.replace(self, on=on, off=off)
        return structs.replace(self, **{f"fixed_{name}": getattr(self, name) for name in _COUNTS})

    def plus(self, other: "Exposure") -> "Exposure":
        """Returns both together."""
        names = (*_COUNTS, *(f"fixed_{name}" for name in _COUNTS))
        counts = {name: getattr(self, name) + getattr(other, name) for name in names}
        return Exposure(**counts, on=_joined(self.on, other.on), off=_joined(self.off, other.off))

    @property
    def help(self) -> tuple[float, float, float] | None:
        """Passes shown less passes held back, each rollout weighed by one over the probability of
        what became of it, with its 95 % interval (`skills.credit`). None: chance never showed it,
        or never held it back."""
        return self.helped()

    def helped(self, votes: float = 1.0) -> tuple[float, float, float] | None:
        """Returns `help` where each count says as much as so many rollouts, in (0, 1]: less than 1
        where several skills are counted together, of which one rollout drew several."""
        on, off = self._arms
        if on is None or off is None:
            return None
        won, of_on, lost, of_off = (votes * each for each in (*on.effective, *off.effective))
        first, second = lost / of_off, won / of_on
        return second - first, *apart(first, wilson(lost, of_off), second, wilson(won, of_on))

    @property
    def _arms(self) -> tuple[Arm | None, Arm | None]:
        """Shown and held back by chance, those of older banks among them."""
        shown, passed, held, held_passed = (
            getattr(self, name) - getattr(self, f"fixed_{name}") for name in _COUNTS
        )
        if self.on is not None:
            shown, passed = shown - self.on.count, passed - self.on.passed
        if self.off is not None:
            held, held_passed = held - self.off.count, held_passed - self.off.passed
        if not shown or not held:  # of these chance may have drawn none
            return self.on, self.off
        both = shown + held
        return (
            _joined(Arm.of(shown, passed, both / shown), self.on),
            _joined(Arm.of(held, held_passed, both / held), self.off),
        )


def _joined(one: Arm | None, other: Arm | None) -> Arm | None:
    return one.plus(other) if one and other else one or other


class Trial(Record, frozen=True):
    """Paired runs that a skill was admitted by, or was not; of several trials all of them."""

    pairs: int
    told: float
    """Passes with it."""
    bare: float
    """Passes without it, on the same tasks."""
    lower: float | None
    """Of the difference, one-sided, at `level`. None: there were no pairs."""
    admitted: bool
    differ: float | None = None
    """Pairs of which one passed and the other did not. None: they were not counted."""
    looks: int = 1
    """Trials that had pairs, or 1."""

    @property
    def level(self) -> float:
        """Of its bound: the first trial's .9, and more where there were several."""
        return again(self.looks)


class Skill(Record, frozen=True):
    """One skill; a change of any of it is another version of the bank."""

    id: str
    """Of what it says: equal skills have equal ids, whoever wrote them."""
    kind: Kind
    category: str = ""
    """Of tasks; empty: general, of all of them."""
    title: str = ""
    principle: str = ""
    """What is shown."""
    when: str = ""
    """To which tasks it applies; what retrieval looks at."""
    avoid: str = ""
    """Of a lesson: the action that went wrong."""
    source: Literal["success", "failure", "contrast"] = "failure"
    """contrast: of a failure, by what another attempt at the task did right."""
    writer: str = "template"
    evidence: tuple[Evidence, ...] = ()
    """The best of it, the oldest first (`skills.resting`)."""
    rest: tuple[Rest, ...] = ()
    """Counts of the rest of it."""
    created: int = 0
    """Generation of the bank."""
    used: int = 0
    """The last generation in which it was retrieved, or was made."""
    status: Status = "candidate"
    exposure: Exposure = field(default_factory=Exposure)
    trial: Trial | None = None
    why: str = ""
    """What retired it. Empty: nothing."""

    @property
    def support(self) -> int:
        """Pieces of evidence, those that are only counted among them."""
        return len(self.evidence) + sum(each.count for each in self.rest)

    @property
    def text(self) -> str:
        """What retrieval reads."""
        return " ".join(filter(None, (self.when, self.title, self.principle)))


def named(kind: Kind, category: str, when: str, principle: str) -> str:
    """Returns the id of a skill: a hash of what it says, case and spaces aside."""
    said = [" ".join(each.casefold().split()) for each in (kind, category, when, principle)]
    return f"{kind[0]}{sha256(chr(0).join(said).encode()).hexdigest()[:11]}"

"""One skill: what it says, the steps that it rests on, and how it did where it was shown."""

from hashlib import sha256
from typing import Final, Literal, final

from msgspec import field

from assay.kernels.uplift import again
from assay.kernels.wilson import Interval, apart, wilson
from assay.records.base import Record
from assay.records.evidence import ResolvedLevel

Kind = Literal["lesson", "demonstration"]
Status = Literal["candidate", "active", "retired"]
LONGEST: Final = 1200
"""Characters of a text of a skill."""


class Evidence(Record, frozen=True):
    """Where a skill comes from."""

    trajectory: str
    """Its id."""
    task: str
    steps: tuple[int, ...] = ()
    """Indices into its steps: of a lesson where it went wrong, of a demonstration its calls."""
    level: ResolvedLevel = "none"
    """Of its outcome: E2 or better."""


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
class Exposure(Record, frozen=True):
    """What became of rollouts that a skill was retrieved for, by whether it was shown."""

    shown: int = 0
    passed: int = 0
    """Of those it was shown to."""
    held: int = 0
    """From how many it was held back, by chance."""
    held_passed: int = 0

    def plus(self, other: "Exposure") -> "Exposure":
        """Returns both together."""
        return Exposure(
            shown=self.shown + other.shown,
            passed=self.passed + other.passed,
            held=self.held + other.held,
            held_passed=self.held_passed + other.held_passed,
        )

    @property
    def rate(self) -> Interval:
        """Wilson's 95 % interval of the passes where it was shown."""
        return wilson(self.passed, self.shown)

    @property
    def help(self) -> tuple[float, float, float] | None:
        """Passes shown less passes held back, with its 95 % interval (Newcombe). None: one of the
        two never happened."""
        if not self.shown or not self.held:
            return None
        on, off = self.passed / self.shown, self.held_passed / self.held
        return on - off, *apart(off, wilson(self.held_passed, self.held), on, self.rate)


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

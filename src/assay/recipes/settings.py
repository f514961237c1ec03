"""Settings that refuse what is out of range, and those of safety on the negative side.

Every safety setting is off unless a recipe says so. Sources: clip and masks PPO dual clip and
DeepSeek-V3.2; likelihood LLDS 2025, arXiv:2512.04220; entropy regimes QAE 2025, arXiv:2509.22611.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar, final, get_args, get_origin

import msgspec
from msgspec import Meta
from msgspec.structs import FieldInfo

from assay.errors import UnknownNameError, UsageError, hint

Count = Annotated[int, Meta(ge=1)]
Whole = Annotated[int, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
AboveOne = Annotated[float, Meta(gt=1)]
_LARGEST: Final = sys.float_info.max


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of settings: types and ranges are checked and converted however an object is made."""

    at: ClassVar[str] = ""
    """How messages name the table."""

    def __post_init__(self) -> None:
        """Refuses what is of the wrong type or out of its range."""
        for each in msgspec.structs.fields(type(self)):
            value = _checked(getattr(self, each.name), each, self.at)
            msgspec.structs.force_setattr(self, each.name, value)


T = TypeVar("T", bound=Settings)


def converted(data: Any, cls: type[T], where: str) -> T:
    """Returns settings from a table and the tables in it.

    Raises:
        UnknownNameError: an unknown key; with the nearest one.
        UsageError: no table, or a value of the wrong type or out of its range.
    """
    if isinstance(data, cls):
        return data
    if not isinstance(data, Mapping):
        raise UsageError(f"{where}: got {data!r}; expected a table")
    fields = {each.name: each for each in msgspec.structs.fields(cls)}
    known_only(data, fields, where)
    made = dict(data)
    for name in made:
        for kind in (fields[name].type, *get_args(fields[name].type)):
            if isinstance(kind, type) and issubclass(kind, Settings):
                made[name] = converted(made[name], kind, f"{where}.{name}")
    try:
        return cls(**made)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def _checked(value: Any, field: FieldInfo, at: str) -> Any:
    try:
        return msgspec.convert(value, field.type)
    except msgspec.ValidationError as error:
        said = _range(field.type)
        what = f": got {value}; expected {said}"
        if not said or not isinstance(value, int | float) or ", got" in str(error):
            what = f": {error}"  # of the wrong type
        if get_origin(field.type) is Literal:
            known = [each for each in get_args(field.type) if isinstance(each, str)]
            near = hint(value, known) if isinstance(value, str) else ""
            what = f": got {value!r}; expected {', '.join(known)}.{near}"
        raise UsageError(f"{at}.{field.name}{what}") from None


def _range(kind: Any) -> str:
    """Returns in words which numbers a type with `Meta` admits; "" where it has none."""
    said: list[str] = []
    finite = ""
    for meta in [m for part in (kind, *get_args(kind)) for m in getattr(part, "__metadata__", ())]:
        for bound, word in (
            ("ge", "at least"),
            ("gt", "above"),
            ("lt", "below"),
            ("le", "at most"),
        ):
            number = getattr(meta, bound)
            if number == _LARGEST:
                finite = "a finite number "
            elif number is not None:
                said.append(f"{word} {number:g}")
    return finite + " and ".join(said)


def require(holds: bool, message: str) -> None:
    """Raises UsageError with the message unless the condition holds."""
    if not holds:
        raise UsageError(message)


def known_only(data: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raises UnknownNameError for a key that is not `known`, with the nearest one."""
    known = list(known)
    for key in data:
        if key not in known:
            raise UnknownNameError(
                f"{where} has no key {key!r}.{hint(str(key), known)} "
                f"Known: {', '.join(known) or 'none'}"
            )


@final
class ReplaySettings(Settings, frozen=True):
    """A few verified successes, kept with their log-probabilities and trained on again."""

    at: ClassVar[str] = "replay"

    size: Count = 64
    """Successes kept, the newest one per prompt."""
    per_step: Count = 4
    """Successes replayed in a step."""
    weight: Positive = 0.1
    """Factor on the term, against a policy loss of one mean token."""
    below: Annotated[float, Meta(gt=0, le=1)] = 0.1
    """Replay where the positive share of the batch's |A| is below this; 1: in every step."""
    cap: Positive = 2.0
    """Bound on the importance ratio of a replayed token (truncated)."""


@final
class RegimeSettings(Settings, frozen=True):
    """Which sign to damp, by where the entropy stands against its own start."""

    at: ClassVar[str] = "entropy"

    low: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    """Collapse below this share of the entropy at the start."""
    high: AboveOne = 1.5
    """Explosion above this share of it."""
    band: NotNegative = 0.1
    """Hysteresis: back to normal only this far inside the bound."""
    damp: Annotated[float, Meta(ge=0, lt=1)] = 0.5
    """Factor on the damped sign: 0 masks it."""
    warmup: Count = 5
    """Steps whose mean is "the start"."""
    patience: Count = 2
    """Steps in a row that a change of state takes."""

    def __post_init__(self) -> None:
        """Refuses what is out of range."""
        super().__post_init__()
        require(
            self.low + self.band < self.high - self.band,
            f"entropy: band {self.band:g} leaves no normal regime between low and high",
        )


@final
class BackOffSettings(Settings, frozen=True):
    """When to weaken the negative side, and how much."""

    at: ClassVar[str] = "back_off"

    ratio: AboveOne = 10.0
    """Trips when a token's probability ratio new / old exceeds it."""
    length: AboveOne = 2.0
    """Trips when the mean length exceeds this many times its running mean."""
    probe: Positive = 0.5
    """Trips when known-good trajectories lost this many nats per token since their best."""
    factor: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    """What one trip multiplies negative advantages by."""
    floor: Positive = 0.125
    """Least scale."""
    hold: Count = 5
    """Quiet steps before the scale goes back up by one factor."""

    def __post_init__(self) -> None:
        """Refuses what is out of range."""
        super().__post_init__()
        require(self.floor <= self.factor, "back_off: expected 0 < floor <= factor < 1")


@final
class Safety(Settings, frozen=True):
    """What may not happen on the negative side."""

    at: ClassVar[str] = "safety"

    cap: Positive = float("inf")
    """Bound on the absolute advantage of a token, methods mixed."""
    all_fail: Literal["method", "zero", "bounded", "flat"] = "method"
    """What groups get in which all failed alike: what the method says, 0, -1/sqrt(G+1) each with
    copies of one trajectory counted once, or -1 each (for comparison: it costs pass@1)."""
    all_fail_share: Annotated[float, Meta(gt=0, lt=1)] = 0.25
    """With "bounded": the most of the batch's |A| that such groups may hold."""
    delta: AboveOne | None = None
    """Two-sided clip (Ye et al. 2019, arXiv:1912.09729): the ratio of a token with A < 0 counts as
    at most this. Usual: 3."""
    off_policy: Positive | None = None
    """Drop sequences of negative total advantage whose mean log-probability fell by more than this
    many nats per token since sampling. Usual: 0.5."""
    preserve: NotNegative = 0.0
    """Weight of the likelihood-preserving term on actions with A >= 0. Usual: 0.2."""
    skip_empty: bool = True
    """Skip optimiser and scheduler when no token of the step has an advantage."""
    replay: ReplaySettings | None = None
    entropy: RegimeSettings | None = None
    back_off: BackOffSettings | None = None

    def __post_init__(self) -> None:
        """Refuses what is out of range."""
        super().__post_init__()
        require(
            self.all_fail == "bounded" or self.all_fail_share == 0.25,
            'safety: all_fail_share is read by all_fail = "bounded" only',
        )

    @property
    def active(self) -> tuple[str, ...]:
        """Names of the settings that differ from their defaults."""
        default = Safety()
        names = (each.name for each in msgspec.structs.fields(self))
        return tuple(name for name in names if getattr(self, name) != getattr(default, name))

"""What is on disk: one JSON record per trajectory. Arrays are built from these, once.

Missing is `null` on disk and NaN only in arrays. Records are frozen and closed: an unknown key is
an error, not data that is silently dropped. Three things are never merged: `ran` (the observation
is no error), `claim` (what the agent said of itself) and `outcome` (what was verified).
"""

from typing import Literal

from msgspec import field

from assay.records.base import Record
from assay.records.evidence import NOBODY_LOOKED, CallEvidence, Grade, Mark
from assay.records.rescue import Hint, Rescue

End = Literal["answered", "budget", "infra", "unknown"]
"""Why a trajectory ended: by itself, by its own step or token budget (a scored failure), by
infrastructure (unscored), or the log does not say."""

Role = Literal["think", "call", "answer", "confidence", "text"]

Claim = Literal["claimed", "admitted", "none"]
"""Did the agent say that the task is done, say that it is not, or say neither?"""


class Span(Record, frozen=True):
    """A half-open stretch of one model step: of its tokens if it has ids, else of its text."""

    role: Role
    start: int
    end: int


class Call(Record, frozen=True):
    """One tool call, as the policy wrote it."""

    name: str
    arguments: str
    """JSON text as written; canonical only after `verify.canonical`."""
    id: str | None = None
    """The log's own id. Not unique in real logs, so never used to pair calls with results."""
    start: int | None = None
    """Where the call's tokens start in the step's `token_ids`; None: not known."""
    end: int | None = None
    evidence: CallEvidence = NOBODY_LOOKED


class ModelStep(Record, frozen=True, tag_field="kind", tag="model"):
    """One thing the policy wrote: thought, calls, answer."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    token_ids: tuple[int, ...] | None = None
    """Tokens that this step adds to the context, template scaffold included. None: no ids known."""
    sampled: tuple[tuple[int, int], ...] | None = None
    """Half-open ranges of `token_ids` that the policy sampled. None: all of them."""
    logprobs: tuple[float | None, ...] | None = None
    """Nats, one per sampled token, at sampling time. None: the source had none."""
    entropies: tuple[float | None, ...] | None = None
    """Nats over the full vocabulary, one per sampled token."""
    spans: tuple[Span, ...] = ()
    reward: float | None = None
    """What the environment paid after this step. None: nothing that we know of."""
    belief: float | None = None
    """log p(right answer | everything up to and including this step), nats."""
    confidence: float | None = None
    """Stated probability of being right, in [0, 1]."""
    state_key: str | None = None
    """Canonical environment state *before* this step."""
    node: str | None = None
    parent: str | None = None
    """Tree identity: siblings that share a prefix share its nodes."""
    agent: str | None = None
    """Who spoke, where several agents share a conversation."""
    untrainable: Literal["masked", "drifted", "copied", "logprobs"] | None = None
    """Why no gradient may flow here. None: it may."""
    scores: dict[str, float | None] = field(default_factory=dict)
    """What judges, reward models or rules gave this step, by name. Of version 2 of the format."""
    hints: tuple[Hint, ...] = ()
    """What the policy should have known here, by source. Of version 5 of the format."""
    told: tuple[float | None, ...] | None = None
    """Nats, one per sampled token, as a teacher that is told the hints has them: the same policy,
    or its average. None: not scored. Of version 5 of the format."""
    neutral: tuple[float | None, ...] | None = None
    """As `told`, the teacher told a hint that says nothing. Of version 5 of the format."""
    helped: tuple[float | None, ...] | None = None
    """Nats, one per sampled token, as what sampled it had them, which was helped
    (`Trajectory.rescue`); `logprobs` are then the policy's that reads it without the help. None: it
    was sampled as it stands. Of version 5 of the format."""


class ToolStep(Record, frozen=True, tag_field="kind", tag="tool"):
    """One thing the world answered."""

    text: str
    name: str = ""
    call: tuple[int, int] | None = None
    """(step index, call index) of the call it answers. None: it answers no call of the agent's."""
    error: bool | None = None
    """The source's own word on whether this is an error. None: it does not say; verify decides."""
    token_ids: tuple[int, ...] | None = None


class UserStep(Record, frozen=True, tag_field="kind", tag="user"):
    """One thing a user, or a simulated one, said."""

    text: str
    name: str = ""
    token_ids: tuple[int, ...] | None = None


class SystemStep(Record, frozen=True, tag_field="kind", tag="system"):
    """Instructions that nobody in the conversation said."""

    text: str
    token_ids: tuple[int, ...] | None = None


Step = ModelStep | ToolStep | UserStep | SystemStep


class ExpertCall(Record, frozen=True):
    """One action of a known solution of the task."""

    name: str
    arguments: str


class Ledger(Record, frozen=True):
    """What this trajectory newly cost; methods are compared at equal cost. None: not counted."""

    prompts: int | None = None
    tokens: int | None = None
    """Generated tokens."""
    calls: int | None = None
    env_steps: int | None = None
    scoring_forwards: int | None = None
    wall_seconds: float | None = None


class Origin(Record, frozen=True):
    """Where a record came from, so that any number can be traced to a line of a file."""

    format: str
    path: str = ""
    index: int | None = None
    """Position in that file, from 0."""
    extra: dict[str, str] = field(default_factory=dict)


class Trajectory(Record, frozen=True, tag_field="schema", tag="assay.trajectory/1"):
    """One attempt at one task."""

    id: str
    task: str
    group: str
    """Attempts that are compared with each other share it."""
    tree: str | None = None
    """Trajectories that share sampled prefixes share it."""
    session: str | None = None
    """Trajectories that are outputs of one rollout share it: they have one vote together. None: its
    own rollout. Of version 3 of the format."""
    trial: int | None = None
    steps: tuple[Step, ...] = ()
    outcome: float | None = None
    """Verified score. None: nobody scored it, which is not the same as 0."""
    rewards: dict[str, float | None] = field(default_factory=dict)
    """Named parts of the outcome, where the source keeps them apart."""
    grades: tuple[Grade, ...] = ()
    """Who judged the outcome, by evidence level."""
    claim: Claim | None = None
    """None: verify has not looked yet."""
    expert: tuple[ExpertCall, ...] | None = None
    """Actions of a known solution. None: none is known."""
    reference: str | None = None
    """The right answer, where the source has one. Never shown to the policy."""
    prior: float | None = None
    """log p(right answer | everything before the first model step), nats: what `belief` of the
    first step is a change from. None: unknown. Of version 4 of the format."""
    end: End = "unknown"
    policy_version: str | None = None
    marks: tuple[Mark, ...] = ()
    rescue: Rescue | None = None
    """None: sampled from the task alone. Of version 5 of the format."""
    ledger: Ledger = Ledger()
    origin: Origin | None = None

"""Any record that the format allows."""

from hypothesis import strategies as st

from assay.records import (
    Call,
    CallEvidence,
    ExpertCall,
    Grade,
    Hint,
    Ledger,
    Mark,
    ModelStep,
    Origin,
    Rescue,
    Span,
    SystemStep,
    ToolStep,
    Trajectory,
    UserStep,
)

TEXT = st.text(max_size=12)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
MAYBE_NUMBER = st.none() | NUMBER
MAYBE_TEXT = st.none() | TEXT
MAYBE = st.none() | st.booleans()
TOKENS = st.lists(st.integers(0, 2**31 - 1), max_size=8).map(tuple)
ROLES = st.sampled_from(["think", "call", "answer", "confidence", "text"])
EVIDENCE = st.builds(
    CallEvidence, parsed=MAYBE, ran=MAYBE, sibling=MAYBE, expert=MAYBE, state=MAYBE
)

HINTS = st.builds(Hint, text=TEXT, source=TEXT, quote=MAYBE_TEXT)
RESCUES = st.builds(Rescue, rung=TEXT, of=MAYBE_TEXT, given=TEXT, goal=MAYBE_TEXT)


@st.composite
def ranges(draw, n):
    """Ascending disjoint half-open ranges in [0, n]."""
    ends = sorted(draw(st.lists(st.integers(0, n), max_size=6)))
    return tuple(zip(ends[::2], ends[1::2], strict=False))


@st.composite
def model_steps(draw):
    text = draw(TEXT)
    ids = draw(st.none() | TOKENS)
    n = len(text) if ids is None else len(ids)
    sampled = None if ids is None else draw(st.none() | ranges(n))
    n_sampled = n if sampled is None else sum(end - start for start, end in sampled)
    per_token = st.none() | st.lists(MAYBE_NUMBER, min_size=n_sampled, max_size=n_sampled).map(
        tuple
    )
    calls = []
    for start, end in draw(ranges(n)):
        place = {"start": start, "end": end} if ids is not None and draw(st.booleans()) else {}
        calls.append(
            Call(
                name=draw(TEXT),
                arguments=draw(TEXT),
                id=draw(MAYBE_TEXT),
                evidence=draw(EVIDENCE),
                **place,
            )
        )
    spans = tuple(Span(role=draw(ROLES), start=a, end=b) for a, b in draw(ranges(n)))
    return ModelStep(
        text=text,
        calls=tuple(calls),
        token_ids=ids,
        sampled=sampled,
        logprobs=None if ids is None else draw(per_token),
        entropies=None if ids is None else draw(per_token),
        spans=spans,
        reward=draw(MAYBE_NUMBER),
        belief=draw(MAYBE_NUMBER),
        confidence=draw(st.none() | st.floats(0, 1)),
        state_key=draw(MAYBE_TEXT),
        node=draw(MAYBE_TEXT),
        parent=draw(MAYBE_TEXT),
        agent=draw(MAYBE_TEXT),
        untrainable=draw(st.sampled_from([None, "masked", "drifted", "copied", "logprobs"])),
        scores=draw(st.dictionaries(TEXT, MAYBE_NUMBER, max_size=2)),
        hints=draw(st.lists(HINTS, max_size=2).map(tuple)),
        told=None if ids is None else draw(per_token),
        neutral=None if ids is None else draw(per_token),
        helped=None if ids is None else draw(per_token),
    )


@st.composite
def steps(draw):
    out = []
    for _ in range(draw(st.integers(0, 5))):
        called = [
            (at, c)
            for at, s in enumerate(out)
            if isinstance(s, ModelStep)
            for c in range(len(s.calls))
        ]
        ids = draw(st.none() | TOKENS)
        kind = draw(st.sampled_from(["model", "tool", "user", "system"]))
        if kind == "model":
            out.append(draw(model_steps()))
        elif kind == "tool":
            call = draw(st.none() | st.sampled_from(called)) if called else None
            out.append(
                ToolStep(
                    text=draw(TEXT), name=draw(TEXT), call=call, error=draw(MAYBE), token_ids=ids
                )
            )
        elif kind == "user":
            out.append(UserStep(text=draw(TEXT), name=draw(TEXT), token_ids=ids))
        else:
            out.append(SystemStep(text=draw(TEXT), token_ids=ids))
    return tuple(out)


@st.composite
def trajectories(draw):
    done = draw(steps())
    count = st.none() | st.integers(0, 2**53)
    index = st.none() | st.integers(0, len(done) - 1) if done else st.none()
    return Trajectory(
        id=draw(TEXT),
        task=draw(TEXT),
        group=draw(TEXT),
        tree=draw(MAYBE_TEXT),
        session=draw(MAYBE_TEXT),
        trial=draw(st.none() | st.integers(-(2**63), 2**63 - 1)),
        steps=done,
        outcome=draw(MAYBE_NUMBER),
        rewards=draw(st.dictionaries(TEXT, MAYBE_NUMBER, max_size=3)),
        grades=draw(
            st.lists(
                st.builds(
                    Grade,
                    level=st.sampled_from(["E0", "E1", "E2", "E3", "E4"]),
                    value=MAYBE_NUMBER,
                    source=TEXT,
                    reason=TEXT,
                ),
                max_size=2,
            ).map(tuple)
        ),
        claim=draw(st.sampled_from([None, "claimed", "admitted", "none"])),
        expert=draw(
            st.none()
            | st.lists(st.builds(ExpertCall, name=TEXT, arguments=TEXT), max_size=2).map(tuple)
        ),
        reference=draw(MAYBE_TEXT),
        prior=draw(MAYBE_NUMBER),
        end=draw(st.sampled_from(["answered", "budget", "infra", "unknown"])),
        policy_version=draw(MAYBE_TEXT),
        marks=draw(
            st.lists(
                st.builds(Mark, kind=TEXT, step=index, text=TEXT, source=TEXT), max_size=2
            ).map(tuple)
        ),
        rescue=draw(st.none() | RESCUES),
        ledger=draw(
            st.builds(
                Ledger,
                prompts=count,
                tokens=count,
                calls=count,
                env_steps=count,
                scoring_forwards=count,
                wall_seconds=MAYBE_NUMBER,
            )
        ),
        origin=draw(
            st.none()
            | st.builds(
                Origin,
                format=TEXT,
                path=TEXT,
                index=count,
                extra=st.dictionaries(TEXT, TEXT, max_size=2),
            )
        ),
    )

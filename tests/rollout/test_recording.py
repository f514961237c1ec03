"""Attempts as records: everything filled in, spans and tokens placed by hand."""

from math import log

import pytest

from assay.batch import Batch
from assay.errors import AlignmentError, DataError, UsageError
from assay.records import ModelStep, ToolStep, UserStep, decode, encode
from assay.rescue.critique import critique
from assay.rollout.protocols.base import Sampled
from assay.rollout.protocols.line import LINE
from assay.rollout.recording import Recorder, solve
from assay.rollout.start import Start, points, stand
from assay.world import BUILT_IN, load
from assay.world.lookup import Lookup


@pytest.fixture
def recorder():
    """`?currency of home of Lima`, one call tried before the expert's two."""
    environment = Lookup(hops=2)
    recorder = Recorder(environment, 0, expert=(">home(Lima)", ">currency(Peru)", "=PEN"))
    environment._relations, environment._chain = ("home", "currency"), ("Lima", "Peru", "PEN")
    recorder._reference = "PEN"
    return recorder


def test_everything_of_an_attempt_is_in_its_record(recorder):
    recorder.act(">smallest(Japan)\n")
    recorder.act(">home(Lima\n")
    recorder.act("#the country first\n>home(Lima)\n")
    recorder.act("=PEN ~8")
    record = recorder.trajectory(trial=3, policy_version="v1", wall_seconds=0.5)
    user, *steps = record.steps
    assert isinstance(user, UserStep)
    assert user.text == recorder.prompt
    assert [type(step) for step in steps] == [ModelStep, ToolStep] * 3 + [ModelStep]
    first, second, third, last = (step for step in steps if isinstance(step, ModelStep))
    # ran, expert, state: the first ran but is no expert's, the second was not even written right
    evidence = [
        (c.evidence.parsed, c.evidence.ran, c.evidence.expert, c.evidence.state)
        for step in (first, second, third)
        for c in step.calls
    ]
    assert evidence == [
        (True, True, False, None),
        (False, False, False, None),
        (True, True, True, True),
    ]
    assert [(c.name, c.arguments) for c in (*first.calls, *second.calls)] == [
        ("smallest", '{"input": "Japan"}'),
        ("home", ">home(Lima"),
    ]
    assert [step.state_key for step in (first, second, third, last)] == ["", "", "", "home(Lima)"]
    assert (last.reward, last.confidence, last.calls) == (1.0, 0.85, ())
    assert [(span.role, span.start, span.end) for span in last.spans] == [
        ("answer", 0, 4),
        ("confidence", 4, 7),
    ]
    tools = [step for step in steps if isinstance(step, ToolStep)]
    assert [(t.text, t.name, t.call, t.error) for t in tools] == [
        ("<none\n", "smallest", (1, 0), False),
        ("<error write >tool(x) or =answer\n", "home", (3, 0), True),
        ("<Peru\n", "home", (5, 0), False),
    ]
    assert record.outcome == 1.0
    assert record.rewards == {"right": 1.0}
    assert [(g.level, g.value, g.source) for g in record.grades] == [("E3", 1.0, "world/lookup")]
    assert (record.claim, record.end, record.reference) == ("claimed", "answered", "PEN")
    assert (record.trial, record.policy_version) == (3, "v1")
    assert record.task == record.group == "lookup[hops=2,flaky=0.0,steps=7]/0"
    assert [(call.name, call.arguments) for call in record.expert or ()] == [
        ("home", '{"input": "Lima"}'),
        ("currency", '{"input": "Peru"}'),
    ]
    ledger = record.ledger
    assert (ledger.prompts, ledger.calls, ledger.env_steps, ledger.tokens) == (1, 3, 4, None)
    assert ledger.wall_seconds == 0.5
    assert record.origin is not None
    assert record.origin.extra["seed"] == "0"
    assert decode(encode(record)) == record


def test_tokens_are_placed_where_they_begin(recorder):
    # "=PE" "N ~" "8" and the end token: the answer's span is characters 0-4, the confidence's 4-7;
    # "N ~" begins in the answer and so belongs to it, and the end token to what comes last
    recorder.read_as([9, 9])
    sampled = Sampled(
        ids=(5, 6, 7, 1), logprobs=(-1.0, -2.0, -3.0, -4.0), pieces=("=PE", "N ~", "8", "")
    )
    recorder.act("=PEN ~8", sampled)
    record = recorder.trajectory()
    user, step = record.steps
    assert isinstance(step, ModelStep)
    assert user.token_ids == (9, 9)
    assert [(s.role, s.start, s.end) for s in step.spans] == [
        ("answer", 0, 2),
        ("confidence", 2, 4),
    ]
    assert (step.token_ids, step.logprobs) == ((5, 6, 7, 1), (-1.0, -2.0, -3.0, -4.0))
    assert record.ledger.tokens == 4


def test_a_call_s_tokens_after_a_thought(recorder):
    text = "#so\n>home(Lima)\n"
    pieces = ("#so", "\n", ">", "home", "(", "Lima", ")", "\n")
    recorder.act(text, Sampled(ids=tuple(range(8)), logprobs=(0.0,) * 8, pieces=pieces))
    step = recorder.trajectory().steps[1]
    assert isinstance(step, ModelStep)
    assert (step.calls[0].start, step.calls[0].end) == (2, 8)
    assert [(s.role, s.start, s.end) for s in step.spans] == [("think", 0, 2), ("call", 2, 8)]


def test_tokens_that_are_not_the_text_are_refused(recorder):
    with pytest.raises(AlignmentError, match="tokens read 'x'"):
        recorder.act("=PEN", Sampled(ids=(1,), logprobs=(0.0,), pieces=("x",)))


def test_an_observation_is_tokenised_once_it_is_there(recorder):
    recorder.act(">home(Lima)\n")
    recorder.read_as([1, 2, 3])
    assert recorder.trajectory().steps[2].token_ids == (1, 2, 3)
    recorder.act("=x")
    with pytest.raises(DataError, match="nothing was read"):
        recorder.read_as([1])


@pytest.mark.parametrize(
    ("turn", "claim"), [("=PEN", "claimed"), ("=?", "admitted"), ("=", "admitted")]
)
def test_what_the_agent_says_of_itself(recorder, turn, claim):
    recorder.act(turn)
    assert recorder.trajectory().claim == claim


def test_how_attempts_end(recorder):
    assert recorder.trajectory().end == "unknown"
    assert recorder.trajectory().outcome is None
    for _ in range(7):
        recorder.act(">x(y)\n")
    assert (recorder.trajectory().end, recorder.trajectory().outcome) == ("budget", 0.0)
    assert recorder.trajectory().claim == "none"
    with pytest.raises(UsageError):
        recorder.act("=PEN")


def test_a_turn_cut_off_is_a_scored_failure_and_a_broken_world_is_not(recorder):
    recorder.cut_off(
        ">home(Li", Sampled(ids=(1, 2), logprobs=(-1.0, -1.0), pieces=(">home", "(Li"))
    )
    record = recorder.trajectory()
    assert (record.end, record.outcome, record.ledger.tokens) == ("budget", 0.0, 2)
    recorder.broken()
    record = recorder.trajectory()
    assert (record.end, record.outcome, record.grades) == ("infra", None, ())
    assert decode(encode(record)) == record


def test_partial_scores_are_kept_apart():
    environment = load("report", facts=2)
    recorder = Recorder(environment, 0)
    first = (environment.answer() or "").split(". ")[0]
    recorder.act(f"={first}.")
    record = recorder.trajectory()
    assert sorted(record.rewards.values()) == [0.0, 1.0, 1.0]
    assert record.outcome == pytest.approx(2 / 3)


def test_beliefs_are_after_the_world_s_answer():
    environment = load("twenty", pool=16)
    turns = solve(environment, 0) or ()
    recorder = Recorder(environment, 0, expert=turns)
    for turn in turns:
        recorder.act(f"{turn}\n")
    record = recorder.trajectory()
    beliefs = [s.belief for s in record.steps if isinstance(s, ModelStep)]
    assert record.prior == pytest.approx(-log(16))  # of so many countries, before any question
    assert [record.prior, *beliefs] == sorted([record.prior, *beliefs])
    assert beliefs[-1] == 0.0
    later = Start(record, points(record)[1])
    stand(later, environment, 0, LINE)
    assert Recorder(environment, 0, start=later).trajectory().prior == record.prior


def test_a_world_without_a_belief_has_none_before_the_first_step():
    assert Recorder(load("lookup"), 0).trajectory().prior is None


def test_a_known_solution_is_one_that_solves():
    # 4 hops in 6 turns, the answer among them: one busy answer may be, and here there are two
    environment = load("lookup/hard")
    found = [solve(environment, seed) for seed in range(8)]
    assert found[0] is None
    assert found[3] is None
    for seed, turns in enumerate(found):
        environment.reset(seed)
        replies = [environment.step(f"{turn}\n") for turn in turns or ()]
        assert not replies or replies[-1].score == 1


def test_every_family_becomes_one_batch():
    records = []
    for name in BUILT_IN:
        environment = load(name)
        for seed in range(3):
            turns = solve(environment, seed) or ()
            for trial, played in enumerate((turns, ("=?",))):
                recorder = Recorder(environment, seed, expert=turns)
                for turn in played:
                    recorder.act(f"{turn}\n")
                record = recorder.trajectory(trial=trial)
                assert decode(encode(record)) == record
                records.append(record)
    batch = Batch.of(records)
    assert len(batch.ids) == len(set(batch.ids)) == 30
    assert batch.n_groups == 15
    assert batch.outcome_K.tolist() == [1.0, 0.0] * 15
    assert (batch.expert_C == 1).all()  # only the experts made calls
    assert (batch.ran_C == 1).all()
    assert (batch.on_path_C >= 0).all()


def test_a_critique_names_the_first_mistake_and_what_was_right():
    environment = Lookup(hops=2)
    turns = solve(environment, 0) or ()
    assert critique(environment, 0, turns, LINE) is None
    wrong = (turns[0], ">smallest(Japan)", turns[1])
    assert critique(environment, 0, wrong, LINE) == f"not >smallest(Japan) but {turns[1]}"
    assert critique(environment, 0, (*turns[:-1], "=x ~9"), LINE) == f"not =x ~9 but {turns[-1]}"
    assert critique(environment, 0, ("",), LINE) == f"not silence but {turns[0]}"

"""An expert's steps as the policy would write them, gone on from by one turn and judged."""

from typing import Any

import pytest

from assay.errors import UsageError
from assay.records import ModelStep, ToolStep, decode, encode
from assay.rollout import Planned, Sampling, collect
from assay.rollout.experts import Instance, action, followed
from assay.rollout.protocols.line import Line
from assay.signal.origins import row_of
from assay.world import load
from tests.rollout.fakes import Characters, Guess, Scripted

LINE = Line(Characters())
SAMPLING = Sampling()


def expert() -> Any:
    return followed(load("lookup/even"), 3, LINE)


def gone_on(place: int, text: str, *, turns: int | None = 1) -> Any:
    env, instance = load("lookup/even"), Instance.of(expert(), place)
    attempt = Planned(environment=env, seed=3, start=instance.start, turns=turns)
    backend = Scripted([text])
    record = next(
        collect(backend, [attempt], sampling=SAMPLING, seed=(0,), clock=None, protocol=LINE)
    )
    return instance, record, instance.judged(record, LINE, env)


def test_the_expert_is_read_and_nothing_of_it_is_sampled() -> None:
    record = expert()
    turns = [step for step in record.steps if type(step) is ModelStep]
    assert record.outcome == 1.0
    assert len(turns) == 4  # three hops and the answer
    assert [call.name for step in turns for call in step.calls] == [
        call.name for call in record.expert or ()
    ]
    for step in turns:
        assert (step.untrainable, step.sampled, step.logprobs) == ("copied", (), None)
        assert step.token_ids == tuple(map(ord, step.text))
    answers = [step for step in record.steps if type(step) is ToolStep]
    assert all(step.token_ids == tuple(map(ord, step.text)) for step in answers)
    assert not any(row_of(record).sampled)
    assert decode(encode(record)) == record


def test_a_continuation_is_one_turn_and_the_world_s_answer() -> None:
    gold = [step for step in expert().steps if type(step) is ModelStep][1]
    _, record, judged = gone_on(1, f"{gold.text}>more(x)\n")
    assert judged.steps[:3] == expert().steps[:3]
    written, heard = judged.steps[3:]
    assert written.text == gold.text
    assert type(heard) is ToolStep
    assert (judged.outcome, judged.rewards, judged.grades) == (1.0, {"srl": 1.0}, ())
    assert (written.scores, written.reward) == ({"srl": 1.0, "srl_step": 1.0, "state": 0.5}, 1.0)
    assert record.ledger.tokens == len(gold.text)
    # what is trained on is the turn alone
    row = row_of(judged)
    assert sum(row.sampled) == len(gold.text)
    # without a bound the policy goes on
    _, longer, _ = gone_on(1, f"{gold.text}>more(x)\n", turns=None)
    assert len(longer.steps) > len(record.steps)


def test_a_turn_is_compared_by_what_it_does() -> None:
    gold = action(next(s for s in expert().steps if type(s) is ModelStep).text, LINE, Guess())
    assert gold is not None
    # the argument's name is the same; "0" is in no name
    name, _, rest = gold.partition("{")
    _, _, judged = gone_on(0, f"#a thought\n>{name}(0)\n")
    near = f'{name}{{"input":"0"}}'
    shared = len(name) + len('{"input":"') + len('"}')
    assert judged.outcome == pytest.approx(2 * shared / (len(near) + len(gold)))
    assert rest


@pytest.mark.parametrize("text", ["nonsense\n", ">open(\n", "#only a thought$", ">home(x)"])
def test_a_wrong_format_or_a_turn_cut_short_earns_minus_1(text: str) -> None:
    assert gone_on(0, text)[2].outcome == -1.0


def test_in_a_control_another_of_the_expert_s_steps_judges() -> None:
    gold = [step for step in expert().steps if type(step) is ModelStep]
    env, instance = load("lookup/even"), Instance.of(expert(), 1, 2)
    attempt = Planned(environment=env, seed=3, start=instance.start, turns=1)
    backend = Scripted([gold[2].text])
    made = collect(backend, [attempt], sampling=SAMPLING, seed=(0,), clock=None, protocol=LINE)
    judged = instance.judged(next(made), LINE, env)
    assert judged.outcome == 1.0
    # it was written where the second step belongs, and stands there
    assert judged.steps[:3] == expert().steps[:3]
    written = judged.steps[3]
    assert type(written) is ModelStep
    assert written.scores["srl_step"] == 1.0


def test_where_there_was_no_room_nobody_scores() -> None:
    env, instance = load("lookup/even"), Instance.of(expert(), 2)
    attempt = Planned(environment=env, seed=3, start=instance.start, turns=1)
    tight = Sampling(max_tokens=1)
    made = collect(Scripted(["=x\n"]), [attempt], sampling=tight, seed=(0,), protocol=LINE)
    judged = instance.judged(next(made), LINE, env)
    assert judged.outcome is None
    assert judged.rewards == {"srl": None}


def test_an_answer_is_compared_with_an_answer() -> None:
    record = expert()
    last = [step for step in record.steps if type(step) is ModelStep][-1]
    assert gone_on(3, last.text)[2].outcome == 1.0
    assert action(last.text, LINE, Guess()) == last.text.strip()


def test_a_world_without_an_expert_is_refused() -> None:
    with pytest.raises(UsageError, match="environment guess: no expert of task 3, so there is"):
        followed(Guess(), 3, LINE)


def test_what_is_read_is_told_all_that_was_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    read_ids = Line.read_ids

    def noted(self: Line, read: Any, environment: Any, *, before: Any, turn: Any) -> Any:
        told.append("".join(map(chr, before)))
        return read_ids(self, read, environment, before=before, turn=turn)

    monkeypatch.setattr(Line, "read_ids", noted)
    steps = expert().steps
    assert told == ["".join(step.text for step in steps[:at]) for at in (1, 3, 5)]

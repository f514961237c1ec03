"""The recorded set: made again byte for byte, and the audit finds what was planted in it."""

import json
import math
import random
from dataclasses import replace

import pytest
from tools.agent import Utterance, draw, log_probabilities
from tools.record import PLANTED, Recorded, main, play, trajectory
from tools.shop import Shop, scores
from tools.tasks import TASKS, Move, Task, compact

from assay.audit import audit
from assay.batch import Batch
from assay.credit import credit, method
from assay.demo import RECORDED
from assay.gate import gate
from assay.records import read

FAULTS = json.loads(PLANTED.read_bytes())["faults"]


def audited(records):
    batch = Batch.of(records)
    decisions = gate(batch)
    gated = batch.gated(decisions)
    return audit(gated, decisions, {"grpo": credit(gated, method("grpo"))})


@pytest.fixture(scope="module")
def of_the_set():
    return audited(read(RECORDED))


def test_it_is_made_again_byte_for_byte(tmp_path):
    main(tmp_path)
    assert (tmp_path / RECORDED.name).read_bytes() == RECORDED.read_bytes()
    assert (tmp_path / PLANTED.name).read_bytes() == PLANTED.read_bytes()


def test_it_is_small_enough_to_ship():
    assert RECORDED.stat().st_size < 300_000


@pytest.mark.parametrize("fault", FAULTS, ids=[fault["audit"] for fault in FAULTS])
def test_the_audit_finds_what_was_planted(fault, of_the_set):
    found = of_the_set
    for key in fault["audit"].split("."):
        found = found.get(key, 0)  # counts by reason leave out reasons that never occur
    assert found == fault["count"], fault["where"]


def test_what_was_planted_is_not_nothing():
    absent = {fault["audit"] for fault in FAULTS if fault["count"] == 0}
    assert absent == {"groups.single"}


def test_the_audit_warns_of_each_thing_that_makes_numbers_doubtful(of_the_set):
    warned = " | ".join(of_the_set["trust"]["warnings"])
    for word in ("infrastructure", "no outcome", "say they are done", "repeat", "re-tokenised"):
        assert word in warned


def clean_set():
    """Agents that only stumble over syntax and say when they give up; nothing is planted.

    Tasks whose plan the policy never carries out are left out.
    """

    def honest(task: Task) -> Task:
        plan = tuple(replace(move, right=0.55, slips=()) for move in task.plan)
        return replace(task, plan=plan, budget=24, candour=0.6, checked=True)

    able = [honest(t) for t in TASKS if all(m.right > 0 for m in t.plan)]
    for task in able:
        for trial in range(8):
            shop = Shop()
            attempt = play(task, random.Random(f"clean 0 {task.id} {trial}"), shop)
            yield Recorded(trajectory(task, trial, attempt, shop), attempt)


def test_no_false_alarm_on_a_clean_set():
    lines = list(clean_set())
    result = audited(line.record for line in lines)
    assert result["trajectories"]["total"] == len(lines) == 8 * 8
    assert result["trust"]["warnings"] == []
    assert result["trust"]["dropped"] == {}
    groups = result["groups"]
    assert groups["mixed"] == groups["total"] == 8
    assert groups["dead"] == groups["components_cancel"] == 0
    assert result["trajectories"]["by_end"]["answered"] == len(lines)
    assert result["claims"]["claimed_failed"] == 0
    fates = {kind for kind, row in result["fate"].items() if row["tokens"]}
    assert fates == {"trained_up", "trained_down", "punished_correct"}


def expert_calls(task: Task) -> list[Move]:
    return [move for move in task.plan if move.needed]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)
def test_the_expert_reaches_every_goal_and_a_bystander_none(task):
    shop = Shop()
    for move in expert_calls(task):
        answer = shop.call(move.tool, compact(move.arguments))
        assert not answer.startswith("Error"), (move, answer)
    assert set(scores(shop, task.goals).values()) == {1.0}
    assert set(scores(Shop(), task.goals).values()) == {0.0}


def test_a_goal_reached_by_touching_something_else_is_not_reached():
    goals = {"gone": {("orders", 11): (1, 1, 1, "cancelled"), ("products", 1): None}}
    shop = Shop()
    shop.call("cancel_order", '{"order":11}')
    assert scores(shop, goals) == {"gone": 1.0}
    shop.call("cancel_order", '{"order":12}')
    assert scores(shop, goals) == {"gone": 0.0}


def test_the_desk_keeps_its_books():
    # 8 lamps in stock, 1 in order 11: two more leave 6, cancelling order 11 (then of 3) gives 9
    shop = Shop()
    assert shop.call("change_count", '{"order":11,"count":3}') == '{"order":11,"count":3}'
    assert shop.rows()["products", 1] == ("desk lamp", 6)
    shop.call("cancel_order", '{"order":11}')
    assert shop.rows()["products", 1] == ("desk lamp", 9)
    assert shop.rows()["orders", 11] == (1, 1, 3, "cancelled")


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("cancel_order", "{order:11}", "Error: arguments are not JSON"),
        ("cancel_order", '{"order":99}', "Error: no order 99"),
        ("cancel_order", '{"order":"11"}', "Error: cancel_order takes order: int"),
        ("cancel_order", '{"order":true}', "Error: cancel_order takes order: int"),
        ("cancel_order", "[11]", "Error: cancel_order takes order: int"),
        ("cancel_order", '{"order":13}', "Error: order 13 is shipped"),
        ("open_return", '{"order":11}', "Error: order 11 is open"),
        ("place_order", '{"customer":1,"product":5,"count":2}', "Error: only 1 in stock"),
        ("place_order", '{"customer":9,"product":5,"count":1}', "Error: no customer 9"),
        ("drop_table", "{}", "Error: no tool drop_table"),
    ],
)
def test_a_refusal_says_why_and_changes_nothing(tool, arguments, says):
    shop = Shop()
    assert shop.call(tool, arguments) == says
    assert shop.rows() == Shop().rows()


def test_log_probabilities_of_bytes_are_those_of_the_utterances():
    # Weights 2, 1, 1 on "ab", "ac", "b": p(a) = 3/4, p(b | a) = 2/3, p(c | a) = 1/3, p(b) = 1/4.
    options = [
        Utterance(2.0, "right", "ab"),
        Utterance(1.0, "slip", "ac"),
        Utterance(1.0, "admit", "b"),
    ]
    expected = {"ab": [3 / 4, 2 / 3], "ac": [3 / 4, 1 / 3], "b": [1 / 4]}
    for option in options:
        got = log_probabilities(options, option)
        assert got == pytest.approx([math.log(p) for p in expected[option.text]], abs=5e-5)


def test_draws_have_the_frequencies_of_their_weights():
    # 4,000 draws at p = 1/4: standard deviation sqrt(4000 * 3/16) = 27.4; five of them is 137
    options = [Utterance(3.0, "right", "yes"), Utterance(1.0, "slip", "no")]
    rng = random.Random(0)
    drawn = sum(draw(options, rng).text == "no" for _ in range(4000))
    assert abs(drawn - 1000) < 137


def test_tokens_are_the_bytes_of_what_was_written():
    for record in read(RECORDED):
        for step in record.steps:
            assert bytes(step.token_ids) == step.text.encode()

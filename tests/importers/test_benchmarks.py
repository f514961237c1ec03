"""tau-bench, tau2-bench, InterCode and Who&When: logs written by hand, values by hand."""

import json
from pathlib import Path

from assay.importers import Losses, load
from assay.records import (
    Call,
    ExpertCall,
    Grade,
    Mark,
    ModelStep,
    Span,
    SystemStep,
    ToolStep,
    Trajectory,
    UserStep,
)

FIXTURES = Path(__file__).parent.parent / "fixtures"


def read(path: Path, format: str) -> tuple[list[Trajectory], dict[str, int]]:
    losses = Losses()
    name, trajectories = load(path, losses=losses)
    assert name == format
    return list(trajectories), losses.counts


def test_tau_bench_pairs_by_position_where_ids_repeat():
    (first, _, _), _ = read(FIXTURES / "tau_bench/three_rows.json", "tau_bench")
    # Both calls carry the id "same"; each result answers the call just before it.
    assert [s.call for s in first.steps if isinstance(s, ToolStep)] == [(2, 0), (4, 0)]
    assert [c.arguments for s in first.steps if isinstance(s, ModelStep) for c in s.calls] == [
        '{"order":"A1"}',
        '{"order":"A1"}',
    ]


def test_tau_bench_step_limit_is_scored_and_a_crash_is_not():
    (done, cut, crashed), losses = read(FIXTURES / "tau_bench/three_rows.json", "tau_bench")
    assert (done.id, done.end, done.outcome) == ("7/0", "answered", 1.0)
    assert (cut.id, cut.end, cut.outcome) == ("7/1", "budget", 0.0)
    assert (crashed.id, crashed.end, crashed.outcome) == ("7/2", "infra", None)
    assert {t.group for t in (done, cut, crashed)} == {"7"}
    assert done.expert == (ExpertCall(name="cancel_order", arguments='{"order": "A1"}'),)
    assert done.rewards == {"r_actions": 1.0}
    assert done.grades == (Grade(level="E3", value=1.0, source="tau-bench database"),)
    assert cut.grades == ()
    # `source` twice (the crash has none), one cost that is not null, one hash, one dropped score.
    assert losses == {
        "info:source": 2,
        "info:user_cost": 1,
        "reward_info:gt_data_hash": 1,
        "score_of_infra_failure": 1,
    }


def test_tau2_bench_keeps_the_users_calls_apart():
    (first, _), losses = read(FIXTURES / "tau2_bench/results.json", "tau2_bench")
    calls = [c for s in first.steps if isinstance(s, ModelStep) for c in s.calls]
    assert [(c.name, json.loads(c.arguments)) for c in calls] == [
        ("get_line", {"line": "L1"}),
        ("enable_roaming", {"line": "L2"}),
    ]
    # The bundle answers k2 before k1; both ids are unique in their turn. The user's own result
    # answers no call of the agent's.
    results = [s for s in first.steps if isinstance(s, ToolStep)]
    assert [(s.text, s.call, s.error) for s in results] == [
        ("no such line", (1, 1), True),
        ("L1 ok", (1, 0), False),
        ("airplane mode off", None, False),
    ]
    assert losses["user_side_call"] == 1
    assert losses["user_side_action"] == 1


def test_tau2_bench_scores_checks_and_marks():
    (first, second), losses = read(FIXTURES / "tau2_bench/results.json", "tau2_bench")
    assert first.outcome == 0.0
    assert first.rewards == {"DB": 1.0, "ENV_ASSERTION": 0.0}
    assert [(g.level, g.source, g.value) for g in first.grades] == [
        ("E3", "db_check", 1.0),
        ("E3", "env_assertions", 0.0),
        ("E1", "nl_assertions", 1.0),
    ]
    assert first.expert == (ExpertCall(name="enable_roaming", arguments='{"line": "L1"}'),)
    # Turn 1 is the second message, step 1; turn 3 is the user's, after two results: step 4.
    assert [(m.kind, m.step) for m in first.marks] == [("review", 1), ("user_error", 4)]
    assert first.policy_version == "model-a"
    assert (second.end, second.outcome, second.steps) == ("infra", None, ())
    assert losses["score_of_infra_failure"] == 1


def test_tau2_bench_reads_simulations_from_the_folder_beside(tmp_path: Path):
    whole = json.loads((FIXTURES / "tau2_bench/results.json").read_text())
    runs = whole.pop("simulations")
    whole["simulation_index"] = [{"id": run["id"]} for run in runs]
    (tmp_path / "simulations").mkdir()
    (tmp_path / "results.json").write_text(json.dumps(whole))
    for run in runs:
        (tmp_path / "simulations" / f"{run['id']}.json").write_text(json.dumps(run))
    inside, _ = read(FIXTURES / "tau2_bench/results.json", "tau2_bench")
    (tmp_path / "notes.txt").write_text("airline, second run")
    beside, losses = read(tmp_path, "tau2_bench")
    assert [(t.id, t.steps, t.outcome) for t in beside] == [
        (t.id, t.steps, t.outcome) for t in inside
    ]
    assert losses["not_a_log"] == 1  # the notes, not the simulations


def test_intercode_turns_are_steps_with_rewards():
    found, losses = read(FIXTURES / "intercode/models", "intercode")
    assert [(t.id, t.group, t.trial, t.outcome, t.end) for t in found] == [
        ("4/0", "4", 0, 1.0, "answered"),  # solved in 2 of 3 turns
        ("5/0", "5", 0, 0.4, "budget"),  # 3 of 3 turns, best reward 0.4
        ("4/1", "4", 1, 0.0, "answered"),  # gave up after 1 of 3
    ]
    assert [t.policy_version for t in found] == ["model-a", "model-a", "model-b"]
    assert found[0].steps == (
        UserStep(text="How many ships are there?"),
        ModelStep(
            calls=(Call(name="sql", arguments='{"command": "SELECT n FROM ship"}'),), reward=0.0
        ),
        ToolStep(
            text="Error executing query: Unknown column 'n'", name="sql", call=(1, 0), error=True
        ),
        ModelStep(
            calls=(Call(name="sql", arguments='{"command": "SELECT COUNT(*) FROM ship"}'),),
            reward=1.0,
        ),
        ToolStep(text="[(3,)]", name="sql", call=(3, 0), error=False),
    )
    # The third action of task 5 was blocked: a reward, but no observation. The summary of model-b
    # says 0.5 where the only turn paid 0.
    assert losses == {"not_a_log": 1, "action_without_observation": 1, "max_reward_differs": 1}


def test_intercode_keeps_equal_ids_of_different_data_sets_apart(tmp_path: Path):
    text = (FIXTURES / "intercode/models/ic_sql_multiturn_model-b_3_turns.json").read_text()
    (tmp_path / "a.json").write_text(text)
    (tmp_path / "b.json").write_text(text.replace("spider/dev_spider", "nl2bash/fs_1"))
    found, _ = read(tmp_path, "intercode")
    assert [t.group for t in found] == ["4", "./data/nl2bash/fs_1.json#4"]


def test_who_and_when_marks_the_step_and_names_the_agents():
    (made, hand), losses = read(FIXTURES / "who_and_when/conversations", "who_and_when")
    # Two system prompts stand before the messages, so message 2 is step 4.
    assert made.marks == (
        Mark(kind="mistake", step=4, text="It did not check the count.", source="Who&When"),
    )
    assert made.steps == (
        SystemStep(text="# Astronomy_Expert\nYou know the planets."),
        SystemStep(text="# Checking_Expert\nYou check."),
        ModelStep(text="# General Task\nHow many moons has Mars?", agent="Astronomy_Expert"),
        ToolStep(text="exitcode: 0\nCode output: 3", name="Computer_terminal"),
        ModelStep(text="Three. TERMINATE", agent="Checking_Expert"),
    )
    assert hand.steps == (
        UserStep(text="How many moons has Mars?\n"),
        ModelStep(
            text="Initial plan: search.",
            agent="Orchestrator",
            spans=(Span(role="think", start=0, end=21),),
        ),
        ModelStep(text="Please search for the moons of Mars.", agent="Orchestrator"),
        ModelStep(text="I typed 'moons of Mars'. One.", agent="WebSurfer"),
        ToolStep(text="Max rounds (30) reached.", name="Orchestrator (termination condition)"),
    )
    assert (made.end, hand.end) == ("unknown", "budget")
    assert [(t.id, t.group, t.outcome, t.reference) for t in (made, hand)] == [
        ("q-1/0", "q-1", 0.0, "2"),
        ("q-1/1", "q-1", 0.0, "2"),
    ]
    # The label of the second names the Orchestrator, but message 3 is WebSurfer's.
    assert losses == {"not_a_log": 1, "addressee": 1, "labelled_agent_differs": 1}

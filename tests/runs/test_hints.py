"""Runs with hints: measured before they act, left off where they do not help, paid for."""

import json
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra assay[train]")

from assay.errors import UsageError
from assay.feedback import turns
from assay.kernels.uplift import Measured, Uplift
from assay.records import Trajectory, read
from assay.runs import hints
from assay.runs.config import parsed
from assay.runs.ledger import check
from assay.verify.leaks import leaks
from tests.judges import server
from tests.runs import tiny
from tests.runs.conftest import Assay
from tests.runs.tiny import rows

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
WORLD = {
    "env__name": "tests.runs.tiny:Twice",
    "train__max_tokens": 24,
    "train__max_length": 160,
    "recipe__method": "grpo",
    "hints__source": "env",
    "hints__pairs": 6,
    "hints__leaks": "keep",  # the world answers with the answer
}


def started(policy: Path, out: Path, **more: Any) -> Path:
    from assay.runs.start import start

    return start(parsed(tiny.settings(policy, **{**WORLD, **more})), out, seed=5).path


def records(run: Path, step: int) -> list[Trajectory]:
    return list(read(run / "rollouts" / f"step_{step:06d}.jsonl"))


def hinted(run: Path, step: int) -> list[int]:
    """How many turns of each record have hints."""
    return [sum(bool(turn.step.hints) for turn in turns(each)) for each in records(run, step)]


@pytest.fixture(scope="module")
def refused(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return started(policy, tmp_path_factory.mktemp("runs") / "refused", hints__every=2)


def test_a_source_that_does_not_help_is_measured_and_left_out(refused: Path) -> None:
    first, second = rows(refused / "ledger.jsonl")[:2]
    assert first["thrown"]["trajectories"] == 12  # six pairs
    assert "thrown" not in second  # measured every other batch
    assert first["hints"]["pairs"] == 6
    assert not first["hints"]["admitted"]
    assert (first["hints"]["measured"], second["hints"]["batches"]) == (1, 2)
    assert sum(hinted(refused, 1)) == sum(hinted(refused, 2)) == 0
    seen = rows(refused / "metrics.jsonl")[0]
    assert (seen["hints/pairs"], seen["hints/admitted"]) == (6, 0.0)
    assert seen["hints/uplift"] == first["hints"]["uplift"]
    assert any("hints: env: not admitted: " in event for event in seen["events"])


def test_replays_are_paid_for(refused: Path) -> None:
    whole = rows(refused / "ledger.jsonl")
    kept = sum(each.ledger.tokens or 0 for each in records(refused, 1))
    assert whole[0]["tokens"] == kept + whole[0]["thrown"]["tokens"]
    assert check(whole) == whole[-1]["total"]
    seen = rows(refused / "metrics.jsonl")[-1]
    assert seen["tokens_generated"] == whole[-1]["total"]["tokens"]


def test_it_is_resumed_to_the_byte(refused: Path, policy: Path, tmp_path: Path) -> None:
    found = tiny.resumed(lambda out: started(policy, out, hints__every=2), tmp_path / "run")
    for name in ("ledger.jsonl", "metrics.jsonl", "rollouts/step_000002.jsonl"):
        assert (found / name).read_bytes() == (refused / name).read_bytes()


def test_a_source_that_helps_is_listened_to_until_it_does_not(
    policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Admitted by the first measurement, turned off by the second, of one that harms."""
    seen = chain([Measured(Uplift(20, 2, 20))], repeat(Measured(Uplift(0, 20, 20))))
    true = hints.replayed

    def replayed(*args: Any, **kwargs: Any) -> hints.Replays:
        return hints.Replays(next(seen), true(*args, **kwargs).played)

    monkeypatch.setattr(hints, "replayed", replayed)
    run = started(policy, tmp_path / "run", hints__every=1)
    assert [each["hints"]["admitted"] for each in rows(run / "ledger.jsonl")[:2]] == [True, False]
    failures = [each.outcome == 0.0 for each in records(run, 1)]
    assert [bool(n) for n in hinted(run, 1)] == failures
    assert sum(hinted(run, 2)) == 0
    assert [each["hints/admitted"] for each in rows(run / "metrics.jsonl")[:2]] == [1.0, 0.0]


def test_without_admission_nothing_is_replayed(policy: Path, tmp_path: Path) -> None:
    run = started(policy, tmp_path / "run", hints__admit=False, hints__of="all")
    assert all("thrown" not in each for each in rows(run / "ledger.jsonl"))
    answered = [sum(bool(t.heard) for t in turns(each)) for each in records(run, 1)]
    assert hinted(run, 1) == answered
    assert sum(answered)


def test_hints_that_name_the_answer_are_left_out_and_counted(policy: Path, tmp_path: Path) -> None:
    options = {"hints__admit": False, "hints__of": "all", "hints__leaks": "drop"}
    run = started(policy, tmp_path / "run", **options)
    heard = [(each, turn) for each in records(run, 1) for turn in turns(each) if turn.heard]
    named = sum(leaks(turn.heard, each) for each, turn in heard)
    assert rows(run / "metrics.jsonl")[0]["hints/leaked"] == named > 0
    assert sum(hinted(run, 1)) == len(heard) - named


def test_with_an_unfit_judge_training_goes_on_and_the_run_says_so(
    policy: Path, tmp_path: Path
) -> None:
    with server.serving(server.prosaic) as url:
        run = started(
            policy, tmp_path / "run", hints__source="judge", hints__url=url, hints__votes=1,
            hints__admit=False,
        )  # fmt: skip
    events = rows(run / "metrics.jsonl")[0]["events"]
    assert any("48 probes, 48 without a verdict (votes lost: prose 48)" in e for e in events)
    assert any(event.startswith("judge: unfit: too few verdicts") for event in events)
    scores = [t.step.scores for each in records(run, 1) for t in turns(each) if t.heard]
    lost = [s["next_state:judge"] for s in scores if "next_state:judge" in s]
    assert lost
    assert {*lost} == {None}
    assert sum(hinted(run, 1)) == 0


def test_several_processes_are_refused() -> None:
    hints.alone(1)
    with pytest.raises(UsageError, match="got 2 processes; expected one"):
        hints.alone(2)


def test_feedback_sets_the_section(assay: Assay, tmp_path: Path) -> None:
    def printed(*more: object) -> dict[str, Any]:
        import tomllib

        said = assay("train", "grpo", *more, "--print-config")
        assert said.code == 0, said.err
        return tomllib.loads(said.out)["hints"]

    assert printed()["source"] == "none"
    assert printed("--feedback", "env")["source"] == "env"
    judge = printed("--feedback", "http://x/v1", "--set", "hints.votes=5")
    assert (judge["source"], judge["url"], judge["votes"]) == ("judge", "http://x/v1", 5)
    path = tmp_path / "hints.jsonl"
    path.write_text('{"text": "h"}')
    assert printed("--feedback", path)["path"] == str(path)
    assert assay("train", "grpo", "--feedback", "nobody", "--print-config").code == 2
    assert assay("train", "--resume", tmp_path, "--feedback", "env").code == 2


def test_the_verb_measures_a_source_on_a_run_and_on_a_recipe(
    assay: Assay, refused: Path, policy: Path, tmp_path: Path
) -> None:
    said = assay("hints", "test", "env", refused, "--pairs", 16, "--json", tmp_path / "f.json")
    assert said.code == 0, said.err
    found = json.loads((tmp_path / "f.json").read_bytes())
    assert (found["schema"], found["source"], found["pairs"]) == ("assay.hints-test/1", "env", 16)
    assert not found["admitted"]
    assert f"{found['failed']} of 32 trajectories failed" in said.out
    assert "env: not admitted: " in said.out
    refusal = assay("hints", "test", "env", refused, "--env", "lookup/even")
    assert refusal.code == 2
    assert "expected hints.KEY alone" in refusal.err
    lines = tmp_path / "hints.jsonl"
    lines.write_text('{"text": "h", "heard": "no such words"}')
    more = ("--model", policy, "--env", "tests.runs.tiny:Twice", "--set", "train.max_tokens=24")
    none = assay("hints", "test", lines, "grpo", *more, "--pairs", 16)
    assert none.code == 0, none.err
    assert "file: not admitted: there were no hints" in none.out

"""From served turns to another policy: which rows there are, which way they push, what is refused,
and what is on disk. The shipped policy learns; the simulated user talks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from assay.errors import AlignmentError, DataError, UsageError
from assay.live.learning import Learner, Learning, agrees, bare, kept_rows, rows_of
from assay.live.publisher import STOP, Publisher, serving
from assay.live.rehearsal import Rehearsal
from assay.live.resolver import Resolver, by_rule
from assay.live.selection import Rules
from assay.live.simulated import HELD_OUT, request, served, session_of, understood
from assay.live.store import Store
from assay.live.suites import SUITES
from assay.live.training import Training, opened
from assay.policy.averaging import Average
from assay.policy.loading import load
from assay.policy.scoring import Asked, plain, score
from assay.records import Hint, ModelStep, Trajectory, UserStep
from assay.records.live import Consented, TurnLabel
from assay.rollout.protocols.line import Line
from assay.signal.losses import TopK


@pytest.fixture
def policy() -> tuple[Any, Any]:
    return load()


def turn(tokenizer: Any, model: Any, *, label: float | None, hint: str = "") -> Trajectory:
    """A turn that the policy would write itself, with its own log-probs."""
    (answer,) = served(model, tokenizer, [request(0)], (0,))
    hints = (Hint(text=hint, source="user"),) if hint else ()
    scores: dict[str, float | None] = {} if label is None else {"next_state": label}
    return Trajectory(
        id="s/0",
        task="t",
        group="s",
        session="s",
        steps=(
            UserStep(text=request(0).text, token_ids=answer.prompt_ids),
            ModelStep(
                text=answer.text,
                token_ids=answer.ids,
                logprobs=answer.logprobs,
                hints=hints,
                scores=scores,
            ),
            UserStep(text="no", token_ids=()),
        ),
    )


def kinds(policy: Any, signal: Any, statistics: Any = None, **said: Any) -> Any:
    model, tokenizer = policy
    records = [bare(turn(tokenizer, model, **said))]
    base = Average(model, 1.0)
    made, after = rows_of(
        records,
        model,
        tokenizer,
        lambda: base.worn(model),
        Learning(signal=signal),
        statistics or {},
    )
    return [(row.losses[0].kind, sorted({*row.losses[0].weight_N.tolist()})) for row in made], after


def test_which_rows_there_are(policy: Any) -> None:
    """A label of -1 with no mean yet is an advantage of -1 on every sampled token; a hint is heard
    beside it, with weight 5, but for the token that ends the turn."""
    said = {"label": -1.0, "hint": "I meant currency"}
    both, after = kinds(policy, "combined", **said)
    assert both == [("rl", [-1.0]), ("topk_kl", [0.0, 5.0])]
    assert after["next state mean: votes/text"] == pytest.approx(-0.1)  # .9 x 0 + .1 x -1
    assert kinds(policy, "binary", **said)[0] == [("rl", [-1.0])]
    assert kinds(policy, "hints", **said)[0] == [("topk_kl", [0.0, 5.0])]
    mean = {"next state mean: votes/text": -0.5}
    assert kinds(policy, "binary", mean, **said)[0] == [("rl", [-0.5])]


def test_a_hint_on_a_turn_that_pleased_or_that_nobody_knows_is_not_heard(policy: Any) -> None:
    hint = "I meant currency"
    assert kinds(policy, "combined", label=1.0, hint=hint)[0] == [("rl", [1.0])]
    assert kinds(policy, "combined", label=None, hint=hint)[0] == []
    assert kinds(policy, "hints", label=None, hint=hint)[0] == [("topk_kl", [0.0, 5.0])]


def test_agreement_is_the_label_s(policy: Any) -> None:
    model, tokenizer = policy
    found = [agrees(turn(tokenizer, model, label=each)) for each in (-1.0, 1.0, None)]
    assert found == [True, False, False]


@pytest.mark.parametrize("label", [1.0, -1.0])
def test_an_update_goes_the_label_s_way(policy: Any, label: float) -> None:
    model, tokenizer = policy
    record = turn(tokenizer, model, label=label)
    learner = Learner(model, tokenizer, Learning(signal="binary", learning_rate=1e-4))
    ids = record.steps[0].token_ids, record.steps[1].token_ids

    def likely() -> float:
        given, own = ids
        assert given is not None
        assert own is not None
        return sum(score(model, [given], [Asked(0, len(given), (), tuple(own))])[0])

    before = likely()
    learner.update([record], {})
    assert (likely() - before) * label > 0


def test_what_is_kept_stays_likely() -> None:
    """Two updates on a turn that displeased, with and without the turn itself among what is kept:
    with it the turn is likelier after them. At the first nothing has moved, and it does nothing."""
    ends, firsts = list[float](), list[float]()
    for many in (0, 1):
        model, tokenizer = load()
        record = turn(tokenizer, model, label=-1.0)
        kept = [bare(record)] * many
        learner = Learner(model, tokenizer, Learning(learning_rate=1e-4), kept=kept)
        losses = learner.update([record], {}), learner.update([record], {}, own=lambda _: False)
        assert losses[0].facts["kept"] == many
        firsts.append(losses[0].facts["loss_1"])
        found = bare(record)
        given, own = found.steps[0].token_ids, found.steps[1].token_ids
        assert given is not None
        assert own is not None
        ends.append(sum(score(model, [given], [Asked(0, len(given), (), tuple(own))])[0]))
    assert ends[1] > ends[0]
    assert firsts[1] == pytest.approx(firsts[0], abs=1e-5)


def test_what_is_kept_weighs_as_it_is_told(policy: Any) -> None:
    model, tokenizer = policy
    (row,) = kept_rows([bare(turn(tokenizer, model, label=1.0))], model, Learning(keep=3.0, k=4))
    (term,) = row.losses
    assert {*term.weight_N.tolist()} == {3.0}
    assert isinstance(term.target, TopK)
    assert term.target.token_NV.shape == (len(row.completion_ids), 4)


def test_log_probs_of_another_policy_are_refused(policy: Any) -> None:
    model, tokenizer = policy
    record = turn(tokenizer, model, label=1.0)
    step = record.steps[1]
    assert type(step) is ModelStep
    wrong = structs.replace(
        step, logprobs=tuple((each or 0.0) - 0.2 for each in step.logprobs or ())
    )
    other = structs.replace(record, steps=(record.steps[0], wrong))
    learner = Learner(model, tokenizer, Learning())
    with pytest.raises(AlignmentError, match="the policy gave, when it sampled"):
        learner.update([other], {})
    assert learner.update([other], {}, own=lambda _: False).facts["rows"] == 1.0


def test_nothing_to_learn_is_said(policy: Any) -> None:
    model, tokenizer = policy
    with pytest.raises(DataError, match="of 1 turns none has a label"):
        Learner(model, tokenizer, Learning()).update([turn(tokenizer, model, label=None)], {})


def talk(store: Store, model: Any, tokenizer: Any, count: int = 32, first: int = 0) -> None:
    """Sessions of the simulated user, and what becomes of them."""
    asked = [request(first + n) for n in range(count)]
    answers = served(model, tokenizer, asked, (first,))
    now = serving(store)
    version = now.name if now else "start"
    for n, (each, answer) in enumerate(zip(asked, answers, strict=True)):
        name, user = f"s{first + n}", f"u{n % 4}"
        store.append(
            *session_of(each, answer, name=name, user=user, version=version, at=float(first + n))
        ).result(timeout=30)
    Resolver(store, by_rule(), clock=lambda: 1e6).step()


def training(store: Store, **learning: Any) -> Training:
    return Training(store, learning=Learning(**learning), rules=Rules(), clock=lambda: 1e6)


def test_a_version_is_made_published_and_learnt_on_from(
    store: Store, policy: Any, tmp_path: Path
) -> None:
    model, tokenizer = policy
    talk(store, model, tokenizer)
    made = training(store).run(tmp_path / "run")
    assert (made.name, made.state, made.parent) == ("pol-000001", "made", "start")
    assert len(made.sessions) == 32
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (about["kind"], about["turns"], about["share"]) == ("live", 32, 0.25)
    with pytest.raises(DataError, match="left out: trained already 32"):
        training(store).run(tmp_path / "again")
    fine = [True] * 100
    publisher = Publisher(store, lambda: 1e6)
    publisher.publish(publisher.candidate(None), SUITES, lambda _: fine, lambda _: fine)
    other, _ = opened(made.path, "start")
    held = [request(HELD_OUT + n) for n in range(32)]
    before, after = (understood(m, tokenizer, held).mean() for m in (model, other))
    assert after > before + 0.02
    talk(store, other, tokenizer, first=32)
    second = training(store).run(tmp_path / "second")
    assert (second.name, second.parent) == ("pol-000002", "pol-000001")
    mean = json.loads((Path(second.path) / "live.json").read_text())["statistics"]
    assert mean["next state mean: votes/text"] < -0.3  # it went on from the first one's


def test_the_same_again_is_not_made_again(store: Store, policy: Any, tmp_path: Path) -> None:
    model, tokenizer = policy
    talk(store, model, tokenizer)
    training(store).run(tmp_path / "run")
    none, fine = [False] * 100, [True] * 100
    publisher = Publisher(store, lambda: 1e6)
    publisher.publish(publisher.candidate(None), SUITES[:1], lambda _: fine, lambda _: none)
    with pytest.raises(UsageError) as refused:
        training(store).run(tmp_path / "again")
    told = str(refused.value)
    assert told.startswith(
        "live: pol-000001, made of the same 32 turns with the same settings, was"
    )
    assert "refused (suites that fail: tasks; train with --keep LOG" in told
    assert "nothing was trained" in told
    assert not (tmp_path / "again").exists()
    assert {(each.progress, each.tries) for each in store.turns()} == {("resolved", 1)}
    first = store.turns()[0].turn
    label = TurnLabel(session=first.session, at=1e6, turn=first.id, value=1.0, evidence="E4")
    store.append(label, durable=True).result(timeout=30)  # somebody says otherwise
    made = training(store).run(tmp_path / "other")
    assert made.name == "pol-000002"
    publisher.publish(made, SUITES[:1], lambda _: fine, lambda _: fine)
    publisher.rollback()
    assert {each.progress for each in store.turns()} == {"excluded"}


def test_a_session_that_is_forgotten_leaves_no_byte(
    store: Store, policy: Any, tmp_path: Path
) -> None:
    model, tokenizer = policy
    talk(store, model, tokenizer)
    text = request(5).text
    made = training(store).run(tmp_path / "run")
    home = store.path.parent

    def holding() -> list[str]:
        files = [*home.rglob("*"), *(tmp_path / "run").rglob("*")]
        return [
            each.name for each in files if each.is_file() and text.encode() in each.read_bytes()
        ]

    assert "turns.jsonl" in holding()
    forgot = store.forget("s5", at=2e6)
    assert (forgot.failed, forgot.versions) == ([], [made.name])
    assert holding() == []
    lines = (tmp_path / "run" / "turns.jsonl").read_text().splitlines()
    assert len(lines) == 31
    names = b"".join(p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file())
    assert b'"s5"' not in names


def test_consent_taken_back_and_stop_are_heeded(store: Store, policy: Any, tmp_path: Path) -> None:
    model, tokenizer = policy
    talk(store, model, tokenizer)
    (store.path.parent / STOP).write_text("")
    with pytest.raises(UsageError, match="stops training and publishing; remove it"):
        training(store).run(tmp_path / "run")
    (store.path.parent / STOP).unlink()
    back = Consented(session="s1", at=50.0, consent="record")
    store.append(back, durable=True).result(timeout=30)
    with pytest.raises(DataError, match=r"left out: .*no consent 1"):
        training(store).run(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert store.versions() == {}
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(UsageError, match="exists already"):
        training(store).run(tmp_path / "full")


def test_adapters(store: Store, policy: Any, tmp_path: Path) -> None:
    model, tokenizer = policy
    talk(store, model, tokenizer)
    made = training(store, lora=4).run(tmp_path / "run")
    assert (Path(made.path) / "adapter_model.safetensors").is_file()
    again, _ = opened(made.path, "start")
    trained = sum(p.numel() for p in again.parameters() if p.requires_grad)
    assert 0 < trained < sum(p.numel() for p in model.parameters()) / 4
    changed = [p.abs().max().item() for n, p in again.named_parameters() if "lora_B" in n]
    assert max(changed) > 0


def test_a_rehearsal_is_the_same_again_and_learns(store: Store, tmp_path: Path) -> None:
    found = []
    for name in ("a", "b"):
        with Store.open(tmp_path / name) as own:
            rehearsal = Rehearsal(own, *load(), Learning(), seed=3, held_out=16)
            before = rehearsal.measured()
            rounds = [*rehearsal.rounds(2)]
            turns = [(each.turn.id, bytes(each.completion_ids or b"")) for each in own.turns()]
            found.append((before, rounds, turns))
    assert found[0] == found[1]
    before, rounds, _ = found[0]
    assert rounds[-1].understood > before + 0.05
    assert [each.facts["turns"] for each in rounds] == [32, 32]


def test_what_the_user_says_is_plain_and_a_function_of_his_request() -> None:
    asked = [request(n) for n in range(200)]
    said = [each.reply(f">{each.meant}(Kenya)\n") for each in asked]
    assert {*said} == {"thanks, that is it"}
    wrong = [each.reply(">home(Kenya)\n") for each in asked]
    more = [text for text in wrong if text.startswith("no, I meant ")]
    mean = [text == f"no, I meant {each.meant}" for text, each in zip(wrong, asked, strict=True)]
    assert 0.4 < len(more) / 200 < 0.6
    assert 0.8 < sum(mean) / len(more) < 1.0
    assert wrong == [each.reply(">home(Kenya)\n") for each in asked]
    assert {each.meant for each in asked} == {"capital", "currency", "language", "region"}


def test_likelihoods_of_tools_are_exact(policy: Any) -> None:
    model, tokenizer = policy
    line, asked = Line(tokenizer), [request(1), request(2)]
    found = understood(model, tokenizer, asked)
    for each, value in zip(asked, found, strict=True):
        prompt = line.encode(f"{each.text}\n")
        own = line.encode(f">{each.meant}(")
        logp = plain(model, [*prompt, *own])[len(prompt) - 1 :]
        assert value == pytest.approx(np.exp(sum(logp)), rel=1e-4)

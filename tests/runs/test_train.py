"""Whole runs of a policy with three thousand parameters, by the command line."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tomli_w

from assay.errors import DataError, UsageError
from assay.recipes import read as read_config
from assay.records import ModelStep, read
from assay.runs.config import changed, hashed, parsed
from assay.runs.folder import Folder
from assay.runs.ledger import check
from tests.runs import tiny
from tests.runs.conftest import Assay

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
FREE = ("timing.jsonl", "LOCK", "code.diff")


def recipe(folder: Path, policy: Path, **more: Any) -> Path:
    path = folder / "recipe.toml"
    path.write_text(parsed(tiny.settings(policy, **more)).toml())
    return path


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def contents(run: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(run)): path.read_bytes()
        for path in sorted(run.rglob("*"))
        if path.is_file() and path.name not in FREE
    }


def of_the_run(run: Path) -> dict[str, Any]:
    """Returns its contents, but for what git says of the repository."""
    found: dict[str, Any] = contents(run)
    about = json.loads(found["run.json"])
    return {**found, "run.json": {**about, "commit": None, "code_diff": None}}


@pytest.fixture(scope="module")
def trained(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from assay.runs.start import start

    out = tmp_path_factory.mktemp("runs") / "trained"
    start(parsed(tiny.settings(policy)), out, seed=5)
    return out


def test_the_run_directory_is_as_documented(trained: Path) -> None:
    about = json.loads((trained / "run.json").read_text())
    assert (about["schema"], about["kind"], about["seed"]) == ("assay.run/1", "train", 5)
    assert (about["status"], about["step"]) == ("finished", 4)
    assert {"python", "torch", "transformers", "trl"} <= set(about["versions"])
    metrics = rows(trained / "metrics.jsonl")
    assert [row["step"] for row in metrics] == [1, 2, 3, 4]
    wanted = {"step", "reward", "pass_rate", "dead_share", "entropy", "tokens_generated"}
    assert all(wanted <= set(row) for row in metrics)
    assert metrics[-1]["dose/total"] == pytest.approx(sum(row["dose"] for row in metrics))
    assert metrics[-1]["dose/total"] > 0
    assert sorted(path.name for path in (trained / "checkpoints").iterdir()) == ["step_3", "step_4"]
    assert {"model.safetensors", "COMMITTED"} <= {
        path.name for path in (trained / "checkpoints" / "step_4").iterdir()
    }
    assert not list(trained.rglob("*.pt")) + list(trained.rglob("*.bin"))


def test_what_is_counted_is_what_is_in_the_records(trained: Path) -> None:
    files = sorted((trained / "rollouts").iterdir())
    records = [record for file in files for record in read(file)]
    sampled = sum(
        len(step.token_ids or ()) for r in records for step in r.steps if type(step) is ModelStep
    )
    totals = check(rows(trained / "ledger.jsonl"))
    assert totals["tokens"] == sampled == rows(trained / "metrics.jsonl")[-1]["tokens_generated"]
    assert (totals["prompts"], totals["trajectories"]) == (16, 64)
    assert len({record.id for record in records}) == 64
    assert {record.policy_version for record in records} == {f"step_{n}" for n in range(4)}
    first = [record.outcome for record in read(files[0])]
    assert rows(trained / "metrics.jsonl")[0]["reward"] == pytest.approx(sum(first) / 16)


def test_log_probs_are_those_of_the_policy_that_sampled(trained: Path, policy: Path) -> None:
    import torch
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(policy).eval()
    record = next(iter(read(trained / "rollouts" / "step_000001.jsonl")))
    prompt, step = record.steps[0], record.steps[1]
    assert isinstance(step, ModelStep)
    ids = torch.tensor([[*(prompt.token_ids or ()), *(step.token_ids or ())]])
    with torch.no_grad():
        chances = torch.log_softmax(model(ids).logits[0], -1)
    places = range(len(prompt.token_ids or ()) - 1, ids.shape[1] - 1)
    expected = [float(chances[at, ids[0, at + 1]]) for at in places]
    assert step.logprobs == pytest.approx(expected, abs=1e-5)


def test_credit_lies_beside_the_records(trained: Path) -> None:
    for number in range(1, 5):
        name = f"step_{number:06d}.jsonl"
        ids = [record.id for record in read(trained / "rollouts" / name)]
        credit = rows(trained / "credit" / name)
        assert [each["id"] for each in credit] == ids
        assert {each["schema"] for each in credit} == {"assay.credit/1"}


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    trained: Path, policy: Path, tmp_path: Path
) -> None:
    from assay.runs.start import start

    start(parsed(tiny.settings(policy)), tmp_path / "again", seed=5)
    start(parsed(tiny.settings(policy)), tmp_path / "other", seed=6)
    assert of_the_run(tmp_path / "again") == of_the_run(trained)
    other = contents(tmp_path / "other")
    assert other["ledger.jsonl"] != contents(trained)["ledger.jsonl"]


def test_a_finished_run_is_left_alone_by_resume(trained: Path, assay: Assay) -> None:
    before = contents(trained)
    said = assay("train", "--resume", trained)
    assert said.code == 0
    assert "had finished: nothing was trained" in said.err
    assert contents(trained) == before


def test_it_learns(policy: Path, tmp_path: Path) -> None:
    from assay.runs.start import start

    settings = tiny.settings(policy, steps=40, train__save_every=20, train__learning_rate=3e-2)
    out = start(parsed(settings), tmp_path / "run", seed=0).path
    rewards = [row["reward"] for row in rows(out / "metrics.jsonl")]
    assert sum(rewards[-5:]) / 5 > sum(rewards[:5]) / 5 + 0.15


def test_audit_reads_a_run(trained: Path, assay: Assay) -> None:
    said = assay("audit", trained, "--json", "-")
    audit = json.loads(said.out)
    assert said.code == 0
    assert audit["trajectories"]["total"] == 64
    assert audit["groups"]["total"] == 16
    assert audit["trust"]["has_logprobs"]
    folder = json.loads(assay("audit", trained / "rollouts", "--json", "-").out)
    assert folder == audit
    refused = assay("audit", trained / "rollouts", "--out", trained)
    assert (refused.code, (trained / "run.json").is_file()) == (2, True)


def test_eval_prints_the_contract(trained: Path, tmp_path: Path, assay: Assay) -> None:
    said = assay("eval", trained, "--samples", 8, "--out", tmp_path / "eval", "--json", "-")
    assert said.code == 0, said.err
    result = json.loads(said.out)
    assert (result["schema"], result["k"]) == ("assay.eval/1", [1, 2, 4])
    assert (result["prompts"], result["samples"]) == (4, 8)
    for arm in ("base", "trained", "null"):
        assert len(result[arm]["pass_at_k"]) == len(result[arm]["ci"]) == 3
        rate = sum(result[arm]["passed"]) / 32
        assert result[arm]["pass_at_k"][0] == pytest.approx(rate)
    # base and frozen copy are one policy with other chance; the trained one is another
    assert (tmp_path / "eval" / "pass_at_k.svg").read_text().startswith("<?xml")
    page = (tmp_path / "eval" / "report.html").read_text()
    for value in result["trained"]["pass_at_k"]:
        assert f"{value:.3f} <small>" in page
    again = json.loads(
        assay("eval", trained, "--samples", 8, "--out", tmp_path / "two", "--json", "-").out
    )
    assert again == result


def test_a_trained_run_is_viewed_with_what_was_measured(
    trained: Path, tmp_path: Path, assay: Assay
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    audited = (run / "audit" / "report.html").as_uri()
    shutil.rmtree(run / "audit", ignore_errors=True)
    said = assay("view", run, "--no-open")
    assert (said.code, said.out.split()) == (0, [audited])
    (run / "eval").mkdir(exist_ok=True)
    (run / "eval" / "report.html").touch()
    said = assay("view", run, "--no-open")
    assert said.out.split() == [(run / "eval" / "report.html").as_uri(), audited]
    page = run / "audit" / "report.html"
    page.write_text("kept")
    assert assay("view", run, "--no-open").code == 0
    assert page.read_text() == "kept"
    os.utime(page, (0, 0))  # trained on since
    assert assay("view", run, "--no-open").code == 0
    assert page.read_text() != "kept"


def test_eval_refuses_more_tasks_than_were_held_out(
    trained: Path, tmp_path: Path, assay: Assay
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    moved = {"eval.first_task": 0, "train.first_task": 4}
    config = parsed(changed(read_config(str(run / "config.toml")), moved))
    (run / "config.toml").write_text(config.toml())
    about = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**about, "config_sha256": config.sha256}))
    said = assay("eval", run, "--samples", 2, "--prompts", 5)
    assert (said.code, "eval tasks 0 to 4 overlap with training tasks" in said.err) == (2, True)


def test_eval_refuses_too_few_samples(trained: Path, assay: Assay) -> None:
    said = assay("eval", trained, "--samples", 1)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert assay("eval", trained, "--step", 2, "--samples", 4).code == 3
    assert assay("eval", trained / "rollouts").code == 3


FAULTS = {
    "model": ({"model__name": "/nowhere/at-all"}, 2, "model '/nowhere/at-all' cannot be opened"),
    "environment": ({"env__name": "tests.runs.tiny:Broken"}, 3, "RuntimeError: the database went"),
    "record": ({"env__name": "tests.runs.tiny:Undescribed"}, 3, "its record raised TypeError"),
    "parts": ({"env__name": "tests.runs.tiny:Apart"}, 3, "step raised Type"),
    "vllm": ({"trl__use_vllm": True}, 2, "AssayTrainer with assay.trainers.trl.one_gpu"),
    "no environment": ({"env__name": "tests.runs.tiny:Lettre"}, 2, "Lettre"),
    "nan": ({"env__name": "tests.runs.tiny:Nothing"}, 3, "score is nan"),
    "trl": ({"trl__learning_rat": 1}, 2, "has no key 'learning_rat'"),
    "loss": ({"train__loss": "dpo"}, 2, "loss"),
    "loss that has no clip": (
        {"train__loss": "cispo", "recipe__safety": {"delta": 3.0}}, 2, "safety.delta",
    ),
    "clip": ({"recipe__safety": {"delta": 1.1}}, 2, "above 1 + epsilon, 1.2"),
    "cispo": ({"train__loss": "cispo"}, 2, "bound on the ratio itself: got 0.2"),
    "evaluation": ({"trl__eval_strategy": "steps"}, 2, "give the run to assay eval"),
    "tracker": ({"trl__report_to": "trakio"}, 2, "trakio is not supported"),
    "trainer": ({"trl__reward_weights": [1.0, 1.0]}, 2, "the trainer cannot be built: ValueError"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_one_line(fault: str, policy: Path, tmp_path: Path, assay: Assay) -> None:
    more, code, words = FAULTS[fault]
    tiny.Broken.lived = 0
    out = tmp_path / "run"
    changes = [f"--set={k.replace('__', '.')}={json.dumps(v)}" for k, v in more.items()]
    said = assay("train", recipe(tmp_path, policy), "--out", out, *changes)
    lines = [line for line in said.err.splitlines() if line.startswith("assay: ")]
    assert (said.code, len(lines)) == (code, 1), said.err
    assert words in lines[0]
    assert "Traceback" not in said.err
    assert not list(tmp_path.glob(".*"))
    assert not (code == 2 and out.exists())
    if out.exists():  # it failed on the way: what is there is whole
        assert rows(out / "metrics.jsonl") == []
        assert not list(out.rglob("*.tmp*"))


def test_the_experts_solutions_are_followed(policy: Path, tmp_path: Path, assay: Assay) -> None:
    path = recipe(tmp_path, policy, env__name="tests.runs.tiny:Solved", steps=2)
    assert assay("train", path, "--out", tmp_path / "run").code == 0
    first, second = (row["probe_logprob"] for row in rows(tmp_path / "run" / "metrics.jsonl"))
    assert -4 < first < 0  # one of nine characters, at random
    assert second is None  # looked at in the first step and in every tenth
    assert assay("train", path, "--out", tmp_path / "none", "--set", "train.probe=0").code == 0
    assert rows(tmp_path / "none" / "metrics.jsonl")[0]["probe_logprob"] is None


def test_no_pad_token_is_refused_until_one_is_named(tmp_path: Path, assay: Assay) -> None:
    bare = tiny.policy(tmp_path / "policy", pad=False)
    path = recipe(tmp_path, bare, steps=1)
    said = assay("train", path, "--out", tmp_path / "run")
    assert (said.code, (tmp_path / "run").exists()) == (2, False)
    assert "no pad token; name one that it knows: --set model.pad_token='<end>'" in said.err
    named = ("--set", "model.pad_token=<end>")
    assert assay("train", path, "--out", tmp_path / "run", *named).code == 0


def test_the_chat_template_gets_the_arguments_of_the_configuration(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from assay.rollout.protocols.line import Line
    from assay.runs.start import policy as begun

    where = tiny.policy(tmp_path / "policy")
    tables = {"model": {"name": str(where), "template": {"think": False}}}
    with pytest.raises(UsageError, match=r"model\.template: .* has no chat template; leave it out"):
        begun(parsed(tables))
    tokenizer = AutoTokenizer.from_pretrained(where)
    tokenizer.chat_template = (
        "{{ messages[1]['content'] }}{{ 'a' if think | default(true) else 'b' }}"
    )
    tokenizer.save_pretrained(where)
    for given, end in ((tables, "b"), ({"model": {"name": str(where)}}, "a")):
        _, tokenizer = begun(parsed(given))
        assert tokenizer.decode(Line(tokenizer).prompt("c")) == f"c{end}"


def test_a_missing_extra_is_named(
    policy: Path, tmp_path: Path, assay: Assay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    said = assay("train", recipe(tmp_path, policy), "--out", tmp_path / "run")
    assert said.code == 2
    assert "pip install 'assay[train]'" in said.err
    assert not (tmp_path / "run").exists()


def test_command_line_mistakes(trained: Path, tmp_path: Path, assay: Assay) -> None:
    for arguments, words in (
        (("gpro",), "Did you mean 'grpo'"),
        (("grpo", "--set", "train.step=3"), "Did you mean 'steps'"),
        (("grpo", "--set", "train"), "expected name=value"),
        ((), "give a recipe"),
        (("grpo", "--resume", tmp_path), "give nothing else"),
        (("--resume", tmp_path, "--seed", "0"), "give nothing else"),
        (("grpo", "--env", "lookp"), "Did you mean 'lookup'"),
    ):
        said = assay("train", *arguments)
        assert said.code == 2
        assert words in said.err
    assert assay("train", "--resume", tmp_path).code == 3
    again = assay("train", "grpo", "--model", trained / "checkpoints/step_4", "--out", trained)
    assert (again.code, "exists already" in again.err) == (2, True)


def test_empty_batches_skip_the_step_and_say_so(policy: Path, tmp_path: Path, assay: Assay) -> None:
    path = recipe(tmp_path, policy, env__name="tests.runs.tiny:Always", steps=2)
    out = tmp_path / "run"
    said = assay("train", path, "--out", out)
    assert said.code == 0
    assert "step 1 skipped" in said.err + said.out
    assert [row["skipped"] for row in rows(out / "metrics.jsonl")] == [1, 1]
    from safetensors.torch import load_file

    before = load_file(policy / "model.safetensors")
    after = load_file(out / "checkpoints" / "step_2" / "model.safetensors")
    assert all((after[name] == tensor).all() for name, tensor in before.items())


def test_a_method_that_reads_entropies_gets_them(
    policy: Path, tmp_path: Path, assay: Assay
) -> None:
    by = {"name": "rl_zvp", "pass_at": 1.0}
    path = recipe(tmp_path, policy, steps=1, recipe__method=by)
    said = assay("train", path, "--out", tmp_path / "run")
    assert said.code == 0, said.err
    (row,) = rows(tmp_path / "run" / "metrics.jsonl")
    assert row["mass/entropy/negative"] > 0


def test_a_full_disk_is_one_line_and_leaves_a_run_that_goes_on(
    trained: Path, policy: Path, tmp_path: Path, assay: Assay, monkeypatch: pytest.MonkeyPatch
) -> None:
    # no file may grow above 15,000 bytes: the optimizer's is the first that needs more
    path, out = recipe(tmp_path, policy), tmp_path / "run"

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, 15_000))

    asked = "train", str(path), "--out", str(out), "--seed", "5"
    said = tiny.assay(*asked, cwd=tmp_path, preexec_fn=small)
    assert said.returncode == 3, said.stderr
    lines = [line for line in said.stderr.splitlines() if line.startswith("assay: ")]
    assert len(lines) == 1
    assert "step_1: cannot be written" in lines[0]
    assert list((out / "checkpoints").iterdir()) == []
    monkeypatch.chdir(tmp_path)  # in no git repository, as the run began
    assert assay("train", "--resume", out).code == 0
    # Python's own generator is drawn from by the type checks of this process, not by a run
    after, whole = of_the_run(out), of_the_run(trained)
    drawn = {name for name in whole if name.endswith(("random.json", "COMMITTED"))}
    assert after.keys() == whole.keys()
    assert [name for name in sorted(whole.keys() - drawn) if after[name] != whole[name]] == []


def test_a_changed_checkpoint_or_configuration_is_not_trusted(
    trained: Path, tmp_path: Path, assay: Assay
) -> None:
    out = tmp_path / "run"
    shutil.copytree(trained, out)
    about = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps({**about, "status": "running"}))
    weights = out / "checkpoints" / "step_4" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    said = assay("train", "--resume", out)
    assert (said.code, "its bytes are not those" in said.err) == (3, True)
    config = out / "config.toml"
    config.write_text(config.read_text().replace("steps = 4", "steps = 5"))
    said = assay("train", "--resume", out)
    assert (said.code, "was changed after the run began" in said.err) == (3, True)


def test_a_run_of_a_version_that_knew_fewer_keys_is_opened(policy: Path, tmp_path: Path) -> None:
    config = parsed(tiny.settings(policy))
    out = Folder.create(tmp_path / "run", config, about={}).path
    data = msgspec.to_builtins(config)
    del data["rescue"]["memory"]  # as before there was such a key, or such a section
    del data["probe"]
    (out / "config.toml").write_text(tomli_w.dumps(data))
    about = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps({**about, "config_sha256": hashed(data)}))
    assert Folder.open(out).config == config
    (out / "config.toml").write_text(tomli_w.dumps({**data, "rescue": {"tries": 3}}))
    with pytest.raises(DataError, match="was changed after the run began"):
        Folder.open(out).config  # noqa: B018


def test_two_processes_do_not_train_in_one_directory(
    trained: Path, tmp_path: Path, assay: Assay
) -> None:
    from assay.runs.folder import Folder

    out = tmp_path / "run"
    shutil.copytree(trained, out)
    folder = Folder.open(out)
    folder.update(status="running")
    with folder.locked():
        said = assay("train", "--resume", out)
    assert (said.code, "another process is training" in said.err) == (2, True)


def test_lora_trains_adapters_and_is_measured(policy: Path, tmp_path: Path, assay: Assay) -> None:
    from safetensors.torch import load_file

    path = recipe(tmp_path, policy, steps=2, model__lora=2)
    out = tmp_path / "run"
    assert assay("train", path, "--out", out).code == 0
    tensors = load_file(out / "checkpoints" / "step_2" / "model.safetensors")
    assert tensors
    assert all("lora_" in name for name in tensors)
    assert assay("eval", out, "--samples", 4).code == 0


def test_a_kill_between_a_checkpoint_and_the_removal_of_older_ones_changes_no_byte(
    trained: Path, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.runs import checkpoint
    from assay.runs import start as run

    sweep = checkpoint.sweep

    def killed(parent: Path, *, upto: int | None, **options: Any) -> None:
        if upto == 4:
            raise KeyboardInterrupt
        sweep(parent, upto=upto, **options)

    monkeypatch.setattr(checkpoint, "sweep", killed)
    with pytest.raises(KeyboardInterrupt):
        run.start(parsed(tiny.settings(policy)), tmp_path / "run", seed=5)
    assert checkpoint.committed(tmp_path / "run" / "checkpoints") == [2, 3, 4]
    assert of_the_run(run.resume(tmp_path / "run").path) == of_the_run(trained)


def test_an_interrupt_says_how_to_go_on_and_going_on_says_from_where(
    policy: Path, tmp_path: Path, assay: Assay, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.runs import loop

    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    path, out = recipe(tmp_path, policy, steps=2), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(loop.StepRows, "__call__", stopped)
        ended = assay("train", path, "--out", out)
    said = "assay: interrupted; nothing was half-written; go on with assay train --resume"
    assert (ended.code, " ".join(ended.err.split())) == (130, f"{said} {out}")
    again = assay("train", "--resume", out)
    assert again.code == 0
    assert again.err.startswith("no checkpoint yet: from the beginning\n")


def test_a_policy_is_measured_with_the_threads_it_is_trained_with(
    policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from assay.runs.start import opened

    seen = list[int]()
    monkeypatch.setattr(torch, "set_num_threads", seen.append)
    for threads in (3, 0):  # 0: as many as torch takes
        opened(parsed(tiny.settings(policy, train__threads=threads)), None)
    assert seen == [3]


def test_kills_at_random_moments_change_no_byte() -> None:
    command = [sys.executable, "benchmarks/kills.py", "--kills", "10", "--seed", "1"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tiny.REPO, timeout=600, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[:4000]
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["kills"], result["different"], result["prompts_lost_or_repeated"]) == (10, 0, 0)


def test_two_processes_share_a_run(policy: Path, tmp_path: Path) -> None:
    path, out = recipe(tmp_path, policy, steps=2), tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node",
        "2",
        "-m",
        "assay",
    ]
    done = subprocess.run(
        [*command, "train", str(path), "--out", str(out)],
        capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False,
        env={**os.environ, "PYTHONPATH": tiny.PATHS, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[:4000]
    assert check(rows(out / "ledger.jsonl"))["trajectories"] == 32
    assert [row["step"] for row in rows(out / "metrics.jsonl")] == [1, 2]
    ids = [record.id for file in (out / "rollouts").iterdir() for record in read(file)]
    assert len(set(ids)) == 32

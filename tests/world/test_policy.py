"""The starting policy: its tokenizer, exact log-probs, sampling without padding, playing, training.

A model of two layers with random weights stands in where what it says does not matter.
"""

import json
import math
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra assay[train]")
pytest.importorskip("transformers", reason="needs the extra assay[train]")

from random import Random  # noqa: E402

from tools import demos  # noqa: E402
from tools import policy as training  # noqa: E402
from tools.demos import demonstrations  # noqa: E402

from assay.errors import DataError, UsageError  # noqa: E402
from assay.evaluate.measure import measure, summary, table, uplift  # noqa: E402
from assay.policy.loading import folder, load  # noqa: E402
from assay.policy.sampling import sample  # noqa: E402
from assay.records import ModelStep, decode, encode  # noqa: E402
from assay.rollout import Line, Planned, Sampling, collect  # noqa: E402
from assay.rollout.backends.local import Transformers  # noqa: E402
from assay.world import BUILT_IN  # noqa: E402
from assay.world import load as world  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
ships = pytest.mark.skipif(
    not (folder() / "model.safetensors").is_file(), reason="needs: python -m tools.policy"
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # two wait for each other on a busy machine
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def start():
    return load()


@pytest.fixture(scope="module")
def random_model():
    torch.manual_seed(0)
    return training.new_model(40).eval()


def forward(model, ids):
    """Log-probs of each next token, in one pass without a cache: an independent computation."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0].double()
    return torch.log_softmax(logits, dim=-1)


def fed(row):
    return [i for i in range(len(row.ids)) if i not in set(row.sampled)]


def test_rows_of_unequal_length_that_read_in_between_have_exact_log_probs(random_model):
    prompts = [[3, 4, 5], [6], [7, 8, 9, 10, 11, 12], [13, 14]]
    read = {0: [20, 21, 22], 1: [], 2: [23], 3: [24, 25, 26, 27]}
    turns = dict.fromkeys(read, 0)

    def reader(row, ids, logprobs):
        assert len(ids) == len(logprobs)
        if len(ids) < 3 + row:  # rows take turns of unequal length
            return ()
        turns[row] += 1
        return read[row] if turns[row] < 3 else None

    generator = torch.Generator().manual_seed(1)
    rows = sample(random_model, prompts, reader, max_tokens=60, generator=generator)
    for at, (row, prompt) in enumerate(zip(rows, prompts, strict=True)):
        assert row.ids[: len(prompt)] == prompt
        assert [row.ids[i] for i in fed(row)] == prompt + read[at] * (0 if not read[at] else 2)
        expected = forward(random_model, row.ids)
        for position, logprob, entropy in zip(
            row.sampled, row.logprobs, row.entropies, strict=True
        ):
            scores = expected[position - 1]
            assert logprob == pytest.approx(float(scores[row.ids[position]]), abs=1e-4)
            assert entropy == pytest.approx(float(-(scores.exp() * scores).sum()), abs=1e-4)
    assert all(row.finished for row in rows)
    # three turns of 3 + row tokens; row 1 reads nothing, so its "turns" end a token apart
    assert [len(row.sampled) for row in rows] == [9, 6, 15, 18]


def test_tokens_are_drawn_from_the_model_s_distribution(random_model):
    # 4,000 first tokens of one prompt; chi-square over the tokens expected five times or more
    generator = torch.Generator().manual_seed(2)
    rows = sample(
        random_model, [[3, 4, 5]] * 4000, lambda *_: None, max_tokens=1, generator=generator
    )
    chance = forward(random_model, [3, 4, 5])[-1].exp()
    found = torch.bincount(torch.tensor([row.ids[-1] for row in rows]), minlength=40)
    kept = chance * 4000 >= 5
    statistic = float((((found - 4000 * chance) ** 2) / (4000 * chance))[kept].sum())
    degrees = int(kept.sum()) - 1
    assert statistic < degrees + 4 * math.sqrt(2 * degrees)  # four deviations


def test_temperature(random_model):
    def ids(temperature):
        rows = sample(
            random_model, [[3]] * 4, lambda *_: (), max_tokens=5, temperature=temperature
        )  # fmt: skip
        return rows

    greedy = ids(0.0)
    assert len({tuple(row.ids) for row in greedy}) == 1
    best = forward(random_model, [3])[-1]
    assert greedy[0].ids[1] == int(best.argmax())
    assert greedy[0].logprobs[0] == pytest.approx(float(best.max()), abs=1e-4)
    cool = ids(0.5)[0]
    scores = torch.log_softmax(forward(random_model, [3])[-1] / 0.5, dim=-1)
    assert cool.logprobs[0] == pytest.approx(float(scores[cool.ids[1]]), abs=1e-4)


def test_limits_stop_a_row_and_say_so(random_model):
    rows = sample(random_model, [[3], [4, 5]], lambda *_: (), max_tokens=7)
    assert [(len(r.sampled), r.finished) for r in rows] == [(7, False)] * 2
    rows = sample(random_model, [[3], [4, 5]], lambda *_: (), max_tokens=99, max_length=6)
    assert [len(r.ids) for r in rows] == [6, 6]
    assert sample(random_model, [], lambda *_: None, max_tokens=1) == []
    with pytest.raises(UsageError, match="at least one token"):
        sample(random_model, [[]], lambda *_: None, max_tokens=1)


def test_a_seed_repeats_what_was_sampled(random_model):
    def ids():
        generator = torch.Generator().manual_seed(5)
        rows = sample(random_model, [[3]] * 3, lambda *_: (), max_tokens=9, generator=generator)
        return [row.ids for row in rows]

    assert ids() == ids()


def test_a_generator_that_is_given_goes_on_from_run_to_run(random_model):
    def drawn(run):
        said = []

        def reader(row, ids, logprobs):
            said.append(ids[-1])
            return () if len(ids) < 5 else None

        run(reader)
        return said

    ours, theirs = (torch.Generator().manual_seed(5) for _ in range(2))
    backend = Transformers(random_model, None, generator=ours)
    for _ in range(2):
        expected = drawn(lambda r: sample(random_model, [[3]], r, max_tokens=9, generator=theirs))
        seen = drawn(lambda r: backend.run([[3]], r, sampling=Sampling(), seed=(0,)))
        assert seen == expected


@ships
def test_what_is_measured_is_played_like_everything_else():
    """A reward that is no number is refused, and not counted as a failure."""
    with pytest.raises(DataError, match="score is nan; expected a finite number"):
        next(measure("start", ["tests.world.bad:NaN"], tasks=1, attempts=8))


@ships
def test_the_policy_that_ships_is_small_and_complete(start):
    model, tokenizer = start
    size = sum(file.stat().st_size for file in folder().iterdir())
    assert size < 15e6
    assert 1e6 <= sum(p.numel() for p in model.parameters()) <= 3e6
    assert {"model.safetensors", "tokenizer.json", "config.json"} <= {
        file.name for file in folder().iterdir()
    }
    assert tokenizer.pad_token_id == 0
    assert tokenizer.eos_token_id == 1
    assert model.config.model_type == "llama"


@ships
@pytest.mark.parametrize(
    "text", ["?currency of home of Paris\n", "été \U0001f600 99 \t#x", "a\n\n", "~7"]
)
def test_any_text_comes_back_from_its_ids(start, text):
    _, tokenizer = start
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert tokenizer.decode(ids) == text
    whole = Line(tokenizer).sampled(ids, [0.0] * len(ids))
    assert "".join(whole.pieces) == text
    assert len(whole.pieces) == len(ids)


@ships
def test_a_name_has_the_same_tokens_wherever_it_stands(start):
    _, tokenizer = start

    def ids(text):
        return tokenizer(text, add_special_tokens=False).input_ids

    name = ids("Burkina Faso")
    for text in ("?capital of Burkina Faso\n", ">capital(Burkina Faso)\n", "<Burkina Faso\n"):
        whole = ids(text)
        assert any(whole[i : i + len(name)] == name for i in range(len(whole)))


@pytest.mark.slow
@ships
def test_what_is_played_has_exact_log_probs_and_becomes_records(start):
    model, tokenizer = start
    attempts = [
        Planned(environment=world(name), seed=seed, trial=trial)
        for name in BUILT_IN
        for seed in range(2)
        for trial in range(2)
    ]
    backend = Transformers(model, tokenizer)
    records = list(collect(backend, attempts, sampling=Sampling(), seed=(0,), batch=12))
    assert len({record.id for record in records}) == 20
    for record in records:
        assert decode(encode(record)) == record
        ids: list[int] = []
        where: list[tuple[int, float]] = []
        for step in record.steps:
            if isinstance(step, ModelStep):
                assert step.token_ids is not None
                assert step.logprobs is not None
                where += [
                    (len(ids) + i, lp or 0.0) for i, lp in enumerate(step.logprobs)
                ]  # fmt: skip
            ids += step.token_ids or ()
        expected = forward(model, ids)
        for position, logprob in where:
            assert logprob == pytest.approx(float(expected[position - 1, ids[position]]), abs=1e-4)
        assert record.ledger.tokens == len(where)
        assert record.end in ("answered", "budget")


@ships
def test_the_policy_uses_tools_and_reads_what_they_say(start):
    # a question of one hop is answered by a call and by what it returns; chance would be 1 in 200
    model, tokenizer = start
    attempts = [Planned(environment=world("lookup", hops=1), seed=seed) for seed in range(64)]
    backend = Transformers(model, tokenizer)
    records = list(collect(backend, attempts, sampling=Sampling(), seed=(0,)))
    passed = [record for record in records if record.outcome == 1.0]
    assert len(passed) > 16
    called = sum((record.ledger.calls or 0) > 0 for record in passed)
    assert called > 0.9 * len(passed)


@pytest.mark.slow
def test_demonstrations_are_the_same_for_the_same_seed_and_end_their_tasks():
    def some(seed):
        source = demonstrations(Random(seed))
        return [next(source) for _ in range(60)]

    assert some(1) == some(1)
    assert some(1) != some(2)
    for pieces in some(3):
        assert not pieces[0].written
        assert pieces[-1].written
        assert all(p.text.endswith("\n") for p in pieces[:-1])


def test_labels_stand_where_the_expert_wrote():
    tokenizer = training.tokens.train(["?make 24\n>calc(3*8)\n<24\n=24 ~9"])
    pieces = (demos.Piece("?x\n", False), demos.Piece(">calc(3*8)\n", True),
              demos.Piece("<24\n", False, True), demos.Piece("=24", True))  # fmt: skip
    ids, labels = training.encoded(tokenizer, pieces)
    read = len(tokenizer("?x\n").input_ids)
    assert labels[:read] == [-100] * read  # the task is only read
    assert labels[read:] == ids[read:]  # calls, what follows from them, and the answer
    assert ids[-1] == tokenizer.eos_token_id


@pytest.mark.slow
def test_a_training_that_was_killed_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    schedule = training.Schedule(batches=5, tokens=300, warmup=1, repeating=0)
    monkeypatch.setattr(training, "_POOL", 16)
    monkeypatch.setattr(training, "_SAVED", 2)
    monkeypatch.setattr(
        training, "_corpus", lambda seed: ["?make 24 from 3 8\n>calc(3*8)\n=24 ~9"] * 3
    )  # fmt: skip
    said: list[str] = []
    training.build(tmp_path / "whole", schedule, said.append)
    assert "batch 5/5  loss " in said[-1]
    learn, steps = training._learn, []

    def killed(*args):
        steps.append(1)
        if len(steps) == 5:
            raise KeyboardInterrupt
        return learn(*args)

    monkeypatch.setattr(training, "_learn", killed)
    with pytest.raises(KeyboardInterrupt):
        training.build(tmp_path / "cut", schedule, said.append)
    assert json.loads((tmp_path / "cut/.training/state.json").read_text())["done"] == 4
    monkeypatch.setattr(training, "_learn", learn)
    training.build(tmp_path / "cut", schedule, said.append)
    names = sorted(file.name for file in (tmp_path / "whole").iterdir())
    assert names == sorted(file.name for file in (tmp_path / "cut").iterdir())
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()
    model, tokenizer = load(str(tmp_path / "cut"))
    assert tokenizer.eos_token_id == 1
    assert len(forward(model, [2, 3])) == 2


def test_a_model_that_is_not_there_is_one_clear_line(tmp_path):
    with pytest.raises(UsageError, match="cannot be opened") as raised:
        load(str(tmp_path / "nothing"))
    assert "\n" not in str(raised.value)
    assert "no such folder; give a folder, a name on Hugging Face" in str(raised.value)
    with pytest.raises(UsageError, match=r"no config\.json in it; give a folder that"):
        load(str(tmp_path))
    with pytest.raises(UsageError, match="no such folder, and of the name: "):
        load("no/such")


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("tokenizer.json", {"version": "1.0"}),
        ("config.json", {"hidden_size": 64}),
    ],
)
def test_a_model_whose_files_do_not_fit_is_one_clear_line(tmp_path, file, change):
    there = tmp_path / "policy"
    shutil.copytree(folder(), there)
    whole = json.loads((there / file).read_text()) if file == "config.json" else {}
    (there / file).write_text(json.dumps({**whole, **change}))
    with pytest.raises(UsageError, match="cannot be opened: ") as raised:
        load(str(there))
    assert "\n" not in str(raised.value)


def test_what_is_measured_by_hand():
    # two tasks, 8 attempts each: 8 passes and none. pass@1 = .5; pass@8 = (1 + 0) / 2; one of two
    # groups of 8 fails as a whole
    environment = world("lookup", hops=1)
    records = []
    for seed, right in ((0, True), (1, False)):
        for trial in range(8):
            from assay.rollout.recording import Recorder

            recorder = Recorder(environment, seed)
            recorder.act(f"={environment.answer()}" if right else "=?")
            records.append(recorder.trajectory(trial=trial))
    row = summary(records, 2, 8)
    assert (row["pass_at_1"], row["pass_at_8"], row["all_fail_at_8"]) == (0.5, 0.5, 0.5)
    line = table({"environment": "lookup", "advice": "none", **row}, first=False)
    assert line.startswith("| lookup | none | 50.0% | 50.0% | 50.0% | 0.0% | 0 | 0.0 |")
    assert line.count("|") == 9


def test_right_advice_is_compared_task_by_task():
    # tasks at .25 and .5 without, .5 and .75 with: +.25 on each, so on every draw
    seen = uplift(np.array([0.25, 0.5]), np.array([0.5, 0.75]))
    assert seen == [0.25, 0.25, 0.25]
    numbers = {"pass_at_1": 0.5, "pass_at_8": 0.5, "all_fail_at_8": 0.5, "budget": 0.0}
    row = {"environment": "lookup", **numbers, "tokens": 1.0, "calls": 1.0}
    first = table({**row, "advice": "right"}, first=True).splitlines()
    assert first[-1].endswith("| 1.0 | - |")
    assert {line.count("|") for line in first} == {10}
    other = table({**row, "advice": "none", "right_over_it": seen}, first=False)
    assert other.endswith("| +25.0% [+25.0%, +25.0%] |")

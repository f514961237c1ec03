"""Continuations through real templates, the shipped policy and other libraries' worlds."""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra assay[train]")
pytest.importorskip("transformers", reason="needs the extra assay[train]")

from assay.policy.loading import folder  # noqa: E402
from assay.policy.loading import load as start_policy  # noqa: E402
from assay.records import ModelStep, Trajectory, decode, encode  # noqa: E402
from assay.rollout import Chat, Planned, Sampling, Start, collect, points, stand, tasks  # noqa: E402
from assay.rollout.backends.local import Transformers  # noqa: E402
from assay.rollout.protocols.line import Line  # noqa: E402
from assay.world import BUILT_IN, Environment, load  # noqa: E402
from tests.rollout.chats import GEMMA, HERMES, LLAMA, Door, Plays, tokenizer  # noqa: E402
from tests.rollout.fakes import Characters, Scripted  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
ships = pytest.mark.skipif(
    not (folder() / "model.safetensors").is_file(), reason="needs: python -m tools.policy"
)


def asked(name: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {{"at": "door"}}}}\n</tool_call>'


TURNS = {
    HERMES: (f"{asked('look')}\n{asked('open')}<|im_end|>", "hm<|im_end|>", "red<|im_end|>"),
    LLAMA: ('{"name": "look", "parameters": {"at": "door"}}<|eot|>', "hm<|eot|>", "red<|eot|>"),
    GEMMA: ("hm<end_of_turn>", "hm<end_of_turn>", "red<end_of_turn>"),
}


def said(template: str, turns: tuple[str, ...], start: Start | None = None) -> tuple[Any, Plays]:
    backend = Plays(tokenizer(template), *turns)
    plan = Planned(environment=Door(), seed=0, start=start)
    sampling = Sampling(max_tokens=4000, turn_tokens=400, max_length=9000)
    (record,) = collect(
        backend, [plan], sampling=sampling, seed=(0,), clock=None, protocol=Chat(backend.tokenizer)
    )
    assert decode(encode(record)) == record
    return record, backend


@pytest.mark.parametrize("template", [HERMES, LLAMA, GEMMA], ids=["hermes", "llama", "gemma"])
def test_a_chat_goes_on_token_for_token_from_each_of_its_turns(template: str) -> None:
    record, whole = said(template, TURNS[template])
    if template == HERMES:  # two calls in its first turn, each answered
        assert len(record.steps[2].calls) == 2
    record = decode(encode(record))
    assert len(points(record)) == 3
    for number, at in enumerate(points(record)):
        again, backend = said(template, TURNS[template][number:], Start(record, at))
        assert again.steps == record.steps
        assert backend.fed == whole.fed
        assert again.ledger.env_steps == 3 - number
        new = record.steps[at:]
        assert again.ledger.tokens == sum(
            len(step.token_ids or ()) for step in new if isinstance(step, ModelStep)
        )


@pytest.fixture(scope="module")
def policy() -> Iterator[Any]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield start_policy()
    torch.set_num_threads(before)


def greedy(policy: Any, plans: list[Planned]) -> list[Trajectory]:
    model, words = policy
    sampling = Sampling(temperature=0.0, max_tokens=120)
    made = collect(Transformers(model, words), plans, sampling=sampling, seed=(0,), clock=None)
    return [decode(encode(record)) for record in made]


LEVELS = {"lookup": "hard", "lake": "even", "report": "hard", "twenty": "even", "countdown": "even"}


@ships
@pytest.mark.parametrize("family", BUILT_IN)
def test_the_same_policy_goes_on_as_it_did(policy: Any, family: str) -> None:
    """Greedy sampling from each point, by replay and by fork, gives the recorded rest; one that
    ran out of tokens runs out at the same token."""

    def make() -> Environment:
        return load(f"{family}/{LEVELS[family]}")

    records = greedy(policy, tasks(make, range(4), 1))
    sources = list[tuple[Trajectory, int]]()
    plans = list[Planned]()
    for seed, record in enumerate(records):
        for at in points(record):
            standing = stand(Start(record, at), make(), seed, Line(policy[1]))
            for fork in (None, standing.fork()):
                sources.append((record, at))
                start = Start(record, at, fork)
                plans.append(Planned(environment=make(), seed=seed, start=start))
    assert len(plans) >= 16
    for (record, at), again in zip(sources, greedy(policy, plans), strict=True):
        assert len(again.steps) == len(record.steps)
        assert again.steps[:at] == record.steps[:at]
        for one, other in zip(again.steps, record.steps, strict=True):
            assert (one.text, one.token_ids) == (other.text, other.token_ids)
        assert (again.outcome, again.end) == (record.outcome, record.end)
        rest = [s for s in record.steps[at:] if isinstance(s, ModelStep)]
        assert again.ledger.tokens == sum(len(s.token_ids or ()) for s in rest)
        assert again.ledger.calls == sum(len(s.calls) for s in rest)


FOREIGN = {
    "gymnasium:Taxi-v4": ("down\nleft\npick up\nup\nright\n", True),
    "gymnasium:CartPole-v1": ("0\n1\n0\n1\n0\n", True),
    "textarena:TowerOfHanoi-v0": ("[A C]\n[A B]\n[C B]\n[A C]\n[B A]\n", True),
    "textarena:2048-v0-ultra-easy": ("[up]\n[left]\n[down]\n[right]\n[up]\n", True),
    "textarena:ConnectFour-v0": ("[1]\n[2]\n[3]\n[4]\n[5]\n", True),
    "scienceworld:boil": ("look around\nopen door to hallway\ngo to hallway\ninventory\n", False),
}
"""Turns, and whether there is a copy; an opponent moves by chance, fields appear by chance."""


@pytest.mark.parametrize("name", sorted(FOREIGN))
def test_a_foreign_world_goes_on_as_it_did(name: str) -> None:
    text, copied = FOREIGN[name]
    dials = {"opponent": "random"} if "Connect" in name else {}

    def make() -> Environment:
        with warnings.catch_warnings():  # what the libraries' own imports warn of
            warnings.simplefilter("ignore")
            pytest.importorskip(name.partition(":")[0])
            return load(name, **dials)

    def played(text: str, **more: Any) -> Trajectory:
        plan = Planned(environment=make(), seed=2, **more)
        sampling = Sampling(max_length=10**6)
        return next(collect(Scripted([text]), [plan], sampling=sampling, seed=(0,), clock=None))

    record = decode(encode(played(text)))
    turns = text.splitlines(keepends=True)
    assert len(points(record)) == len(turns)
    for number, at in enumerate(points(record)):
        standing = stand(Start(record, at), make(), 2, Line(Characters()))
        fork = standing.fork()
        assert (fork is not None) == copied
        for environment in (fork, standing):
            again = played("".join(turns[number:]), start=Start(record, at, environment))
            assert [s.text for s in again.steps] == [s.text for s in record.steps]
            assert (again.outcome, again.end) == (record.outcome, record.end)

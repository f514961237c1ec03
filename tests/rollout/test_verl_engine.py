"""Requests with chance of their own: what a text is batched with does not show. No verl needed."""

from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("transformers")

import torch

from assay.errors import UsageError
from assay.policy.loading import load
from assay.rollout.protocols.line import Line
from assay.rollout.verl.engine import Engine, Request, uniform
from assay.world.catalogue import load as world

PROMPTS = ((31, 293, 9), (40, 41, 42, 43, 44, 45), (31, 293, 9, 506, 437))


@pytest.fixture(scope="module")
def parts() -> tuple[Any, Any]:
    model, tokenizer = load()
    return model.double(), tokenizer


def engine(parts: tuple[Any, Any], **given: Any) -> Engine:
    return Engine(*parts, **given)


def request(at: int, seed: int, **given: Any) -> Request:
    return Request(prompt=PROMPTS[at], seed=seed, max_tokens=12, **given)


def test_a_request_is_known_by_its_seed(parts: tuple[Any, Any]) -> None:
    made = engine(parts)
    wanted = [request(at % 3, seed=100 + at) for at in range(9)]
    together = made.run(wanted)
    assert made.run(wanted[::-1])[::-1] == together
    assert [made.run([each])[0] for each in wanted] == together
    assert len({tuple(each.ids) for each in together}) > 3


def test_log_probabilities_are_those_of_the_model(parts: tuple[Any, Any]) -> None:
    # an oracle without a cache: one forward pass over the whole text
    model, _ = parts
    answer = engine(parts).run([request(1, seed=5, temperature=0.7)])[0]
    text = torch.tensor([[*PROMPTS[1], *answer.ids]])
    with torch.no_grad():
        logits = model(input_ids=text).logits[0, len(PROMPTS[1]) - 1 : -1] / 0.7
    own = torch.log_softmax(logits, -1).gather(1, torch.tensor(answer.ids)[:, None])[:, 0]
    torch.testing.assert_close(torch.tensor(answer.logprobs), own.float(), rtol=1e-6, atol=1e-6)
    assert answer.logprobs == torch.tensor(answer.logprobs).float().tolist()


def test_each_stops_where_it_says(parts: tuple[Any, Any]) -> None:
    _, tokenizer = parts
    task = tuple(Line(tokenizer).prompt(f"{world('lookup/even').reset(7)}\n"))

    def asked(**given: Any) -> Request:
        return Request(prompt=task, seed=3, max_tokens=60, **given)

    free, line = engine(parts).run([asked(), asked(stop=("\n",))])
    assert "\n" in tokenizer.decode(free.ids)  # or nothing is tested
    assert free.ids[: len(line.ids)] == line.ids
    assert "\n" in tokenizer.decode(line.ids[-1:])
    assert "\n" not in tokenizer.decode(line.ids[:-1])
    assert line.finished
    token = free.ids[4]
    ended = engine(parts).run([asked(ends=frozenset({token}))])[0]
    assert ended.ids == free.ids[: free.ids.index(token) + 1]
    assert not free.finished
    assert len(free.ids) == 60


def test_a_stop_of_several_tokens_is_seen_where_it_is_complete(parts: tuple[Any, Any]) -> None:
    _, tokenizer = parts
    free = engine(parts).run([request(0, seed=3)])[0]
    stop = tokenizer.decode(free.ids[2:5])
    found = engine(parts).run([request(0, seed=3, stop=(stop,))])[0]
    assert stop in tokenizer.decode(found.ids)
    assert stop not in tokenizer.decode(found.ids[:-1])


def test_each_has_a_budget_of_its_own(parts: tuple[Any, Any]) -> None:
    wanted = [replace(request(0, seed=3), max_tokens=count) for count in (2, 9, 5)]
    answers = engine(parts).run(wanted)
    assert [len(each.ids) for each in answers] == [2, 9, 5]
    assert answers[1].ids[:5] == answers[2].ids


def test_temperatures_do_not_mix(parts: tuple[Any, Any]) -> None:
    made = engine(parts)
    wanted = [request(0, 1), request(1, 2, temperature=0.0), request(2, 3)]
    assert made.run(wanted) == [made.run([each])[0] for each in wanted]


def test_requests_without_a_seed_are_numbered_by_prompt_and_weights(
    parts: tuple[Any, Any],
) -> None:
    first, again = engine(parts, seed=7), engine(parts, seed=7)
    order = [PROMPTS[0], PROMPTS[1], PROMPTS[0]]
    seeds = [first.request(each, {}).seed for each in order]
    mixed = [again.request(each, {}).seed for each in (order[1], order[0], order[2])]
    assert len(set(seeds)) == 3
    assert sorted(seeds) == sorted(mixed)
    first.load(parts[0].state_dict(), 4)
    assert first.version == 4
    later = first.request(PROMPTS[0], {}).seed
    assert later not in seeds
    again.load(parts[0].state_dict(), 4)  # as a process does that resumes: it counts afresh
    fresh = engine(parts, seed=7)
    fresh.load(parts[0].state_dict(), 4)
    assert later == again.request(PROMPTS[0], {}).seed == fresh.request(PROMPTS[0], {}).seed
    assert engine(parts, seed=8).request(PROMPTS[0], {}).seed not in seeds
    assert first.request(PROMPTS[0], {"seed": 11}).seed == 11


def test_the_first_numbers_are_the_same_however_many_are_asked() -> None:
    assert torch.equal(uniform(3, 400)[:7], uniform(3, 7))
    assert not torch.equal(uniform(3, 7), uniform(4, 7))


def test_weights_that_do_not_fit_are_refused(parts: tuple[Any, Any]) -> None:
    state = parts[0].state_dict()
    state["lora.a"] = state.pop("model.norm.weight")
    with pytest.raises(UsageError, match=r"weights: 2 names do not fit the model, lora.a first"):
        engine(parts).load(state, 1)


@pytest.mark.parametrize("given", [{"top_p": 0.9}, {"top_k": 40}, {"repetition_penalty": 1.1}])
def test_a_parameter_that_would_do_something_is_refused(
    parts: tuple[Any, Any], given: dict[str, float]
) -> None:
    name = next(iter(given))
    with pytest.raises(UsageError, match=f"{name}=.*: the transformers rollout samples without"):
        engine(parts).request(PROMPTS[0], given)


def test_what_vllm_takes_is_taken(parts: tuple[Any, Any]) -> None:
    made = engine(parts, longest=10)
    given = {"top_p": 1.0, "top_k": -1, "logprobs": True, "stop": "\n", "stop_token_ids": [5]}
    asked = made.request(PROMPTS[0], {**given, "max_tokens": 99, "temperature": 0.5})
    assert asked.max_tokens == 7  # 10 less the prompt's 3
    assert asked.stop == ("\n",)
    assert asked.ends == {5, parts[1].eos_token_id}
    assert asked.temperature == 0.5
    with pytest.raises(UsageError, match="a prompt of 10 tokens; expected 1 to 9"):
        made.request(range(10), {})

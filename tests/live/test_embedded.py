"""The policy that ships behind the gateway: its ids and log-probs are those that it sampled."""

import numpy as np
import openai
import pytest
import torch
from openai.types.chat.chat_completion import ChoiceLogprobs

from assay.live.embedded import Embedded
from assay.live.gateway import Gateway
from assay.live.guard import Guard
from assay.live.store import Store
from tests.live.engines import served

TOOLS = [{"type": "function", "function": {"name": "home", "parameters": {"type": "object"}}}]


@pytest.fixture(scope="module")
def engine():
    return Embedded(seed=3)


@pytest.fixture(scope="module")
def live(tmp_path_factory, engine):
    with Store.open(tmp_path_factory.mktemp("store")) as store:
        guard = Guard(secret=b"s" * 32, needs_key=False, consent="train", hosts=None)
        gateway = Gateway(upstream=engine, store=store, guard=guard, processed=True)
        with served(gateway.app) as url:
            client = openai.OpenAI(base_url=f"{url}/r/r/v1", api_key="x", max_retries=0, timeout=60)
            with client:
                yield client, store


def nats(engine, prompt, ids):
    """Log-probs of tokens by one forward over all of them: no cache, no sampler."""
    held = engine._held["start"]
    with torch.no_grad():
        logits = held.model(torch.tensor([[*prompt, *ids]])).logits[0]
    chances = torch.log_softmax(logits.double(), -1)
    return [float(chances[len(prompt) - 1 + at, id]) for at, id in enumerate(ids)]


@pytest.mark.parametrize("stream", [False, True])
def test_what_it_samples_is_exact(live, engine, stream):
    client, store = live
    said = [{"role": "user", "content": "currency of home of Ada"}]
    made = client.chat.completions.create(model="start", messages=said, stream=stream)
    if stream:
        chunks = list(made)
        text = "".join(each.choices[0].delta.content or "" for each in chunks)
        assert len(chunks) > 3
    else:
        text = made.choices[0].message.content
        ChoiceLogprobs.model_validate(made.choices[0].logprobs.model_dump())
    seen = store.turns()[-1]
    assert seen.why_not is None
    ids = list(seen.completion_ids)
    tokenizer = engine._held["start"].tokenizer
    assert tokenizer.decode(ids, skip_special_tokens=True).rstrip("\n") == text
    assert tokenizer.decode(list(seen.prompt_ids)) == "?currency of home of Ada\n"
    np.testing.assert_allclose(list(seen.logprobs), nats(engine, seen.prompt_ids, ids), atol=2e-4)


def test_its_calls_are_calls_of_tools_and_go_on_without_a_break(live, engine):
    client, store = live
    said = [{"role": "user", "content": "?currency of biggest of home of Ada"}]
    for _ in range(20):
        made = client.chat.completions.create(model="start", messages=said, tools=TOOLS)
        if made.choices[0].message.tool_calls:
            break
    message = made.choices[0].message
    (call,) = message.tool_calls
    assert call.function.name
    answer = {"role": "tool", "tool_call_id": call.id, "content": "France"}
    client.chat.completions.create(
        model="start", messages=[*said, message.model_dump(exclude_none=True), answer], tools=TOOLS
    )
    first, second = store.turns()[-2:]
    assert second.turn.after == first.turn.id
    assert first.next_state.text == "France"
    tokenizer = engine._held["start"].tokenizer
    assert tokenizer.decode(list(second.prompt_ids)).endswith("\n<France\n")


def test_settings_that_it_would_not_be_true_to_are_refused(live):
    client, _ = live
    said = [{"role": "user", "content": "?x"}]
    with pytest.raises(openai.BadRequestError, match="temperature alone"):
        client.chat.completions.create(model="start", messages=said, top_p=0.5)
    long = [{"role": "user", "content": "home " * 3000}]
    with pytest.raises(openai.BadRequestError, match="the policy holds 1024"):
        client.chat.completions.create(model="start", messages=long)


def test_a_budget_that_ends_an_answer_is_told(live):
    client, store = live
    said = [{"role": "user", "content": "?currency of home of Ada"}]
    made = client.chat.completions.create(model="start", messages=said, max_tokens=2)
    assert made.choices[0].finish_reason == "length"
    assert len(store.turns()[-1].completion_ids) == 2


def test_a_version_that_serves_answers_new_sessions(live, engine, tmp_path):
    held = engine._held["start"]
    held.model.save_pretrained(tmp_path / "v1")
    held.tokenizer.save_pretrained(tmp_path / "v1")
    engine.where = {"v1": str(tmp_path / "v1")}.get
    assert engine._of("v1") == (engine._held["v1"], "v1")
    assert engine._of("else") == (held, "start")


def test_it_says_which_policy_answered_whatever_it_was_asked_for(live, engine):
    """What a turn says of its version is the engine's word, not its client's."""
    client, store = live
    said = [{"role": "user", "content": "?x"}]
    with pytest.raises(openai.NotFoundError, match="model 'pol-000007': expected start"):
        client.chat.completions.create(model="pol-000007", messages=said)
    with pytest.raises(openai.NotFoundError, match="model 'gpt-5': expected start"):
        client.chat.completions.create(model="gpt-5", messages=said)
    try:
        engine.goes_by = "pol-000001"
        made = client.chat.completions.create(model="start", messages=said, max_tokens=2)
    finally:
        engine.goes_by = "start"
    assert made.model == "pol-000001"
    assert store.turns()[-1].turn.policy_version == "pol-000001"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"temperature": "warm"}, "temperature: expected a number from 0"),
        ({"temperature": -1}, "temperature: expected a number from 0"),
        ({"temperature": True}, "temperature: expected a number from 0"),
        ({"tools": [{"type": "function"}]}, "tools: expected a function in each"),
        ({"tools": [{"type": "function", "function": "x"}]}, "tools: expected a function in each"),
    ],
)
def test_what_it_cannot_read_is_refused_before_it_samples(live, more, told):
    client, store = live
    before = len(store.turns())
    said = [{"role": "user", "content": "?x"}]
    with pytest.raises(openai.BadRequestError, match=told):
        client.chat.completions.create(model="start", messages=said, extra_body=more)
    assert len(store.turns()) == before

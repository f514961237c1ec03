"""The chat protocol: what is fed is what is recorded, whatever the template does."""

import json
from itertools import pairwise

import pytest

pytest.importorskip("transformers")

from assay.batch import Batch
from assay.records import ModelStep, SystemStep, ToolStep, Trajectory, UserStep, decode, encode
from assay.rollout import Chat, Planned, Sampling, collect
from assay.rollout.protocols.chat import STRIPPED
from assay.rollout.protocols.syntax import calls
from assay.rollout.recording import Recorder, solve
from assay.world import Environment, load
from tests.rollout.chats import GEMMA, HERMES, LLAMA, STRIPPING, Door, Plays, tokenizer
from tests.rollout.fakes import Guess


def asked(name: str, at: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {{"at": "{at}"}}}}\n</tool_call>'


def played(
    template: str | None, *turns: str, env: Environment | None = None, **limits: int
) -> tuple[Trajectory, Plays, Chat]:
    backend = Plays(tokenizer(template), *turns)
    chat = Chat(backend.tokenizer)
    env = env or Door()
    expert = solve(env, 0)
    attempt = Planned(environment=env, seed=0, expert=expert)
    sampling = Sampling(**{"max_tokens": 4000, "turn_tokens": 400, "max_length": 9000, **limits})
    (record,) = collect(backend, [attempt], sampling=sampling, seed=(0,), clock=None, protocol=chat)
    assert decode(encode(record)) == record
    return record, backend, chat


def ids_of(record: Trajectory) -> list[int]:
    return [token for step in record.steps for token in step.token_ids or ()]


def model_steps(record: Trajectory) -> list[ModelStep]:
    return [step for step in record.steps if isinstance(step, ModelStep)]


THINKS = "<think>\nlook first\n</think>\n\n"


@pytest.mark.parametrize(
    ("template", "turns", "messages"),
    [
        (
            HERMES,
            (asked("look", "door") + "<|im_end|>", "red<|im_end|>"),
            [
                {"role": "system", "content": "Answer in one word."},
                {"role": "user", "content": "Which colour has the door?"},
                {"role": "assistant", "content": "", "tool_calls": [("look", {"at": "door"})]},
                {"role": "tool", "content": "It is red."},
                {"role": "assistant", "content": "red"},
            ],
        ),
        (
            HERMES,
            (
                "So:\n" + asked("look", "door") + "\n" + asked("open", "door") + "<|im_end|>",
                "hm<|im_end|>",
                "red<|im_end|>",
            ),
            [
                {"role": "system", "content": "Answer in one word."},
                {"role": "user", "content": "Which colour has the door?"},
                {
                    "role": "assistant",
                    "content": "So:",
                    "tool_calls": [("look", {"at": "door"}), ("open", {"at": "door"})],
                },
                {"role": "tool", "content": "It is red."},
                {"role": "tool", "content": "no open here"},
                {"role": "assistant", "content": "hm"},
                {"role": "user", "content": "Well?"},
                {"role": "assistant", "content": "red"},
            ],
        ),
        (
            LLAMA,
            ('{"name": "look", "parameters": {"at": "door"}}<|eot|>', "hm<|eot|>", "red<|eot|>"),
            [
                {"role": "system", "content": "Answer in one word."},
                {"role": "user", "content": "Which colour has the door?"},
                {"role": "assistant", "content": "", "tool_calls": [("look", {"at": "door"})]},
                {"role": "tool", "content": "It is red."},
                {"role": "assistant", "content": "hm"},
                {"role": "user", "content": "Well?"},
                {"role": "assistant", "content": "red"},
            ],
        ),
    ],
)
def test_fed_recorded_and_rendered_anew_are_the_same_tokens(template, turns, messages) -> None:
    record, backend, chat = played(template, *turns)
    assert ids_of(record) == backend.fed
    assert chat.warning is None
    for message in messages:
        if "tool_calls" in message:
            message["tool_calls"] = [
                {"type": "function", "function": {"name": name, "arguments": given}}
                for name, given in message["tool_calls"]
            ]
    tools = [{"type": "function", "function": tool} for tool in Door().tools()]
    anew = backend.tokenizer.apply_chat_template(messages, tools=tools, tokenize=True)
    anew = list(anew["input_ids"])
    assert anew[: len(backend.fed)] == backend.fed  # behind the last turn's end nothing was read
    assert record.outcome == 1.0
    assert record.claim == "claimed"


def test_gemma_has_neither_system_nor_tools_and_is_told_in_words() -> None:
    call = '```json\n{"name": "look", "arguments": {"at": "door"}}\n```'
    record, backend, chat = played(GEMMA, f"{call}<end_of_turn>", "red<end_of_turn>")
    first = record.steps[0]
    assert isinstance(first, UserStep)
    assert first.text.startswith("Answer in one word.\n\nYou have these tools:\n")
    assert first.text.endswith("\n\nWhich colour has the door?")
    assert chat.syntax == "fenced"
    assert ids_of(record) == backend.fed
    read = record.steps[2]
    assert isinstance(read, ToolStep)
    assert read.text == "It is red."
    assert backend.tokenizer.decode(list(read.token_ids or ())) == (
        "\n<start_of_turn>user\nlook: It is red.<end_of_turn>\n<start_of_turn>model\n"
    )
    assert record.outcome == 1.0


def test_a_template_that_strips_thoughts_is_said_and_the_record_keeps_them() -> None:
    turns = (THINKS + asked("look", "door") + "<|im_end|>", "hm<|im_end|>", "red<|im_end|>")
    record, backend, chat = played(STRIPPING, *turns)
    assert chat.warning == STRIPPED
    assert ids_of(record) == backend.fed
    assert model_steps(record)[0].text == THINKS + asked("look", "door")
    assert played(HERMES, "red<|im_end|>")[2].warning is None


def test_spans_calls_results_and_evidence_are_placed_in_tokens() -> None:
    text = THINKS + "So:\n" + asked("look", "door") + "\n" + asked("open", "hall")
    record, backend, _ = played(HERMES, text + "<|im_end|>", "red<|im_end|>")
    step, last = model_steps(record)
    # the tokenizer knows bytes, <tool_call> and its end: 2 * 11 characters are 2 tokens a call
    whole = backend.tokenizer.decode(list(step.token_ids or ()))
    assert whole == text + "<|im_end|>"

    def shown(start: int | None, end: int | None) -> str:
        return backend.tokenizer.decode(list((step.token_ids or ())[start:end]))

    assert [(span.role, shown(span.start, span.end)) for span in step.spans] == [
        ("think", "<think>\nlook first\n</think>"),
        ("text", "\n\nSo:\n"),
        ("call", asked("look", "door")),
        ("text", "\n"),
        ("call", asked("open", "hall") + "<|im_end|>"),
    ]
    look, opened = step.calls
    assert shown(look.start, look.end) == asked("look", "door")
    assert (look.name, json.loads(look.arguments)) == ("look", {"at": "door"})
    facts = [(c.evidence.parsed, c.evidence.ran, c.evidence.expert, c.evidence.state)
             for c in (look, opened)]  # fmt: skip
    assert facts == [(True, True, True, True), (True, False, False, None)]
    answers = [s for s in record.steps if isinstance(s, ToolStep)]
    assert [(s.text, s.name, s.call, s.error) for s in answers] == [
        ("It is red.", "look", (2, 0), False),
        ("no open here", "open", (2, 1), True),
    ]
    assert [(span.role, span.start, span.end) for span in last.spans] == [("answer", 0, 4)]
    batch = Batch.of([record])
    assert batch.length_R.sum() == len(backend.fed)


def test_each_answer_has_its_own_tokens() -> None:
    both = asked("look", "door") + asked("open", "hall")
    record, backend, _ = played(HERMES, both + "<|im_end|>", "red<|im_end|>")
    first, second = (s for s in record.steps if isinstance(s, ToolStep))
    said = [backend.tokenizer.decode(list(s.token_ids or ())) for s in (first, second)]
    head = "\n<|im_start|>user\n<tool_response>\nIt is red.\n</tool_response>"
    assert said[0].startswith(head)
    assert said[0] + said[1] == head + (
        "\n<tool_response>\nno open here\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(
    ("body", "name", "why"),
    [
        ('{"name": "look", "arguments": {"at": }}', "look", "no JSON"),
        ('{"arguments": {}}', "", "it has no name"),
        ('{"name": "look", "arguments": [1]}', "look", "arguments are no JSON object"),
    ],
)
def test_a_call_that_cannot_be_read_is_answered_and_recorded(body, name, why) -> None:
    env = Door()
    wrong = f"<tool_call>\n{body}\n</tool_call>"
    record, backend, _ = played(HERMES, wrong + "<|im_end|>", "red<|im_end|>", env=env)
    (call,) = model_steps(record)[0].calls
    assert (call.name, call.arguments) == (name, body)
    assert (call.evidence.parsed, call.evidence.ran) == (False, False)
    answer = record.steps[3]
    assert isinstance(answer, ToolStep)
    assert answer.error is True
    assert why in answer.text
    assert env.heard == ["red"]  # the world was not asked
    assert ids_of(record) == backend.fed
    assert record.outcome == 1.0


def test_a_turn_that_did_not_end_is_ended_for_the_policy_and_not_by_it() -> None:
    record, backend, _ = played(HERMES, "hm", "red<|im_end|>", turn_tokens=2)
    step, read = record.steps[2:4]
    assert isinstance(step, ModelStep)
    assert backend.tokenizer.decode(list(step.token_ids or ())) == "hm"
    assert backend.tokenizer.decode(list(read.token_ids or ())) == (
        "<|im_end|>\n<|im_start|>user\nWell?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert ids_of(record)[: len(backend.fed)] == backend.fed


def test_a_template_that_closes_the_last_turn_in_its_own_way_is_found_by_its_end() -> None:
    end = "<|im_end|>\n{% endif %}{% endfor %}{% if add"
    own = HERMES.replace(end, "{% if loop.last %} (last){% endif %}" + end)
    assert own != HERMES
    record, backend, _ = played(own, "hm<|im_end|>", "red<|im_end|>")
    read = record.steps[3]
    assert backend.tokenizer.decode(list(read.token_ids or ())) == (
        "\n<|im_start|>user\nWell?<|im_end|>\n<|im_start|>assistant\n".replace(
            "Well?", "Well? (last)"
        )
    )


def test_a_text_that_does_not_end_the_task_claims_nothing() -> None:
    record, _, _ = played(HERMES, "hm<|im_end|>", "r", turn_tokens=20)
    assert (record.claim, record.outcome, record.end) == ("none", 0.0, "budget")


def test_an_end_that_generation_config_names_ends_a_turn_too() -> None:
    made = tokenizer(LLAMA)
    eos, bos, eot = (made.convert_tokens_to_ids(t) for t in ("<eos>", "<bos>", "<|eot|>"))
    assert Chat(made).ends == (eos, eot)
    assert Chat(made, ends=(eot, bos)).ends == (eos, eot, bos)
    assert Chat(made, ends=(bos,)).is_over([9, bos])
    assert not Chat(made).is_over([9, bos])


def test_engines_are_told_where_turns_end() -> None:
    _, backend, chat = played(HERMES, "red<|im_end|>")
    assert backend.sampling is not None
    assert (backend.sampling.stop, backend.sampling.ends) == ((), chat.ends)


def test_a_base_model_gets_a_plain_dialogue_of_lines() -> None:
    call = ' {"name": "look", "parameters": {"at": "door"}}\n'
    record, backend, _ = played(None, call, " red\n")
    opening = backend.tokenizer.decode([t for s in record.steps[:2] for t in s.token_ids or ()])
    assert opening.startswith("<bos>Answer in one word.\n\nYou have these tools:\n")
    assert opening.endswith("\n\nUser: Which colour has the door?\n\nAssistant:")
    read = record.steps[3]
    assert backend.tokenizer.decode(list(read.token_ids or ())) == (
        "\nUser: look: It is red.\n\nAssistant:"
    )
    assert ids_of(record) == backend.fed
    assert record.outcome == 1.0


def test_an_environment_without_tools_hears_the_text() -> None:
    record, backend, _ = played(HERMES, "<think>\nhm\n</think>\n\n=1<|im_end|>", env=Guess())
    assert (record.outcome, record.steps[-1].calls) == (1.0, ())
    assert not any(isinstance(step, SystemStep) for step in record.steps)
    assert ids_of(record) == backend.fed


def test_a_family_is_played_by_tools() -> None:
    family = load("lookup", hops=1)
    turns = []
    for turn in solve(family, 0) or ():
        name, given = family.as_call(turn) or ("", {})
        body = json.dumps({"name": name, "arguments": dict(given)})
        turns.append(f"<tool_call>\n{body}\n</tool_call><|im_end|>")
    record, backend, _ = played(HERMES, *turns, env=family)
    assert record.outcome == 1.0
    assert [call.name for step in model_steps(record) for call in step.calls][-1] == "answer"
    assert all(c.evidence.expert for step in model_steps(record) for c in step.calls)
    assert ids_of(record) == backend.fed


@pytest.mark.parametrize("template", [HERMES, LLAMA, GEMMA, None])
def test_an_experts_turns_are_written_as_the_template_writes_them(template) -> None:
    made = tokenizer(template)
    chat, env = Chat(made), Door()
    recorder = Recorder(env, 0, protocol=chat)
    for turn in solve(Door(), 0) or ():
        text, ids = chat.written(turn, env)
        assert chat.is_over(ids)
        recorder.act(text)
    assert recorder.trajectory().outcome == 1.0


@pytest.mark.parametrize(
    ("syntax", "text", "found"),
    [
        ("hermes", asked("a", "1") + asked("b", "2"), [("a", {"at": "1"}), ("b", {"at": "2"})]),
        ("hermes", '<tool_call>{"name": "a", "arguments": {}}', [("a", {})]),
        ("hermes", "no call", []),
        (
            "xml",
            "<tool_call>\n<function=a>\n<parameter=n>\n3\n</parameter>\n<parameter=s>\nx y\n"
            "</parameter>\n</function>\n</tool_call>",
            [("a", {"n": 3, "s": "x y"})],
        ),
        (
            "mistral",
            'so [TOOL_CALLS][{"name": "a", "arguments": {"n": 1}}, {"name": "b", "arguments": {}}]',
            [("a", {"n": 1}), ("b", {})],
        ),
        ("mistral", '[TOOL_CALLS]a[ARGS]{"n": 1}[TOOL_CALLS]b{}', [("a", {"n": 1}), ("b", {})]),
        ("llama", '<|python_tag|>{"name": "a", "parameters": {"n": 1}}', [("a", {"n": 1})]),
        (
            "llama",
            '{"name": "a", "parameters": {}}; {"name": "b", "parameters": {"n": 2}}',
            [("a", {}), ("b", {"n": 2})],
        ),
        ("llama", "I would {not} call", []),
        (
            "gemma",
            "<start_function_call>call:a{s:<escape>x, y<escape>,n:3}<end_function_call>",
            [("a", {"s": "x, y", "n": 3})],
        ),
        ("fenced", '```json\n{"name": "a", "arguments": {"n": 1}}\n```', [("a", {"n": 1})]),
        ("fenced", "```python\nprint(1)\n```", []),
    ],
)
def test_syntaxes(syntax, text, found) -> None:
    got = calls(text, syntax)
    assert [(call.name, call.values) for call in got] == found
    assert all(0 <= call.start < call.end <= len(text) for call in got)
    assert all(first.end <= second.start for first, second in pairwise(got))


def test_syntaxes_are_read_off_the_templates() -> None:
    said = {name: Chat(tokenizer(t)).syntax for name, t in
            (("hermes", HERMES), ("llama", LLAMA), ("gemma", GEMMA), ("plain", None))}  # fmt: skip
    assert said == {"hermes": "hermes", "llama": "llama", "gemma": "fenced", "plain": "llama"}


def test_the_package_renderers_renders_and_reads_where_it_knows_the_model() -> None:
    pytest.importorskip("renderers")
    made = tokenizer(HERMES)
    made.name_or_path = "Qwen/Qwen3-8B"
    made.init_kwargs["name_or_path"] = "Qwen/Qwen3-8B"
    both = asked("look", "door") + "\n" + asked("open", "hall") + "<|im_end|>"
    backend = Plays(made, both, asked("look", "")[:-20] + "<|im_end|>", "red<|im_end|>")
    chat = Chat(made)
    assert chat._known is not None
    (record,) = collect(
        backend,
        [Planned(environment=Door(), seed=0)],
        sampling=Sampling(max_tokens=4000, turn_tokens=400, max_length=9000),
        seed=(0,),
        clock=None,
        protocol=chat,
    )
    assert ids_of(record) == backend.fed
    calls_ = [(c.name, c.evidence.parsed) for step in model_steps(record) for c in step.calls]
    assert calls_[:2] == [("look", True), ("open", True)]
    assert [parsed for _, parsed in calls_[2:]] == [False]
    assert record.outcome == 1.0

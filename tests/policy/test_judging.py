"""A model of this machine answers several requests in a batch as it answers each alone."""

from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from assay.errors import UsageError
from assay.judges.chat import NoAnswer, Spent
from assay.policy.judging import LocalJudge


def asked(*texts: str) -> list[Any]:
    return [
        [{"role": "system", "content": "score it"}, {"role": "user", "content": text}]
        for text in texts
    ]


def judge(**more: Any) -> LocalJudge:
    return LocalJudge("start", **{"max_tokens": 6, "temperature": 0.0, **more})


REQUESTS = asked("get a", "get b, and then get a", "get", "get a, or b")


def test_a_batch_is_answered_in_order_as_each_request_alone() -> None:
    one, spent = judge(batch=1), Spent()
    alone = [one([each])[0] for each in REQUESTS]
    assert len(set(alone)) > 1
    assert judge(batch=3, spent=spent)(REQUESTS) == alone
    assert (spent.read, spent.wrote, spent.told) == (one.spent.read, one.spent.wrote, 4)
    ids = [one._tokenizer(f"score it\n\n{each[1]['content']}\n\n") for each in REQUESTS]
    assert one.spent.read == sum(len(each["input_ids"]) for each in ids)
    assert 4 <= one.spent.wrote <= 4 * 6


def test_what_does_not_fit_is_long_and_the_others_are_answered() -> None:
    size = len(judge()._prompt(REQUESTS[1])) + 6
    found = judge(room=size - 1)(REQUESTS)  # one token short of an answer to the longest
    assert isinstance(found[1], NoAnswer)
    assert found[1].word == "long"
    assert [type(each) for each in found] == [str, NoAnswer, str, str]
    assert isinstance(judge(room=size)(REQUESTS)[1], str)
    assert isinstance(judge()(asked("get a " * 600))[0], NoAnswer)  # 1,024 of its configuration


def test_its_chat_template_is_used_and_the_answer_begun() -> None:
    by = judge()
    by._tokenizer.chat_template = (
        "{% for m in messages %}{{ m.role }}: {{ m.content }} {% endfor %}"
        "{% if add_generation_prompt %}assistant{% endif %}"
    )
    told = by._tokenizer.decode(by._prompt(REQUESTS[0]))
    assert told.replace(" ", "") == "system:scoreituser:getaassistant"


def test_the_end_is_no_part_of_an_answer() -> None:
    by = judge()
    ids = by._tokenizer(by(REQUESTS[:1])[0], add_special_tokens=False)["input_ids"]
    by._end, before = ids[1], by.spent.wrote
    assert by(REQUESTS[:1]) == [by._tokenizer.decode(ids[:1])]
    assert by.spent.wrote == before + 2


def test_its_chance_is_its_seed() -> None:
    first, again, other = (judge(temperature=2.0, seed=seed)(REQUESTS) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("more", [{"batch": 0}, {"max_tokens": 0}])
def test_nothing_in_a_batch_is_refused(more: Any) -> None:
    with pytest.raises(UsageError, match="expected at least 1"):
        judge(**more)

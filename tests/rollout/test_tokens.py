"""Prompts through chat templates that know less."""

from typing import Any

import pytest

jinja2 = pytest.importorskip("jinja2")

from assay.errors import UsageError  # noqa: E402
from assay.rollout.protocols.line import Line  # noqa: E402
from assay.world.line import INSTRUCTIONS  # noqa: E402


class Templated:
    """A tokenizer whose template refuses messages of some roles."""

    eos_token_id = 1
    chat_template = "..."

    def __init__(self, *refused: str) -> None:
        self.refused, self.given = refused, list[Any]()

    def apply_chat_template(self, messages: list[dict[str, str]], **_: Any) -> dict[str, Any]:
        self.given = messages
        for message in messages:
            if message["role"] in self.refused:
                raise jinja2.TemplateError(f"no role {message['role']}")
        return {"input_ids": [7]}


def test_instructions_are_the_systems_message() -> None:
    tokenizer = Templated()
    assert Line(tokenizer).prompt("?task") == [7]
    assert [each["role"] for each in tokenizer.given] == ["system", "user"]
    assert [each["content"] for each in tokenizer.given] == [INSTRUCTIONS, "?task"]


def test_where_there_is_no_system_they_come_before_the_task() -> None:
    tokenizer = Templated("system")
    assert Line(tokenizer).prompt("?task") == [7]
    assert tokenizer.given == [{"role": "user", "content": f"{INSTRUCTIONS}\n\n?task"}]


def test_a_template_that_refuses_a_user_too_is_one_line() -> None:
    with pytest.raises(UsageError, match="chat template refuses a task: no role user"):
        Line(Templated("system", "user")).prompt("?task")

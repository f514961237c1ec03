"""An eval of inspect-ai with tools, in the environment of the clients, through its provider of
OpenAI-compatible servers. Prints what it came to as JSON."""

import json
import sys
from typing import Any

from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import get_model
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import ToolError, tool


@tool
def add():
    async def execute(x: int, y: int) -> int:
        """Adds two numbers.

        Args:
            x: The first.
            y: The second.
        """
        return x + y

    return execute


@tool
def find():
    async def execute(name: str) -> str:
        """Finds a file.

        Args:
            name: Of the file.
        """
        raise ToolError(f"error: {name}: no such file")

    return execute


@tool
def home():
    async def execute(input: str) -> str:
        """The country of a capital.

        Args:
            input: The capital.
        """
        return {"Accra": "Ghana", "Paris": "France"}.get(input, f"error no city {input}")

    return execute


@tool
def currency():
    async def execute(input: str) -> str:
        """The currency of a country.

        Args:
            input: The country.
        """
        return {"Ghana": "GHS", "France": "EUR"}.get(input, f"error no country {input}")

    return execute


def main(asked: dict[str, Any]) -> None:
    tools = {"add": add, "find": find, "home": home, "currency": currency}
    task = Task(
        dataset=MemoryDataset(
            [Sample(input=each["input"], target=each["target"]) for each in asked["samples"]]
        ),
        solver=[use_tools(*(tools[name]() for name in asked["tools"])), generate()],
        scorer=includes(),
        message_limit=12,
    )
    model = get_model(
        f"openai-api/local/{asked.get('model', 'm')}",
        base_url=asked["url"],
        api_key="any",
        stream=asked["stream"],
        responses_api=asked["api"] == "responses",
        max_retries=0,
    )
    (log,) = eval(
        task,
        model=model,
        log_dir=asked["folder"],
        display="none",
        max_samples=asked["at_once"],
        time_limit=120,
        fail_on_error=True,
    )
    made = {
        "status": log.status,
        "error": None if log.error is None else log.error.message,
        "samples": [
            {
                "answer": each.output.completion,
                "roles": [message.role for message in each.messages],
                "score": each.scores["includes"].value if each.scores else None,
            }
            for each in log.samples or ()
        ],
    }
    print(json.dumps(made))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

"""mini-swe-agent's agent, in the environment of the clients: one thread a task, each in a folder of
its own, with the agent's own settings or short ones. Prints what each run came to as JSON."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import minisweagent
import yaml
from minisweagent.agents.default import DefaultAgent
from minisweagent.environments.local import LocalEnvironment
from minisweagent.models.litellm_model import LitellmModel
from minisweagent.models.litellm_response_model import LitellmResponseModel

MODELS = {"chat": LitellmModel, "responses": LitellmResponseModel}


def main(asked: dict[str, Any]) -> None:
    config = yaml.safe_load(
        (Path(minisweagent.__file__).parent / "config" / "mini.yaml").read_text()
    )
    config["agent"].pop("mode", None)  # of the agent that asks a person
    config["agent"] |= asked.get("agent", {})

    def run(number: int, task: str) -> dict[str, Any]:
        folder = Path(asked["folder"]) / str(number)
        folder.mkdir(parents=True)
        model = MODELS[asked["api"]](
            model_name=f"openai/{asked.get('model', 'm')}",
            cost_tracking="ignore_errors",
            **config["model"]
            | {
                "model_kwargs": {
                    **config["model"]["model_kwargs"],
                    "api_base": asked["url"],
                    "api_key": "any",
                    "timeout": 60,
                    "max_retries": 0,
                    "extra_headers": asked.get("headers", {}),
                }
            },
        )
        environment = LocalEnvironment(cwd=str(folder), timeout=20, **config["environment"])
        agent = DefaultAgent(model, environment, wall_time_limit_seconds=120, **config["agent"])
        found = agent.run(task)
        words = {key: found[key] for key in ("exit_status", "submission")}
        return {**words, "calls": agent.n_calls}

    with ThreadPoolExecutor(len(asked["tasks"])) as pool:
        print(json.dumps(list(pool.map(run, range(len(asked["tasks"])), asked["tasks"]))))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

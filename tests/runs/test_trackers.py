"""Rows of a run as a tracker gets them, by a stand-in for trackio that writes down what it is told.

Tried by hand with trackio 0.43 and with wandb 0.31 offline: the same rows arrive.
"""

import json
from pathlib import Path

import pytest

pytest.importorskip("trl")

from assay.errors import UsageError
from assay.runs.config import parsed
from assay.runs.start import checked
from tests.runs import tiny

STAND_IN = """
import contextvars, json, types
__version__ = "0.0.0"
context_vars = types.SimpleNamespace(current_space_id=contextvars.ContextVar("id", default=None))
class Config(dict):
    def update(self, values, allow_val_change=False): super().update(values)
config = Config()
def told(what, **more):
    with open("told.jsonl", "a") as file:
        file.write(json.dumps({"what": what, **more}) + "\\n")
def init(project, name, **_): told("init", project=project, name=name)
def log(values, step=None):
    told("log", step=values.get("train/global_step"),
         values={k: v for k, v in values.items() if "/assay/" in k})
def finish(): told("finish")
class Table:
    def __init__(self, *_, **__): pass
"""


@pytest.mark.slow
def test_a_tracker_gets_every_step_as_the_run_wrote_it(tmp_path: Path) -> None:
    policy = tiny.policy(tmp_path / "policy")
    (tmp_path / "trackio.py").write_text(STAND_IN)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(parsed(tiny.settings(policy, trl__report_to="trackio")).toml())
    said = tiny.assay("train", str(recipe), "--out", "first", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    told = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    assert told[0] == {"what": "init", "project": "assay", "name": "first"}
    assert told[-1] == {"what": "finish"}
    got = [each for each in told if each["what"] == "log" and each["values"]]
    written = (tmp_path / "first/metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in written]
    assert [each["step"] for each in got] == [row["step"] for row in rows] == [1, 2, 3, 4]
    for each, row in zip(got, rows, strict=True):
        for name in ("reward", "entropy", "dead_share", "tokens_generated", "mass/positive"):
            assert each["values"][f"train/assay/{name}"] == pytest.approx(row[name]), name


def test_a_tracker_that_transformers_refuses_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers.trainer  # noqa: F401  # imported later, it would keep the stand-in

    def missing() -> None:
        raise RuntimeError("TensorBoardCallback requires tensorboard\nto be installed.")

    monkeypatch.setattr(
        "transformers.integrations.integration_utils.get_reporting_integration_callbacks",
        lambda _: [missing],
    )
    config = parsed({"trl": {"report_to": "tensorboard"}})
    with pytest.raises(UsageError, match=r"'tensorboard' is refused: .* to be installed") as caught:
        checked(config, 0, Path("out"))
    assert "\n" not in str(caught.value)

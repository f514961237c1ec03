"""What fuzzing found, once each, as small as it was made."""

import json
from pathlib import Path

from assay.importers import Losses, load
from assay.records import ToolStep, UserStep


def test_an_atif_user_step_may_hold_tool_calls(tmp_path: Path):
    # Was an IndexError: the result answered a call that no step of ours has.
    step = {
        "step_id": 1,
        "source": "user",
        "message": "Looking.",
        "tool_calls": [{"tool_call_id": "a", "function_name": "get", "arguments": {}}],
        "observation": {"results": [{"source_call_id": "a", "content": "paid"}]},
    }
    agent = {"name": "clerk", "version": "1"}
    log = tmp_path / "trajectory.json"
    log.write_text(json.dumps({"schema_version": "ATIF-v1.8", "agent": agent, "steps": [step]}))
    losses = Losses()
    (trajectory,) = load(log, format="atif", losses=losses)[1]
    assert trajectory.steps == (UserStep(text="Looking."), ToolStep(text="paid"))
    assert losses.counts["call_of_no_agent"] == 1
    assert losses.counts["result_of_no_call"] == 1

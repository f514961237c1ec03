"""The example of the page runs as it is written, on what a training leaves."""

import json
import re
from pathlib import Path

from assay.records import Ledger, ModelStep, Trajectory, write

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"


def test_the_example_runs_on_a_run_of_train(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "mine"
    (run / "rollouts").mkdir(parents=True)
    for step in (1, 2):
        made = [
            Trajectory(
                id=f"{step}/{n}",
                task="t",
                group=f"{step}/t",
                steps=(ModelStep(text="x"),),
                ledger=Ledger(tokens=10),
            )
            for n in range(4)
        ]
        write(run / "rollouts" / f"step_{step:06d}.jsonl", made)
    rows = [{"step": step, "seconds": 9.0, "rollout_seconds": 4.0 * step} for step in (1, 2)]
    (run / "timing.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    small = code.replace("workers=1000, groups=500", "workers=8, groups=4")
    small = small.replace("updates=60", "updates=7")
    given = {}
    exec(small, given)
    # a step's seconds by its four trajectories: 4 / 4 and 8 / 4
    assert given["measured"].length == [[1.0] * 4, [2.0] * 4]
    assert capsys.readouterr().out

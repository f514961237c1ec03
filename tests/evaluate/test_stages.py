"""What later stages did to earlier domains: by hand, and of a run of a few steps."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.errors import DataError, UsageError
from assay.evaluate.stages import ended, measured_stages, sentences, told
from assay.runs.config import parsed
from tests.runs import tiny
from tests.runs.conftest import Assay, assay, policy  # noqa: F401 - fixtures

A, B = "tests.runs.tiny:Letter", "tests.runs.tiny:Solved"
# the base, after b, after a; domains a, b; two tasks each
RATES = np.array(
    [
        [[0.0, 0.2], [0.1, 0.3]],
        [[0.0, 0.4], [0.7, 0.9]],
        [[0.5, 0.7], [0.4, 0.8]],
    ]
)


def made() -> dict[str, Any]:
    return told(("a", "b"), [("b", 4), ("a", 9)], RATES)


def test_backward_transfer_and_its_error_by_hand() -> None:
    found = made()
    # b first: .2 before, .8 after its stage, .6 at the end; a .1, .2, .6
    np.testing.assert_allclose(found["base"], [0.2, 0.1], atol=1e-12)
    np.testing.assert_allclose(found["after"], [[0.8, 0.2], [0.6, 0.6]], atol=1e-12)
    np.testing.assert_allclose(found["own"], [0.8, 0.6], atol=1e-12)
    np.testing.assert_allclose(found["last"], [0.6, 0.6], atol=1e-12)
    assert found["backward_transfer"] == pytest.approx(-0.2)
    # b's tasks: .4 - .7 and .8 - .9: -.3 and -.1, deviation .141421, over root 2: .1
    assert found["backward_error"] == pytest.approx(0.1)
    # of b after its stage .7 .9, of a .0 .4
    np.testing.assert_allclose(found["error"][0], [0.1, 0.2], atol=1e-12)
    assert sentences(found) == [
        "b: 0.200 before, 0.800 after its stage (step 4), 0.600 at the end",
        "a: 0.100 before, 0.600 after its stage (step 9), 0.600 at the end",
        "backward transfer -0.200 \N{PLUS-MINUS SIGN} 0.100, its standard error over tasks",
    ]


def test_stages_are_read_from_the_metrics() -> None:
    rows = [
        {"step": step, "schedule/domain": name}
        for step, name in enumerate(["b", "b", None, "b", "a", "a", "b"], 1)
    ]
    assert ended(rows) == [("b", 4), ("a", 6), ("b", 7)]
    assert ended([{"step": 1}]) == []


@pytest.fixture(scope="module")
def staged(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    pytest.importorskip("trl", reason="needs the extra assay[train]")
    from assay.runs.start import start

    out = tmp_path_factory.mktemp("runs") / "staged"
    several = {"env__name": f"several:{A}+{B}", "train__keep": 9}
    schedule = {"mode": "fixed", "order": [B, A]}
    start(parsed(tiny.settings(policy, **several, schedule=schedule)), out, seed=5)
    return out


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_verb_measures_a_run(staged: Path, assay: Assay, tmp_path: Path) -> None:  # noqa: F811
    said = assay(
        "schedule", "measure", staged, "--prompts", 4, "--samples", 4, "--out", tmp_path / "x.json"
    )
    assert said.code == 0, said.err
    found = json.loads((tmp_path / "x.json").read_bytes())
    assert found["schema"] == "assay.stages/1"
    assert found["stages"] == [{"domain": B, "step": 2}, {"domain": A, "step": 4}]
    assert (found["prompts"], found["samples"]) == (4, 4)
    assert said.out.startswith(f"{B}: ")
    assert "backward transfer" in said.out
    again, path = measured_stages(staged, prompts=4, samples=4)
    assert again == found
    assert path == staged / "stages.json"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_run_without_stages_or_checkpoints_is_refused(staged: Path) -> None:
    rows = (staged / "metrics.jsonl").read_text()
    try:
        (staged / "metrics.jsonl").write_text("\n".join(rows.splitlines()[:2]) + "\n")
        with pytest.raises(UsageError, match=r"practised tests.runs.tiny:Solved; expected each of"):
            measured_stages(staged)
        (staged / "metrics.jsonl").write_text("")
        with pytest.raises(UsageError, match="practised no domain by itself"):
            measured_stages(staged)
    finally:
        (staged / "metrics.jsonl").write_text(rows)
    (staged / "checkpoints" / "step_2" / "COMMITTED").rename(staged / "gone")
    with pytest.raises(DataError, match="no checkpoint of step 2; there are 1, 3, 4"):
        measured_stages(staged, prompts=2, samples=2)

"""The experiment on credit from structure: its cells."""

from pathlib import Path

import pytest
from claims.structure import SCALES

from assay.claims import load as experiments
from assay.claims.cells import Scale
from assay.runs.config import parsed

CLAIMS = Path(__file__).parents[2] / "claims"


@pytest.mark.parametrize("scale", SCALES.values(), ids=list(SCALES))
def test_every_cell_has_a_configuration_that_is_accepted_at_every_scale(scale: Scale):
    cells = list(experiments(CLAIMS)["structure"].cells(scale, 1))
    assert len({cell.key for cell in cells}) == len(cells)
    found = {
        cell.arm: parsed(cell.tables(scale)) for cell in cells if cell.arm not in ("base", "null")
    }
    start = found["srl_start"].start
    assert start.kind == "srl"
    assert start.steps == {"full": 60, "quick": 2}[scale.name]
    assert found["grpo"].start.kind == "none"

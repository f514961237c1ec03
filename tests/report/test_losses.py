"""What importers count is explained, wherever it is a kind and not a key of the log."""

import re
from pathlib import Path

import assay.importers
from assay.report.losses import explained

FOLDER = Path(assay.importers.__file__).parent


def test_sentences_have_numbers_and_keys_their_names():
    losses = {"no_outcome": 2, "exit_status:gone": 1, "info:cost": 3, "info": 1}
    assert list(explained(losses)) == [
        ("no_outcome", 2, "2 trajectories have no outcome"),
        ("exit_status:gone", 1, "1 trajectory ended in gone, whose meaning is not known"),
        ("info:cost", 3, ""),
        ("info", 1, "1 record has more of the environment's own: not kept"),
    ]


def test_every_kind_that_an_importer_counts_by_name_is_explained():
    kinds = {
        kind
        for file in FOLDER.glob("*.py")
        for kind in re.findall(r'\.lose\(\s*"([a-z_]+)"', file.read_text("utf-8"))
    }
    assert len(kinds) > 80
    assert {kind for kind, _, means in explained(dict.fromkeys(kinds, 1)) if not means} == set()

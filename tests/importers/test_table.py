"""docs/formats.md says of every format what its fixture says."""

import tomllib

from assay.importers import IMPORTERS
from tests.importers import table


def test_every_format_is_in_the_table():
    made = tomllib.loads((table.HERE / "made.toml").read_text())
    assert sorted(made) == sorted(IMPORTERS.names())
    assert all(set(row) == {"point_at", "read", "made", "tokens", "lacks"} for row in made.values())


def test_the_page_is_what_the_fixtures_say():
    said = "python -m tests.importers.table"
    assert table.PAGE.read_text() == table.page(), f"out of date: {said}"

"""A browser that goes away while the page loads leaves no traceback in the terminal."""

from pathlib import Path

import pytest

from assay.report.serve import live


@pytest.mark.parametrize(
    ("error", "told"), [(BrokenPipeError, ""), (ConnectionResetError, ""), (KeyError, "KeyError")]
)
def test_who_goes_away_is_no_error(capsys: pytest.CaptureFixture[str], error, told: str):
    with live(lambda: Path("none"), port=0) as server:
        try:
            raise error
        except error:
            server.handle_error(None, ("127.0.0.1", 1))
    assert told in (said := capsys.readouterr().err)
    assert bool(said) == bool(told)

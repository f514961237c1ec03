"""A committed page is what its rows say."""

from assay.claims import Rows, committed, load
from assay.claims.page import page, summary
from tests.claims.test_structure import CLAIMS


def checked(name: str) -> tuple[Rows, dict[str, str]]:
    """The rows of an experiment whose page is up to date, and the verdict on each prediction."""
    known, rows = load(CLAIMS)[name], committed(CLAIMS, name)
    said = (CLAIMS.parent / "docs" / "claims" / f"{name}.md").read_text("utf-8")
    assert said == page(known, rows, {}), f"assay claims show {name} -o docs/claims"
    found = summary(known, rows)["predictions"]
    return rows, {each["id"]: each["verdict"] for each in found}

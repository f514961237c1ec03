"""The table of docs/export.md: `python -m tests.exporters.table` writes it from the exporters."""

from pathlib import Path

from assay.exporters import EXPORTERS

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
BEGIN, END = "<!-- forms -->\n", "<!-- /forms -->"


def table() -> str:
    """Returns a row for each exporter, in the order of the registry."""
    rows = [
        f"| `{e.name}` | {e.writes} | {e.grain} | {e.engine}: {e.checked} | {e.lacks} |"
        for e in map(EXPORTERS.get, EXPORTERS.names())
    ]
    head = "| `--to` | writes | advantages | checked with | what is lost |"
    return "\n".join([head, "|---|---|---|---|---|", *rows, ""])


def page() -> str:
    """Returns docs/export.md as it should be."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page())

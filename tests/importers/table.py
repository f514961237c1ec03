"""The tables of docs/formats.md, from made.toml and from reading each format's fixture.

`python -m tests.importers.table` writes them between their markers.
"""

import tomllib
from pathlib import Path

from assay.importers import IMPORTERS, Losses, load

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "formats.md"
BEGIN, END = "<!-- formats -->\n", "<!-- /formats -->"
POINT_AT = "| `--format` | what to point at | token ids | what it lacks |"
MADE = "| `--format` | read | fixture | counted as lost in the fixture |"


def lost(format: str) -> str:
    """Returns the kinds of loss in the fixture of a format; keys of the log are left out."""
    losses = Losses()
    for _ in load(HERE.parent / "fixtures" / format, format=format, losses=losses)[1]:
        pass
    return ", ".join(sorted({f"`{kind.partition(':')[0]}`" for kind in losses.counts})) or "nothing"


def tables() -> str:
    """Returns both tables, a row for each format in the order of the registry."""
    made = tomllib.loads((HERE / "made.toml").read_text())
    names = [name for name in IMPORTERS.names() if name in made]
    rows = [(name, made[name]) for name in names]
    first = [f"| `{n}` | {m['point_at']} | {m['tokens']} | {m['lacks']} |" for n, m in rows]
    second = [f"| `{n}` | {m['read']} | {m['made']} | {lost(n)} |" for n, m in rows]
    rule = "|---|---|---|---|"
    told = "Read means: the writer's version whose files were read. Formats move; these are tested."
    return "\n".join([POINT_AT, rule, *first, "", told, "", MADE, rule, *second, ""])


def page() -> str:
    """Returns docs/formats.md as it should be."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + tables() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page())

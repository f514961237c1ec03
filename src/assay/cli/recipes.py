"""`assay recipes`: what ships, what each shows, how long it takes."""

from msgspec.structs import asdict
from rich.table import Table

from assay.cli.options import LOOK, Json, Terminal, emit_one


def recipes(json: Json = None) -> None:
    """Lists the shipped recipes: what each shows, how long it takes."""
    from assay.recipes import read, shipped
    from assay.runs.config import parsed

    rows = [
        {
            "name": name,
            **asdict(config.about),
            "env": config.env.name,
            "steps": config.train.steps,
        }
        for name in shipped()
        for config in [parsed(read(name), f"recipe {name}")]
    ]
    if json is not None:
        emit_one({"schema": "assay.recipes/1", "recipes": rows}, json)
        return
    table = Table(**LOOK)
    for column in ("name", "shows", "tasks", "steps", "minutes"):
        table.add_column(column, no_wrap=column in ("name", "tasks"))
    for row in rows:
        minutes = f"{row['minutes']:g}" if row["minutes"] else "-"
        told = f"{row['title']}. {row['shows']}"
        table.add_row(str(row["name"]), told, str(row["env"]), str(row["steps"]), minutes)
    Terminal().print(table)

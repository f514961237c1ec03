"""The page of `assay schedule plan`: every number in it is in schedule.json."""

from collections.abc import Mapping
from typing import Any

from assay.report.template import rendered


def page(result: Mapping[str, Any]) -> str:
    """Returns the page of a plan, schema "assay.schedule/1": the matrix of transfers first."""
    most = max((abs(each) for row in result["gain"] for each in row), default=0.0) or 1.0
    return rendered("transfer.html", result=result, said=sentences(result), most=most)


def sentences(result: Mapping[str, Any]) -> list[str]:
    """Returns what a plan says."""
    over = result["over_random"]
    said = [
        f"train in this order: {', '.join(result['order'])}",
        f"predicted mean over an order drawn at random {over['value']:+.3f} "
        f"[{over['low']:+.3f}, {over['high']:+.3f}]; predicted backward transfer "
        f"{result['backward_transfer']:+.3f}",
    ]
    if over["value"] == 0:
        said.append("no transfer is further than its error from 0: the order does not matter here")
    elif over["low"] <= 0:
        said.append("that may be chance: measure more held-out tasks, or take any order")
    return said

"""The page of `assay eval`: every number in it is in eval.json."""

from collections.abc import Mapping
from typing import Any

from assay.report.template import rendered


def page(result: Mapping[str, Any], curves: bytes) -> str:
    """Returns the page of a result, schema "assay.eval/1", and its curves as SVG in it."""
    said = [sentence(result, name) for name in result["arms"]]
    return rendered("evaluation.html", policies(result), result=result, said=said, svg=curves)


def sentence(result: Mapping[str, Any], name: str) -> str:
    """Returns what an arm has over the base, and what a frozen copy has by chance."""
    arm, null = result["arms"][name], result["null"]["newly_solved"]
    gap, new = arm["difference"], arm["newly_solved"]
    said = f"{name}: pass@1 {gap['value']:+.3f} [{gap['low']:+.3f}, {gap['high']:+.3f}] over the "
    if not new["unreached_by_base"]:
        return f"{said}base, which passed every task at least once"
    return (
        f"{said}base; newly solved {new['solved']} of {new['unreached_by_base']} (by one success "
        f"{new['once']:.0%}, a frozen copy {null['once']:.0%})"
    )


def policies(result: Mapping[str, Any]) -> dict[str, Any]:
    """Returns everything measured, in the order of figures and tables."""
    return {"base": result["base"], **result["arms"], "frozen copy": result["null"]}

"""Whatever a log says, the report shows it as text: nothing runs, nothing is fetched."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.records import (
    Call,
    CallEvidence,
    ExpertCall,
    Grade,
    Hint,
    Mark,
    ModelStep,
    Origin,
    Rescue,
    SystemStep,
    ToolStep,
    Trajectory,
    UserStep,
    write,
)
from tests.report.conftest import Visit
from tests.report.samples import report_of

pytestmark = pytest.mark.chromium

HOSTILE = {
    "script": "<script>window.owned=1;alert(1)</script>",
    "closing": "</script><script>window.owned=1</script><!--",
    "spaced": "<!--<script </script ><script >window.owned=1</script >",
    "handler": "<img src=x onerror=\"window.owned=1;fetch('http://127.0.0.1:9/x')\">",
    "quotes": '"\'><svg/onload=window.owned=1>` autofocus onfocus=window.owned=1 x="',
    "address": "javascript:window.owned=1//#/trajectory/0?step=<b>",
    "template": "${window.owned=1} {{constructor.constructor('window.owned=1')()}} <%= 1 %> $title",
    "separators": "a\u2028window.owned=1\u2029b\u0085c",
    "style": "</style><style>*{display:none}</style><link rel=stylesheet href=//127.0.0.1:9/x>",
    "bidi": "\u202edrowssap\u202c \u2066x\u2069 \ufeff\u200b",
    "control": "null\x00byte \x1b[31mred \x7f \x08",
    "policy": '<meta http-equiv=Content-Security-Policy content="script-src *">'
    "<base href=//127.0.0.1:9/><iframe srcdoc='<script>parent.owned=1</script>'></iframe>"
    "<form action=//127.0.0.1:9>",
    "json": '"}],"steps":[{"kind":"model"}]}\\",\\u003cscript\\u003e]]>&lt;b&gt;&amp;',
    "prototype": "__proto__",
}


def hostile_trajectory(text: str, number: int, outcome: float) -> Trajectory:
    """Returns a trajectory that says `text` wherever a record can say anything."""
    own = f"{text} {number}"
    call = Call(
        name=text, arguments='{"a": ' + _json(text) + "}", id=text, evidence=CallEvidence(ran=True)
    )
    return Trajectory(
        id=own,
        task=text,
        group=text,
        tree=text,
        outcome=outcome,
        rewards={text: 1.0},
        grades=(Grade(level="E3", value=outcome, source=text, reason=text),),
        expert=(ExpertCall(name=text, arguments=text),),
        reference=text,
        end="answered",
        policy_version=text,
        rescue=Rescue(rung=text, of=text, given=text, goal=text),
        marks=(
            Mark(kind=text, text=text, source=text),
            Mark(kind=text, step=2, text=text, source=text),
        ),
        origin=Origin(format=text, path=text, index=0, extra={text: text}),
        steps=(
            SystemStep(text=text),
            UserStep(text=text, name=text),
            ModelStep(
                text=own,
                calls=(call,),
                agent=text,
                state_key=text,
                node=text,
                parent=text,
                hints=(Hint(text=text, source=text, quote=text),),
            ),
            ToolStep(text=text, name=text, call=(2, 0)),
            ModelStep(text=text, calls=(Call(name=text, arguments=text),)),
        ),
    )


def _json(text: str) -> str:
    return json.dumps(text)


ADDRESSES = (
    "#/waste",
    "#/groups",
    "#/group/0",
    "#/group/0?align=calls",
    "#/trajectory/0",
    "#/trajectory/1?step=2",
    "#/trajectory/0?with=1",
    "#/claims",
    "#/dead",
    "#/course",
    "#/other/0",
)


@pytest.mark.parametrize("kind", HOSTILE)
def test_nothing_executes_and_everything_is_shown(
    kind: str, tmp_path: Path, visit: Callable[..., Visit]
):
    text = HOSTILE[kind]
    records = [hostile_trajectory(text, n, outcome) for n, outcome in enumerate((1.0, 0.0))]

    def poison(audit: dict) -> None:
        audit["losses"] = {text: 1}
        audit["not_applicable"] = {text: text}
        audit["trust"]["warnings"] = [text]

    (tmp_path / "rescues").mkdir()
    write(tmp_path / "rescues" / f"step_1{kind}.jsonl", [hostile_trajectory(text, 2, 0.0)])
    row = {"step": text, f"judge/{text}/j": 0.5, f"hints/{text}/uplift": 0.5}
    (tmp_path / "metrics.jsonl").write_text(
        json.dumps({**row, f"hints/{text}/admitted": 1.0}) + "\n"
    )
    page, _ = report_of(
        [*records, hostile_trajectory(text, 3, 0.0)],
        tmp_path / "report.html",
        title=text,
        change=poison,
        run=tmp_path,
    )
    seen = visit().open(page)
    for address in ADDRESSES:
        seen.go(address)
        _walk_everything(seen)
        shown = seen.page.evaluate("document.body.textContent")
        assert text in shown or _as_json(text) in shown, f"{kind} is not shown on {address}"
    assert seen.page.evaluate("window.owned") is None
    assert seen.dialogs == []
    assert seen.foreign() == []
    assert seen.errors == []


def _as_json(text: str) -> str:
    return _json(text)[1:-1]


def _walk_everything(seen: Visit) -> None:
    """Hovers, opens and follows what there is, short of leaving the page."""
    seen.page.evaluate(
        """() => {
          for (const each of document.querySelectorAll("main details")) each.open = true;
          for (const each of document.querySelectorAll("main *")) {
            for (const type of ["mouseenter", "mouseover", "mousemove", "focus"])
              each.dispatchEvent(new MouseEvent(type, { bubbles: type !== "mouseenter" }));
          }
        }"""
    )


def test_attributes_and_elements_are_only_ours(tmp_path: Path, visit: Callable[..., Visit]):
    records = [hostile_trajectory(HOSTILE["policy"], n, float(n)) for n in range(2)]
    page, _ = report_of(records, tmp_path / "report.html", title=HOSTILE["policy"])
    seen = visit().open(page, "#/trajectory/0")
    foreign = "iframe, object, embed, base, form, img, svg, link, style, video, audio, math"
    found = seen.page.evaluate(
        """(foreign) => ({
          tags: [...document.querySelectorAll(foreign)]
            .map((each) => each.localName),
          addresses: [...document.querySelectorAll("a")].map((each) => each.getAttribute("href")),
          handlers: [...document.querySelectorAll("*")].flatMap((each) => each.getAttributeNames())
            .filter((name) => name.startsWith("on")),
        })""",
        foreign,
    )
    assert sorted(found["tags"]) == ["link", "style"]  # the icon, which is data:, and our sheet
    assert all(address.startswith("#") for address in found["addresses"])
    assert found["handlers"] == []


def test_the_policy_stops_what_would_get_in(tmp_path: Path, visit: Callable[..., Visit]):
    """The second wall: with a hole in the first, the browser still refuses."""
    page, _ = report_of(
        [hostile_trajectory("x", n, float(n)) for n in range(2)], tmp_path / "report.html"
    )
    hole = (
        "<img src='http://127.0.0.1:9/x' onerror='window.owned=1'><script>window.owned=1</script>"
    )
    page.write_text(page.read_text().replace("</body>", f"{hole}</body>"))
    seen = visit().open(page)
    seen.settle()
    assert seen.page.evaluate("window.owned") is None
    assert any("Content Security Policy" in error for error in seen.errors)

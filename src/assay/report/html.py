"""HTML of our own pages: one file that loads nothing."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from assay.report.svg import COLOURS

POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
STYLE: Final = """
:root { --paper: #fcfcfa; --sunken: #f4f4f0; --line: #e4e3dd; --ink: #1d2024; --soft: #5b6067;
  --accent: #1a5d9e; --up: #2f7bbf; --down: #d9762a; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --paper: #15171a; --sunken: #212429;
  --line: #2d3137; --ink: #e6e7e9; --soft: #a3a8af; --accent: #7db8ee; } }
* { box-sizing: border-box; }
html { font: 15px/1.55 system-ui, "Segoe UI", "Liberation Sans", Arial, sans-serif;
  color: var(--ink); background: var(--paper); }
body { margin: 0 auto; max-width: 1060px; padding: 28px 28px 64px;
  font-variant-numeric: tabular-nums; }
h1 { font-size: 25px; line-height: 1.25; letter-spacing: -0.01em; margin: 0 0 8px; }
h2 { font-size: 18px; margin: 40px 0 8px; }
p, ul { max-width: 72ch; margin: 0 0 12px; }
a { color: var(--accent); }
small, .soft { color: var(--soft); }
.verdict { background: var(--sunken); border-radius: 8px; padding: 14px 18px; margin: 16px 0;
  list-style: none; }
.verdict li + li { margin-top: 6px; }
.wide { overflow-x: auto; margin: 12px 0; }
table { border-collapse: collapse; font-size: 14px; }
th, td { text-align: right; padding: 5px 14px 5px 0; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { font-weight: 600; color: var(--soft); }
th:first-child, td:first-child { text-align: left; }
.signal th:nth-child(2), .signal td:nth-child(2) { text-align: left; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr));
  gap: 16px; }
.figure { border: 1px solid var(--line); border-radius: 8px; overflow: hidden; background: #fff; }
.figure svg { display: block; width: 100%; height: auto; }
.single { max-width: 760px; }
.key { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 6px; }
.bar { display: flex; width: 260px; height: 14px; }
.bar i { display: block; height: 100%; }
.bar i:first-child { background: var(--up); } .bar i:last-child { background: var(--down); }
code { font-size: 13px; background: var(--sunken); padding: 1px 5px; border-radius: 4px; }
"""


def document(title: str, parts: Sequence[str]) -> str:
    """Returns a whole page of HTML parts."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)} · Assay</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table of HTML cells; a wide one scrolls."""
    top = "".join(f"<th>{each}</th>" for each in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'


def listed(lines: Sequence[str], name: str = "") -> str:
    """Returns lines of text as a list of a class."""
    kind = f' class="{name}"' if name else ""
    return f"<ul{kind}>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def inline(svg: str) -> str:
    """Returns an SVG as it stands in HTML, where its namespace goes without saying."""
    return svg.replace(' xmlns="http://www.w3.org/2000/svg"', "")


def keyed(number: int, name: str) -> str:
    """Returns a name beside the colour that its line has in a figure."""
    return f'<span class="key" style="background:{COLOURS[number]}"></span>{escape(name)}'


def interval(value: float, ends: Sequence[float]) -> str:
    """Returns a number and its interval."""
    return f"{value:.3f} <small>{ends[0]:.3f} to {ends[1]:.3f}</small>"


def difference(gap: Mapping[str, Any]) -> str:
    """Returns a difference and its interval."""
    return f"{gap['value']:+.3f} <small>{gap['low']:+.3f} to {gap['high']:+.3f}</small>"

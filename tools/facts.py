"""Builds `facts.sqlite` from the package countryinfo: `python -m tools.facts`.

countryinfo 1.0.1 is under the MIT licence, (c) 2018 Porimol Chandro: pip install countryinfo==1.0.1

A record is taken if it has a capital, a currency, a language, a region, people and names that fit;
they are written in ASCII. Nothing is corrected: where the package is dated, so is the world.
"""

import json
import re
import sqlite3
import unicodedata
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from assay.errors import DataError
from assay.files.atomic import publish

SOURCE = "countryinfo"
_NEEDED = ("name", "capital", "currencies", "languages", "region", "subregion", "population")
_LONGEST = 32
_TWICE = frozenset({"holy_see_vatican_city.json", "serbia_and_montenegro.json"})
"""A second record of the Vatican, and a country that is no more."""

_LANGUAGES = dict(re.findall(r"(\w+):(\w+)", """
af:Afrikaans am:Amharic ar:Arabic az:Azerbaijani be:Belarusian bg:Bulgarian bi:Bislama bn:Bengali
bs:Bosnian ca:Catalan cnr:Montenegrin cs:Czech da:Danish de:German dv:Maldivian dz:Dzongkha
el:Greek en:English es:Spanish et:Estonian fa:Persian fi:Finnish fo:Faroese fr:French ga:Irish
he:Hebrew hi:Hindi hr:Croatian hu:Hungarian hy:Armenian id:Indonesian is:Icelandic it:Italian
ja:Japanese ka:Georgian kk:Kazakh kl:Greenlandic km:Khmer ko:Korean ky:Kyrgyz la:Latin lo:Lao
lt:Lithuanian lv:Latvian mk:Macedonian mn:Mongolian ms:Malay mt:Maltese my:Burmese ne:Nepali
nl:Dutch no:Norwegian pl:Polish ps:Pashto pt:Portuguese ro:Romanian rs:Serbian ru:Russian
rw:Kinyarwanda si:Sinhala sk:Slovak sl:Slovene sm:Samoan so:Somali sq:Albanian sv:Swedish
sw:Swahili tg:Tajik th:Thai ti:Tigrinya tk:Turkmen tr:Turkish uk:Ukrainian uz:Uzbek vi:Vietnamese
zh:Chinese
"""))  # fmt: skip
"""Language codes as the package writes them, and their English names."""

SCHEMA = """
CREATE TABLE source (name TEXT NOT NULL, version TEXT NOT NULL, licence TEXT NOT NULL);
CREATE TABLE country (
    name TEXT PRIMARY KEY, iso TEXT NOT NULL UNIQUE, capital TEXT NOT NULL UNIQUE,
    currency TEXT NOT NULL, language TEXT NOT NULL, region TEXT NOT NULL, subregion TEXT NOT NULL,
    people INTEGER NOT NULL, latitude REAL NOT NULL, neighbours INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE border (
    country TEXT NOT NULL REFERENCES country (name),
    neighbour TEXT NOT NULL REFERENCES country (name),
    PRIMARY KEY (country, neighbour)
) WITHOUT ROWID;
CREATE INDEX country_region ON country (region);
CREATE INDEX country_currency ON country (currency);
CREATE INDEX country_language ON country (language);
"""


def build(path: Path) -> int:
    """Writes the facts to `path`, which must not exist, and returns how many countries there are.

    Raises:
        ModuleNotFoundError: the package countryinfo is not installed.
        DataError: the package does not hold what is expected of it.
    """
    rows = sorted(_countries(), key=lambda row: row["name"])
    by_iso = {row["iso"]: row["name"] for row in rows}
    if len(rows) < 150 or len(by_iso) != len(rows):
        raise DataError(f"{SOURCE}: got {len(rows)} usable countries; expected at least 150")
    borders = sorted(
        {(by_iso[a], by_iso[b]) for row in rows for n in row["borders"] if n in by_iso
         for a, b in ((row["iso"], n), (n, row["iso"]))}
    )  # fmt: skip
    for row in rows:
        row["neighbours"] = sum(country == row["name"] for country, _ in borders)
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA)
        connection.execute("INSERT INTO source VALUES (?, ?, 'MIT')", (SOURCE, version(SOURCE)))
        connection.executemany(
            "INSERT INTO country VALUES (:name, :iso, :capital, :currency, :language, :region, "
            ":subregion, :people, :latitude, :neighbours)",
            rows,
        )
        connection.executemany("INSERT INTO border VALUES (?, ?)", borders)
    connection.execute("VACUUM")
    connection.close()
    return len(rows)


def _countries() -> Iterator[dict[str, Any]]:
    folder = files(SOURCE) / "data"
    capitals: set[str] = set()
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".json") or file.name in _TWICE:
            continue
        record = json.loads(file.read_text("utf-8"))
        row = _row(record) if all(record.get(key) for key in _NEEDED) else None
        if row is not None and row["capital"] not in capitals:
            capitals.add(row["capital"])
            yield row


def _row(record: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the columns of one country; None: a name is too long, or it lies nowhere."""
    capital = record["capital"]
    name, capital = _ascii(record["name"]), _ascii(capital[0] if type(capital) is list else capital)
    place = record.get("capital_latlng") or record.get("latlng")
    if not place or max(len(name), len(capital)) > _LONGEST:
        return None
    return {
        "name": name,
        "iso": record["ISO"]["alpha3"],
        "capital": capital,
        "currency": record["currencies"][0],
        "language": _LANGUAGES[record["languages"][0]],
        "region": record["region"],
        "subregion": record["subregion"],
        "people": int(record["population"]),
        "latitude": float(place[0]),
        "borders": record.get("borders", []),
    }


def _ascii(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return " ".join(plain.replace(",", " ").replace("(", " ").replace(")", " ").split())


if __name__ == "__main__":
    with TemporaryDirectory() as made:
        count = build(Path(made) / "facts.sqlite")
        publish(
            str(files("assay.world") / "facts.sqlite"), (Path(made) / "facts.sqlite").read_bytes()
        )
    print(f"{count} countries")

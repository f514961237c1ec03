"""Writes the schema file: `python -m assay.records.schema`."""

from assay.files.atomic import publish
from assay.records.schema import PATH, schema_text

if __name__ == "__main__":
    publish(PATH, schema_text())
    print(f"wrote {PATH}")

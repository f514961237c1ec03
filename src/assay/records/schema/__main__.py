"""Writes the schema file: `python -m assay.records.schema`."""

from assay.records.codec import published
from assay.records.schema import PATH, schema_text

if __name__ == "__main__":
    with published(PATH) as stream:
        stream.write(schema_text())
    print(f"wrote {PATH}")

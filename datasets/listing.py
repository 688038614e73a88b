"""Prints datasets/README.md: `python -m datasets.listing > datasets/README.md`."""

from datasets.tables import TABLES

INTRODUCTION = """\
# Data

Every table is a pure function of (name, seed, scale): the same arguments give the same content on any machine, and
`digests.json` pins what that content is. This file is made by `python -m datasets.listing`.

**Seed 0** is the real data as it is. Any other seed permutes identifiers among themselves (alike in all tables, so
everything still joins and stays as skewed), leaves out about one household in twenty, moves prices per department and dates by
whole weeks. **Scale** is how much of a table: promotions have fewer stores below 1, transactions have fewer households below 1 and
further years above.

Some lines name a product that the products table lacks. That is so in the source, and stays so.
"""


def markdown() -> str:
    """The table of tables, in Markdown."""
    lines = ["| table | what | columns | scale | origin, licence |", "|---|---|---|---|---|"]
    for name in sorted(TABLES):
        spec = TABLES[name]
        columns = ", ".join(f"{field.name} `{field.type}`" for field in spec.schema)
        low, high = spec.scales
        scale = "1" if low == high else f"{low:g} to {high:g}, {spec.default_scale:g} by default"
        lines.append(
            f"| `{name}` | {spec.description} | {columns} | {scale} | {spec.origin}; {spec.licence} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(f"{INTRODUCTION}\n{markdown()}")

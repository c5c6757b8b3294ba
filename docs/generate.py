"""Fill the generated parts of README.md and docs/, or check that they are current.

Usage: python docs/generate.py [--check]

A generated part stands between `<!-- generated: NAME -->` and `<!-- /generated -->`; `blocks.py` says what each name
holds. `--check` compares those that are the same on every machine (help texts, tables drawn from the code) and fails
when one differs. The others record one run (the demo, the benchmark, example output): `make docs` fills them from
`out/`, which `make demo` and `make bench` write, and leaves a part alone whose file is not there.
"""

from __future__ import annotations

import difflib
import re
import sys
from pathlib import Path

import blocks

ROOT = Path(__file__).resolve().parent.parent
PART = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n)(?P<text>.*?)(<!-- /generated -->)", re.DOTALL)


def pages() -> list[Path]:
    """README.md and all Markdown files below docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def filled(page: str, *, check: bool) -> str:
    """The page with its generated parts as they should be."""

    def fill(part: re.Match[str]) -> str:
        name = part["name"]
        if name not in blocks.DRAWN and name not in blocks.RECORDED:
            known = ", ".join(sorted(blocks.DRAWN | blocks.RECORDED))
            raise SystemExit(f"unknown generated part {name!r}; known: {known}")
        if name in blocks.DRAWN:
            text: str | None = blocks.DRAWN[name]()
        else:
            text = None if check else blocks.RECORDED[name]()
        if text is None:
            return part[0]
        return f"{part[1]}\n{text.strip()}\n\n{part[4]}"

    return PART.sub(fill, page)


def main() -> None:
    """Rewrite the pages, or fail when a page would change."""
    check = "--check" in sys.argv[1:]
    stale = False
    for path in pages():
        if not path.read_text(encoding="utf-8").count("<!-- generated:"):
            continue
        before = path.read_text(encoding="utf-8")
        after = filled(before, check=check)
        if before == after:
            continue
        name = str(path.relative_to(ROOT))
        if check:
            stale = True
            print("\n".join(difflib.unified_diff(before.splitlines(), after.splitlines(), name, "now", lineterm="")))
        else:
            path.write_text(after, encoding="utf-8")
            print(f"rewrote {name}")
    if stale:
        sys.exit("generated text is out of date: make docs")


if __name__ == "__main__":
    main()

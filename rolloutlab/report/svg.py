"""A figure as SVG inside a page: the same bytes for the same figure, no request, readable in light and dark."""

from __future__ import annotations

import io
import re
from typing import Any, Final

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.figure import Figure

#: what is drawn in this colour takes that of the text around it
INK: Final = "#010203"
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "lines.linewidth": 1.8,
}


def style() -> dict[Any, Any]:
    """Settings to make a figure under: `with mpl.rc_context(style())`."""
    return dict(_STYLE)


def inline(figure: Figure, name: str, title: str, description: str) -> Markup:
    """The figure as an element of HTML.

    Args:
        figure: made under `style()`.
        name: unique in the page; prefix of all ids inside.
        title, description: for those who cannot see it: what it is, and what it shows, with numbers.
    """
    stream = io.StringIO()
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(url\(#|href="#)', rf"\1{name}-", text)
    text = text.replace(INK, "currentColor")
    text = re.sub(r"(font: [^;\"]*?)(?:'[^']*'|sans-serif)(?:, [^;\"]*)?(?=[;\"])", r"\1sans-serif", text)
    width, height = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)[0]
    head = (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-labelledby="{name}-title {name}-desc" '
        f'style="max-width:{round(float(width) * 4 / 3)}px" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    )
    return Markup(
        re.sub(r"<svg[^>]*>", lambda _: head, text, count=1)
    )  # the text is matplotlib's own, which escapes ours

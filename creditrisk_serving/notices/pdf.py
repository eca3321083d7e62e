"""A notice as PDF, rendered from its HTML: the same notice gives the same bytes.

What belongs here: paper, fonts, fpdf2. What does not: words (`letter` and its templates). fpdf2 is imported when the first is rendered.
"""

import re
from datetime import datetime
from pathlib import Path

BODY = re.compile(r"<body>(.*)</body>", re.DOTALL)
TITLE = re.compile(r"<title>(.*)</title>")
FAMILY, BUILT_IN = "notice", "Helvetica"
MARGIN = 22.0  # mm
SIZE = 10.5
HEADINGS = (("h1", 16, 8), ("h2", 12, 5))  # points, mm above
BLACK = 0
PLAIN = str.maketrans(
    {"−": "-", "–": "-", "—": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "…": "...", "≥": ">=", "≤": "<="}
)


class FontError(RuntimeError):
    """The font has not all letters of the notice."""


def render_pdf(page: str, issued_at: str, font: Path | None) -> bytes:
    """Render a notice.

    Parameters
    ----------
    page
        Its HTML.
    issued_at
        When it was issued, ISO 8601.
    font
        A TrueType file; None: Helvetica.

    Raises
    ------
    FontError
        Helvetica lacks letters of it, or the font cannot be read.
    """
    from fpdf import FPDF  # noqa: PLC0415 - some 0.2 s of imports, for PDF alone
    from fpdf.errors import FPDFException  # noqa: PLC0415
    from fpdf.fonts import TextStyle  # noqa: PLC0415

    found, title = BODY.search(page), TITLE.search(page)
    if found is None or title is None:
        raise ValueError("this is no page of a notice")
    body = found.group(1) if font else found.group(1).translate(PLAIN)
    styles = {
        tag: TextStyle(font_style="B", font_size_pt=size, color=BLACK, t_margin=above, b_margin=0)
        for tag, size, above in HEADINGS
    }
    pdf = FPDF(format="A4")
    pdf.set_margin(MARGIN)
    pdf.set_auto_page_break(True, MARGIN)
    pdf.set_title(title.group(1))
    pdf.set_lang("en")
    pdf.set_creation_date(datetime.fromisoformat(issued_at))
    pdf.add_page()
    try:
        if font is not None:
            for style in ("", "B"):
                pdf.add_font(FAMILY, style, font)
        pdf.set_font(FAMILY if font else BUILT_IN, size=SIZE)
        pdf.write_html(body, tag_styles=styles, li_prefix_color=BLACK, ul_bullet_char="-", render_title_tag=False)
        return bytes(pdf.output())
    except (FPDFException, OSError) as error:
        raise FontError(
            f"the PDF cannot be set ({type(error).__name__}): name a TrueType file with all letters of the notice as `font` in the"
            " lender's file"
        ) from None

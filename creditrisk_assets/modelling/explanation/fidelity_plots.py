"""Pictures of how true reasons are, as PNG bytes.

What belongs here: drawing. What does not: computing (`fidelity`).
"""

from creditrisk_assets.modelling.explanation.fidelity import Fidelity
from creditrisk_assets.modelling.plots import BLUE, GREY, ORANGE, _figure, _percent_format, _png

SHOWN = 20  # reasons


def draw_flips(found: Fidelity) -> bytes:
    """Draw what exchanging groups does to declined applicants."""
    figure, axes = _figure("Declined applicants, some values exchanged", height=3.6)
    places = range(len(found.flips))
    for offset, name, colour in ((-0.2, "no_longer_declined", BLUE), (0.2, "approved", ORANGE)):
        shares = [getattr(one, name) for one in found.flips]
        bars = axes.barh([place + offset for place in places], shares, 0.38, color=colour, label=name.replace("_", " "))
        axes.bar_label(bars, [f"{share:.0%}" for share in shares], padding=3, fontsize=8, color=GREY)
    axes.set_yticks(list(places), [one.exchanged for one in found.flips])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.1)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(_percent_format())
    axes.set_xlabel(f"share of {found.applicants:,} declined applicants", color=GREY)
    return _png(figure, axes, below=True)


def draw_mix(found: Fidelity) -> bytes:
    """Draw how often each reason is told."""
    some = found.mix[:SHOWN]
    figure, axes = _figure("Reasons told", height=1.4 + 0.26 * max(1, len(some)))
    axes.barh([f"{one['group']}  {one['code']}" for one in some], [one["share"] for one in some], 0.7, color=BLUE)
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(_percent_format())
    axes.set_xlabel(f"share of {found.applicants:,} declined applicants who are told", color=GREY)
    return _png(figure, axes, legend=False)

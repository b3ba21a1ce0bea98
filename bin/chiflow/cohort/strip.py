"""A figure of all runs as a strip of dots, in SVG: left the least, right the most, those that are not green above the line."""

from html import escape

from markupsafe import Markup

WIDTH, HEIGHT, MARGIN = 100, 22, 4
LEVELS = {"pass": ("green", 15), "warn": ("amber", 10), "fail": ("red", 5)}  # colour, height


def strip(values: list[tuple[float, str]], title: str) -> Markup:
    """SVG of figures with the verdict of their run; one path a colour, so that hundreds of runs are as light as one."""
    low, high = min(value for value, _ in values), max(value for value, _ in values)
    place = lambda value: MARGIN + (WIDTH - 2 * MARGIN) * ((value - low) / (high - low) if high > low else 0.5)
    paths = []
    for verdict, (colour, height) in LEVELS.items():
        dots = "".join(f"M{place(value):.1f} {height}h0" for value, found in values if found == verdict)
        paths.append(f'<path class="{colour}" d="{dots}"/>' if dots else "")
    said = escape(f"{title}, from {low:.3g} to {high:.3g}")
    return Markup(f'<svg role="img" aria-label="{said}" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"><title>{said}</title>{"".join(paths)}</svg>')

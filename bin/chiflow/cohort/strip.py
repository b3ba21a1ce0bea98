"""A figure of all runs as a strip of dots, in SVG: left the least, right the most, those that are not green above the others.

What lies more than six robust standard deviations from the median stands at the end, so that one run does not press the others together.
"""

from html import escape

from markupsafe import Markup

from chiflow.cohort.spread import NORMAL, Spread

WIDTH, HEIGHT, MARGIN = 100, 26, 4
LEVELS = {"pass": ("green", 19), "warn": ("amber", 10), "fail": ("red", 5)}  # colour, height
JITTER = (0, 3, -2, 1, -3, 2)  # of dots beside each other, so that many are seen as many
FARTHEST = 6.0


def strip(values: list[tuple[float, str]], spread: Spread, title: str) -> Markup:
    """SVG of figures with the verdict of their run; one path a colour, so that hundreds of runs are as light as one."""
    least, most = min(value for value, _ in values), max(value for value, _ in values)
    reach = FARTHEST * spread.deviation / NORMAL or most - least
    low, high = max(least, spread.middle - reach), min(most, spread.middle + reach)
    place = lambda value: MARGIN + (WIDTH - 2 * MARGIN) * ((min(max(value, low), high) - low) / (high - low) if high > low else 0.5)
    paths = []
    for verdict, (colour, height) in LEVELS.items():
        places = [place(value) for value, found in values if found == verdict]
        dots = "".join(f"M{x:.1f} {height + (JITTER[number % len(JITTER)] if verdict == 'pass' else 0)}h0" for number, x in enumerate(places))
        paths.append(f'<path class="{colour}" d="{dots}"/>' if dots else "")
    said = escape(f"{title}, from {least:.3g} to {most:.3g}")
    return Markup(f'<svg role="img" aria-label="{said}" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"><title>{said}</title>{"".join(paths)}</svg>')

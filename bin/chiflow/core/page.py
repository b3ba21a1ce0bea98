"""Pages that load nothing: a room's page.html, filled in, with the look that all pages share (style.html) and the colours of the verdicts."""

from importlib import resources

import jinja2

import chiflow

COLOURS = {"pass": "green", "warn": "amber", "fail": "red"}


def rendered(room: str, **content: object) -> str:
    """The page.html of a room (its package's name) with content in it; a name that the page wants and is not given is an error."""
    page, style = (resources.files(package).joinpath(name).read_text(encoding="utf8") for package, name in ((room, "page.html"), ("chiflow.core", "style.html")))
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(page)
    return template.render(style=style, colours=COLOURS, version=chiflow.__version__, **content)

"""The tables of the README that the code decides, written between the README's markers: parameters (nextflow_schema.json) and the gate's criteria."""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bin"))

from chiflow.gate import CRITERIA  # noqa: E402


def bounds(rule: dict) -> str:
    """Type of a parameter, with its choices or range."""
    if "enum" in rule:
        return " or ".join(f"`{choice}`" for choice in rule["enum"])
    return rule["type"] + (f" {rule['minimum']} to {rule['maximum']}" if "minimum" in rule else "")


def default_of(name: str, rule: dict, group: dict) -> str:
    """Default of a parameter as the table shows it; of the methods, which the stages know, the first is the default."""
    if name in group.get("required", []):
        return "required"
    shown = rule["default"] if "default" in rule else rule.get("enum", [None])[0]
    return "" if shown is None else f"`{json.dumps(shown).strip(chr(34))}`"


def table(schema: dict) -> str:
    """Markdown table of all parameters, a group after the other."""
    lines = ["| parameter | type | default | what |", "|---|---|---|---|"]
    for group in schema["$defs"].values():
        lines.append(f"| **{group['title']}** | | | |")
        lines += [f"| `--{n}` | {bounds(r)} | {default_of(n, r, group)} | {r['description']} |" for n, r in group["properties"].items()]
    return "\n".join(lines).replace("<", "&lt;")


def gate_table() -> str:
    """Markdown table of the gate's criteria."""
    lines = ["| figure | warn | fail | what it means when crossed |", "|---|---|---|---|"]
    for name, criterion in CRITERIA.items():
        side = "&lt;" if criterion.less_is_worse else ">"
        lines.append(f"| `{name}` | {side} {criterion.warn:g} | {side} {criterion.fail:g} | {criterion.meaning} |")
    return "\n".join(lines)


def put(content: str, marker: str, text: str) -> str:
    """The content with the text between <!-- marker --> and <!-- /marker -->."""
    head, rest = content.split(f"<!-- {marker} -->", 1)
    return f"{head}<!-- {marker} -->\n{text}\n<!-- /{marker} -->{rest.split(f'<!-- /{marker} -->', 1)[1]}"


def main() -> None:
    """Write both tables into the README."""
    readme = ROOT / "README.md"
    schema = json.loads((ROOT / "nextflow_schema.json").read_text(encoding="utf8"))
    content = put(readme.read_text(encoding="utf8"), "parameters", table(schema))
    readme.write_text(put(content, "gate", gate_table()), encoding="utf8")


if __name__ == "__main__":
    main()

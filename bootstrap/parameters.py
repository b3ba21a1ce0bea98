"""The parameter table of the README, from nextflow_schema.json: prints it, and writes it between the README's markers."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START, END = "<!-- parameters -->", "<!-- /parameters -->"


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


def main() -> None:
    """Print the table; put it into the README where that has the markers."""
    text = table(json.loads((ROOT / "nextflow_schema.json").read_text(encoding="utf8")))
    print(text)
    readme = ROOT / "README.md"
    content = readme.read_text(encoding="utf8") if readme.is_file() else ""
    if START in content and END in content:
        head, rest = content.split(START, 1)
        readme.write_text(f"{head}{START}\n{text}\n{END}{rest.split(END, 1)[1]}", encoding="utf8")


if __name__ == "__main__":
    main()

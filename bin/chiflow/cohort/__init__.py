"""All runs together: one table, and one page that loads nothing, with a row a run, the worst first."""

from pathlib import Path

from chiflow.cohort.spread import Spread, spread_of
from chiflow.cohort.strip import strip
from chiflow.core.contracts import VERDICTS
from chiflow.core.errors import ChiflowError
from chiflow.core.nifti import write_bytes
from chiflow.core.page import rendered
from chiflow.core.summary import FIGURES, REGIONS, Summary


def write_cohort(runs: Path, failed: list[list[str]], out: Path) -> list[Path]:
    """Write cohort.html and cohort.tsv, and cohort_regions.tsv when there are regions, from the summaries (and tables of regions) in a folder.

    failed : [run, status, stage, reason]; 'failed' has no maps, 'incomplete' not all of them. Returns what was written. Raises ChiflowError for a summary that cannot be read.
    """
    rows = rows_of([Summary.read(path) for path in sorted(runs.glob("*_qsm.json")) if REGIONS not in path.name], failed)
    spreads = {name: spread_of([row.figures[name] for row in rows if name in row.figures]) for name in FIGURES}
    write_bytes(out / "cohort.tsv", table_text(rows, spreads).encode())
    write_bytes(out / "cohort.html", page_text(rows, spreads).encode())
    tables = sorted(runs.glob(f"*{REGIONS}.tsv"))
    if not tables:
        return [out / "cohort.html", out / "cohort.tsv"]
    write_bytes(out / "cohort_regions.tsv", joined(tables).encode())
    return [out / "cohort.html", out / "cohort.tsv", out / "cohort_regions.tsv"]


def rows_of(summaries: list[Summary], failed: list[list[str]]) -> list[Summary]:
    """A row a run, the worst first, then by name; a run that failed after its page was written counts as failed, one that lacks a map is not green."""
    rows = {summary.run: summary for summary in summaries}
    for run, status, stage, reason in failed:
        whole = rows.get(run, Summary(run=run, page="", verdict="pass"))
        if status == "incomplete":
            verdict = max("warn", whole.verdict, key=VERDICTS.index)
            rows[run] = whole.model_copy(update={"verdict": verdict, "reasons": [*whole.reasons, *f"without {stage}: {reason}".split("; ")]})
        else:
            rows[run] = Summary(run=run, page="", verdict="fail", reasons=f"no maps: {stage + ': ' if stage else ''}{reason}".split("; "))
    return sorted(rows.values(), key=lambda row: (-VERDICTS.index(row.verdict), row.run))


def page_text(rows: list[Summary], spreads: dict[str, Spread]) -> str:
    """The page."""
    shown = {name: figure for name, figure in FIGURES.items() if spreads[name].count}
    strips = {name: strip([(row.figures[name], row.verdict) for row in rows if name in row.figures], spreads[name], f"{name}: {FIGURES[name].text}") for name in shown}
    counts = {verdict: sum(row.verdict == verdict for row in rows) for verdict in reversed(VERDICTS)}
    without = sum(row.verdict == "fail" and not row.page for row in rows)
    return rendered(__package__, rows=rows, figures=shown, spreads=spreads, strips=strips, counts=counts, without=without, said=said)


def said(value: float) -> str:
    """A figure in three digits, without an exponent where it can be."""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def table_text(rows: list[Summary], spreads: dict[str, Spread]) -> str:
    """The table, tabs between columns, n/a where a run has no such figure; `outliers` names the figures that stand out."""
    lines = [["run", "verdict", *FIGURES, "outliers", "reasons"]]
    for row in rows:
        outliers = [name for name, value in row.figures.items() if name in spreads and spreads[name].stands_out(value)]
        figures = [f"{row.figures[name]:.6g}" if name in row.figures else "n/a" for name in FIGURES]
        lines.append([row.run, row.verdict, *figures, ", ".join(outliers) or "n/a", "; ".join(row.reasons) or "n/a"])
    return "".join("\t".join(" ".join(cell.split()) for cell in line) + "\n" for line in lines)


def joined(tables: list[Path]) -> str:
    """The tables of regions of all runs as one, with the run in the first column. Raises ChiflowError when their columns differ."""
    heads, lines = set(), []
    for table in tables:
        head, *rows = table.read_text(encoding="utf8").splitlines()
        heads.add(head)
        lines += [f"{table.name.removesuffix(f'{REGIONS}.tsv')}\t{row}" for row in rows]
    if len(heads) > 1:
        raise ChiflowError(f"{tables[0].parent}: the tables of regions have different columns")
    return "".join(f"{line}\n" for line in [f"run\t{heads.pop()}", *lines])

"""The share of runs that met a goal against the experiments spent, as SVG, alone or inside a page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from orchestrator.errors import UsageRefused
from orchestrator.pool.conditions import Pool, PoolGoal
from orchestrator.pool.replay import Outcome
from orchestrator.pool.summary import Row, as_markdown, heading

_COLOURS = ("#8a8a8a", "#b8860b", "#2e8b57", "#8a4fbf", "#1f6fb4", "#c0392b", "#117a7a", "#555555")
_DASHES = ("", ' stroke-dasharray="6 3"', ' stroke-dasharray="2 3"')
_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 640, 240, 56, 34, 72


def write_figure(path: Path, pool: Pool, outcomes: Sequence[Outcome], rows: Sequence[Row], arms: Sequence[str]) -> None:
    """Write the figure; ``.svg`` alone, ``.html`` with the table. Raises UsageRefused for another ending."""
    drawn = _svg(pool, outcomes, arms)
    if path.suffix == ".html":
        lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in as_markdown(pool, rows).splitlines()]
        head, body = lines[0], lines[2:]
        cells = "".join(f"<tr>{''.join(f'<td>{escape(c)}</td>' for c in line)}</tr>" for line in body)
        drawn = (
            '<!doctype html><html lang="en"><meta charset="utf-8">'
            f"<title>{escape(pool.name)}</title><style>body{{font:15px/1.5 system-ui,sans-serif;max-width:62rem;"
            "margin:2rem auto;padding:0 1rem}table{border-collapse:collapse;font-size:13px}"
            "td,th{border-bottom:1px solid #ddd;padding:.2rem .6rem;text-align:left}</style>"
            f"<h1>{escape(pool.name)}</h1><p>{escape(heading(pool))}</p>{drawn}"
            f"<table><tr>{''.join(f'<th>{escape(c)}</th>' for c in head)}</tr>{cells}</table></html>\n"
        )
    elif path.suffix != ".svg":
        raise UsageRefused(f"{path}: a figure ends in .svg or .html")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(drawn, encoding="utf-8")
    except OSError as error:
        raise UsageRefused(f"{path}: cannot be written: {error.strerror}") from None


def _svg(pool: Pool, outcomes: Sequence[Outcome], arms: Sequence[str]) -> str:
    panels = [(goal, place) for goal in pool.goals if goal.reachable for place in range(len(goal.steps))]
    height = max(len(panels), 1) * (_HEIGHT + _GAP) + _TOP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH + _LEFT + 150} {height}" '
        'font-family="system-ui,sans-serif" font-size="12">',
        f"<title>{escape(heading(pool))}</title>",
    ]
    if not panels:
        parts.append(f'<text x="{_LEFT}" y="{_TOP}">No condition of the table meets a goal: nothing to draw.</text>')
    for number, (goal, place) in enumerate(panels):
        parts += _panel(pool, outcomes, arms, goal, place, _TOP + number * (_HEIGHT + _GAP))
    return "".join([*parts, "</svg>\n"])


def _panel(
    pool: Pool, outcomes: Sequence[Outcome], arms: Sequence[str], goal: PoolGoal, place: int, top: float
) -> list[str]:
    step, _ = goal.steps[place]

    def across(count: float) -> float:
        return _LEFT + _WIDTH * count / pool.budget

    def down(share: float) -> float:
        return top + _HEIGHT * (1.0 - share)

    parts = [f'<text x="{_LEFT}" y="{top - 12}" font-weight="600">{escape(step)}</text>']
    for share in (0.0, 0.5, 1.0):
        parts.append(f'<path d="M{_LEFT} {down(share):.1f}h{_WIDTH}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{down(share) + 4:.1f}" text-anchor="end">{100 * share:g} %</text>')
    for quarter in range(5):
        count = round(pool.budget * quarter / 4)
        parts.append(f'<text x="{across(count):.1f}" y="{top + _HEIGHT + 18}" text-anchor="middle">{count}</text>')
    parts.append(
        f'<text x="{_LEFT + _WIDTH / 2}" y="{top + _HEIGHT + 36}" text-anchor="middle">'
        "experiments, initial included</text>"
    )
    for number, arm in enumerate(arms):
        mine = [o for o in outcomes if o.arm == arm and o.goal == goal.label]
        if not mine:
            continue
        met_after = sorted(each for o in mine if (each := o.reached[place]) is not None)
        path = f"M{across(0):.1f} {down(0):.1f}"
        for met, spent in enumerate(met_after, start=1):
            path += f"H{across(spent):.1f}V{down(met / len(mine)):.1f}"
        colour, dashes = _COLOURS[number % len(_COLOURS)], _DASHES[number // len(_COLOURS) % len(_DASHES)]
        line = f'stroke="{colour}" stroke-width="2"{dashes}'
        parts.append(f'<path d="{path}H{across(pool.budget):.1f}" fill="none" {line}/>')
        y = top + 14 + 18 * number
        parts.append(f'<path d="M{_LEFT + _WIDTH + 12} {y - 4}h18" {line}/>')
        parts.append(f'<text x="{_LEFT + _WIDTH + 36}" y="{y}">{escape(arm)}</text>')
    return parts

"""The tables of an evaluation as Markdown and LaTeX."""

from realciao.evaluation.grid.cells import Cell
from realciao.evaluation.grid.costs import COLUMNS, Cost
from realciao.evaluation.grid.results import Results
from realciao.figures.markdown import table

COST_HEADINGS = {
    "params_m": "parameters / M",
    "params_encoder_m": "encoder / M",
    "params_decoder_m": "behind it / M",
    "seconds": "time / s",
    "mib": "memory / MiB",
}


def short(reason: str) -> str:
    """The reason without its details, for a cell."""
    return reason.partition(":")[0]


def arrow(results: Results, metric: str) -> str:
    return f"{metric} {'↓' if results.metrics.lower_better(metric) else '↑'}"


def columns(cells: list[Cell]) -> list[tuple[str, float, str]]:
    """(data, scale, metric) of every column, in the order of the options."""
    return list(dict.fromkeys((cell.data, cell.scale, cell.metric) for cell in cells))


def best(cells: list[Cell], results: Results) -> set[tuple[str, str, float, str]]:
    """The cells with the best mean of their column, where it has more than one."""
    found = set()
    for column in columns(cells):
        means = {c.method: c.interval.mean for c in cells if (c.data, c.scale, c.metric) == column and c.interval}
        if len(means) > 1:
            pick = min if results.metrics.lower_better(column[2]) else max
            found |= {(method, *column) for method, mean in means.items() if mean == pick(means.values())}
    return found


def cell_text(cell: Cell) -> str:
    """`24.398 [20.7, 27.6]`, then what the paper says and how far ours is from it."""
    paper = "" if cell.paper is None else f"paper {cell.paper:g}"
    if not cell.interval:
        return f"({short(cell.reason)}{'; ' + paper if paper else ''})"
    i = cell.interval
    if paper:
        paper = f" ({paper}, {i.mean - (cell.paper or 0):+.3f})"
    mark = "*" if cell.summary and cell.summary.unsound else ""
    return f"{i.mean:.3f}{mark} [{i.low:.3f}, {i.high:.3f}]{paper}"


def markdown_table(cells: list[Cell], results: Results) -> str:
    header = ["method", *(f"{data} x{scale:g} {arrow(results, metric)}" for data, scale, metric in columns(cells))]
    by_place = {(c.method, c.data, c.scale, c.metric): c for c in cells}
    top = best(cells, results)
    lines = []
    for method in results.methods:
        places = [(method.name, *column) for column in columns(cells)]
        texts = [f"**{cell_text(by_place[p])}**" if p in top else cell_text(by_place[p]) for p in places]
        lines.append([method.name, *texts])
    return table(header, lines)


def terminal_tables(results: Results, cells: list[Cell], costs: list[Cost]) -> str:
    """The same turned: a row for each column of the table, since a terminal is narrow."""
    by_place = {(c.method, c.data, c.scale, c.metric): c for c in cells}
    names = [method.name for method in results.methods]
    lines = [
        [f"{data} x{scale:g}", arrow(results, metric), *(cell_text(by_place[n, data, scale, metric]) for n in names)]
        for data, scale, metric in columns(cells)
    ]
    parts = [table(["data", "metric", *names], lines)] if lines else []
    return "\n\n".join([*parts, cost_table(costs, results)] if costs else parts)


def unsound_lines(cells: list[Cell]) -> list[str]:
    """Where a mean holds images on which the metric is not sound: the mean without them, and their names."""
    lines = []
    for cell in cells:
        if cell.summary and cell.summary.unsound:
            s = cell.summary
            valid = "none is left" if s.mean_valid is None else f"{s.mean_valid:.3f} over the other {s.n_valid}"
            names = ", ".join(s.unsound)
            lines.append(f"{cell.method}, {cell.data} x{cell.scale:g}, {cell.metric}: {valid} (unsound: {names})")
        if cell.summary and cell.summary.infinite:
            names = ", ".join(cell.summary.infinite)
            lines.append(f"{cell.method}, {cell.data} x{cell.scale:g}, {cell.metric}: equal to the truth: {names}")
    return lines


def cost_cells(cost: Cost, results: Results) -> list[str]:
    known = {(p.method, p.metric): p.value for p in results.options.paper}
    texts = []
    for column in COLUMNS:
        value, paper = cost.values[column], known.get((cost.method, column))
        text = "-" if value is None else f"{value:.3f}"
        if paper is not None:
            text += f" (paper {paper:g}{'' if value is None else f', {value - paper:+.3f}'})"
        texts.append(text)
    return [cost.method + (" (random weights)" if cost.random_weights else ""), *texts, short(cost.reason)]


def cost_table(costs: list[Cost], results: Results) -> str:
    return table(["method", *COST_HEADINGS.values(), "remark"], [cost_cells(cost, results) for cost in costs])


def data_table(results: Results) -> str:
    lines = []
    for source in results.sources:
        data = source.data
        lr = "read" if data.dataroot_lq else f"made by {data.make_lq}"
        count = str(len(source.items)) if not source.problem else source.problem
        lines.append([data.name, f"x{source.scale:g}", count, source.checksum if source.items else "-", lr])
    return table(["data set", "scale", "images", "checksum", "LR images"], lines)


def metric_table(results: Results) -> str:
    lines = []
    for name, cls in zip(results.metrics.names, results.metrics.classes, strict=True):
        borders = dict.fromkeys(item.border for source in results.sources for item in source.items[:1])
        made = [m.implementation for b in borders for m in results.metrics.made(b) if m.name == name]
        by = _merged(made) or results.metrics.unavailable.get(name, "-")
        lines.append([name, "lower" if cls.lower_better else "higher", cls.score_range, by])
    return table(["metric", "better", "range", "measured by"], lines)


def _merged(implementations: list[str]) -> str:
    """Implementations that differ in the border alone, as one."""
    borders: dict[str, list[str]] = {}
    for text in dict.fromkeys(implementations):
        head, found, border = text.partition("crop_border=")
        borders.setdefault(head + found, []).append(border)
    return "; ".join(head + ", ".join(tails) for head, tails in borders.items())


def latex(cells: list[Cell], costs: list[Cost], results: Results) -> str:
    """Two booktabs tables at most: means, the best in bold, the paper's number in brackets; and costs."""
    parts = [_latex_scores(cells, results)] if cells else []
    if costs:
        head = " & ".join(["method", *map(_tex, COST_HEADINGS.values()), "remark"])
        lines = [" & ".join(map(_tex, cost_cells(cost, results))) for cost in costs]
        parts.append(_booktabs(len(COLUMNS) + 2, [head], lines))
    return "\n\n".join(parts) + "\n"


def _latex_scores(cells: list[Cell], results: Results) -> str:
    places, top = columns(cells), best(cells, results)
    by_place = {(c.method, c.data, c.scale, c.metric): c for c in cells}
    span = len(results.metrics.names)
    groups = dict.fromkeys((data, scale) for data, scale, _ in places)
    over = [rf"\multicolumn{{{span}}}{{c}}{{{_tex(data)} $\times${scale:g}}}" for data, scale in groups]
    arrows = {True: r"$\downarrow$", False: r"$\uparrow$"}
    under = [f"{_tex(metric)} {arrows[results.metrics.lower_better(metric)]}" for _, _, metric in places]
    lines = []
    for method in results.methods:
        texts = [_tex(method.name)]
        for place in places:
            cell = by_place[method.name, *place]
            text = f"{cell.interval.mean:.3f}" if cell.interval else "--"
            text = rf"\textbf{{{text}}}" if (method.name, *place) in top else text
            texts.append(text + (f" ({cell.paper:g})" if cell.paper is not None else ""))
        lines.append(" & ".join(texts))
    return _booktabs(len(places) + 1, [" & ".join(["", *over]), " & ".join(["method", *under])], lines)


def _booktabs(width: int, head: list[str], body: list[str]) -> str:
    rows = [
        r"\toprule",
        *(rf"{line} \\" for line in head),
        r"\midrule",
        *(rf"{line} \\" for line in body),
        r"\bottomrule",
    ]
    return "\n".join([r"\begin{tabular}{l" + "c" * (width - 1) + "}", *rows, r"\end{tabular}"])


TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    c: f"\\{c}" for c in "&%$#_{}"
}


def _tex(text: str) -> str:
    return "".join(TEX.get(sign, sign) for sign in text)

"""What a notebook shows of texts and runs. Foreign names are escaped."""

from __future__ import annotations

from html import escape

from proctor.results.manifest import Manifest, MetricResult
from proctor.visible import one_line, visible


def preformatted(text: str) -> str:
    """A text as HTML, lines and columns kept."""
    return f'<pre style="line-height: 1.3">{escape(visible(text))}</pre>'


def run_html(of: Manifest) -> str:
    """A run as HTML: a line for each task with its main metric, as the run's manifest has it."""
    lines = [
        f"<tr><td style='text-align: left'>{escape(one_line(task.task))}</td><td>{escape(one_line(task.main.name))}</td>"
        f"<td>{_number(task.main)}</td><td>{task.items:,}</td></tr>"
        for task in of.tasks
    ]
    head = "<tr><th style='text-align: left'>task</th><th>metric</th><th>value ± standard error</th><th>items</th></tr>"
    said = escape(one_line(f"{of.model} on {of.suite} ({of.state})"))
    return f"<table><caption>{said}<br><small>{escape(one_line(of.signature))}</small></caption>{head}{''.join(lines)}</table>"


def _number(metric: MetricResult) -> str:
    if metric.value is None:
        return "—"
    return f"{metric.value:.3f}" + ("" if metric.stderr is None else f" ± {metric.stderr:.3f}")

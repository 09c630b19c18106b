"""Upscales and scores every image by every method at every scale; what the store holds already is not computed again.

Started several times at once (accelerate launch, torchrun, or by hand), the processes share the work: each takes what no other
holds, and the first one (RANK 0) waits for the rest and reports.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from realciao.errors import OptionError, UserError
from realciao.evaluation.folder import Failure, Row
from realciao.evaluation.grid.data_sets import Item, Picture, each, file_digest, find_items
from realciao.evaluation.grid.methods import Method, build_method
from realciao.evaluation.grid.options import GridOptions, placed
from realciao.evaluation.grid.processes import own_device, process_rank
from realciao.evaluation.grid.results import Results
from realciao.evaluation.grid.scoring import MetricSet
from realciao.evaluation.grid.store import Store, digest, to_text
from realciao.images.reading import from_float, read_rgb, size_text, to_float, write_image
from realciao.metrics.metric import Metric
from realciao.options.tree import Node

Progress = Callable[[int, int, str], None]


class Runner:
    """One process of an evaluation.

    Args:
        options: what to do.
        tree: the options with their places, for the errors.

    Raises:
        OptionError: a method or a metric is spelt wrongly.
    """

    def __init__(self, options: GridOptions, tree: Node) -> None:
        methods = []
        for i, spec in enumerate(options.methods):
            try:
                methods.append(build_method(spec, f"methods.{i}"))
            except OptionError as error:
                raise placed(error, tree) from error
        names = [method.name for method in methods]
        for i, name in enumerate(names):
            if name in names[:i]:
                problem = f"'{name}' is taken by item {names.index(name)}; give one a name: {{name: ..., path: ...}}"
                raise placed(OptionError(f"methods.{i}.name", problem), tree)
        if options.baseline is not None and options.baseline not in names:
            raise placed(
                OptionError("baseline", f"'{options.baseline}' is no method; they are {', '.join(names)}"), tree
            )
        for method in methods:
            method.to(own_device(options.device))
        sources = [
            find_items(data, scale, options.dataroot)
            for data in options.data
            for scale in data.scales or options.scales
        ]
        metrics = MetricSet(options.metrics, iqa_params=options.iqa_params)
        self.results = Results(options, sources, methods, metrics)
        self.store = Store(options.folder / "cache")
        self._read: tuple[Item, Picture, Picture | None] | None = None
        self._largest: dict[tuple[str, str], Item] = {}
        for item in each(sources):
            other = self._largest.setdefault((item.data, item.name), item)
            if item.scale > other.scale:
                self._largest[item.data, item.name] = item

    def run(self, progress: Progress | None = None) -> Results | None:
        """Does the work; the results in the process that reports, None in the others.

        Raises:
            OptionError: a metric's arguments are wrong, or its parameter file is damaged; nothing has been done then.
        """
        for border in {item.border for item in each(self.results.sources)}:
            self.results.metrics.made(border)
        rank, world = process_rank()
        done = 0
        jobs = [(item, method) for item in each(self.results.sources) for method in self.results.methods]
        jobs = [(item, method) for item, method in jobs if not method.problem()]
        start = len(jobs) * rank // world
        left, broken = jobs[start:] + jobs[:start], set[Item]()
        # what others have in hand the first process waits for in the end
        for wait in (False,) if rank else (False, True):
            postponed = []
            for item, method in left:
                if not self._attempt(item, method, broken, wait):
                    postponed.append((item, method))
                elif progress:
                    done += 1
                    progress(done, len(jobs), f"{item.data} x{item.scale:g} {method.name}: {item.name}")
            left = postponed
        return None if rank else self._collect()

    def _attempt(self, item: Item, method: Method, broken: set[Item], wait: bool) -> bool:
        """Computes what a job lacks; False where another process has it in hand. Failures are told by _collect."""
        try:
            key = self._key(method, item)
        except UserError:  # a method without result for it
            return True
        try:
            if item in broken or not self._lacking(self.store.read(key), method, item):
                return True
            lock = self.store.lock(key, wait)
            if lock is None:
                return False
            with lock:
                self._compute(key, method, item)
        except UserError:
            if self._read is None or self._read[0] != item:
                broken.add(item)  # the image itself cannot be read: it need not be tried with every method
        return True

    def _key(self, method: Method, item: Item) -> str:
        return digest(method.identity(item), item.digest)

    def _wanted(self, method: Method, item: Item) -> list[tuple[str, Metric]]:
        """The metrics that an item can be scored by, each with its name in the record."""
        wanted = []
        for metric in self.results.metrics.made(item.border):
            peer = self._largest[item.data, item.name]
            if metric.needs_gt and item.gt is None:
                continue
            if metric.compares_with == "sr" and (peer.scale == item.scale or item.lq is None or peer.lq != item.lq):
                continue  # scales can only agree on one and the same LR image
            against = f" against x{peer.scale:g} {self._peer_key(method, peer)}" if metric.compares_with == "sr" else ""
            wanted.append((metric.implementation + against, metric))
        return wanted

    def _peer_key(self, method: Method, peer: Item) -> str:
        """The key of the result at another scale; one without result is that metric's problem, and not the item's."""
        try:
            return self._key(method, peer)
        except UserError:
            return "none"

    def _lacking(self, record: dict[str, Any], method: Method, item: Item) -> list[tuple[str, Metric]]:
        scores = record.get("scores", {})
        return [(label, metric) for label, metric in self._wanted(method, item) if label not in scores]

    def _compute(self, key: str, method: Method, item: Item) -> None:
        record = self.store.read(key)
        lacking = self._lacking(record, method, item)
        if not lacking:
            return  # another process was quicker
        lq, gt = self._images(item)
        pred = self._result(key, method, item)
        record = {"height": pred.shape[0], "width": pred.shape[1], **self.store.read(key)}
        for label, metric in lacking:
            try:
                other = lq if metric.compares_with == "lq" else gt
                if metric.compares_with == "sr":
                    peer = self._largest[item.data, item.name]
                    other = self._result(self._key(method, peer), method, peer)
                value = metric(pred, other)
            except UserError as error:
                record.setdefault("problems", {})[label] = str(error)
                value = float("nan")
            record.setdefault("scores", {})[label] = to_text(value)
            self.store.write(key, record)

    def _images(self, item: Item) -> tuple[Picture, Picture | None]:
        if self._read is None or self._read[0] != item:
            self._read = None
            self._read = (item, *item.read())
        return self._read[1], self._read[2]

    def _result(self, key: str, method: Method, item: Item) -> Picture:
        """What a method makes of an item, as its 8-bit file holds it; made only if that file is not there."""
        record = self.store.read(key)
        path = self._file(method, item)
        if record.get("sha256") == file_digest(path):
            return read_rgb(path)
        lq, _ = self._images(item) if self._read and self._read[0] == item else item.read()
        began = time.perf_counter()
        pred = method.upscale(item, lq, item.size(lq))
        seconds = time.perf_counter() - began
        levels = from_float(pred, np.uint8)
        if not method.finished:
            write_image(path, levels)
            made = {"height": pred.shape[0], "width": pred.shape[1], "sha256": file_digest(path)}
            self.store.write(key, {**record, **made, "seconds": round(seconds, 3)})
        return to_float(levels)

    def _file(self, method: Method, item: Item) -> Path:
        if method.finished:
            return method.find(item)  # type: ignore[attr-defined]
        folder = self.results.options.folder / "images" / item.data / f"x{item.scale:g}" / method.name
        return folder / f"{item.name}.png"

    def _collect(self) -> Results:
        """Puts the records together, and says what is missing."""
        results = self.results
        for source in results.sources:
            where = f"{source.data.name} x{source.scale:g}"
            if source.problem:
                results.unavailable.append((where, source.problem, source.missing and source.data.optional))
            results.failures += [Failure(f"{where}: {name}", problem) for name, problem in source.failures]
            broken: set[str] = set()
            for method in results.methods:
                if not method.problem():
                    rows = [row for item in source.items if (row := self._row(method, item, broken))]
                    results.rows[method.name, source.data.name, source.scale] = rows
        for method in results.methods:
            if method.problem() and results.sources:
                results.unavailable.append((method.name, method.problem(), method.optional))
        results.unavailable += [(name, problem, False) for name, problem in results.metrics.unavailable.items()]
        return results

    def _row(self, method: Method, item: Item, broken: set[str]) -> Row | None:
        where = f"{item.data} x{item.scale:g}"
        whose = f"{where} {method.name}: {item.name}"
        try:
            key, file = self._key(method, item), self._file(method, item)
        except UserError as error:
            self.results.failures.append(Failure(whose, str(error)))
            return None
        try:
            record = self.store.read(key)
            wanted = self._wanted(method, item)
            if wanted and not record.get("scores"):  # nothing was scored: find out why
                self._images(item)
                self._compute(key, method, item)
            elif not method.finished and record.get("sha256") != file_digest(file):  # who looks at it needs the image
                self._result(key, method, item)
            record = self.store.read(key)
        except UserError as error:
            unreadable = self._read is None or self._read[0] != item
            label = f"{where}: {item.name}" if unreadable else whose
            if label not in broken:
                self.results.failures.append(Failure(label, str(error)))
            broken.add(label)
            return None
        self.results.files[method.name, item] = file
        seconds = self.results.seconds
        seconds[method.name, item.scale] = seconds.get((method.name, item.scale), 0) + record.get("seconds", 0)
        row = Row(item.name, record.get("height", 0), record.get("width", 0), {})
        for label, metric in wanted:
            row.scores[metric.name] = float(record["scores"][label])
            if math.isnan(row.scores[metric.name]):
                size = size_text((row.height, row.width))
                problem = record.get("problems", {}).get(label) or f"it gives no number ({size})"
                self.results.failures.append(Failure(whose, f"{metric.name}: {problem}"))
        return row

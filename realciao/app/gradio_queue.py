"""Gradio's queue over plain values: nothing that a page sends is ever a file to Gradio, nor anything to fetch."""

from collections.abc import Callable, Sequence
from typing import Any

import gradio
from fastapi import FastAPI
from gradio.events import api

POLL_S = 0.05


class PlainBlocks(gradio.Blocks):
    """Hands on what a page sends as it is.

    Gradio's own way takes any {"path": ..., "meta": {"_type": "gradio.FileData"}} in it for a file, and downloads that from
    wherever the path says.
    """

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *_: Any, **__: Any) -> list[Any]:
        self.validate_inputs(block_fn, inputs)
        return list(inputs)


def queued_app(work: Sequence[Callable[..., Any]], max_waiting: int, routes: Sequence[Any]) -> FastAPI:
    """An ASGI application with `routes`, and with a queue for `work`, of which one piece is done at a time.

    Args:
        work: generator functions; the n-th is asked for by `fn_index` n.
        max_waiting: pieces of work; who comes beyond is answered 503.
        routes: asked before Gradio's.
    """
    with PlainBlocks(analytics_enabled=False) as blocks:
        for method in work:
            api(method, api_name=method.__name__, concurrency_limit=1, concurrency_id="machine")
    blocks.queue(max_size=max_waiting)
    # it looks for work a thousand times a second, which is 6 % of a core while nobody asks for anything
    blocks._queue.sleep_when_free = blocks._queue.progress_update_sleep_when_free = POLL_S
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.router.routes.extend(routes)
    return gradio.mount_gradio_app(app, blocks, path="/", footer_links=[], run_history=False, ssr_mode=False)

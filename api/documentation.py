"""What the API says of itself: the OpenAPI document, and a page of plain HTML made from it.

The page has no script and loads nothing, from here or elsewhere: it works offline, and keeps
nothing of who reads it.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from litestar import MediaType, Response, get
from litestar.handlers import HTTPRouteHandler

from api import openapi
from api.problems import DOCUMENTATION, KINDS

_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
h2 { border-top: 1px solid #999; margin-top: 2.5rem; padding-top: 1rem }
h2 code { background: none } code, pre { background: #f3f3f3; font-size: 14px }
pre { overflow-x: auto; padding: .75rem } table { border-collapse: collapse }
td, th { border: 1px solid #ccc; padding: .25rem .6rem; text-align: left; vertical-align: top }
"""
_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)


@get(DOCUMENTATION, sync_to_thread=False)
def show_page() -> Response[str]:
    """The page for people."""
    headers = {"Content-Security-Policy": _POLICY}
    return Response(_page(), media_type=MediaType.HTML, headers=headers)


@get(f"{DOCUMENTATION}/openapi.json", sync_to_thread=False)
def show_openapi() -> Mapping[str, Any]:
    """The document for programs."""
    return openapi.document()


ROUTES: Final[tuple[HTTPRouteHandler, ...]] = (show_page, show_openapi)


@cache
def _page() -> str:
    return "\n".join(_lines(openapi.document()))


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    title = html.escape(document["info"]["title"])
    yield f"<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
    yield f"<style>{_STYLE}</style></head><body><h1>{title}</h1>"
    yield f"<p>{html.escape(document['info']['description'])}</p>"
    yield f"<p><a href='{DOCUMENTATION}/openapi.json'>The same as OpenAPI 3.1</a></p>"
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            yield from _call(f"{method.upper()} {path}", call)
    yield from _problems()
    yield "</body></html>"


def _call(name: str, call: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2 id='{call['operationId']}'><code>{html.escape(name)}</code></h2>"
    yield f"<p><b>{html.escape(call['summary'])}.</b> {html.escape(call['description'])}</p>"
    if call["parameters"]:
        rows = (
            (f"{given['name']} ({given['in']})", given["description"], _limits(given["schema"]))
            for given in call["parameters"]
        )
        yield _table(("Parameter", "Meaning", "May be"), rows)
    for media in call.get("requestBody", {"content": {}})["content"].values():
        yield "<p>Body:</p>"
        yield from _examples(media)
    for status, reply in call["responses"].items():
        yield f"<p><b>{status}</b> {html.escape(reply['description'])}</p>"
        if status < "4":
            for media in reply.get("content", {}).values():
                yield from _examples(media)


def _limits(schema: Mapping[str, Any]) -> str:
    options = schema.get("enum")
    if options:
        return ", ".join(options)
    shown = ("pattern", "minimum", "maximum", "default")
    return ", ".join(f"{name} {schema[name]}" for name in shown if name in schema)


def _examples(media: Mapping[str, Any]) -> Iterator[str]:
    for example in media.get("examples", {}).values():
        text = json.dumps(example["value"], indent=2, ensure_ascii=False)
        yield f"<pre>{html.escape(text)}</pre>"


def _problems() -> Iterator[str]:
    yield "<h2 id='problems'>Problems</h2>"
    kinds = {kind.title: kind for kind in KINDS.values()}
    for kind in kinds.values():
        anchor = kind.type.partition("#")[2]
        yield f"<p id='{anchor}'><b>{kind.status.value}</b> {html.escape(kind.title)}</p>"


def _table(heads: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    first = "".join(f"<th>{html.escape(head)}</th>" for head in heads)
    rest = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{first}</tr>{rest}</table>"

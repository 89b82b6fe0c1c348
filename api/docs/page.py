"""The documentation routes: the OpenAPI document, and a page of plain HTML made from it.

The page has no script and loads nothing, from this server or elsewhere. It works offline and does
not track its readers.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from litestar import MediaType, Response, get
from litestar.handlers import HTTPRouteHandler

from api.docs import openapi
from api.http.problems import DOCUMENTATION, KINDS
from api.snapshots.service import Service
from pipeline.model.access import Role

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


def routes(prefix: str) -> tuple[HTTPRouteHandler, ...]:
    """Return the handlers of both routes.

    Args:
        prefix: The path before all addresses, which a proxy removes from requests.
    """

    @get(DOCUMENTATION, sync_to_thread=False)
    def show_page() -> Response[str]:
        headers = {"Content-Security-Policy": _POLICY}
        return Response(_page(prefix), media_type=MediaType.HTML, headers=headers)

    @get(f"{DOCUMENTATION}/openapi.json", sync_to_thread=True)
    def show_openapi(service: Service) -> Mapping[str, Any]:
        return openapi.document(service.open_role(), prefix)

    return show_page, show_openapi


@cache
def _page(prefix: str) -> str:
    return "\n".join(_lines(openapi.document(Role.WRITE, prefix), prefix))


def _lines(document: Mapping[str, Any], prefix: str) -> Iterator[str]:
    title = html.escape(document["info"]["title"])
    yield f"<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
    yield f"<style>{_STYLE}</style></head><body><h1>{title}</h1>"
    yield f"<p>{html.escape(document['info']['description'])}</p>"
    yield f"<p><a href='{prefix}{DOCUMENTATION}/openapi.json'>The same as OpenAPI 3.1</a></p>"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield from _operation(f"{method.upper()} {path}", operation)
    yield from _problems()
    yield "</body></html>"


def _operation(name: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2 id='{operation['operationId']}'><code>{html.escape(name)}</code></h2>"
    summary, description = html.escape(operation["summary"]), html.escape(operation["description"])
    yield f"<p><b>{summary}.</b> {description}</p>"
    if operation["parameters"]:
        rows = (
            (f"{given['name']} ({given['in']})", given["description"], _limits(given["schema"]))
            for given in operation["parameters"]
        )
        yield _table(("Parameter", "Meaning", "May be"), rows)
    for media in operation.get("requestBody", {"content": {}})["content"].values():
        yield "<p>Body:</p>"
        yield from _examples(media)
    for status, reply in operation["responses"].items():
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
    kinds = {kind.slug: kind for kind in KINDS.values()}
    for kind in kinds.values():
        yield f"<p id='{kind.slug}'><b>{kind.status.value}</b> {html.escape(kind.title)}</p>"


def _table(heads: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    first = "".join(f"<th>{html.escape(head)}</th>" for head in heads)
    rest = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{first}</tr>{rest}</table>"

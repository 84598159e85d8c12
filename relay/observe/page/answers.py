"""What is answered at `/` and at `/status.json`.

The page is one file and asks for nothing but /status.json beside it: where the relay runs there may
be no way to anywhere else, and nobody else learns that it is looked at. Its policy names the one
script and the one style by their hashes. So whatever a topic or a reason contains, and wherever it
comes to stand, the browser runs nothing of it and fetches nothing for it.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import sha256
from importlib import resources

from relay.observe.page.watched import Watched
from relay.observe.recent import SPAN_S

__all__ = ["document", "document_headers", "status_json"]

_INLINE = re.compile(r"<(style|script)>(.*?)</\1>", re.DOTALL)


@cache
def document() -> bytes:
    """The page, in UTF-8: the same for everybody, and without a figure in it."""
    return resources.files("relay.observe.page").joinpath("index.html").read_bytes()


@cache
def document_headers() -> Mapping[str, str]:
    """What the page is to be answered with, beside its type and length."""
    hashes: dict[str, list[str]] = {"style": [], "script": []}
    for tag, inline in _INLINE.findall(document().decode()):
        hashes[tag].append(f"'sha256-{b64encode(sha256(inline.encode()).digest()).decode()}'")
    policy = (
        "default-src 'none'",
        f"script-src {' '.join(hashes['script'])}",
        f"style-src {' '.join(hashes['style'])}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


def status_json(relay: str, outboxes: Iterable[Watched], now_s: float) -> bytes:
    """What is known of each outbox, as one JSON object; `relay` is who answers.

    In ASCII: what is in a topic or in a reason cannot be taken for anything but text.
    """
    shown = [one.to_dict(now_s) for one in outboxes]
    return json.dumps({"relay": relay, "span_seconds": SPAN_S, "outboxes": shown}).encode()

"""JSON for a page: as text that a script element can hold, and compressed."""

import base64
import gzip
import json


def script_json(value: object) -> str:
    """JSON that ends no script element and opens no comment, whatever texts it holds."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return (
        text.replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("&", "\\u0026")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
    )


def packed(value: object) -> str:
    """JSON, gzip, base64; the same bytes for the same value."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # A lone surrogate, which JSON may hold and UTF-8 may not, is shown as a question mark.
    return base64.b64encode(gzip.compress(text.encode(errors="replace"), 6, mtime=0)).decode()

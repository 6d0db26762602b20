"""Sets aside what a model thinks before it answers."""

import re

_NAMES = r"(?:seed:)?(?:think|thinking|thought|thoughts|reasoning|reason|scratchpad|analysis)"
_TAG = re.compile(
    rf"<(?P<close>/?){_NAMES}>|\[(?P<bracket>/?)THINK\]|◁(?P<triangle>/?)think▷"
    r"|<\|(?P<mark>begin|end|START|END)_(?:of_thought|thinking)\|>",
    re.IGNORECASE,
)
# Channels (gpt-oss): what a model says is in the last final one.
_CHANNEL = re.compile(r"<\|channel\|>\s*(?P<name>\w+)[^<]{0,80}<\|message\|>")
_MAY_REASON = re.compile(r"<[/|\w]|\[/?THINK|◁", re.IGNORECASE)


def strip_reasoning(text: str, finish_reason: str | None = None) -> str | None:
    """The reply without its reasoning blocks; None when the reply was lost inside one.

    Templates that open the block themselves leave only the closing tag in the text, so everything
    before an unmatched closing tag is reasoning too. A block that was opened and never closed was
    cut off, unless a reply stands before it and the endpoint says that the model stopped by itself;
    a text cut off by length right after its reasoning has no reply either.
    """
    if "<" not in text and "[" not in text and "◁" not in text:
        return text
    if not _MAY_REASON.search(text):
        return text
    channels = list(_CHANNEL.finditer(text))
    if channels:
        if channels[-1]["name"].lower() != "final":
            return None
        text = text[channels[-1].end() :]
    kept: list[str] = []
    depth = start = 0
    for tag in _TAG.finditer(text):
        closing = _closes(tag)
        if closing and depth == 0:
            kept.clear()
        elif not closing and depth == 0:
            kept.append(text[start : tag.start()])
        depth = max(0, depth - 1) if closing else 1
        start = tag.end()
    if depth:
        said = "".join(kept)
        return said if said.strip() and finish_reason == "stop" else None
    reply = "".join([*kept, text[start:]])
    return None if start and finish_reason == "length" and not reply.strip() else reply


def _closes(tag: re.Match[str]) -> bool:
    slash = tag["close"] or tag["bracket"] or tag["triangle"]
    return bool(slash) or (tag["mark"] or "").lower() == "end"

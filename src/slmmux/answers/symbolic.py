"""What runs inside the symbolic worker: sympy and math-verify, which may hang, crash or eat memory.

Never imported by the parent process. Reads requests from standard input and writes replies to
standard output, each a 4-byte big-endian length and that many bytes of JSON. A request is
`{"operation": …, "arguments": […], "limit_s": …}`, a reply `{"key": …}`, or `{"key": null}` for
what cannot be read.

A request that uses more CPU time than its limit ends the process: SIGPROF kills it also in the
middle of one huge multiplication, where no Python code runs. CPU time, not the clock, so that a
busy machine does not change which answers are readable.
"""

import json
import logging
import os
import re
import select
import signal
import struct
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import BinaryIO

import math_verify
import sympy
from latex2sympy2_extended import latex2sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig
from sympy.functions.elementary.trigonometric import TrigonometricFunction
from sympy.printing.str import sstr

from slmmux.answers.numbers import number_key

# Seconds between looks at whether the parent is still there, should somebody else hold the pipe.
_ORPHAN_CHECK_S = 5.0
_DECIMAL = re.compile(r"(?<![\d.])(\d*)\.(\d+)")
_SET_APART = re.compile(r"(?<![\w/^}.)])(\d+)/(\d+)\s+(?=[a-zA-Z\\])")  # 1/2 x is (1/2)x
_MIXED = re.compile(r"(?<![\d.}^_])(\d+)\s*(\\frac\{\d+\}\{\d+\})")


class UnreadableError(Exception):
    """Not an expression in the grammar, or one without a canonical form."""


def expression_key(latex: str) -> str:
    """`expr:` and the simplified expression, or a number's own key."""
    return _key(_simplest(_parsed(latex)))


def relation_key(kind: str, left: str, right: str) -> str:
    """A relation's key: both sides on one side, without denominators and common factors."""
    difference = _simplest(_parsed(left) - _parsed(right))
    top, bottom = sympy.fraction(sympy.together(difference))
    if kind in ("gt", "ge"):
        top = difference if bottom.free_symbols else top / bottom
    _, top = sympy.expand(top).as_content_primitive()
    if kind in ("eq", "ne"):
        symbols = sorted(top.free_symbols, key=str)
        if symbols and top.is_polynomial(*symbols):
            top = sympy.Poly(top, *symbols).monic().as_expr()
            _, top = top.as_content_primitive()
        elif top.could_extract_minus_sign():
            top = -top
    return f"{kind}:{_printed(sympy.expand(top))}"


def verified(answer: str, reference: str) -> str:
    """`true` when math-verify accepts the answer for the reference, else `false`."""
    gold = math_verify.parse(_delimited(reference), parsing_timeout=None)
    target = math_verify.parse(_delimited(answer), parsing_timeout=None)
    return "true" if math_verify.verify(gold, target, timeout_seconds=None) else "false"


def _delimited(text: str) -> str:
    return text if "$" in text.replace("\\$", "") or "\\boxed" in text else f"${text}$"


def _parsed(latex: str) -> sympy.Expr:
    latex = _SET_APART.sub(r"\\frac{\1}{\2} ", latex)
    latex = _MIXED.sub(r"(\1+\2)", latex)
    latex = _DECIMAL.sub(_fraction, latex)
    parsed = latex2sympy(latex, conversion_config=ConversionConfig(lowercase_symbols=False))
    if not isinstance(parsed, sympy.Expr):
        raise UnreadableError(type(parsed).__name__)
    return parsed.subs(sympy.Symbol("i"), sympy.I)


def _fraction(match: re.Match[str]) -> str:
    """A decimal as the fraction that it is."""
    return f"\\frac{{{match[1]}{match[2]}}}{{1{'0' * len(match[2])}}}"


def _simplest(expression: sympy.Expr) -> sympy.Expr:
    """One form for equal expressions, as far as rational functions, radicals and angles go."""
    expression = sympy.expand_log(expression.doit(), factor=True)
    if expression.has(TrigonometricFunction) and expression.free_symbols:
        expression = _without_squared_sines(sympy.expand_trig(expression))
    expression = sympy.cancel(sympy.together(sympy.expand(expression)))
    return sympy.expand(sympy.sqrtdenest(sympy.radsimp(expression)))


def _without_squared_sines(expression: sympy.Expr) -> sympy.Expr:
    """In sines and cosines alone, with sin² written as 1 - cos²."""
    expression = (
        expression.replace(sympy.tan, lambda angle: sympy.sin(angle) / sympy.cos(angle))
        .replace(sympy.cot, lambda angle: sympy.cos(angle) / sympy.sin(angle))
        .replace(sympy.sec, lambda angle: 1 / sympy.cos(angle))
        .replace(sympy.csc, lambda angle: 1 / sympy.sin(angle))
    )
    parts = sympy.fraction(sympy.cancel(sympy.together(expression)))
    top, bottom = (sympy.expand(part).replace(_is_squared_sine, _reduced_sine) for part in parts)
    return top / bottom


def _is_squared_sine(node: sympy.Expr) -> bool:
    return bool(
        node.is_Pow and node.base.func is sympy.sin and node.exp.is_Integer and node.exp > 1
    )


def _reduced_sine(node: sympy.Expr) -> sympy.Expr:
    whole, rest = divmod(int(node.exp), 2)
    return (1 - sympy.cos(node.base.args[0]) ** 2) ** whole * node.base**rest


def _key(expression: sympy.Expr) -> str:
    if expression.is_Rational:
        return number_key(Fraction(int(expression.p), int(expression.q)))
    if expression.has(sympy.nan, sympy.zoo, sympy.Float):
        raise UnreadableError(str(expression))
    printed = _printed(expression)
    return printed if expression in (sympy.oo, -sympy.oo) else f"expr:{printed}"


def _printed(expression: sympy.Expr) -> str:

    return str(sstr(expression, order="lex")).replace(" ", "")


_OPERATIONS: dict[str, Callable[..., str]] = {
    "expression": expression_key,
    "verify": verified,
    **{
        kind: lambda left, right, kind=kind: relation_key(kind, left, right)
        for kind in ("eq", "ne", "gt", "ge")
    },
}


def _answer(request: dict[str, object]) -> str | None:
    operation, arguments = request["operation"], request["arguments"]
    try:
        return _OPERATIONS[str(operation)](*arguments)  # type: ignore[misc]
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  # third-party parsers raise anything on hostile input
        return None


def _limit_memory(limit_bytes: int) -> None:
    try:
        import resource  # noqa: PLC0415  # not on every platform
    except ImportError:  # not POSIX: the CPU limit still holds
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = limit_bytes if hard == resource.RLIM_INFINITY else min(limit_bytes, hard)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ValueError, OSError):  # macOS refuses RLIMIT_AS
        return


def _limit_cpu(seconds: float) -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _read(source: int, size: int, parent: int) -> bytes | None:
    """Exactly `size` bytes; None when the parent has closed the pipe or is gone."""
    data = b""
    while len(data) < size:
        ready, _, _ = select.select([source], [], [], _ORPHAN_CHECK_S)
        if not ready:
            if os.getppid() != parent:
                return None
            continue
        chunk = os.read(source, size - len(data))
        if not chunk:
            return None
        data += chunk
    return data


def _write(target: BinaryIO, reply: dict[str, str | None]) -> None:
    body = json.dumps(reply).encode()
    target.write(struct.pack(">I", len(body)) + body)
    target.flush()


def main() -> None:
    """Serve until the parent closes the pipe; the argument is the memory limit in bytes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what third parties print must not end up between the replies
    logging.disable(logging.CRITICAL)
    parent = os.getppid()
    _limit_memory(int(sys.argv[1]))
    expression_key("\\frac{\\sqrt{x}}{2}+\\sin y")  # loads sympy and its parser before anyone waits
    _write(replies, {"key": "ready"})
    while header := _read(0, 4, parent):
        body = _read(0, struct.unpack(">I", header)[0], parent)
        if body is None:
            return
        request = json.loads(body)
        _limit_cpu(float(request["limit_s"]))
        key = _answer(request)
        _limit_cpu(0)
        _write(replies, {"key": key})


if __name__ == "__main__":
    main()

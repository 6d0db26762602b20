"""What a model writes, on the page: Markdown and LaTeX are drawn, and nothing of it is HTML."""

import re
from typing import Any

import pytest

pytestmark = pytest.mark.browser

# Draws a reply as the page does: its elements as `name(inside)`, its text, and how long it took.
DRAWN = r"""async (text) => {
  const [{ Reply }, { html, render }] = await Promise.all(
    ["said", "dom"].map((name) => import(`./assets/${name}.js`)));
  const place = document.createElement("main");
  document.body.append(place);
  const begun = performance.now();
  render(html`<${Reply} text=${text} />`, place);
  const said = place.querySelector(".said");
  const all = [...said.querySelectorAll("*")];
  const MATHML = "http://www.w3.org/1998/Math/MathML";
  const tree = (one) => one.nodeType === Node.TEXT_NODE ? one.data
    : `${one.localName}(${[...one.childNodes].map(tree).join("")})`;
  const found = {
    tree: [...said.childNodes].map(tree).join(""),
    text: said.textContent,
    height: said.getBoundingClientRect().height,
    took: performance.now() - begun,
    names: [...new Set(all.map((one) => one.localName))],
    attributes: [...new Set(all.flatMap((one) => one.getAttributeNames()))],
    values: [...said.querySelectorAll("li")].map((one) => one.value),
    aligned: [...said.querySelectorAll("td")].map((one) => one.className),
    maths: all.filter((one) => one.closest("math")).every((one) => one.namespaceURI === MATHML),
  };
  render(null, place);
  place.remove();
  return found;
}"""


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("# Steps\nSix sevens.", "h4(Steps)p(Six sevens.)"),
        ("It is **42**, *not* ~~41~~.", "p(It is strong(42), em(not) del(41).)"),
        ("one\ntwo  \nthree", "one\ntwo  \nthree"),  # no form: as it is
        ("**a**\nb", "p(strong(a)\nb)"),
        ("- a\n- b\n  1. c", "ul(li(a)li(bol(li(c))))"),
        ("- [x] done\n- [ ] open", "ul(li(☑ done)li(☐ open))"),
        ("```python\nx = 2*3*4  # **no**\n```", "pre(code(x = 2*3*4  # **no**))"),
        ("Run `a*b*c` & see", "p(Run code(a*b*c) & see)"),
        ("> said\n\n---\n**x**", "blockquote(p(said))hr()p(strong(x))"),
        (
            "| a | b |\n|---|--:|\n| 1 | **2** |",
            "div(table(thead(tr(th(a)th(b)))tbody(tr(td(1)td(strong(2))))))",
        ),
        ("这是**重点**内容", "p(这是strong(重点)内容)"),
    ],
    ids=lambda text: re.sub(r"\W+", " ", text)[:20],
)
def test_markdown_is_drawn(mathematics: Any, text: str, tree: str) -> None:
    assert mathematics.evaluate(DRAWN, text)["tree"] == tree


@pytest.mark.parametrize(
    "text",
    [
        "**So** 2*3*4 = 24, x**2 + y**2 and f(x)*g(x)*h",
        "**So** *5*3",
        "**So** about ~5~ or ~6",
        "**So** __init__ and a_b_c",
        r"**So** the set \{1, 2\} and C:\path, 50\%",
        "**So** [a link](https://example.com) and ![a picture](https://example.com/x.png)",
        "**So** <https://example.com> and https://example.com, a@example.com",
        "**So** [1]\n\n[1]: https://example.com",
        "**So** it costs $5 and $6, or \\[ nothing",
        "**So** &lt;b&gt; &copy; &#65;",
        "**So**\n\nx = 5\n===\n",
        "**So**\n\n    an indented line",
        "**So**\n\n  12\n+ 30",
        "**So**\n\n42.",
        "**So** <b>x</b> <br> <think>",
    ],
    ids=range(15),
)
def test_no_sign_is_lost_that_may_mean_something(mathematics: Any, text: str) -> None:
    found = mathematics.evaluate(DRAWN, text)
    assert "strong" in found["names"]  # it was read as Markdown

    def signs(said: str) -> str:
        return re.sub(r"\s+", "", said)

    assert signs(found["text"]) == signs(text.replace("**So**", "So", 1))


def test_lists_keep_their_numbers_and_columns_their_sides(mathematics: Any) -> None:
    assert mathematics.evaluate(DRAWN, "1. a\n3. b\n3. c")["values"] == [1, 3, 3]
    table = "| a | b | c |\n|---|:-:|--:|\n| 1 | 2 | 3 |"
    assert mathematics.evaluate(DRAWN, table)["aligned"] == ["", "center", "right"]


@pytest.mark.parametrize(
    ("text", "element"),
    [
        (r"**Half**: $\frac12$", "mfrac"),
        ("- so \\(x^2\\)\n- and", "msup"),
        ("# Root\n\\[\n\\sqrt{2}\n= 1.4\n\\]\nend", "msqrt"),
        ("**So**\n$$\n- x^2\n- y\n$$", "msup"),
        ("**So**\n\\begin{align}\nx &= 1 \\\\\ny &= 2\n\\end{align}\n", "mtable"),
        (r"**So** the answer is \boxed{\frac{1}{2}}.", "mfrac"),
        ("| **x** |\n|---|\n| $x_1$ |", "msub"),
        (r"**$a*b$ and $c*d$**", "mo"),
    ],
    ids=lambda text: re.sub(r"\W+", " ", text)[:20],
)
def test_mathematics_within_markdown_is_drawn(mathematics: Any, text: str, element: str) -> None:
    found = mathematics.evaluate(DRAWN, text)
    assert element in found["names"]
    assert found["maths"]
    assert not {"$", "\\", "*"} & set(found["text"])


def test_what_is_code_is_no_mathematics_and_json_is_as_it_was_written(mathematics: Any) -> None:
    assert "math" not in mathematics.evaluate(DRAWN, r"**So** `$x^2$` and `\(y\)`")["names"]
    text = '{"answer": "**42** # not a heading"}'
    assert mathematics.evaluate(DRAWN, text)["tree"] == text


EVIL = {
    "script": "<script>document.title='owned'</script>",
    "image": "<img src=x onerror=\"document.title='owned'\">",
    "block": '<div onclick="x()">\n**bold**\n</div>\n\n<style>*{display:none}</style>',
    "link": "[x](javascript:document.title='owned')",
    "autolink": "<javascript:document.title='owned'> <data:text/html,x>",
    "picture": '![x](https://example.com/x.png "t") [![y](javascript:1)](javascript:2)',
    "reference": "[x][1]\n\n[1]: javascript:document.title='owned'",
    "entity": "&lt;img src=x onerror=alert(1)&gt; &#60;script&#62;",
    "code": "```html onload=alert(1)\n<script>alert(1)</script>\n```\n\n`<img src=x>`",
    "table": "| <img src=x onerror=alert(1)> |\n|---|\n| <script>1</script> |",
    "heading": "# <iframe src=javascript:1>\n\n- <svg onload=alert(1)>\n\n> <base href=//x>",
    "formula": r"$\href{javascript:1}{x}$ **$\text{<img src=x onerror=alert(1)>}$**",
    "comment": "<!-- hidden --> <![CDATA[ hidden ]]> <?php hidden ?>",
    "unclosed": "**<img src='x` onerror=alert(1)//'** `<script>",
}
KINDS = {
    *("p", "h4", "h5", "h6", "strong", "em", "del", "code", "pre", "blockquote", "hr", "br"),
    *("ul", "ol", "li", "div", "table", "thead", "tbody", "tr", "th", "td", "span"),
    *("math", "mrow", "mi", "mo", "mn", "mtext", "mstyle", "mspace"),
}


@pytest.mark.parametrize("kind", EVIL)
def test_no_html_in_markdown_becomes_html(mathematics: Any, kind: str) -> None:
    text = f"**Now**:\n\n{EVIL[kind]}\n\n1. {EVIL[kind]}"
    before = mathematics.title()
    found = mathematics.evaluate(DRAWN, text)
    assert set(found["names"]) <= KINDS
    allowed = {"dir", "class", "value", "scope", "tabindex", "role", "aria-label", "style"}
    maths = {"display", "mathvariant", "stretchy", "form", "width", "height", "lspace", "rspace"}
    assert set(found["attributes"]) <= allowed | maths
    assert mathematics.title() == before
    for secret in ("hidden", "javascript:", "example.com", "onerror"):
        if secret in EVIL[kind] and kind != "formula":
            assert found["text"].count(secret) == text.count(secret)  # all of it can be seen


def test_signs_that_turn_the_direction_are_named_and_turn_nothing(mathematics: Any) -> None:
    found = mathematics.evaluate(DRAWN, "**So** \u202egnp.exe\u202c and \u2066x\u2069")
    assert found["text"] == "So [U+202E]gnp.exe[U+202C] and [U+2066]x[U+2069]"
    flat = 'async (text) => (await import("./assets/words.js")).oneLine(text)'
    assert mathematics.evaluate(flat, "\u202e24") == "[U+202E]24"


@pytest.mark.parametrize(
    "text",
    [
        ">" * 5000,
        "[" * 20_000,
        "**a*" * 5000,
        "$" * 20_000,
        "\\[" * 20_000,
        "$a*" * 10_000,
        "\\boxed{" * 5000,
        "\n$$" * 10_000,
        "\n\\begin{a}" * 4000,
        "".join(f"{' ' * (2 * n)}- a\n" for n in range(300)),
        "1. " * 3000,
        "|a" * 3000 + "\n" + "|-" * 3000 + "\n" + "|b" * 3000,
        "<!--" * 8000,
        "`" * 10_000 + "a" + "``" * 5000,
        "**x** $y$ " * 5000,
    ],
    ids=range(15),
)
def test_a_reply_made_to_be_slow_is_not(mathematics: Any, text: str) -> None:
    assert mathematics.evaluate(DRAWN, f"**So**\n\n{text}")["took"] < 3000

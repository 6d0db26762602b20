"""The page as people use it, in headless Chromium before a running gateway."""

import os
import re
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from slmmux.testing import FaultEndpoint
from slmmux.types import Model

pytestmark = pytest.mark.browser

EVIL = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "<a href=\"javascript:document.title='owned'\">x</a> "
    r"$\href{javascript:document.title='owned'}{x}$ $\text{<img src=x onerror=alert(1)>}$ "
    r"$$\class{x\" onload=\"alert(1)}{y}$$ \[\includegraphics{https://example.com/x.png}\] "
    r"$\style{background:url(https://example.com/x)}{z}$ $\pmb{w}$ $\sideset{_a}{^b}\sum$"
)
NAMELESS = """[...document.querySelectorAll("button, a, input, select, textarea, summary")]
  .filter((one) => !(one.labels?.length || one.ariaLabel || one.textContent.trim()))
  .map((one) => one.outerHTML)"""
LEVELS = "[...document.querySelectorAll('h1, h2, h3')].map((one) => Number(one.localName[1]))"


def says(*texts: str, **more: Any) -> FaultEndpoint:
    """An endpoint that gives these replies in turn, the last one again and again."""
    given = iter(texts)
    return FaultEndpoint(text=lambda *_: next(given, texts[-1]), **more)


def ask(page: Any, question: str = "What is 6 × 7?") -> None:
    page.locator(".health li").first.wait_for()  # the page knows what it can ask
    page.get_by_label("Ask the pool").fill(question)
    page.get_by_role("button", name="Ask", exact=True).click()


def state(page: Any, text: str) -> None:
    """Wait until the page says this of the vote."""
    page.locator(".state").get_by_text(text).wait_for()


def decided(page: Any) -> Any:
    page.locator(".ballot.decided").wait_for()
    return page.locator(".outcome")


def facts(page: Any) -> dict[str, str]:
    return dict(
        zip(page.locator("dt").all_inner_texts(), page.locator("dd").all_inner_texts(), strict=True)
    )


def widest(page: Any) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth"))


def test_samples_arrive_in_their_lanes_and_bars_grow_until_the_vote_is_decided(
    serve_page: Any, open_page: Any, turns: Any
) -> None:
    held = [
        turns("The answer is 42."),
        turns("The answer is 41.", "The answer is 42."),
        turns("It is 41."),
    ]
    server = serve_page(*(FaultEndpoint(text=one) for one in held), k=2, stopping="off")
    with open_page(server) as page:
        ask(page)
        lanes = page.locator(".lane")
        state(page, "waiting for the first sample")
        assert lanes.count() == 3
        assert page.locator(".slot.open").count() == 6 + 1  # and the one in the key
        held[1].go(2)
        lanes.nth(1).get_by_text("1 of 2 for A").wait_for()
        state(page, "2 of at most 6 samples; llama leads with 1 of 2 for 41")
        assert page.locator(".class .answer").all_inner_texts() == ["41", "42"]
        before = page.locator(".class .bar i").nth(1).bounding_box()["width"]
        held[0].go(2)
        lanes.nth(0).get_by_text("2 of 2 for B").wait_for()
        page.wait_for_function(
            "w => document.querySelector('.class .bar i').getBoundingClientRect().width > 2 * w",
            arg=before,
        )
        assert page.locator(".class .answer").all_inner_texts() == ["42", "41"]
        held[2].go(2)
        assert decided(page).locator(".winner").inner_text() == "42"
        assert facts(page)["Decided by"] == "qwen"
        assert facts(page)["Confidence"] == "100%"
        assert lanes.nth(0).locator(".badge").inner_text() == "decides"
        assert page.get_by_role("status").inner_text() == "Decided: 42. 0 draws of 6 saved."


def test_a_vote_that_ends_early_says_how_many_draws_it_saved(
    serve_page: Any, open_page: Any
) -> None:
    server = serve_page(*(says("The answer is 42.") for _ in range(3)), k=3)
    with open_page(server) as page:
        ask(page)
        decided(page)
        drawn = page.locator(".lanes button.slot").count()
        saved = page.locator(".lanes .slot.spared").count()
        assert (drawn < 9, drawn + saved) == (True, 9)
        assert facts(page)["Draws saved"] == f"{saved} of 9"


def test_a_sample_opens_with_its_text(serve_page: Any, open_page: Any) -> None:
    server = serve_page(
        says("Six sevens.\nThe answer is 42."), FaultEndpoint("server error"), k=1, stopping="off"
    )
    with open_page(server) as page:
        ask(page)
        decided(page)
        page.get_by_role("button", name="qwen, sample 1: 42, answer A. Show its text").click()
        dialog = page.get_by_role("dialog", name="qwen, sample 1")
        assert "Six sevens." in dialog.inner_text()
        page.keyboard.press("Escape")
        dialog.wait_for(state="hidden")
        page.get_by_role("button", name="llama, sample 1: failed").click()
        assert "CUDA out of memory" in page.get_by_role("dialog").inner_text()
        page.get_by_role("button", name="Close").click()
        assert "llama failed" in page.locator(".outcome").inner_text()


def test_a_guess_is_called_one_and_a_bigger_model_has_a_lane_of_its_own(
    serve_page: Any, open_page: Any
) -> None:
    unsure = {"k": 2, "abstain_below": 0.9}
    with open_page(serve_page(says("The answer is 42.", "The answer is 41."), **unsure)) as page:
        ask(page)
        assert "Not sure enough; the best guess is" in decided(page).inner_text()
        assert facts(page)["Guess of"] == "qwen"
        assert page.locator(".badge").inner_text() == "best guess"
        state(page, "Held back: 2 of 2 samples arrived")
        assert decided(page).locator(".winner").inner_text() == "42"
        page.locator(".recent").get_by_text("no answer").wait_for()
    with says("The answer is 41.") as large:
        bigger = Model(name="large", model="large", base_url=large.base_url)
        small = says("The answer is 42.", "The answer is 41.")
        with open_page(serve_page(small, bigger=bigger, **unsure)) as page:
            ask(page)
            assert decided(page).locator(".winner").inner_text() == "41"
            assert facts(page)["Decided by"] == "large"
            assert facts(page)["The pool's own guess"] == "42"
            assert page.locator(".lane .name").all_inner_texts() == ["qwen", "large decides"]
            page.locator(".lane").nth(1).get_by_text("1 of 1 for B").wait_for()


def test_stop_lets_go_of_the_upstream_calls(serve_page: Any, open_page: Any) -> None:
    hanging = FaultEndpoint("hang")
    server = serve_page(says("The answer is 42."), hanging, k=2, stopping="off")
    with open_page(server) as page:
        ask(page)
        state(page, "2 of at most 4 samples")
        page.get_by_role("button", name="Stop").click()
        state(page, "Stopped: 2 of 4 samples arrived")
        assert page.evaluate("document.activeElement.textContent") == "Ask"
        deadline = time.monotonic() + 5
        while hanging.open_connections and time.monotonic() < deadline:
            time.sleep(0.02)
        assert (hanging.abandoned, hanging.open_connections) == (len(hanging.requests), 0)
        assert page.locator(".recent li").count() == 0


def test_when_every_model_is_down_the_page_says_so_and_what_each_said(
    serve_page: Any, open_page: Any
) -> None:
    server = serve_page(FaultEndpoint("server error"), FaultEndpoint("wrong key"), k=1)
    with open_page(server) as page:
        ask(page)
        trouble = page.get_by_role("alert")
        trouble.wait_for()
        text = trouble.inner_text()
        assert "No answer: the models failed" in text
        assert "CUDA out of memory" in text
        assert "Incorrect API key provided" in text
        state(page, "Without an answer: 0 of 2 samples arrived, 2 failed")
        assert page.get_by_label("Ask the pool").input_value() == "What is 6 × 7?"


def test_a_server_that_is_gone_is_named_and_the_question_is_kept(
    serve_page: Any, open_page: Any
) -> None:
    server = serve_page(says("The answer is 42."))
    with open_page(server) as page:
        page.locator(".health li").first.wait_for()
        server.stop()
        ask(page)
        page.get_by_role("alert").get_by_text("The server does not answer").wait_for()
        page.locator("header").get_by_text("Server does not answer").wait_for()
        assert page.get_by_label("Ask the pool").input_value() == "What is 6 × 7?"


def test_a_connection_cut_in_the_middle_keeps_what_arrived(serve_page: Any, open_page: Any) -> None:
    server = serve_page(says("The answer is 42."), FaultEndpoint("hang"), k=1, stopping="off")
    with open_page(server) as page:
        ask(page)
        state(page, "1 of at most 2 samples")
        server.stop()
        page.get_by_role("alert").wait_for()
        assert page.locator(".lanes button.slot").count() == 1


def test_what_models_say_is_never_html(serve_page: Any, open_page: Any) -> None:
    text = f"{EVIL} The answer is {EVIL}"
    server = serve_page(says(text), says(text), k=1, stopping="off")
    with open_page(server) as page:
        page.locator(".health li").first.wait_for()
        page.locator(".settings summary").click()
        page.get_by_label("Answers are").select_option("text")
        ask(page, EVIL)
        decided(page)
        assert EVIL[:60] in page.locator(".reply").last.inner_text()
        page.locator(".lanes button.slot").first.click()
        page.get_by_role("dialog").wait_for()
        assert page.locator("img, iframe, object, form [onerror], main a, dialog a").count() == 0
        assert page.locator("script").count() == 4  # the page's own
        assert page.title() == "slmmux"
        page.reload()
        page.locator(".recent li").first.wait_for()
        assert page.locator("img").count() == 0
        assert page.title() == "slmmux"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"$\frac12$", "mfrac"),
        (r"so \(x^2\) it is", "msup"),
        (r"\[ \sqrt{2} \]", "msqrt"),
        (r"$$\begin{pmatrix}1&2\\3&4\end{pmatrix}$$", "mtable"),
        (r"it costs $5 and $6", None),
        (r"$\undefined{1}$", None),
        (r"$\def\a{\a\a}\a$", None),
        ("$" + "{" * 1500 + "}" * 1500 + "$", None),
        (r"\[" * 20_000, None),
        (r"$\rule{99999em}{99999em}$", "mspace"),
    ],
    ids=[
        "fraction",
        "power",
        "root",
        "matrix",
        "money",
        "unknown",
        "endless",
        "deep",
        "open",
        "huge",
    ],
)
def test_mathematics_is_drawn_and_what_is_none_stays_as_written(
    mathematics: Any, text: str, shown: str | None
) -> None:
    found = mathematics.evaluate(
        """async (text) => {
          const [{ Said }, { html, render }] = await Promise.all(
            ["said", "dom"].map((name) => import(`./assets/${name}.js`)));
          const place = document.createElement("div");
          document.body.append(place);
          const begun = performance.now();
          render(html`<${Said} kind="reply" text=${text} />`, place);
          const tags = [...place.querySelectorAll(".said *")].map((one) => one.localName);
          const box = place.getBoundingClientRect();
          const took = performance.now() - begun;
          const found = { tags, text: place.textContent, took, height: box.height };
          place.remove();
          return found;
        }""",
        text,
    )
    assert found["took"] < 3000
    if shown is None:
        assert (found["tags"], found["text"]) == ([], text)
    else:
        assert shown in found["tags"]
        assert found["height"] < 1000


def test_temml_gives_the_tree_that_formulas_are_made_of(mathematics: Any) -> None:
    tree = "(t => t.type === 'math' && t.children.length)(temml.__renderToMathMLTree('x^2', {}))"
    has = mathematics.evaluate(f"typeof temml.__renderToMathMLTree === 'function' && !!{tree}")
    assert has, "temml.__renderToMathMLTree gives no tree any more: maths.js cannot draw formulas"


def test_the_browser_itself_refuses_to_make_html_of_text(mathematics: Any) -> None:
    refused = """() => {
      try { document.body.innerHTML = "<b>x</b>"; } catch (error) { return error.name; }
    }"""
    assert mathematics.evaluate(refused) == "TypeError"


def test_the_keyboard_is_enough(serve_page: Any, open_page: Any) -> None:
    server = serve_page(*(says("The answer is 42.") for _ in range(2)), k=2, stopping="off")
    with open_page(server) as page:
        page.locator(".health li").first.wait_for()

        def focus() -> str:
            return str(
                page.evaluate(
                    "(e => e.id || e.name || e.textContent.trim())(document.activeElement)"
                )
            )

        def tab(times: int = 1) -> str:
            for _ in range(times):
                page.keyboard.press("Tab")
            return focus()

        assert [tab() for _ in range(5)] == [
            "Skip to the content",
            "Dark",
            "Ask",
            "Charts",
            "question",
        ]
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.type("What is 6 × 7?")
        assert [tab(), tab()] == ["Ask", "Options to choose from"]
        page.keyboard.press("Enter")
        assert [tab(), tab()] == ["options", "How the pool answers"]
        page.keyboard.press("Enter")
        assert [tab() for _ in range(4)] == ["method", "kind", "k", "stopping"]
        page.keyboard.press("Shift+Tab")
        page.keyboard.type("1")
        page.get_by_label("Ask the pool").focus()
        page.keyboard.press("Enter")
        decided(page)
        assert page.locator(".lanes button.slot").count() == 2
        assert focus() == "question"
        tab(8)
        page.keyboard.press("Tab")
        assert focus() == "A"
        page.keyboard.press("Enter")
        page.get_by_role("dialog").wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="hidden")
        assert focus() == "A"


def test_every_control_has_a_name_and_headings_have_no_gaps(
    serve_page: Any, open_page: Any
) -> None:
    server = serve_page(says("The answer is 42."), k=1)
    with open_page(server) as page:
        ask(page)
        decided(page)
        page.locator(".settings summary").click()
        nameless = page.evaluate(NAMELESS)
        assert nameless == []
        levels = page.evaluate(LEVELS)
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))


def test_settings_go_along_with_the_question(serve_page: Any, open_page: Any) -> None:
    endpoints = [says("The answer is 42."), says("The answer is 41.")]
    server = serve_page(*endpoints, k=3)
    with open_page(server) as page:
        page.locator(".health li").first.wait_for()
        page.locator(".settings summary").click()
        page.get_by_label("Method").select_option(label="the most common answer of all samples")
        page.get_by_label("Answers are").select_option("number")
        page.get_by_label("Samples of each model").fill("2")
        page.get_by_label("Stop drawing").select_option("off")
        ask(page)
        decided(page)
        assert [len(one.requests) for one in endpoints] == [2, 2]
        assert facts(page)["Read as"] == "number"
        page.get_by_label("Method").select_option(label="one sample of the best model")
        assert page.get_by_label("Samples of each model").is_disabled()
        ask(page)
        page.locator(".lane").nth(1).wait_for(state="detached")
        decided(page)
        assert [len(one.requests) for one in endpoints] == [3, 2]


@pytest.mark.parametrize(
    ("question", "k", "said"),
    [("  ", "1", "Write a question first."), ("What?", "1.5", "a whole number from 1 to 500")],
)
def test_what_cannot_be_asked_is_said_at_once(
    serve_page: Any, open_page: Any, question: str, k: str, said: str
) -> None:
    with open_page(serve_page(says("42"))) as page:
        page.locator(".health li").first.wait_for()
        page.locator(".settings summary").click()
        page.get_by_label("Samples of each model").fill(k)
        ask(page, question)
        page.get_by_text(said).wait_for()
        assert page.locator(".ballot").count() == 0


def test_what_the_server_refuses_is_shown_in_its_words(serve_page: Any, open_page: Any) -> None:
    with open_page(serve_page(*(says("42") for _ in range(3)))) as page:
        page.locator(".health li").first.wait_for()
        page.locator(".settings summary").click()
        page.get_by_label("Samples of each model").fill("400")
        ask(page)
        text = page.get_by_role("alert").inner_text()
        assert "The server cannot take this request" in text
        assert "400 samples of 3 models are 1200 draws; a request may take 500" in text


def test_recent_questions_stay_in_this_browser_and_can_be_cleared(
    serve_page: Any, open_page: Any
) -> None:
    server = serve_page(says("The answer is 42."), k=1)
    with open_page(server) as page:
        for question in ("What is 6 × 7?", "What is 40 + 2?", "What is 6 × 7?"):
            ask(page, question)
            page.get_by_role("button", name=question).first.wait_for()
            decided(page)
        page.reload()
        page.locator(".recent li").first.wait_for()
        texts = page.locator(".recent button").all_inner_texts()
        assert texts == ["What is 6 × 7?", "What is 40 + 2?"]
        page.get_by_role("button", name="What is 40 + 2?").click()
        assert page.get_by_label("Ask the pool").input_value() == "What is 40 + 2?"
        page.get_by_role("button", name="Clear").click()
        assert page.locator(".recent li").count() == 0
        assert page.evaluate("localStorage.getItem('slmmux.recent')") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_follow_the_reader(serve_page: Any, open_page: Any, scheme: str) -> None:
    ground = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}
    other = {"light": "dark", "dark": "light"}[scheme]
    look = "getComputedStyle(document.body).backgroundColor"
    with open_page(serve_page(says("42")), scheme=scheme) as page:
        assert page.evaluate(look) == ground[scheme]
        page.get_by_role("button", name=f"Change to {other} colours").click()
        assert page.evaluate(look) == ground[other]
        page.reload()
        page.get_by_role("button", name=f"Change to {scheme} colours").wait_for()
        assert page.evaluate(look) == ground[other]


def test_nothing_sticks_out_of_a_phone(serve_page: Any, open_page: Any) -> None:
    long = "1" * 300
    wide = r"$$" + "+".join(f"x_{{{n}}}" for n in range(80)) + "$$"
    server = serve_page(
        says(f"{wide} The answer is {long}."), says("The answer is 42."), k=20, stopping="off"
    )
    with open_page(server, width=360) as page:
        page.locator(".health li").first.wait_for()
        assert widest(page) == 360
        ask(page, f"{wide} {long}")
        decided(page)
        assert widest(page) == 360
        page.locator(".settings summary").click()
        assert widest(page) == 360
        page.locator(".lanes button.slot").first.click()
        box = page.get_by_role("dialog").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360


def test_a_vote_that_begins_below_the_window_is_moved_into_it(
    serve_page: Any, open_page: Any
) -> None:
    with open_page(serve_page(says("The answer is 42."), k=1), width=360) as page:
        page.locator(".health li").first.wait_for()
        for summary in page.locator(".ask summary").all():
            summary.click()
        ask(page)
        decided(page)
        top = page.locator("#ballot-title").bounding_box()["y"]
        assert 0 <= top < 450


def test_the_page_works_behind_a_prefix(serve_page: Any, open_page: Any) -> None:
    def behind(app: ASGIApp) -> ASGIApp:
        """A proxy that passes on what is below /tools/slmmux/, and nothing else."""

        async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
            path = scope["path"]
            inside = (
                path.removeprefix("/tools/slmmux") if path.startswith("/tools/slmmux/") else "/none"
            )
            await app({**scope, "path": inside}, receive, send)

        return proxy

    server = serve_page(says("The answer is 42."), path="/tools/slmmux/", layers=[behind], k=1)
    with open_page(server) as page:
        ask(page)
        assert decided(page).locator(".winner").inner_text() == "42"


def test_a_page_of_a_proxy_is_not_taken_for_the_server(serve_page: Any, open_page: Any) -> None:
    def in_between(app: ASGIApp) -> ASGIApp:
        async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"].startswith("/v1/") or scope["path"] == "/metrics":
                await HTMLResponse("<h1>Sign in</h1>")(scope, receive, send)
            else:
                await app(scope, receive, send)

        return proxy

    with open_page(serve_page(says("42"), layers=[in_between])) as page:
        page.get_by_role("alert").get_by_text("Something before the server").wait_for()
        page.get_by_role("link", name="Charts").click()
        page.get_by_text("This server has no metrics").wait_for()


def test_a_server_without_metrics_says_so_and_nothing_else_is_missing(
    serve_page: Any, open_page: Any
) -> None:
    with open_page(serve_page(says("The answer is 42."), k=1), path="#charts") as page:
        page.get_by_text("This server has no metrics").wait_for()
        page.get_by_role("link", name="Ask").click()
        page.get_by_text("The server does not tell how each of them is.").wait_for()
        ask(page)
        decided(page)


def test_figures_are_read_from_what_prometheus_reads(mathematics: Any) -> None:
    found = mathematics.evaluate(
        """async () => {
          const { parsed, quantile, since, snapshot, series } = await import("./assets/metrics.js");
          const text = (ok, failed, fast, all) => `# HELP slmmux_requests_total x
slmmux_requests_total{path="/v1/chat/completions",model="a\\\\"b,c}",status="200"} ${ok}
slmmux_requests_total{path="/v1/chat/completions",model="a",status="503"} ${failed}
slmmux_requests_total{path="/readyz",model="",status="200"} 1e3
slmmux_request_seconds_bucket{path="/v1/completions",model="a",le="0.1"} ${fast}
slmmux_request_seconds_bucket{path="/v1/completions",model="a",le="+Inf"} ${all}
slmmux_selected_total{served="p",model="a\\\\"b,c}"} 3
`;
          const past = snapshot(parsed(text(10, 0, 4, 4)), 100);
          const now = snapshot(parsed(text(30, 5, 8, 8)), 110);
          const again = snapshot(parsed(text(6, 0, 1, 1)), 120);
          const lines = series([past, now, again], 10);
          return {
            requests: now.requests, failed: now.failed, selected: [...now.selected],
            median: quantile(0.5, since(past.latency, now.latency)),
            nothing: quantile(0.5, since(now.latency, now.latency)),
            answered: lines.answered, none: series([]).times,
          };
        }"""
    )
    assert (found["requests"], found["failed"]) == (35, 5)
    assert found["selected"] == [['a"b,c}', 3]]
    assert found["median"] == pytest.approx(0.05)
    assert found["nothing"] is None
    # 20 in 10 s; then the server began anew, and of what came before nothing is known.
    assert found["answered"] == [None, 2.0, pytest.approx(0.6)]
    assert found["none"] == []


def test_a_line_begins_when_as_much_is_known_as_each_of_its_points_says(mathematics: Any) -> None:
    found = mathematics.evaluate(
        """async () => {
          const { parsed, series, snapshot } = await import("./assets/metrics.js");
          const text = (n) => `slmmux_requests_total{path="/v1/completions",status="200"} ${n}
slmmux_request_seconds_bucket{path="/v1/completions",le="1"} ${n}
slmmux_request_seconds_bucket{path="/v1/completions",le="+Inf"} ${n}
`;
          const at = (time, n) => snapshot(parsed(text(n)), time);
          // One request, of 4 s after the beginning; every 2 s a look, and none for a long while.
          const looks = [0, 2, 4, 6, 20, 22, 24, 26, 500, 502];
          return series(looks.map((time) => at(time, time < 4 ? 7 : 8)), 20);
        }"""
    )
    once, nothing = pytest.approx(1 / 20), pytest.approx(0)
    assert found["answered"] == [*4 * [None], once, once, nothing, nothing, None, None]
    median = [None if value is None else round(value, 3) for value in found["median"]]
    assert median == [*4 * [None], 0.5, 0.5, *4 * [None]]


@pytest.mark.embedded
def test_the_command_prints_the_address_of_a_page_that_works(
    open_page: Any, page_server: Any, tmp_path: Path
) -> None:
    command = [str(Path(sys.executable).with_name("slmmux")), "serve", "--port", "0"]
    environment = {**os.environ, "SLMMUX_CONFIG": "", "COLUMNS": "200"}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as serving:
        assert serving.stdout is not None
        lines = iter(serving.stdout.readline, "")
        address = next(
            found[0] for line in lines if (found := re.findall(r"http://\S+:\d+/$", line))
        )
        try:
            with open_page(page_server(address)) as page:
                ask(page, "What is 17 + 25?")
                page.locator(".ballot.decided").wait_for(timeout=60_000)
                assert page.locator(".lane").count() == 2
                assert page.locator(".outcome").inner_text().startswith(("Decided", "No answer"))
                assert page.locator(".health .pill.good").count() == 2
                page.get_by_role("link", name="Charts").click()
                page.locator(".plot canvas").nth(2).wait_for()
        finally:
            serving.terminate()

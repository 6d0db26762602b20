"""The page before a gateway with API keys, metrics and breakers, in headless Chromium."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from slmmux.config import MuxConfig
from slmmux.config_gateway import GatewayConfig
from slmmux.gateway.app import build_app
from slmmux.gateway.operations.assembly import Operations
from slmmux.gateway.operations.ledger import Ledger
from slmmux.gateway.server import bind, server_of
from slmmux.gateway.state import Gateway, Served, serve_profiles
from slmmux.sampling import SamplingLimits
from slmmux.testing import FaultEndpoint
from slmmux.types import Model

pytestmark = pytest.mark.browser

LIMITS = SamplingLimits(first_wait_s=0.001, longest_wait_s=0.002, max_attempts=1)
Operate = Callable[..., Any]


@pytest.fixture(name="operate")
def operated(page_server: type[Any]) -> Iterator[Operate]:
    """Starts a gateway with all that runs it: profile `pool` of a, b, c, one at each endpoint."""
    with ExitStack() as stack:

        def start(*endpoints: FaultEndpoint, keys: Path | None = None, **settings: Any) -> Any:
            for endpoint in endpoints:
                stack.enter_context(endpoint)
            models = tuple(
                Model(name=name, model=name, base_url=endpoint.base_url)
                for name, endpoint in zip("abc", endpoints, strict=False)
            )
            served = Served(name="pool", models=models, settings=MuxConfig(k=2))
            listener = bind("127.0.0.1", 0)

            async def main(running: Any) -> None:
                operations = Operations(
                    GatewayConfig(**settings), None if keys is None else Ledger(keys)
                )
                serving = serve_profiles([served], LIMITS, guard=operations.guard)
                gateway = Gateway(serving, operations.caps)
                app = build_app(gateway, operations.middleware(gateway))
                await running.until_stopped(server_of(app, gateway.caps, drain_s=1), listener)
                await operations.close()
                await serving.pool.close()

            server = page_server(f"http://127.0.0.1:{listener.getsockname()[1]}/")
            server.run(main)
            stack.callback(server.stop)
            return server

        yield start


def ask(page: Any, question: str = "What is 6 × 7?") -> None:
    page.locator(".health li").first.wait_for()
    page.get_by_label("Ask the pool").fill(question)
    page.get_by_role("button", name="Ask", exact=True).click()


def test_a_key_is_asked_for_tried_and_kept_for_this_tab_only(
    operate: Operate, open_page: Any, add_key: Callable[..., str], tmp_path: Path
) -> None:
    key = add_key()
    server = operate(FaultEndpoint(), FaultEndpoint(), keys=tmp_path / "keys.db")
    with open_page(server) as page:
        field = page.get_by_label("API key")
        field.fill("sk-slmmux-nonsense")
        page.keyboard.press("Enter")
        page.get_by_text("The server does not know this API key").wait_for()
        assert field.get_attribute("aria-invalid") == "true"
        field.fill(key)
        page.get_by_role("button", name="Use").click()
        ask(page)
        page.locator(".ballot.decided").wait_for()
        assert key in page.evaluate("JSON.stringify(sessionStorage)")
        assert key not in page.evaluate("JSON.stringify(localStorage)")
        assert key not in page.url
        page.reload()
        page.locator(".health li").first.wait_for()
        assert page.get_by_label("API key").input_value() == key


def test_a_key_that_is_revoked_meanwhile_is_asked_for_again(
    operate: Operate, open_page: Any, add_key: Callable[..., str], tmp_path: Path
) -> None:
    key = add_key()
    server = operate(FaultEndpoint(), keys=tmp_path / "keys.db")
    with open_page(server) as page:
        page.get_by_label("API key").fill(key)
        page.keyboard.press("Enter")
        page.locator(".health li").first.wait_for()
        with Ledger(tmp_path / "keys.db") as ledger:
            ledger.revoke("alice")
        ask(page)
        page.get_by_role("alert").get_by_text("The server does not know this API key").wait_for()
        assert page.evaluate("document.activeElement.id") == "api-key"


def test_charts_follow_what_the_gateway_does(operate: Operate, open_page: Any) -> None:
    server = operate(FaultEndpoint(), FaultEndpoint(text="The answer is 41."))
    with open_page(server) as page:
        for _ in range(2):
            ask(page)
            page.locator(".ballot.decided").wait_for()
        page.get_by_role("link", name="Charts").click()
        page.locator(".totals dd").get_by_text("2", exact=True).first.wait_for()
        facts = dict(
            zip(
                page.locator("dt").all_inner_texts(),
                page.locator("dd").all_inner_texts(),
                strict=True,
            )
        )
        assert facts["Requests"] == "2"
        assert int(facts["Draws made"]) + int(facts["Draws saved"].split()[0]) == 8
        drawn = page.locator(".plot canvas")
        assert drawn.count() == 3
        assert page.get_by_role("img", name="Requests, over time").count() == 1
        assert page.get_by_role("row", name="a ", exact=False).count() >= 1
        painted = """canvas => [...canvas.getContext("2d").getImageData(0, 0, canvas.width,
          canvas.height).data].some(Boolean)"""
        assert all(one.evaluate(painted) for one in drawn.all())


def test_a_model_that_is_left_alone_is_marked(operate: Operate, open_page: Any) -> None:
    server = operate(FaultEndpoint(), FaultEndpoint("server error"), breaker_failures=1)
    with open_page(server) as page:
        page.locator(".health .pill.good").nth(1).wait_for()
        page.locator(".settings summary").click()
        page.get_by_label("Stop drawing").select_option("off")
        ask(page)
        page.locator(".ballot.decided").wait_for()
        page.get_by_text("keeps failing; left alone for a while").wait_for()
        assert page.locator(".health .pill.bad").inner_text() == "b"


def test_a_server_whose_models_are_all_left_alone_says_so(operate: Operate, open_page: Any) -> None:
    server = operate(FaultEndpoint("server error"), breaker_failures=1)
    with open_page(server) as page:
        ask(page)
        page.get_by_role("heading", name="No answer: the models failed").wait_for()
        page.reload()
        page.get_by_text("Server reaches no model").wait_for()


def test_who_stops_a_vote_has_not_seen_it_fail(operate: Operate, open_page: Any) -> None:
    with open_page(operate(FaultEndpoint("hang"))) as page:
        ask(page)
        page.get_by_role("button", name="Stop").click()
        page.get_by_role("link", name="Charts").click()
        page.locator(".totals dd").get_by_text("1", exact=True).first.wait_for()
        facts = dict(
            zip(
                page.locator("dt").all_inner_texts(),
                page.locator("dd").all_inner_texts(),
                strict=True,
            )
        )
        assert (facts["Requests"], facts["Failed"]) == ("1", "0")


def test_charts_fit_a_phone(operate: Operate, open_page: Any) -> None:
    with open_page(operate(FaultEndpoint(), FaultEndpoint()), width=360) as page:
        ask(page)
        page.locator(".ballot.decided").wait_for()
        page.get_by_role("link", name="Charts").click()
        page.locator(".plot canvas").nth(2).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == 360

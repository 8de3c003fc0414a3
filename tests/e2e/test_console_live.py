"""A run watched in the console through a server that is killed and started again."""

import re
from pathlib import Path

from playwright.sync_api import expect

from tests.e2e.console import Visitor, browser
from tests.server import Api, ServerProcess


def test_a_run_is_watched_through_a_killed_server_and_lists_catch_up(tmp_path: Path):
    server = ServerProcess(tmp_path / "data").start()
    with server.client() as client, browser() as chromium:
        api = Api(client)
        api.deploy("probe")
        run_id = api.start("probe", ["slowly", 200, 0.05], ["sleep", 60])
        watching = Visitor(chromium, server.url).sign_in()
        listing = Visitor(chromium, server.url).sign_in()
        page = watching.visit(f"/runs/{run_id}?tab=logs", run_id)
        listing.visit("/runs", "Runs")
        lines = page.locator(".virtual .row", has_text=re.compile("line"))
        expect(lines.first).to_be_visible()
        server.kill()
        expect(page.get_by_role("alert")).to_contain_text("The connection to the server is lost")
        expect(listing.page.locator(".connection")).to_have_text("Reconnecting")
        server.start()
        expect(page.locator(".connection")).to_have_text("Live")
        expect(page.get_by_role("alert")).to_have_count(0)
        expect(page.locator(".virtual .row", has_text="line 199")).to_be_visible()
        expect(page.get_by_role("tab", name="Logs")).to_contain_text("201")  # each once; the first is the runner's own
        with server.client() as again:
            other = Api(again).start("probe")
            expect(listing.page.get_by_role("link", name=other)).to_be_visible()
            Api(again).wait(other)
            row = listing.page.get_by_role("row", name=re.compile(other))
            expect(row).to_contain_text("succeeded")
            again.post(f"/v1/runs/{run_id}/cancel")
        expect(page.locator(".facts .status")).to_have_text("canceled")
        assert watching.problems == listing.problems == []
    server.stop()

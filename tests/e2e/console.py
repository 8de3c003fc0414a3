"""A person at the console, for tests: a real Chromium, signed in, that tells what went wrong on its pages."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from tests.e2e.test_clients import CHROMIUM_OPTIONS
from tests.server import ADMIN_KEY

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 400, "height": 800}
WALL = {"width": 2000, "height": 1100}
PATIENCE_MS = 60_000
RELOADS = 5
EXPECTED = (
    "401",  # nobody is signed in yet
    "ERR_NETWORK_CHANGED",  # a container of another test came or went; the page tries again
    "ERR_CONNECTION_REFUSED",  # the server is being started again
    "ERR_INCOMPLETE_CHUNKED_ENCODING",
    "ERR_CONNECTION_RESET",
    "ERR_EMPTY_RESPONSE",
)


@contextmanager
def browser() -> Iterator[Browser]:
    """A Chromium of the system's."""
    expect.set_options(timeout=PATIENCE_MS)
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_OPTIONS)
        yield opened
        opened.close()


class Visitor:
    """Somebody with the console open. `problems` are errors that its pages had, `foreign` requests that left it."""

    def __init__(self, browser: Browser, url: str, size: dict[str, int] = DESKTOP, **options: Any) -> None:
        self.url = url
        self.problems: list[str] = []
        self.foreign: list[str] = []
        self.context = browser.new_context(viewport=size, accept_downloads=True, **options)  # type: ignore[arg-type]
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda said: self._note(said.type, said.text))
        self.page.on("request", lambda request: self._watch(request.url))
        self.page.on("dialog", lambda dialog: dialog.accept())

    def _note(self, kind: str, text: str) -> None:
        if kind == "error" and not any(expected in text for expected in EXPECTED):
            self.problems.append(text)

    def _watch(self, url: str) -> None:
        # The browser's own viewer of PDF files is made of pages of its own.
        if not url.startswith((self.url, "data:", "blob:", "chrome")):
            self.foreign.append(url)

    def sign_in(self, key: str = ADMIN_KEY) -> "Visitor":
        """Open the console and sign in."""
        for attempt in range(RELOADS):
            try:
                self.page.goto(self.url)
                break
            except Error:
                if attempt == RELOADS - 1:
                    raise
        self.page.get_by_label("API key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        self.heading("Overview")
        return self

    def visit(self, path: str, heading: str) -> Page:
        """Go to a page of the console, and wait until it is there."""
        self.page.evaluate("path => { location.hash = path }", path)
        self.heading(heading)
        return self.page

    def heading(self, text: str) -> None:
        """Wait for a page's heading."""
        self.page.locator("h1", has_text=text).first.wait_for()

    def fits(self) -> bool:
        """Whether the page is no wider than its window."""
        fits: bool = self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        return fits

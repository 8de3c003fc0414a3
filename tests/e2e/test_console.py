"""The console, used by a real Chromium against a real server: its pages at every width, its main actions."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, expect

from tests import projects
from tests.e2e.console import DESKTOP, PHONE, WALL, Visitor, browser
from tests.server import Api, ServerProcess

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".data" / "test-cache-axe"
SHOWCASE = {file.name: file.read_text() for file in (HERE / "showcase").iterdir() if file.is_file()}


KEYS = {"r": "Runs", "d": "Deployments", "t": "Threads", "b": "Tables", "a": "Audit", "s": "Settings", "o": "Overview"}


class Shown(NamedTuple):
    """What the console has to show."""

    run: str
    failed: str
    thread: str
    table: str


@pytest.fixture(scope="module")
def shown(api: Api) -> Shown:
    """A deployment in both environments, a good run, a failed one, a thread that asks something."""
    assert api.deploy("showcase", SHOWCASE)["status"] == "ready"
    assert api.deploy("showcase", SHOWCASE, "staging")["status"] == "ready"
    assert api.deploy("support", projects.CHAT)["status"] == "ready"
    started = [
        api.client.post("/v1/runs", json={"deployment_id": "showcase", "input": given}).json()["run_id"]
        for given in ({"topic": "isolation", "lines": 300}, {"topic": "fire", "fail": True})
    ]
    thread = api.client.post("/v1/threads", json={"deployment_id": "support"}).json()["thread_id"]
    for words in ("hello there", "delete it"):
        api.wait(api.client.post(f"/v1/threads/{thread}/runs", json={"input": {"message": words}}).json()["run_id"])
    assert [api.wait(run_id)["status"] for run_id in started] == ["succeeded", "failed"]
    columns = [{"name": "customer", "type": "text", "required": True}, {"name": "price", "type": "number"}]
    table = api.client.post("/v1/tables", json={"name": "orders", "columns": columns}).json()["id"]
    rows = [{"customer": f"customer {number}", "price": number * 1.5} for number in range(60)]
    assert api.client.post(f"/v1/tables/{table}/rows", json=rows).status_code == 201
    return Shown(*started, thread, table)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser. For one module: Playwright keeps an event loop running, which others could not."""
    with browser() as opened:
        yield opened


@pytest.fixture
def visitor(chromium: Browser, server: ServerProcess) -> Iterator[Visitor]:
    """Somebody signed in at a desk, whose pages have no error and ask nobody else."""
    somebody = Visitor(chromium, server.url).sign_in()
    yield somebody
    assert (somebody.problems, somebody.foreign) == ([], [])
    somebody.context.close()


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core."""
    CACHE.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / "axe" / name, CACHE / name)
    subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--prefer-offline"], cwd=CACHE, check=True, capture_output=True
    )
    return (CACHE / "node_modules" / "axe-core" / "axe.min.js").read_text()


def pages(shown: Shown) -> list[tuple[str, str]]:
    return [
        ("/", "Overview"),
        ("/runs", "Runs"),
        (f"/runs/{shown.run}", shown.run),
        (f"/runs/{shown.run}?tab=io", shown.run),
        (f"/runs/{shown.run}?tab=logs", shown.run),
        (f"/runs/{shown.run}?tab=artifacts", shown.run),
        (f"/runs/{shown.failed}", shown.failed),
        ("/deployments", "Deployments"),
        ("/deployments/showcase", "showcase"),
        ("/deployments/showcase?tab=variables", "showcase"),
        ("/deployments/showcase?tab=webhooks", "showcase"),
        ("/deployments/showcase?tab=schedules", "showcase"),
        ("/deployments/showcase?tab=call", "showcase"),
        ("/deployments/showcase?tab=limits", "showcase"),
        ("/threads?deployment=support", "Threads"),
        (f"/threads/{shown.thread}", shown.thread),
        (f"/threads/{shown.thread}?tab=history", shown.thread),
        ("/tables", "Tables"),
        (f"/tables/{shown.table}", "orders"),
        ("/audit", "Audit"),
        ("/settings", "Settings"),
        ("/nowhere", "Not here"),
    ]


@pytest.mark.parametrize(
    ("size", "scheme"), [(PHONE, "dark"), (DESKTOP, "light"), (WALL, "dark")], ids=["phone", "desktop", "wall"]
)
def test_every_page_fits_and_is_accessible(
    chromium: Browser, server: ServerProcess, shown: Shown, axe: str, size: dict[str, int], scheme: str
):
    visitor = Visitor(chromium, server.url, size, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce")
    visitor.sign_in()
    visitor.page.evaluate(axe)
    for path, heading in pages(shown):
        page = visitor.visit(path, heading)
        expect(page.locator(".loading")).to_have_count(0)
        assert visitor.fits(), f"{path} is wider than {size['width']} px"
        findings = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(result => result.violations)")
        serious = [
            (one["id"], [node["html"][:160] for node in one["nodes"][:3]])
            for one in findings
            if one["impact"] in ("serious", "critical")
        ]
        assert not serious, f"{path}: {serious}"
    assert (visitor.problems, visitor.foreign) == ([], [])
    visitor.context.close()


def test_a_wrong_key_is_refused_and_signing_out_ends_it(chromium: Browser, server: ServerProcess):
    visitor = Visitor(chromium, server.url)
    visitor.page.goto(server.url)
    visitor.page.get_by_label("API key").fill("wrong")
    visitor.page.get_by_role("button", name="Sign in").click()
    expect(visitor.page.get_by_role("alert")).to_contain_text("Invalid API key")
    visitor.sign_in()
    assert visitor.page.evaluate("document.cookie") == ""
    visitor.page.get_by_role("button", name="Sign out").click()
    expect(visitor.page.get_by_label("API key")).to_be_visible()
    visitor.page.reload()
    expect(visitor.page.get_by_label("API key")).to_be_visible()
    visitor.context.close()


def test_a_run_is_started_from_a_form_watched_canceled_and_run_again(visitor: Visitor, shown: Shown):
    page = visitor.visit("/runs", "Runs")
    page.get_by_role("button", name="New run").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Deployment").select_option(label="showcase")
    dialog.get_by_label("Input (JSON)").fill("{not json")
    dialog.get_by_role("button", name="Start run").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Input is not JSON")
    dialog.get_by_label("Input (JSON)").fill('{"topic": "watched", "pause": 30}')
    dialog.get_by_role("button", name="Start run").click()
    expect(page.locator(".timeline svg text.name", has_text="researcher")).to_be_visible()
    expect(page.locator(".timeline rect.bar.running")).to_have_count(1)
    page.get_by_role("button", name="Cancel run").click()
    expect(page.locator(".facts .status")).to_have_text("canceled")
    page.get_by_role("button", name="Run again").click()
    page.get_by_role("dialog").get_by_label("Input (JSON)").fill('{"topic": "again"}')
    page.get_by_role("dialog").get_by_role("button", name="Start run").click()
    expect(page.locator(".facts")).to_contain_text("Again")
    expect(page.locator(".facts .status")).to_have_text("succeeded")


def test_events_are_searched_chosen_and_replayed(visitor: Visitor, shown: Shown):
    page = visitor.visit(f"/runs/{shown.run}", shown.run)
    rows = page.locator(".virtual .row")
    expect(rows.first).to_contain_text("run.created")
    assert rows.count() < 100  # of more than three hundred, only those in sight
    page.get_by_label("Search events").fill("not in the archive")
    expect(rows).to_have_count(1)
    rows.first.click()
    expect(page.get_by_label("The chosen event")).to_contain_text("tool.error")
    page.get_by_label("Search events").fill("")
    page.get_by_role("button", name="agent", exact=True).click()
    expect(rows).to_have_count(6)
    page.get_by_role("button", name="all", exact=True).click()
    slider = page.get_by_label("Moment of the run")
    slider.focus()
    page.keyboard.press("Home")
    expect(rows).to_have_count(0)
    page.keyboard.press("ArrowRight")
    expect(rows).to_have_count(1)
    expect(page.locator(".timeline rect.bar")).to_have_count(0)
    page.get_by_role("button", name="To the end").click()
    expect(page.locator(".timeline rect.bar")).to_have_count(5)


def test_what_a_run_took_said_and_left_is_shown_and_cannot_act(visitor: Visitor, shown: Shown):
    page = visitor.visit(f"/runs/{shown.run}?tab=io", shown.run)
    expect(page.locator(".tree").first).to_contain_text("isolation")
    page.get_by_role("tab", name=re.compile("Logs")).click()
    page.get_by_label("At least").select_option("error")
    expect(page.locator(".virtual .row")).to_have_count(1)
    page.get_by_role("tab", name=re.compile("Artifacts")).click()
    preview = page.locator(".preview")
    page.get_by_role("button", name="report.md").click()
    expect(preview.get_by_role("heading", name="Report")).to_be_visible()
    expect(preview.locator("table td", has_text="tools")).to_be_visible()
    expect(preview).to_contain_text('<script>document.title = "owned"</script>')
    page.get_by_role("button", name="figures.csv").click()
    expect(preview.get_by_role("cell", name="row, 7")).to_be_visible()
    page.get_by_role("button", name="result.json").click()
    expect(preview.locator(".tree")).to_contain_text("isolation")
    page.get_by_role("button", name="picture.png").click()
    expect(preview.get_by_role("img")).to_have_js_property("naturalWidth", 64)
    page.get_by_role("button", name="page.html").click()
    expect(preview.frame_locator("iframe").locator("h1")).to_have_text("A page")
    page.get_by_role("button", name="paper.pdf").click()
    expect(preview.locator("iframe[src^=blob]")).to_be_visible()
    with page.expect_download() as download:
        preview.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "paper.pdf"
    visitor.problems = [one for one in visitor.problems if "sandboxed" not in one]  # the page's own script was refused


def test_what_is_erased_is_shown_as_erased(visitor: Visitor, shown: Shown, api: Api):
    run_id = api.run("showcase", ["x"])["id"]
    thread = api.client.post("/v1/threads", json={"deployment_id": "support", "metadata": {"of": "Ada"}}).json()
    page = visitor.visit(f"/runs/{run_id}?tab=artifacts", run_id)
    expect(page.get_by_role("button", name="report.md")).to_be_visible()
    page.get_by_role("button", name="Erase data").click()
    expect(page.get_by_role("note")).to_contain_text("Erased")
    expect(page.get_by_role("button", name="report.md")).to_have_count(0)
    page.get_by_role("tab", name=re.compile("Events")).click()
    expect(page.locator(".virtual .row").first).to_contain_text("erased")
    page = visitor.visit(f"/threads/{thread['thread_id']}?tab=state", thread["thread_id"])
    expect(page.locator(".tree").last).to_contain_text("Ada")
    page.get_by_role("button", name="Erase data").click()
    expect(page.get_by_role("note")).to_contain_text("takes no more runs")
    expect(page.locator(".tree", has_text="Ada")).to_have_count(0)
    expect(page.get_by_role("button", name="Erase data")).to_have_count(0)


def test_a_failure_shows_its_stack_trace(visitor: Visitor, shown: Shown):
    page = visitor.visit(f"/runs/{shown.failed}", shown.failed)
    expect(page.get_by_label("Why it failed")).to_contain_text("the printer is on fire")
    expect(page.get_by_label("Why it failed").locator("pre")).to_contain_text("Traceback")


def test_versions_are_promoted_and_rolled_back_and_builds_read(visitor: Visitor, shown: Shown, api: Api):
    page = visitor.visit("/deployments/showcase", "showcase")
    page.get_by_role("button", name="Promote to production").click()
    facts = page.locator(".facts")
    expect(facts).to_contain_text(re.compile(r"productionv2"))
    page.get_by_role("button", name="Roll back production to version 1").click()
    expect(facts).to_contain_text(re.compile(r"productionv1"))
    page.get_by_role("button", name="Build log of version 1").click()
    expect(page.get_by_role("dialog")).to_contain_text("ready")
    expect(page.get_by_role("dialog").locator(".virtual .row").first).to_be_visible()


def test_variables_are_set_without_ever_being_shown(visitor: Visitor, shown: Shown):
    page = visitor.visit("/deployments/showcase?tab=variables", "showcase")
    page.get_by_label("Name").fill("OPENAI_API_KEY")
    page.get_by_label("Value").fill("sk-very-secret")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(page.get_by_role("cell", name="OPENAI_API_KEY", exact=True)).to_be_visible()
    assert "sk-very-secret" not in page.content()
    page.get_by_role("button", name="Remove OPENAI_API_KEY").click()
    expect(page.get_by_text("No variable is set")).to_be_visible()


def test_a_conversation_answers_what_it_is_asked_and_branches(visitor: Visitor, shown: Shown):
    page = visitor.visit(f"/threads/{shown.thread}", shown.thread)
    expect(page.locator(".turn.ai").last).to_contain_text("hello there")
    page.get_by_label("Answer").fill("yes")
    page.get_by_role("button", name="Answer").click()
    expect(page.locator(".turn.ai").last).to_contain_text("answered yes")
    page.get_by_label("Message").fill("and now?")
    page.keyboard.press("Enter")
    expect(page.locator(".turn.ai").last).to_contain_text("hello there … and now?")
    page.get_by_role("tab", name="History").click()
    expect(page.locator(".checkpoint").first).to_contain_text("and now?")
    page.get_by_role("button", name="Go back here").last.click()
    expect(page.locator(".checkpoint")).to_have_count(5)
    page.get_by_role("button", name="Branch").last.click()
    expect(page.locator("h1")).not_to_contain_text(shown.thread)
    expect(page.locator(".turn.human")).to_have_text(re.compile("hello there"))


def test_an_api_key_is_created_shown_once_and_revoked(visitor: Visitor, server: ServerProcess):
    page = visitor.visit("/settings", "Settings")
    page.get_by_role("button", name="Create API Key").click()
    page.get_by_label("Name").fill("ci of the console")
    page.get_by_role("radio", name=re.compile("^deploy")).check()
    page.get_by_role("button", name="Create", exact=True).click()
    key = page.locator(".secret code").inner_text()
    with server.client(key) as client:
        assert client.get("/v1/session").json()["scopes"] == ["deploy", "run", "read"]
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_text("ci of the console")).to_be_visible()
    assert key not in page.content()
    page.get_by_role("button", name="Revoke ci of the console").click()
    expect(page.get_by_text("ci of the console")).to_have_count(0)


def test_rows_are_filtered_sorted_edited_brought_in_and_taken_out(visitor: Visitor, shown: Shown, tmp_path: Path):
    page = visitor.visit(f"/tables/{shown.table}", "orders")
    first = page.locator("table.list tbody tr").first
    page.get_by_role("button", name="price").click()
    expect(first).to_contain_text("customer 0")
    page.get_by_role("button", name="price").click()
    expect(first).to_contain_text("customer 59")
    first.get_by_role("button", name=re.compile("Edit")).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("price").fill("many")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("many is not a number")
    dialog.get_by_label("price").fill("1000")
    dialog.get_by_role("button", name="Save").click()
    expect(first).to_contain_text("1000")
    expect(first).to_contain_text("console:operator")
    brought = tmp_path / "orders.csv"
    brought.write_text('customer,price\n"Grace, H.",2000\nno price,\n')
    page.get_by_role("button", name="Import").click()
    dialog.get_by_label("File").set_input_files(brought)
    dialog.get_by_role("button", name="Import").click()
    expect(first).to_contain_text("Grace, H.")
    page.get_by_label("Column").select_option("customer")
    page.get_by_label("How").select_option("contains")
    page.get_by_label("Value").fill("Grace")
    expect(page.locator("table.list tbody tr")).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    assert '"Grace, H.",2000' in download.value.path().read_text()


def test_a_webhook_is_made_with_its_secret_shown_once_and_a_schedule_paused(visitor: Visitor, shown: Shown):
    page = visitor.visit("/deployments/showcase?tab=webhooks", "showcase")
    dialog = page.get_by_role("dialog")
    page.get_by_role("button", name="New webhook").click()
    dialog.get_by_role("radio", name=re.compile("incoming")).check()
    dialog.get_by_label("Name").fill("shop")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.locator(".secret code")).to_contain_text("/webhooks/runs/whr_")
    dialog.get_by_role("button", name="Done").click()
    page.get_by_role("button", name="New webhook").click()
    dialog.get_by_label("Name").fill("told")
    dialog.get_by_label("URL").fill("https://example.org/hook")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.locator(".secret code")).to_contain_text("whsec_")
    dialog.get_by_role("button", name="Done").click()
    page.get_by_role("button", name="Deliveries").click()
    expect(page.get_by_text("Nothing was delivered yet.")).to_be_visible()
    page.get_by_role("tab", name="Schedules").click()
    page.get_by_role("button", name="New schedule").click()
    dialog.get_by_label("Cron expression").fill("every day")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("cron")
    visitor.problems.clear()  # that answer was a 400, as it should be
    dialog.get_by_label("Cron expression").fill("0 9 * * *")
    dialog.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".cards-list .status")).to_have_text("paused")
    expect(page.get_by_role("button", name="Resume")).to_be_visible()


def test_the_log_is_searched_and_verified(visitor: Visitor, shown: Shown):
    page = visitor.visit("/audit", "Audit")
    page.get_by_role("button", name="Verify the log").click()
    expect(page.get_by_text("as they were written")).to_be_visible()
    page.get_by_label("Type, exactly").fill("run.created")
    page.get_by_label("Stream").fill(shown.run)
    expect(page.locator("table.list tbody tr")).to_have_count(1)
    page.locator("table.list tbody button").first.click()
    expect(page.locator(".tree")).to_contain_text(shown.run)


def test_who_may_only_read_sees_nothing_to_press(chromium: Browser, server: ServerProcess, api: Api, shown: Shown):
    made: Any = api.client.post("/v1/api-keys", json={"name": "reader", "scopes": ["read"]}).json()
    visitor = Visitor(chromium, server.url).sign_in(made["key"])
    forbidden = re.compile(
        r"\b(New|Cancel|again|Delete|Promote|Roll back|Make live|Remove|Set|Send|Answer|Edit|Branch|Go back|Import)\b"
    )
    for path, heading in pages(shown)[1:-3]:
        page = visitor.visit(path, heading)
        expect(page.locator(".loading")).to_have_count(0)
        assert [one.inner_text() for one in page.locator("main").get_by_role("button", name=forbidden).all()] == []
    expect(visitor.page.get_by_role("link", name="Settings")).to_have_count(0)
    visitor.context.close()


def test_the_keyboard_leads_everywhere(visitor: Visitor, shown: Shown):
    page = visitor.page
    for key, heading in KEYS.items():
        page.keyboard.press("g")
        page.keyboard.press(key)
        visitor.heading(heading)
        expect(page.locator("h1:focus")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Deployments")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_names_and_values_are_text_whatever_they_hold(visitor: Visitor, shown: Shown, api: Api):
    nasty = "<img src=x onerror=\"document.title='owned'\">"
    run_id = api.client.post(
        "/v1/runs", json={"deployment_id": "showcase", "input": {"topic": nasty, "fail": True}}
    ).json()["run_id"]
    api.wait(run_id)
    page = visitor.visit("/runs", "Runs")
    expect(page.get_by_text(json.dumps(nasty)[1:20]).first).to_be_visible()
    page = visitor.visit(f"/runs/{run_id}?tab=io", run_id)
    expect(page.locator(".tree").first).to_contain_text(nasty)
    assert "owned" not in page.title()

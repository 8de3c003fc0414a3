"""crewship.toml: what it may say, and how it is told what it may not."""

import textwrap
import tomllib

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain import manifest_lines
from domain.errors import BadRequest
from domain.manifest import (
    MIB,
    Chat,
    DeploymentManifest,
    Limits,
    Manifest,
    ManifestError,
    Retry,
    check_name,
    parse,
    slug,
)

MINIMAL = '[deployment]\nframework = "langgraph"\nentrypoint = "graph:graph"\n'


def refusal(text: str) -> str:
    with pytest.raises(ManifestError) as caught:
        parse(textwrap.dedent(text))
    return caught.value.message


def with_line(line: str, under: str = "deployment") -> str:
    return refusal(MINIMAL + (f"[{under}]\n" if under != "deployment" else "") + line + "\n")


def test_a_minimal_file_gets_every_default() -> None:
    assert parse(MINIMAL).deployment() == DeploymentManifest(framework="langgraph", entrypoint="graph:graph")
    assert Limits() == Limits(
        timeout=1800,
        queue_timeout=3600,
        memory=1024 * MIB,
        disk=2048 * MIB,
        logs=32 * MIB,
        cpus=1,
        processes=256,
        max_concurrency=0,
    )
    assert Retry() == Retry(attempts=1, backoff=10)


def test_everything_that_can_be_said_is_read() -> None:
    text = """
        [deployment]
        name = "research-crew"
        framework = "crewai"
        entrypoint = "src.crew:ResearchCrew"
        profile = "browser"
        python = "3.11"
        min_warm = 2
        network = "none"
        [deployment.limits]
        timeout = "1h30m"
        queue_timeout = "90s"
        memory = "512MiB"
        disk = "1.5GB"
        logs = "1MiB"
        cpus = 0.5
        processes = 64
        max_concurrency = 3
        [deployment.retry]
        attempts = 3
        backoff = "500ms"
        [build]
        exclude = ["tests", "*.csv"]
        [chat]
        input_key = "query"
        output_key = "report"
    """
    assert parse(textwrap.dedent(text)).deployment() == DeploymentManifest(
        name="research-crew",
        framework="crewai",
        entrypoint="src.crew:ResearchCrew",
        profile="browser",
        python="3.11",
        min_warm=2,
        network="none",
        exclude=("tests", "*.csv"),
        chat=Chat(input_key="query", output_key="report"),
        limits=Limits(
            timeout=5400,
            queue_timeout=90,
            memory=512 * MIB,
            disk=1_500_000_000,
            logs=MIB,
            cpus=0.5,
            processes=64,
            max_concurrency=3,
        ),
        retry=Retry(attempts=3, backoff=0.5),
    )


SEVERAL = """
[chat]
input_key = "question"
output_key = "answer"
[deployments.research]
framework = "crewai"
entrypoint = "crew:Crew"
[deployments.research.limits]
timeout = "5m"
[deployments.chat]
framework = "langgraph-js"
entrypoint = "./src/graph.ts:graph"
chat = { input_key = "message" }
"""


def test_a_file_with_several_deployments_gives_each_its_own_part() -> None:
    manifest = parse(SEVERAL)
    assert manifest.names() == ["research", "chat"]
    assert manifest.deployment("research").limits.timeout == 300
    assert manifest.deployment("research").chat == Chat(input_key="question", output_key="answer")
    assert manifest.deployment("chat").limits == Limits()
    assert manifest.deployment("chat").chat == Chat(input_key="message", output_key="answer")


def test_several_deployments_and_none_named_lists_them() -> None:
    with pytest.raises(ManifestError, match=r"research, chat.*--name"):
        parse(SEVERAL).deployment()
    with pytest.raises(ManifestError, match=r'no deployment "reserch" \(did you mean "research"\?\)'):
        parse(SEVERAL).deployment("reserch")


def test_the_only_one_of_a_file_is_taken_without_a_name() -> None:
    text = '[deployments.solo]\nframework = "crewai"\nentrypoint = "crew:Crew"\n'
    assert parse(text).deployment().name == "solo"


def test_a_single_project_answers_to_any_name() -> None:
    assert parse(MINIMAL).deployment("other").name == "other"
    assert parse(MINIMAL).deployment().name is None


def test_an_unknown_key_names_the_line_and_what_was_meant() -> None:
    message = refusal('[deployment]\nentrypoint = "a:b"\nframwork = "crewai"\n')
    assert message == 'crewship.toml line 3: unknown key "framwork" in [deployment] (did you mean "framework"?)'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[deploymnt]\n", 'line 1: unknown key "deploymnt" at the top (did you mean "deployment"?)'),
        ('[build]\nexclud = ["x"]\n', 'line 2: unknown key "exclud" in [build] (did you mean "exclude"?)'),
        (
            '[build]\nexclude = "x"\n',
            'line 2: exclude in [build] must be a list of patterns, like ["tests", "*.csv"], not "x"',
        ),
        ("", "line 1: there is no [deployment] with a framework and an entrypoint"),
        ("\n[deployment]\n", 'line 2: [deployment] has no framework: write framework = "langgraph"'),
        ('[deployment]\nframework = "crewai"\n', "line 1: [deployment] has no entrypoint"),
        ("deployment = 3\n", "line 1: deployment must be a table, not 3"),
        ("[[deployment]]\nname = 'x'\n", "line 1: deployment must be a table, not a list"),
        ('[deployment]\n[deployments.a]\nframework = "crewai"\n', "line 2: [deployment] and [deployments.<name>]"),
        ('[deployments.Chat]\nframework = "crewai"\n', 'line 1: "Chat" is not a name'),
        ('[deployments.a]\nname = "b"\n', 'line 2: unknown key "name" in [deployments.a]'),
        ("[deployment]\nframework =\n", "line 2: invalid value"),
        ('a = """\n', "crewship.toml: "),
        ("a = 1\na = 2\n", "line 2: cannot overwrite a value"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_line(text: str, message: str) -> None:
    assert message in refusal(text)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            'profile = "slin"',
            'line 4: profile in [deployment] must be "slim" or "browser", not "slin" (did you mean "slim"?)',
        ),
        ("python = 3.11", 'line 4: python in [deployment] must be a version in quotes, like "3.11", not 3.11'),
        ("min_warm = -1", "line 4: min_warm in [deployment] must be a whole number from 0 to 1000, not -1"),
        ("min_warm = true", "line 4: min_warm in [deployment] must be a whole number from 0 to 1000, not true"),
        ('network = "lan"', 'line 4: network in [deployment] must be "internet" or "none", not "lan"'),
        ('name = "My Crew"', "line 4: name in [deployment] is not a name"),
        ("chat = 1", "line 4: deployment.chat must be a table, not 1"),
        ('limits.timeot = "1h"', 'line 4: unknown key "timeot" in [deployment.limits] (did you mean "timeout"?)'),
        ('limits = { cpus = 1, timeout = "1 hour" }', "line 4: timeout in [deployment.limits] must be a duration"),
    ],
)
def test_a_wrong_value_is_told_with_its_line(line: str, message: str) -> None:
    assert message in with_line(line)


@pytest.mark.parametrize(
    "line",
    [
        'timeout = "0s"',
        'timeout = "-1m"',
        'timeout = "9999999d"',
        "timeout = 30",
        'memory = "1"',
        'memory = "0MiB"',
        'memory = "1gb"',
        'memory = "999999999TiB"',
        "memory = 1024",
        "cpus = 0",
        "cpus = nan",
        "cpus = inf",
        "cpus = true",
        "processes = 0",
        "max_concurrency = 1.5",
    ],
)
def test_a_limit_that_cannot_be_is_refused(line: str) -> None:
    assert f"line 5: {line.split()[0]} in [deployment.limits] must be" in with_line(line, "deployment.limits")


@pytest.mark.parametrize(
    ("framework", "given", "kept"),
    [
        ("langgraph", "graph:graph", "graph:graph"),
        ("langgraph", "pkg.sub.graph:make.graph", "pkg.sub.graph:make.graph"),
        ("langgraph", "./src/graph.py:graph", "./src/graph.py:graph"),
        ("crewai", "src/crew.py:Crew", "./src/crew.py:Crew"),
        ("langgraph-js", "./src/graph.ts:graph", "./src/graph.ts:graph"),
        ("langgraph-js", "graph.mjs:default", "./graph.mjs:default"),
    ],
)
def test_entrypoints_come_in_these_forms(framework: str, given: str, kept: str) -> None:
    text = f'[deployment]\nframework = "{framework}"\nentrypoint = "{given}"\n'
    assert parse(text).deployment().entrypoint == kept


@pytest.mark.parametrize(
    ("framework", "entrypoint"),
    [
        ("langgraph", "graph"),
        ("langgraph", "graph:"),
        ("langgraph", ":graph"),
        ("langgraph", "graph:1"),
        ("langgraph", "./src/graph.ts:graph"),
        ("langgraph", "../graph.py:graph"),
        ("langgraph", "/etc/graph.py:graph"),
        ("langgraph", "./a/../../graph.py:graph"),
        ("langgraph", "graph:graph; import os"),
        ("langgraph-js", "graph:graph"),
        ("langgraph-js", "./graph.py:graph"),
    ],
)
def test_other_entrypoints_are_refused(framework: str, entrypoint: str) -> None:
    text = f'[deployment]\nframework = "{framework}"\nentrypoint = "{entrypoint}"\n'
    assert "line 3: entrypoint in [deployment] must look like" in refusal(text)


def test_python_is_for_python_frameworks() -> None:
    text = '[deployment]\nframework = "langgraph-js"\nentrypoint = "./a.ts:g"\npython = "3.12"\n'
    assert "line 4: python in [deployment] is for Python frameworks only" in refusal(text)


def test_a_byte_order_mark_and_windows_line_ends_are_no_obstacle() -> None:
    assert parse("\ufeff" + MINIMAL.replace("\n", "\r\n")) == parse(MINIMAL)


def test_nesting_and_numbers_without_end_are_refused() -> None:
    assert "too large" in refusal("a = " + "[" * 100_000)
    assert "too large" in refusal("a = " + "9" * 10_000)
    assert "unknown key" in refusal("a = 0x" + "f" * 10_000)


def test_a_deployment_survives_the_way_through_json() -> None:
    for name in ("research", "chat"):
        deployment = parse(SEVERAL).deployment(name)
        stored = msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(deployment)))
        assert msgspec.convert(stored, DeploymentManifest) == deployment


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("research", "research"),
        ("My Crew!", "my-crew"),
        ("Überblick", "uberblick"),
        ("snake_case", "snake_case"),
        ("--x--", "x"),
        ("研究", "project"),
        ("", "project"),
        ("a" * 100, "a" * 63),
    ],
)
def test_a_folder_gives_a_name(folder: str, name: str) -> None:
    assert slug(folder) == name


@given(st.text())
def test_every_folder_gives_a_valid_name(folder: str) -> None:
    assert check_name(slug(folder)) == slug(slug(folder))


@pytest.mark.parametrize("name", ["", "A", "-a", "a b", "a" * 64, "a\n"])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match="is not a name"):
        check_name(name)


def test_the_line_of_every_key_is_found() -> None:
    text = textwrap.dedent('''\
        # [not.a.table]
        top = """
        [nor.this]
        key = 1
        """ # = [x]
        "quoted key".'dotted' = 'a # b'
        list = [
          { inner = 1, deep = { er = 2 } }, # }
          "]", \'\'\'
        x = 3
        \'\'\',
        ]
        [ table . "with.dot" ] # comment
        a.b = { c = [ { d = 1979-05-27T07:32:00Z } ] }
        [[many]]
        x = 1
        [[many]]
        x = 2
    ''')
    assert tomllib.loads(text)
    assert manifest_lines.find(text) == {
        ("top",): 2,
        ("quoted key",): 6,
        ("quoted key", "dotted"): 6,
        ("list",): 7,
        ("list", "inner"): 8,
        ("list", "deep"): 8,
        ("list", "deep", "er"): 8,
        ("table",): 13,
        ("table", "with.dot"): 13,
        ("table", "with.dot", "a"): 14,
        ("table", "with.dot", "a", "b"): 14,
        ("table", "with.dot", "a", "b", "c"): 14,
        ("table", "with.dot", "a", "b", "c", "d"): 14,
        ("many",): 15,
        ("many", "x"): 16,
    }


def read_or_refused(text: str) -> bool:
    try:
        return isinstance(parse(text), Manifest)
    except ManifestError as error:
        return error.message.startswith("crewship.toml")


KEYS = st.sampled_from(
    [
        "deployment",
        "deployments",
        "build",
        "chat",
        "limits",
        "retry",
        "framework",
        "entrypoint",
        "timeout",
        "memory",
        "a",
    ]
)
VALUES = st.recursive(
    st.one_of(st.text(max_size=8), st.integers(), st.booleans(), st.floats(), st.sampled_from(["crewai", "a:b", "1h"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)


def as_toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {as_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(as_toml(item) for item in value) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" if 0 <= ord(c) < 0xD800 else c for c in value) + '"'
    return str(value).lower()


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_any_document_is_read_or_refused(document: dict[str, object]) -> None:
    text = "".join(f"{key} = {as_toml(value)}\n" for key, value in document.items())
    assert read_or_refused(text)


ALPHABET = st.sampled_from([*"[]{}=,.\"'#\n\r\t \\-_09azé\0\u2028", "deployment", '"""', "'''", "framework", "crewai"])


@given(st.one_of(st.text(), st.lists(ALPHABET, max_size=30).map("".join)))
@example("[deployment]\nframework=[")
@example("a.'b\"' = 1")
def test_any_text_is_read_or_refused(text: str) -> None:
    assert read_or_refused(text)


@given(st.lists(ALPHABET, max_size=30).map("".join))
def test_every_key_of_a_valid_text_has_a_line(text: str) -> None:
    try:
        document = tomllib.loads(text)
    except ValueError:
        return
    lines = manifest_lines.find(text)

    def check(table: dict[str, object], path: tuple[str, ...]) -> None:
        for key, value in table.items():
            assert (*path, key) in lines
            if isinstance(value, dict):
                check(value, (*path, key))

    check(document, ())


def test_node_is_for_langgraph_js_and_a_major_version() -> None:
    js = '[deployment]\nframework = "langgraph-js"\nentrypoint = "./a.ts:g"\nnode = '
    assert parse(js + '"22"\n').deployment().node == "22"
    assert 'must be a major version in quotes, like "22"' in refusal(js + '"22.1"\n')
    text = '[deployment]\nframework = "langgraph"\nentrypoint = "a:g"\nnode = "22"\n'
    assert "line 4: node in [deployment] is for langgraph-js only" in refusal(text)

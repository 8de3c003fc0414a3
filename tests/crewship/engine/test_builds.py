"""What a build gets to know of the server, and what is made of uv's words."""

import pytest

from crewship.engine import builds


def test_only_index_and_certificate_settings_reach_a_build():
    given = builds.settings(
        {
            "UV_INDEX_PRIVATE_PASSWORD": "p",
            "UV_DEFAULT_INDEX": "https://i",
            "HTTPS_PROXY": "http://p",
            "no_proxy": "localhost",
            "SSL_CERT_FILE": "/ca.pem",
            "NPM_CONFIG_REGISTRY": "https://n",
            "NPM_TOKEN": "s",
            "AWS_SECRET_ACCESS_KEY": "s",
            "UV_PUBLISH_TOKEN": "s",
            "PATH": "/bin",
            "PYTHONPATH": "/x",
            "UV_CACHE_DIR": "/x",
            "EMPTY": "",
        }
    )
    assert set(given) == {
        *("UV_INDEX_PRIVATE_PASSWORD", "UV_DEFAULT_INDEX", "HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE"),
        *("NPM_CONFIG_REGISTRY", "NODE_EXTRA_CA_CERTS"),
    }
    assert given["NODE_EXTRA_CA_CERTS"] == "/ca.pem"


def test_pips_settings_are_meant_for_uv_too_unless_it_has_its_own():
    given = builds.settings(
        {"PIP_FIND_LINKS": "/a /b", "PIP_INDEX_URL": "https://i", "UV_DEFAULT_INDEX": "https://own"}
    )
    assert given["UV_FIND_LINKS"] == "/a,/b"
    assert given["UV_DEFAULT_INDEX"] == "https://own"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (["npm error code E404", "npm error 404 Not Found - GET x", "npm error 404"], "npm: Not Found - GET x"),
        (["npm error code ERESOLVE", "npm error", "npm error ERESOLVE could not"], "npm: ERESOLVE could not"),
        (["npm error A complete log of this run can be found in: x"], "npm error A complete log"),
    ],
    ids=["not-found", "unresolved", "nothing"],
)
def test_npms_first_errors_are_the_reason(said, reason):
    transcript = builds.Transcript()
    for line in said:
        transcript.said(line)
    assert transcript.reason().startswith(reason)


def test_files_that_settings_name_are_found(tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "ca.pem").touch()
    given = {
        "UV_FIND_LINKS": f"{tmp_path}/links,https://example.com/x,/not/there",
        "SSL_CERT_FILE": f"{tmp_path}/ca.pem",
        "UV_EXTRA_INDEX_URL": f"file://{tmp_path}/links https://u:p@example.com{tmp_path}/links",
        "NO_PROXY": str(tmp_path),
    }
    assert builds.named_files(given) == [tmp_path / "links", tmp_path / "ca.pem"]


def test_uvs_last_error_becomes_one_line():
    tail = [
        "Using Python 3.11",
        "  \u00d7 No solution found when resolving dependencies:",
        "  ╰─▶ Because nothing was found in the package registry and you require",
        "      nothing, we can conclude that your requirements are unsatisfiable.",
    ]
    assert builds._reason(tail) == (
        "No solution found when resolving dependencies: Because nothing was found in the package registry and you "
        "require nothing, we can conclude that your requirements are unsatisfiable."
    )
    assert builds._reason(["warning: x", "error: Failed to parse"]) == "error: Failed to parse"
    assert builds._reason(["just this"]) == "just this"

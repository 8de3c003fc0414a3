"""Which server the command line talks to, and with which key.

The file is `$XDG_CONFIG_HOME/crewship/config.toml` (else below ~/.config), readable by its owner alone. The server
writes it too, on its first start. Standard library only, because the server imports this.
"""

import json
import os
import tomllib
from pathlib import Path
from typing import NamedTuple

DEFAULT_URL = "http://127.0.0.1:4700"


class CredentialsError(Exception):
    """The file is there and cannot be understood."""


class Credentials(NamedTuple):
    """Where the server is, and the key it knows us by; None where none was given yet."""

    url: str
    key: str | None


def config_file() -> Path:
    """Where the credentials are kept, whether the file exists or not."""
    home = os.environ.get("XDG_CONFIG_HOME")
    folder = Path(home) if home else Path.home() / ".config"
    return folder / "crewship" / "config.toml"


def load() -> Credentials:
    """The environment's CREWSHIP_URL and CREWSHIP_API_KEY, each before what the file says.

    The file's key is for the file's server: where CREWSHIP_URL names another, it stays at home.
    """
    url, key = os.environ.get("CREWSHIP_URL"), os.environ.get("CREWSHIP_API_KEY")
    if not (url and key):
        kept = _kept()
        home = kept.get("url", DEFAULT_URL).rstrip("/")
        url = (url or home).rstrip("/")
        key = key or (kept.get("key") if url == home else None)
    return Credentials(url.rstrip("/"), key or None)


def save(url: str, key: str) -> Path:
    """Keeps both for the next command and returns the file. It appears whole or not at all, with mode 0600."""
    path = config_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    remark = "# Written by crewship. CREWSHIP_URL and CREWSHIP_API_KEY win over it."
    text = f"{remark}\nurl = {_quoted(url)}\nkey = {_quoted(key)}\n"
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path


def _kept() -> dict[str, str]:
    path = config_file()
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise CredentialsError(f"{path} cannot be read: {error}") from None
    return {name: value for name, value in document.items() if isinstance(value, str)}


def _quoted(text: str) -> str:
    """A TOML string: JSON's is one, apart from surrogates, which `ensure_ascii` would write."""
    return json.dumps(text, ensure_ascii=False)

"""`crewship init`: crewship.toml for a project that is there, or a project to start from."""

import json
from importlib import resources
from pathlib import Path

import click

from crewship.cli import detect, parameters, terminal
from crewship.cli.errors import Mistake
from domain import manifest
from domain.errors import BadRequest

TEMPLATES = ("crewai", "langgraph", "langgraph-js")
_KEYS = {"crewai": "crewship env set OPENAI_API_KEY=sk-… --name {name}, then "}  # of templates that need a model
_SUFFIX = ".template"


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option("--template", type=click.Choice(TEMPLATES), help="Start a new project; the langgraph ones need no key.")
@click.option("--name", metavar="NAME", help="The deployment's name; else the folder gives it.")
@click.option("--framework", type=click.Choice(manifest.FRAMEWORKS), help="Where it cannot be told from the project.")
@click.option("--entrypoint", metavar="MODULE:ATTR", help="Where it cannot be told from the project.")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@parameters.as_json
def init(
    path: Path,
    template: str | None,
    name: str | None,
    framework: manifest.Framework | None,
    entrypoint: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write crewship.toml for the project in PATH (default: this folder), or start a new one there.

    \b
    Examples:
      crewship init
      crewship init --template langgraph my-agent
      crewship init --framework crewai --entrypoint my_crew.crew:MyCrew
    """
    called = name or manifest.slug(path.resolve().name)
    try:
        manifest.check_name(called)
    except BadRequest as error:
        raise Mistake(f"--{error.message}") from None
    files = _from_template(template, called) if template else _for_project(path, name, framework, entrypoint)
    _write(path, files, force)
    if as_json:
        terminal.print_json({"name": called, "files": [str(path / file) for file in files]})
        return
    for file in files:
        terminal.say(f"Wrote {path / file}")
    key = _KEYS.get(template or "", "").format(name=called)
    terminal.note(f"Next: {key}crewship deploy {'' if path == Path() else path}".rstrip())


def _from_template(template: str, name: str) -> dict[str, str]:
    """The files of a new project, by name."""
    folder = resources.files("crewship.cli") / "templates" / template
    files = {}
    for source in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if source.name.endswith(_SUFFIX):
            file = source.name.removesuffix(_SUFFIX)
            text = source.read_text(encoding="utf-8")
            files[".gitignore" if file == "gitignore" else file] = text.replace("{{name}}", name)
    return files


def _for_project(
    folder: Path, name: str | None, framework: manifest.Framework | None, entrypoint: str | None
) -> dict[str, str]:
    if not folder.is_dir():
        raise Mistake(f"{folder} is not a folder: start a new project with --template langgraph")
    if entrypoint:
        known = [framework] if framework else detect.frameworks(folder)
        if not known:
            raise Mistake("which framework is it? Add --framework crewai, langgraph or langgraph-js")
        found = [detect.Found(known[0], entrypoint)]
    else:
        found = detect.deployables(folder, framework)
    if not found:
        raise Mistake(_not_found(folder, framework))
    text = _toml(found, name, detect.python_version(folder), detect.node_version(folder))
    manifest.parse(text)  # what we write must be what we read
    return {manifest.FILE: text}


def _not_found(folder: Path, framework: manifest.Framework | None) -> str:
    known = [framework] if framework else detect.frameworks(folder)
    if not known:
        return (
            f"no crewai, langgraph or @langchain/langgraph among the dependencies of {folder}: add it to "
            "pyproject.toml, requirements.txt or package.json, or start anew with --template langgraph"
        )
    example = "./src/graph.ts:graph" if known[0] == "langgraph-js" else "my_module:graph"
    return f"{folder} is a {known[0]} project, but its entrypoint was not found: add --entrypoint {example}"


def _toml(found: list[detect.Found], name: str | None, python: str | None, node: str | None) -> str:
    """The file's text; several deployments where the project has several graphs."""
    tables = []
    for one in found:
        lines = [f"[deployments.{one.name}]" if len(found) > 1 else "[deployment]"]
        if name and len(found) == 1:
            lines.append(f"name = {_quoted(name)}")
        lines += [f"framework = {_quoted(one.framework)}", f"entrypoint = {_quoted(one.entrypoint)}"]
        version = {"node": node} if one.framework == "langgraph-js" else {"python": python}
        lines += [f"{key} = {_quoted(value)}" for key, value in version.items() if value]
        tables.append("\n".join(lines) + "\n")
    return "\n".join(tables)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _write(folder: Path, files: dict[str, str], force: bool) -> None:
    there = [file for file in files if (folder / file).exists() or (folder / file).is_symlink()]
    if there and not force:
        raise Mistake(f"{', '.join(str(folder / file) for file in there)} would be overwritten: add --force to do so")
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8", newline="\n")

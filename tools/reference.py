"""The pages of the documentation that are made when it is built: the reference of each verb, out of its options.

mkdocs calls `on_files` and `on_config` (mkdocs.yml names this file); `pages()` has the same texts for anybody else.
Architecture and changelog stand at the root of the repository and are pages, too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from camtrail.cli.main import cli

_ROOT = Path(__file__).parents[1]
_INCLUDED = {"architecture.md": "ARCHITECTURE.md", "changelog.md": "CHANGELOG.md"}
COMMON = ("as_json", "verbose", "quiet", "no_progress")
_FOLDER = "reference"


def pages() -> dict[str, str]:
    """Markdown of each page that is made, by its path below the folder of the documentation."""
    made = {f"{_FOLDER}/{name}.md": _page(name, command) for name, command in _commands(cli)}
    made[f"{_FOLDER}/index.md"] = _index()
    for page, source in _INCLUDED.items():
        made[page] = (_ROOT / source).read_text("utf-8")
    return made


def _commands(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    with click.Context(group) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield name, command


def verbs() -> Iterator[tuple[str, click.Command]]:
    """Every verb with the group it belongs to, as `mapillary upload`."""
    for name, command in _commands(cli):
        if isinstance(command, click.Group):
            yield from ((f"{name} {verb}", made) for verb, made in _commands(command))
        else:
            yield name, command


def _index() -> str:
    rows = "\n".join(f"| [`{name}`]({name.split()[0]}.md) | {_first(command)} |" for name, command in verbs())
    common = "\n".join(f"| `{flag}` | {text} |" for flag, text in _shared())
    return (
        "# Every verb\n\n"
        "`camtrail VERB --help` says the same. `-`, `_` and case are one in verbs and long options: "
        "`--cutoff_distance` is `--cutoff-distance`. Durations take `s min h d`, distances `m km` (`m` is metres), "
        "angles `deg`; shares may be written as `0.95` or `95%`.\n\n"
        f"| verb | does |\n|---|---|\n{rows}\n\n"
        "## Options of every verb\n\n"
        f"| option | does |\n|---|---|\n{common}\n\n"
        "A verb that writes a file takes `-o FILE`, also as `--output` and `--to`.\n"
    )


def _shared() -> Iterator[tuple[str, str]]:
    _, process = next(_commands(cli))
    for parameter in process.params:
        if isinstance(parameter, click.Option) and parameter.name in COMMON:
            yield ", ".join(parameter.opts), parameter.help or ""
    yield "-h, --help", "say what a verb does and which options it has"


def _page(name: str, command: click.Command) -> str:
    if not isinstance(command, click.Group):
        return f"# `{name}`\n\n{_body(name, command)}"
    parts = [f"## `{name} {verb}`\n\n{_body(f'{name} {verb}', made)}" for verb, made in _commands(command)]
    return f"# `{name}`\n\n{_said(command.help)}\n\n" + "\n".join(parts)


def _body(name: str, command: click.Command) -> str:
    with click.Context(command, info_name=f"camtrail {name}") as context:
        usage = " ".join(["camtrail", name, *command.collect_usage_pieces(context)])
        rows = [_row(p, context) for p in command.params if _is_own(p)]
    table = (
        "| option | value | default | does |\n|---|---|---|---|\n" + "\n".join(rows) + "\n" if rows else ""
    )
    return f"```text\n{usage}\n```\n\n{_said(command.help)}\n\n{table}{_epilog(command)}"


def _is_own(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Option) and parameter.name not in COMMON and not parameter.hidden


def _row(parameter: click.Parameter, context: click.Context) -> str:
    assert isinstance(parameter, click.Option)
    names = "<br>".join(f"`{name}`" for name in sorted(parameter.opts, key=len, reverse=True))
    metavar = parameter.make_metavar(context)
    choices = metavar.lower().split("|") if "|" in metavar else [metavar]
    value = "" if parameter.is_flag else " ".join(f"`{_cell(choice)}`" for choice in choices)
    help_text, _, preset = (parameter.help or "").partition(" [default: ")
    default = preset.rstrip("]") or _default(parameter)
    variable = str(parameter.envvar or "")
    told = f" Environment: `{variable}`." if variable and not variable.startswith("CAMTRAIL_") else ""
    return f"| {names} | {value} | {_cell(default)} | {_cell(help_text)}.{told} |"


def _default(option: click.Option) -> str:
    if option.is_flag:
        return "off"
    value = option.default
    if value in (None, "", ()) or callable(value) or not option.show_default:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _first(command: click.Command) -> str:
    return _cell(_said(command.help).split(". ")[0].rstrip("."))


def _said(text: str | None) -> str:
    return " ".join((text or "").split())


def _epilog(command: click.Command) -> str:
    text = (command.epilog or "").replace("\b\n", "")
    return f"\n```text\n{text}\n```\n" if text else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def on_config(config: Any) -> Any:
    """Puts the pages of the reference into the navigation."""
    names = [name for name, _ in _commands(cli)]
    for part in config["nav"]:
        if part.get("Reference") == "made":
            part["Reference"] = [
                {"Every verb": f"{_FOLDER}/index.md"}, *({name: f"{_FOLDER}/{name}.md"} for name in names)
            ]  # fmt: skip
    return config


def on_files(files: Any, *, config: Any) -> Any:
    """Adds the pages that are made."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


if __name__ == "__main__":
    sys.stdout.write("\n\n".join(pages().values()))

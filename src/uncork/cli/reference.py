"""`docs/configuration.md`, written from the table of options. Run as `python -m uncork.cli.reference`.

Lives here: the page's text. Doesn't know: what any option does.
"""

import sys

from uncork.cli.options import GROUPS, rows

HEAD = """\
# Configuration

<!-- Written by `python -m uncork.cli.reference > docs/configuration.md`; a test holds it to the code. -->

Every option may stand in a TOML file, in the environment, and on the command line. A flag wins over the
environment, the environment over the file, the file over the default. The file is `uncork.toml` beside
`manage.py`, or what `--config` or `UNCORK_CONFIG` names.

    # uncork.toml
    [server]
    bind = ["127.0.0.1:8000", "unix:/run/mysite.sock"]

    [cache]
    store-bytes = "10 GiB"

- A wrong key or value ends the program with status 2, naming file and line, and what may have been meant.
- Sizes are numbers of bytes, or have a unit: `64 KiB`, `10MB`, `2g` (short units are powers of 1024).
- Times are numbers of seconds, or have a unit: `500ms`, `30s`, `5 min`, `1h`, `1d`.
- What takes several values is an array in the file, is separated by commas in the environment, and is
  repeated as a flag. What one place says replaces what the weaker place says; it isn't added to it.
- A relative path starts from the directory of the file that names it, or from the working directory.
- A switch is `true` or `false` in the file and the environment, and `--name` or `--no-name` as a flag.
"""


def reference() -> str:
    """The page, in Markdown."""
    parts = [HEAD]
    for group, title in GROUPS.items():
        parts.append(f"\n## {title}: `[{group}]`\n\n")
        parts.append(
            "| in the file | in the environment | flag | default | |\n| --- | --- | --- | --- | --- |\n"
        )
        for row in rows():
            table, _, name = row.key.partition(".")
            if table != group:
                continue
            kind = row.kind.metavar.replace("|", "\\|")
            meaning = f"{row.help} `{kind}`{', several' if row.many else ''}"
            parts.append(f"| `{name}` | `{row.variable}` | `{row.flag}` | {row.default} | {meaning} |\n")
    return "".join(parts)


if __name__ == "__main__":
    sys.stdout.write(reference())

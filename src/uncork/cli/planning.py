"""From options to a plan that a supervisor can run, with all that can be wrong found before.

Lives here: where each value comes from that no option gives: the project, its settings, this machine.
Doesn't know: how options are read, and how a plan is run.
"""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

from uncork.caching.storable import CacheOptions
from uncork.cli.options import Options, RequestBuffering, cpus
from uncork.cli.site import Project, Site, collect, describe, environment_of, state_dir_of_settings
from uncork.django.names import APP, MIDDLEWARE
from uncork.edge.origin_process import IDLE_SECONDS, gunicorn_command
from uncork.edge.plan import BadConfiguration, OriginPlan, Plan
from uncork.edge.setup import (
    FOREIGN_IDLE_SECONDS,
    BufferSetup,
    CacheSetup,
    FilesSetup,
    LogFormat,
    LogSetup,
    Mount,
    Setup,
)
from uncork.edge.sockets import TcpAddress
from uncork.wire.limits import Limits

DEFAULT_ADDRESS = TcpAddress("127.0.0.1", 8000)

Note = Callable[[str], None]


def state_directory(options: Options, project: Project) -> Path:
    """Where it is, as all processes of the project find it: see `uncork.django.clock`."""
    if options.state_dir is not None:
        return options.state_dir
    return state_dir_of_settings(project) or project.directory / ".uncork"


def plan_site(options: Options, project: Project, note: Note, *, collecting: bool = True) -> Plan:
    """The plan of `uncork serve`. `note` is told what was chosen and may surprise.

    `collecting` False only looks, and leaves the state directory as it is. Raises BadConfiguration.
    """
    state_dir = state_directory(options, project)
    _only_one(options)
    site = None
    if not options.origin and options.origin_cmd is None:
        site = describe(project, options.app)
    elif project.settings is not None and not options.static:
        site = _describe_if_possible(project, note)
    static = options.static
    if not static and site is not None:
        static = (*_static_of(site, project, state_dir, note, collecting=collecting), *_media_of(site))
    _readable(options.static)
    _readable(options.internal_files)
    _appendable(_log(options))
    if not options.origin and site is not None and site.django:
        _warn(site, note)
        _tell_of_recorder(options, site, note)
    template = _template(options, state_dir, static, asgi=site is not None and site.asgi)
    return Plan(
        addresses=options.bind or (DEFAULT_ADDRESS,),
        workers=options.workers or cpus(),
        template=template,
        origin=_origin(options, project, site, state_dir),
        grace_seconds=options.grace,
    )


def plan_directory(options: Options, directory: Path, state_dir: Path) -> Plan:
    """The plan of `uncork static`: files, and nothing else."""
    mount = Mount("/", str(directory.absolute()))
    _readable((mount,))
    _appendable(_log(options))
    return Plan(
        addresses=options.bind or (DEFAULT_ADDRESS,),
        workers=options.workers or cpus(),
        template=_template(options, state_dir, (mount,), static_only=True),
        grace_seconds=options.grace,
    )


def _only_one(options: Options) -> None:
    given = {
        "an application": options.app is not None,
        "--origin": bool(options.origin),
        "--origin-cmd": options.origin_cmd is not None,
    }
    chosen = [name for name, is_given in given.items() if is_given]
    if len(chosen) > 1:
        raise BadConfiguration(f"{' and '.join(chosen)} can't be had together: each says what the origin is")


def _warn(site: Site, note: Note) -> None:
    """Settings that are allowed and rarely meant."""
    if site.debug:
        note("warning: DEBUG is on: a page that fails shows its code and the settings to whoever asked")
    elif not site.hosts:
        note("warning: ALLOWED_HOSTS is empty and DEBUG is off: Django refuses every host, with status 400")


def _tell_of_recorder(options: Options, site: Site, note: Note) -> None:
    """Where what pages read is recorded, or that it isn't."""
    lines = f"{APP!r} in INSTALLED_APPS and {MIDDLEWARE!r} first in MIDDLEWARE"
    if site.records:
        note("pages are shared and purged by what they read: the recorder is in the settings")
    elif options.origin_cmd is not None:
        note(f"what pages read is not recorded: for an origin of --origin-cmd, put {lines}")
    elif options.inject:
        note(
            "pages are shared and purged by what they read: the recorder was put into the application"
            f" (--no-inject leaves it out); what other processes write takes no page back without {lines}"
        )


def _describe_if_possible(project: Project, note: Note) -> Site | None:
    """The site behind an origin that was named: of use for its static files only."""
    try:
        return describe(project, None)
    except BadConfiguration as problem:
        note(f"no static files are served, for the project can't be asked for them: {problem}")
        return None


def _static_of(
    site: Site, project: Project, state_dir: Path, note: Note, *, collecting: bool
) -> tuple[Mount, ...]:
    """Where STATIC_URL leads: STATIC_ROOT, or a copy of what the finders find.

    The copy is made when nobody ran collectstatic, and with DEBUG, where STATIC_ROOT is likely to be old.
    """
    if site.static_url is None:
        return ()
    root = site.static_root
    filled = root is not None and os.path.isdir(root) and _has_entries(root)
    if root is not None and filled and not (site.debug and site.finders):
        mount = Mount(site.static_url, os.path.abspath(os.path.join(project.directory, root)))
        _readable((mount,))
        return (mount,)
    if not site.finders:
        note(f"no files are served under {site.static_url}: STATIC_ROOT is empty")
        return ()
    copy = state_dir / "static"
    why = "DEBUG is on" if filled else "STATIC_ROOT is empty" if root else "STATIC_ROOT is not set"
    if collecting:
        note(f"{why}: the static files that the finders find are collected to {copy}")
        collect(project, copy)
    if site.manifest:
        note("the names of static files come from a manifest in STATIC_ROOT: run manage.py collectstatic")
    return (Mount(site.static_url, str(copy)),)


def _media_of(site: Site) -> tuple[Mount, ...]:
    if site.media_url is None or site.media_root is None:
        return ()
    return (Mount(site.media_url, os.path.abspath(site.media_root)),)


def _has_entries(directory: str) -> bool:
    try:
        with os.scandir(directory) as entries:
            return any(entry.name != ".gitignore" for entry in entries)
    except OSError:  # it is there and can't be read: that is told where it is checked
        return True


def _readable(mounts: tuple[Mount, ...]) -> None:
    for mount in mounts:
        try:
            with os.scandir(mount.directory):
                pass
        except OSError as error:
            raise BadConfiguration(
                f"can't read {mount.directory}, the files of {mount.prefix}: {error.strerror}"
            ) from None


def _log(options: Options) -> LogSetup:
    """On a terminal, what a developer wants to see, unless something else was asked for."""
    form = options.access_log_format
    if options.access_log is None and form in (None, LogFormat.BRIEF) and sys.stdout.isatty():
        return LogSetup("-", LogFormat.BRIEF)
    if form is LogFormat.BRIEF:
        if options.access_log not in (None, "-", "off"):
            raise BadConfiguration("the log format brief is for standard output, and for no file")
        return LogSetup("-" if options.access_log != "off" else "off", form)
    return LogSetup(options.access_log or "off", form or LogFormat.COMBINED)


def _appendable(setup: LogSetup) -> None:
    """Whether the file can be written to, or made; nothing is made here."""
    log = setup.access
    if log in ("-", "off"):
        return
    path = os.path.realpath(log)
    if os.path.exists(path):
        error = errno.EISDIR if os.path.isdir(path) else 0 if os.access(path, os.W_OK) else errno.EACCES
    else:
        directory = os.path.dirname(path)
        if not os.path.isdir(directory):
            error = errno.ENOTDIR if os.path.exists(directory) else errno.ENOENT
        else:
            error = 0 if os.access(directory, os.W_OK | os.X_OK) else errno.EACCES
    if error:
        raise BadConfiguration(f"can't write the access log {log}: {os.strerror(error)}")


def _origin(options: Options, project: Project, site: Site | None, state_dir: Path) -> OriginPlan | None:
    if options.origin:
        return None
    if options.origin_cmd is not None:
        command = options.origin_cmd
    else:
        assert site is not None
        command = gunicorn_command(
            site.application,
            asgi=site.asgi,
            workers=options.origin_workers or cpus(),
            threads=options.origin_threads,
            timeout=options.origin_timeout,
            inject=options.inject and site.django and not site.records,
        )
    environment = {**environment_of(project), "UNCORK_STATE_DIR": str(state_dir)}
    if _log(options).format is LogFormat.BRIEF:
        environment["UNCORK_TERMINAL"] = "1"
    return OriginPlan(
        command=command,
        directory=str(project.directory),
        environment=environment,
        host=site.host if site is not None else "localhost",
        probe=options.origin_probe,
        start_seconds=options.origin_start,
        stop_seconds=options.grace,
        records=site is not None
        and (site.records or (site.django and options.inject and options.origin_cmd is None)),
    )


def _template(
    options: Options,
    state_dir: Path,
    static: tuple[Mount, ...],
    *,
    static_only: bool = False,
    asgi: bool = False,
) -> Setup:
    """The Setup of every worker, as far as options tell it. `asgi`: so is the application that we start,
    which waits for content without holding a thread."""
    ours = not options.origin and options.origin_cmd is None  # the origin is the gunicorn that we start
    return Setup(
        index=0,
        count=1,
        generation=1,
        state_dir=str(state_dir),
        origins=options.origin,
        origin_idle_seconds=IDLE_SECONDS if ours else FOREIGN_IDLE_SECONDS,
        origin_seconds=options.origin_timeout,
        static=static,
        internal_files=options.internal_files,
        static_only=static_only,
        files=FilesSetup(
            options.symlinks, options.dot_files, options.static_max_age, options.static_hashed_by
        ),
        limits=Limits(
            head_bytes=options.head_bytes,
            target_bytes=options.target_bytes,
            fields=options.fields,
            body_bytes=options.body_bytes,
            idle_seconds=options.idle_timeout,
            head_seconds=options.head_timeout,
            body_seconds=options.body_timeout,
            send_seconds=options.send_timeout,
            connections=options.connections,
        ),
        cache=CacheSetup(
            storing=CacheOptions(
                default_ttl=options.default_ttl,
                heuristic_fraction=options.heuristic_fraction,
                heuristic_max=options.heuristic_max,
                negative_ttl=options.negative_ttl,
                stale_while_revalidate=options.stale_while_revalidate,
                stale_if_error=options.stale_if_error,
            ),
            store_bytes=options.store_bytes,
            memory_bytes=options.memory_bytes,
            max_page_bytes=options.max_page_bytes,
            compress=options.compress,
            keep_tags=options.keep_tags,
            request_directives=options.request_directives,
        ),
        buffers=BufferSetup(
            requests=options.request_buffering is RequestBuffering.ON
            or (options.request_buffering is RequestBuffering.AUTO and not (ours and asgi)),
            response_bytes=options.response_buffer_bytes,
        ),
        log=_log(options),
        purge_token=options.purge_token,
        trust_forwarded=options.trust_forwarded,
    )

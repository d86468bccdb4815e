"""lighttpd: its stat cache kept right by inotify where the build has it; no cache for proxied pages."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from bench.contenders.base import Contender, Setup, program, told_version
from bench.processes import Command
from bench.workloads import Kind

_PACKAGE = "apt install lighttpd"

_CONFIGURATION = """
server.modules = ( "mod_accesslog", "mod_proxy" )
server.document-root = "{site}"
server.bind = "127.0.0.1"
server.port = {port}
server.errorlog = "{directory}/error.log"
server.event-handler = "linux-sysepoll"
server.network-backend = "sendfile"
server.stat-cache-engine = "{stat_cache}"
server.max-fds = 20000
server.max-connections = 10000
server.listen-backlog = 4096
server.defer-accept = 1
server.max-keep-alive-requests = 1000000000
server.max-keep-alive-idle = 3600
server.max-read-idle = 3600
server.tag = "lighttpd"
mimetype.assign = ( ".css" => "text/css", ".html" => "text/html" )
{log}
$HTTP["url"] =^ "/pass/" {{
    proxy.server = ( "" => ( ( "host" => "127.0.0.1", "port" => {origin} ) ) )
    proxy.header = ( "force-http10" => "disable" )
}}
"""


class Lighttpd(Contender):
    name = "lighttpd"
    title = "lighttpd"
    lacks: Mapping[Kind, str] = MappingProxyType({Kind.CACHED: "has no cache for pages"})

    def commands(self, setup: Setup) -> Sequence[Command]:
        binary = program("lighttpd", _PACKAGE)
        # The word is in the binary only if it was built with it.
        stat_cache = "inotify" if b"inotify_add_watch" in Path(binary).read_bytes() else "simple"
        file = setup.directory / "lighttpd.conf"
        file.write_text(
            _CONFIGURATION.format(
                site=setup.site,
                port=setup.port,
                directory=setup.directory,
                stat_cache=stat_cache,
                origin=setup.origin,
                log="" if setup.log is None else f'accesslog.filename = "{setup.log}"',
            )
        )
        return [Command([binary, "-D", "-f", str(file)])]

    def version(self) -> str:
        return told_version([program("lighttpd", _PACKAGE), "-v"], r"lighttpd/(\S+)")

"""HAProxy: one thread, its small-object cache, connections to the origin reused."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from bench.contenders.base import Contender, Setup, program, told_version
from bench.processes import Command
from bench.workloads import Kind

_PACKAGE = "apt install haproxy"

_CONFIGURATION = """
global
    nbthread 1
    maxconn 6000
    {log}
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 60s
    timeout http-keep-alive 1h
    option http-keep-alive
    http-reuse always
    {log_format}
cache pages
    total-max-size 256
    max-object-size 1048576
    max-age 3600
frontend edge
    bind 127.0.0.1:{port} backlog 4096 defer-accept
    # wrk waits for the body that the Content-Length of a 304 tells of.
    http-after-response del-header Content-Length if {{ status 304 }}
    default_backend origin
    use_backend pages if {{ path_beg /pages/ }}
backend pages
    http-request cache-use pages
    http-response cache-store pages
    server origin 127.0.0.1:{origin} maxconn 128
backend origin
    server origin 127.0.0.1:{origin} maxconn 128
"""

# The combined format of the others, in HAProxy's own words.
_COMBINED = "%ci - - [%trl] %{+Q}r %ST %B %[capture.req.hdr(0),json(utf8s)] %[capture.req.hdr(1),json(utf8s)]"


class HAProxy(Contender):
    name = "haproxy"
    title = "HAProxy"
    lacks: Mapping[Kind, str] = MappingProxyType({Kind.STATIC: "serves no files"})

    def commands(self, setup: Setup) -> Sequence[Command]:
        log, log_format = "", ""
        if setup.log is not None:
            # It writes to a system logger or to its own output, and here that is the file.
            log = "log stdout len 4096 format raw daemon"
            log_format = f"log global\n    log-format '{_COMBINED}'"
        configuration = _CONFIGURATION.format(
            log=log, log_format=log_format, port=setup.port, origin=setup.origin
        )
        if setup.log is not None:
            configuration = configuration.replace(
                "    default_backend origin\n",
                "    capture request header Referer len 128\n"
                "    capture request header User-Agent len 256\n"
                "    default_backend origin\n",
            )
        file = setup.directory / "haproxy.cfg"
        file.write_text(configuration)
        return [Command([program("haproxy", _PACKAGE), "-db", "-f", str(file)], output=setup.log)]

    def version(self) -> str:
        return told_version([program("haproxy", _PACKAGE), "-v"], r"version (\S+)")

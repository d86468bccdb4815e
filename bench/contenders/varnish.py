"""Varnish: pages in memory, one thread pool for the one core; varnishncsa beside it when the log is on."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from bench.contenders.base import Contender, Setup, program, told_version
from bench.processes import Command
from bench.workloads import Kind

_PACKAGE = "apt install varnish"

_VCL = """
vcl 4.1;
backend origin {{ .host = "127.0.0.1"; .port = "{origin}"; }}
sub vcl_recv {{
    # As it comes, Varnish passes every request that has a cookie. The pages here don't depend on any.
    if (req.url ~ "^/pages/") {{
        unset req.http.Cookie;
        return (hash);
    }}
    if (req.url ~ "^/pass/") {{ return (pass); }}
}}
"""

# Twenty threads cost less on one core than one for each of 64 connections (21 against 25 µs a hit), and the
# hundreds of the default more: idle connections wait in the poller, and hold no thread.
_PARAMETERS = {
    "thread_pools": "1",
    "thread_pool_min": "10",
    "thread_pool_max": "20",
    "timeout_idle": "3600",
    "listen_depth": "4096",
}

# The records that varnishncsa would read are written for every request whether or not it runs. With no log
# wanted they are masked, which saves 3 µs a hit.
_LOG_RECORDS = """
    Begin End Link SessOpen SessClose ReqStart ReqMethod ReqURL ReqProtocol ReqHeader ReqUnset ReqAcct
    RespProtocol RespStatus RespReason RespHeader RespUnset ObjProtocol ObjStatus ObjReason ObjHeader
    BereqHeader BerespHeader Timestamp Hit TTL Storage Length Filters Gzip VCL_call VCL_return
    VCL_use VCL_acl
"""


class Varnish(Contender):
    name = "varnish"
    title = "Varnish"
    lacks: Mapping[Kind, str] = MappingProxyType({Kind.STATIC: "serves no files"})

    def commands(self, setup: Setup) -> Sequence[Command]:
        file = setup.directory / "default.vcl"
        file.write_text(_VCL.format(origin=setup.origin))
        work = setup.directory / "work"
        argv = [program("varnishd", _PACKAGE), "-F", "-n", str(work), "-f", str(file), "-j", "none"]
        argv += ["-a", f"127.0.0.1:{setup.port}", "-T", "none", "-s", "malloc,256m"]
        for name, value in _PARAMETERS.items():
            argv += ["-p", f"{name}={value}"]
        if setup.log is None:
            argv += ["-p", "vsl_mask=" + ",".join(f"-{record}" for record in _LOG_RECORDS.split())]
        commands = [Command(argv)]
        if setup.log is not None:
            log = [program("varnishncsa", _PACKAGE), "-n", str(work), "-w", str(setup.log)]
            commands.append(Command(log))
        return commands

    def version(self) -> str:
        return told_version([program("varnishd", _PACKAGE), "-V"], r"varnish-(\S+)")

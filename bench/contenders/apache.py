"""Apache: the event MPM in one process, sendfile, mod_cache_disk for what its proxy fetched."""

from collections.abc import Sequence
from pathlib import Path

from bench.contenders.base import Contender, Missing, Setup, as_root, program, told_version
from bench.processes import Command

_PACKAGE = "apt install apache2"
_MODULES = Path("/usr/lib/apache2/modules")

_CONFIGURATION = """
ServerRoot {directory}
ServerName 127.0.0.1
DefaultRuntimeDir {directory}
PidFile {directory}/apache.pid
Listen 127.0.0.1:{port}
ListenBacklog 4096
{user}
ErrorLog /dev/stderr
LogLevel error
{modules}

ServerLimit 1
StartServers 1
ThreadLimit 128
# More than the connections under load: it closes kept-alive ones when no thread is free.
ThreadsPerChild 128
MinSpareThreads 1
MaxSpareThreads 128
MaxRequestWorkers 128
# Idle connections wait in the listener: threads x (1 + this) connections in all.
AsyncRequestWorkerFactor 200
MaxConnectionsPerChild 0

KeepAlive On
KeepAliveTimeout 3600
MaxKeepAliveRequests 0
Timeout 60
HostnameLookups Off
EnableSendfile On
EnableMMAP On
ServerTokens Prod
ServerSignature Off
FileETag MTime Size
TypesConfig /dev/null
AddType text/css .css
AddType text/html .html
DocumentRoot {site}
<Directory />
    AllowOverride None
    Options FollowSymLinks
    Require all granted
</Directory>
{log}

CacheRoot {directory}/cache
CacheDirLevels 1
CacheDirLength 1
CacheQuickHandler On
CacheLock On
CacheLockPath {directory}/lock
CacheEnable disk /pages/

<Proxy http://127.0.0.1:{origin}/>
    ProxySet connectiontimeout=5 timeout=60 max=64 ttl=60
</Proxy>
ProxyPass /pages/ http://127.0.0.1:{origin}/pages/
ProxyPass /pass/ http://127.0.0.1:{origin}/pass/
"""


class Apache(Contender):
    name = "apache"
    title = "Apache"

    def commands(self, setup: Setup) -> Sequence[Command]:
        binary = program("apache2", _PACKAGE)
        modules = []
        for module in ("mpm_event", "authz_core", "mime", "proxy", "proxy_http", "cache", "cache_disk"):
            file = _MODULES / f"mod_{module}.so"
            if not file.exists():
                raise Missing(f"Apache's mod_{module} is not installed: {_PACKAGE}")
            modules.append(f"LoadModule {module}_module {file}")
        for name in ("cache", "lock"):
            (setup.directory / name).mkdir()
            (setup.directory / name).chmod(0o777)
        log = ""
        if setup.log is not None:
            form = r"%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\""
            log = f'BufferedLogs On\nLogFormat "{form}" combined\nCustomLog {setup.log} combined'
        file = setup.directory / "apache.conf"
        file.write_text(
            _CONFIGURATION.format(
                directory=setup.directory,
                port=setup.port,
                # It refuses to answer as root.
                user="User www-data\nGroup www-data" if as_root() else "",
                modules="\n".join(modules),
                site=setup.site,
                log=log,
                origin=setup.origin,
            )
        )
        return [Command([binary, "-DFOREGROUND", "-f", str(file)])]

    def version(self) -> str:
        return told_version([program("apache2", _PACKAGE), "-v"], r"Apache/(\S+)")

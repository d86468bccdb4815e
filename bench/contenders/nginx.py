"""nginx: one worker, open files kept, proxy_cache on disk, keep-alive to the origin.

Twice: with `sendfile on` and `tcp_nopush on`, as every guide to tuning has it, and with `sendfile off`,
which is faster where a body fits into one write (header and body then leave together).
"""

from collections.abc import Sequence

from bench.contenders.base import Contender, Setup, as_root, program, told_version
from bench.processes import Command

_PACKAGE = "apt install nginx-light"

_CONFIGURATION = """
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 16384; use epoll; }}
http {{
    default_type application/octet-stream;
    types {{ text/css css; text/html html; }}
    server_tokens off;
    {sending}
    open_file_cache max=20000 inactive=1h;
    open_file_cache_valid 60s;
    open_file_cache_min_uses 1;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    reset_timedout_connection on;
    gzip off;
    etag on;
    {log}
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    proxy_cache_path {directory}/cache levels=1:2 keys_zone=pages:16m inactive=1h use_temp_path=off;
    upstream origin {{ server 127.0.0.1:{origin}; keepalive 128; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096 deferred;
        location /static/ {{ root {site}; }}
        location /pages/ {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_cache pages;
            proxy_cache_lock on;
            proxy_cache_use_stale updating;
            proxy_cache_background_update on;
        }}
        location /pass/ {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_buffers 8 16k;
        }}
    }}
}}
"""


class Nginx(Contender):
    name = "nginx"
    title = "nginx"
    sending = "sendfile on; tcp_nopush on; tcp_nodelay on;"

    def commands(self, setup: Setup) -> Sequence[Command]:
        file = setup.directory / "nginx.conf"
        log = "access_log off;"
        if setup.log is not None:
            log = f"access_log {setup.log} combined buffer=64k flush=1s;"
        file.write_text(
            _CONFIGURATION.format(
                user="user root;" if as_root() else "",
                directory=setup.directory,
                sending=self.sending,
                log=log,
                port=setup.port,
                origin=setup.origin,
                site=setup.site,
            )
        )
        return [Command([program("nginx", _PACKAGE), "-p", str(setup.directory), "-c", str(file)])]

    def version(self) -> str:
        return told_version([program("nginx", _PACKAGE), "-v"], r"nginx/(\S+)")


class NginxWithoutSendfile(Nginx):
    name = "nginx-nosendfile"
    own_program = False
    title = "nginx, sendfile off"
    sending = "sendfile off; output_buffers 2 128k; tcp_nodelay on;"

"""The origin of the cached and passed pages: an nginx of its own on the load generator's core.

Lives here: its configuration, and the count of requests that it got. Doesn't know: who asks it.
"""

from pathlib import Path

from bench.contenders.base import as_root, program
from bench.load import BadAnswer, Client
from bench.processes import Command, Group, free_port

_CONFIGURATION = """
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    types {{ text/html html; }}
    server_tokens off;
    open_file_cache max=2000 inactive=1h;
    open_file_cache_valid 1h;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {site};
        location /pages/ {{ add_header Cache-Control "public, max-age=3600"; }}
        location /pass/ {{ etag off; add_header Cache-Control "no-store"; }}
        location = /count {{ stub_status; }}
    }}
}}
"""


class Origin:
    def __init__(self, site: Path, directory: Path, core: int) -> None:
        self.port = free_port()
        file = directory / "nginx.conf"
        user = "user root;" if as_root() else ""
        file.write_text(_CONFIGURATION.format(user=user, directory=directory, port=self.port, site=site))
        binary = program("nginx", "apt install nginx-light")
        self._group = Group(
            [Command([binary, "-p", str(directory), "-c", str(file)])], self.port, core, directory
        )
        self._client = Client(self.port)
        self._own = 0

    def requests(self) -> int:
        """How many requests the origin has had so far, without those for this count."""
        reply = self._client.exchange(b"GET /count HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        if reply.status != 200:
            raise BadAnswer(f"the origin's counter answers {reply.status}")
        self._own += 1
        # " accepts handled requests" and, under it, the three numbers.
        return int(reply.body.splitlines()[2].split()[2]) - self._own

    def stop(self) -> None:
        self._client.close()
        self._group.stop()

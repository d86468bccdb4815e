"""The list of the contenders, in the order of the tables' rows."""

from bench.contenders.apache import Apache
from bench.contenders.base import Contender
from bench.contenders.haproxy import HAProxy
from bench.contenders.lighttpd import Lighttpd
from bench.contenders.nginx import Nginx, NginxWithoutSendfile
from bench.contenders.python_servers import Granian, GunicornWhiteNoise
from bench.contenders.uncork import Uncork
from bench.contenders.varnish import Varnish

CONTENDERS: list[Contender] = [
    Uncork(),
    Nginx(),
    NginxWithoutSendfile(),
    Lighttpd(),
    Varnish(),
    HAProxy(),
    Apache(),
    GunicornWhiteNoise(),
    Granian(),
]

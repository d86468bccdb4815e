"""The list of the contenders, in the order of the tables' rows."""

from bench.contenders.base import Contender
from bench.contenders.haproxy import HAProxy
from bench.contenders.lighttpd import Lighttpd
from bench.contenders.nginx import Nginx, NginxWithoutSendfile
from bench.contenders.varnish import Varnish

CONTENDERS: list[Contender] = [Nginx(), NginxWithoutSendfile(), Lighttpd(), Varnish(), HAProxy()]

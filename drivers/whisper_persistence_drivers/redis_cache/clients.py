"""The one place where connections to Redis are made, with every option given.

redis-py's own defaults are not for a bot's path: left alone it asks a silent server again and again (one read took
58 s) and repeats what may have been done already.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final
from urllib.parse import unquote

import attrs

from whisper_persistence.errors import ConfigurationError
from whisper_persistence_drivers.redis_cache.servers import Cluster, Server, Servers, Single

_WRONG: Final = (
    "driver 'redis-hybrid': its url cannot be read: write redis://host:6379/0, rediss://, unix://, "
    "redis+sentinel://host:26379,host:26379/service/0 or redis+cluster://host:6379,host:6379, "
    "and after a ? only what redis-py knows of such a connection"
)
_LOGIN: Final = ("username", "password")


@attrs.frozen
class Place:
    """What a URL with several hosts says.

    Attributes:
        secure: whether to talk TLS.
        login: username and password, where there are any.
        hosts: each host with its port.
        path: what follows the hosts, split at slashes.
        said: what the query says, as redis-py reads it.
    """

    secure: bool
    login: dict[str, str] = attrs.field(repr=False)
    hosts: list[tuple[str, int]]
    path: list[str]
    said: dict[str, Any] = attrs.field(repr=False)

    def over(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return what the URL says of connections, and our options, which it cannot change."""
        return {**self.said, **options, **{name: self.said[name] for name in _LOGIN if name in self.said}, **self.login}


def connect(url: str, password: str | None, connect_timeout: float, read_timeout: float) -> Servers:
    """Return the servers that a URL names; nothing is asked of them yet.

    Args:
        url: of one server, of sentinels and their service, or of some nodes of a cluster.
        password: of the servers, unless the URL has one.
        connect_timeout: how long connecting may take, in seconds.
        read_timeout: how long an answer may take, in seconds.

    Raises:
        ConfigurationError: the URL cannot be read.
    """
    options = _options(connect_timeout, read_timeout)
    if password is not None:
        options["password"] = password
    from redis.exceptions import RedisError

    with suppress(ValueError, TypeError, RedisError):
        return _servers(url, options)
    # Outside of the error, which may repeat the URL with the password in it.
    raise ConfigurationError(_WRONG)


def _servers(url: str, options: dict[str, Any]) -> Servers:
    scheme, _, rest = url.partition("://")
    if scheme.endswith("+cluster"):
        return _cluster(_place(scheme, rest, 6379), options)
    sentinels = scheme.endswith("+sentinel")
    pool = _sentinel_pool(_place(scheme, rest, 26379), options) if sentinels else _pool(url, options)
    return Single(Server(_tried(pool)))


def _tried(pool: Any) -> Any:
    """Return a pool that can make connections; one is made, and not opened, since they alone know their options."""
    pool.connection_class(**pool.connection_kwargs)
    return pool


def _options(connect_timeout: float, read_timeout: float) -> dict[str, Any]:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return {
        "socket_connect_timeout": connect_timeout,
        "socket_timeout": read_timeout,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "health_check_interval": 0,
        "protocol": 2,
        "driver_info": None,
        "client_name": "whisper-persistence",
        "decode_responses": False,
        "redis_connect_func": _greet,
    }


def _greet(connection: Any) -> None:
    """Log in, and note the run id of the server; it stays that one's as long as the connection stands."""
    from redis.exceptions import ConnectionError as LostError

    connection.on_connect()
    connection.send_command("INFO", "server", check_health=False)
    run = connection.read_response().partition(b"run_id:")[2].split(None, 1)
    if not run:
        raise LostError
    connection.run = run[0]


def _pool(url: str, options: dict[str, Any]) -> Any:
    connection = _connection()
    said = connection.parse_url(url)
    if "path" in said:
        options.pop("socket_keepalive")
    # What a URL says of timeouts and retries does not hold.
    return connection.ConnectionPool(**{**said, **options, **{name: said[name] for name in _LOGIN if name in said}})


def _sentinel_pool(place: Place, options: dict[str, Any]) -> Any:
    from redis import sentinel

    library: Any = sentinel
    service, database = [*place.path, "0"][:2]
    if not service:
        raise ValueError
    asked = {name: value for name, value in options.items() if name not in _LOGIN} | {"ssl": place.secure}
    asked |= {name: value for name, value in place.said.items() if name.startswith("ssl_")}
    manager = library.Sentinel(place.hosts, sentinel_kwargs=asked)
    whole = {**place.over(options), "db": int(database), "ssl": place.secure}
    return library.SentinelConnectionPool(service, manager, **whole)


def _cluster(place: Place, options: dict[str, Any]) -> Cluster:
    connection = _connection()
    kind = connection.SSLConnection if place.secure else connection.Connection
    whole = {**place.over(options), "connection_class": kind}
    _tried(connection.ConnectionPool(**whole))
    return Cluster(lambda host, port: connection.ConnectionPool(**{**whole, "host": host, "port": port}), place.hosts)


def _connection() -> Any:
    from redis import connection

    return connection


def _place(scheme: str, rest: str, port: int) -> Place:
    if scheme.partition("+")[0] not in ("redis", "rediss"):
        raise ValueError
    address, _, query = rest.partition("?")
    authority, _, path = address.partition("/")
    given, _, names = authority.rpartition("@")
    user, _, secret = given.partition(":")
    said = dict(zip(_LOGIN, (unquote(user), unquote(secret)), strict=True))
    hosts = [_host(name, port) for name in names.split(",")]
    login = {name: value for name, value in said.items() if value}
    return Place(
        scheme.startswith("rediss"), login, hosts, path.split("/"), _connection().parse_url(f"redis://?{query}")
    )


def _host(name: str, port: int) -> tuple[str, int]:
    host, found, given = name.rpartition(":")
    if not found:
        host, given = name, str(port)
    if not host:
        raise ValueError
    return host.strip("[]"), int(given)

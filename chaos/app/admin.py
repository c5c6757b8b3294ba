"""The admin endpoint: reads and turns the knobs; on loopback unless told otherwise, and not for web pages.

`GET /admin/knobs` shows all knobs; `POST /admin/knobs` with a JSON object changes those that it names, all or none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Collection, Mapping

from aiohttp import web

from chaos.app.settings import Knobs, SettingError, changed, shown

Turn = Callable[[Knobs], Awaitable[None]]
_LOOPBACK = ("127.0.0.1", "localhost")


def routes(now: Callable[[], Knobs], turn: Turn, *, host: str = "127.0.0.1") -> web.Application:
    """The admin application.

    Args:
        now: the knobs as they are.
        turn: makes the replica behave like this; `OSError` when it cannot.
        host: the address on which it is served; requests must be meant for it, or for loopback.
    """
    names = dict.fromkeys((*_LOOPBACK, f"[{host}]" if ":" in host else host))

    async def show(request: web.Request) -> web.Response:
        _check_host(request, names)
        return web.json_response(shown(now()))

    async def change(request: web.Request) -> web.Response:
        _check_host(request, names)
        if request.content_type != "application/json":
            return _refused(415, "expected the content type application/json")  # which no foreign page can send
        try:
            await turn(changed(now(), _object(await request.read())))
        except SettingError as error:
            return _refused(400, str(error))
        except OSError as error:
            return _refused(409, f"the knobs could not be turned: {error.strerror}")
        return web.json_response(shown(now()))

    app = web.Application(client_max_size=65_536)
    app.router.add_get("/admin/knobs", show, allow_head=False)
    app.router.add_post("/admin/knobs", change)
    return app


def _check_host(request: web.Request, names: Collection[str]) -> None:
    """A page whose name was made to point here still sends its own name."""
    if re.sub(r":\d+$", "", request.host) not in names:
        raise web.HTTPForbidden(text=f"this endpoint answers to {' and '.join(names)} only\n")


def _object(body: bytes) -> Mapping[str, object]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise SettingError(f"expected a JSON object: {error}") from None
    if not isinstance(given, dict):
        raise SettingError(f"expected a JSON object of knobs, got {type(given).__name__}")
    return given


def _refused(status: int, problem: str) -> web.Response:
    return web.json_response({"error": problem}, status=status)

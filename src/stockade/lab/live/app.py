"""The routes of the live page, behind `security.py`: the page, its files, events, pictures, and what changes something.

Every change is a POST of JSON that answers with JSON; an error is `{"error": "…"}` in one line. Neighbours:
`session.py` does the work, `templates/` and `static/` are what a browser gets, `words.py` has every word of it.
"""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from stockade.lab.charts import dark_rules
from stockade.lab.checkers import MAX_OF_ONE_CHECKER
from stockade.lab.errors import LabError
from stockade.lab.lines import said_by
from stockade.lab.live.pictures import FIGURES, Pictures
from stockade.lab.live.plan import BOUNDS, MOST_CONTROLS, read_plan
from stockade.lab.live.running.burst_leg import WARM_UPS
from stockade.lab.live.session import Occupied, Session
from stockade.lab.live.words import LANGUAGES, summaries, words
from stockade.lab.slow_motion.two_buyers import CONTROLS
from stockade.shop.http.requests.accept_language import language_for

MOST_PAGES: Final = 8  # that listen at a time
ANSWER_S: Final = 20  # within which a page wants an answer; else it says that there is none
STATIC: Final = Path(__file__).parent / "static"
TYPES: Final = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
Answer = Callable[[Request], Awaitable[Response]]


def _said(answer: Answer) -> Answer:
    """Answers with the error in one line where the lab refuses something."""

    async def handle(request: Request) -> Response:
        try:
            return await answer(request)
        except Occupied as error:
            return JSONResponse({"error": str(error)}, 409)
        except LabError as error:
            return JSONResponse({"error": str(error)}, 400)
        except OSError as error:  # no process, no memory, no file can be had
            return JSONResponse({"error": f"{said_by(error)}; free some, then try again"}, 503)

    return handle


class Pages:
    """Answers pages.

    Args:
        session: that they show.
        token: that their changes carry.
    """

    def __init__(self, session: Session, token: str) -> None:
        self._session, self._token = session, token
        self._pictures = Pictures()
        self._templates = Environment(
            loader=PackageLoader("stockade.lab.live"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._files = {path.name: path.read_bytes() for path in STATIC.iterdir() if path.suffix in TYPES}
        self._files["charts.css"] = f"@media (prefers-color-scheme:dark){{{dark_rules('.chart')}}}".encode()

    def app(self) -> Starlette:
        """All routes."""
        return Starlette(
            routes=[
                Route("/", self.page),
                Route("/static/{name}", self.file),
                Route("/events", self.events),
                Route("/chart/{number:int}/{figure}.svg", _said(self.chart)),
                Route("/compare.svg", _said(self.compare)),
                Route("/run", _said(self.run), methods=["POST"]),
                Route("/stop", _said(self.stop), methods=["POST"]),
                Route("/slow", _said(self.begin_race), methods=["POST"]),
                Route("/slow/step", _said(self.step_race), methods=["POST"]),
            ]
        )

    def close(self) -> None:
        """End what draws."""
        self._pictures.close()

    async def page(self, request: Request) -> Response:
        """The page, in the language that the browser or the visitor wants."""
        self._pictures.warm()
        accepted = request.headers.get("accept-language", "")
        language = language_for(request.query_params.get("lang", ""), accepted, LANGUAGES)
        said = words(language)
        found = self._session.choices
        controls = {name: why for name, why in found.controls.items() if ":" not in name}
        said_of = summaries(language, {name: found.summaries[name] for name in (*found.bursts, *found.workloads)})
        text = self._templates.get_template("page.html").render(
            language=language,
            languages=LANGUAGES,
            words=said,
            token=self._token,
            choices=found,
            controls=controls,
            forms={name: why for name, why in found.controls.items() if ":" in name},
            bounds=BOUNDS,
            slow=CONTROLS,
            figures=FIGURES,
            summaries=said_of,
            figures_of=found.figures,
            in_short={name: summary.rpartition(":")[0] or summary for name, summary in said_of.items()},
            most_controls=MOST_CONTROLS,
            most_pages=MOST_PAGES,
            warm_ups=WARM_UPS,
            answer_seconds=ANSWER_S,
            most_violations=MAX_OF_ONE_CHECKER,
        )
        return HTMLResponse(text, headers={"content-language": language})

    async def file(self, request: Request) -> Response:
        """A file of the page: one of those that were there at the start."""
        name = request.path_params["name"]
        if name not in self._files:
            return PlainTextResponse("no such file\n", 404)
        return Response(self._files[name], media_type=TYPES[Path(name).suffix])

    async def events(self, request: Request) -> Response:
        """The events, from the last one that the page has."""
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        feed = self._session.feed
        if feed.pages >= MOST_PAGES:
            return PlainTextResponse(f"{MOST_PAGES} pages listen already: close one\n", 503)
        last = request.headers.get("last-event-id", "")
        stream = feed.stream(int(last) if last.isdecimal() and len(last) < 16 else None)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"x-accel-buffering": "no"})

    async def chart(self, request: Request) -> Response:
        """A picture of one figure of a run."""
        number = request.path_params["number"]
        run = next((each for each in self._session.runs if each.number == number), None)
        if run is None:
            return JSONResponse({"error": "this run is not kept any more"}, 404)
        drawn = await self._pictures.of_run(run, request.path_params["figure"], *_looks(request))
        return Response(drawn, media_type=TYPES[".svg"])

    async def compare(self, request: Request) -> Response:
        """A picture of all runs."""
        return Response(
            await self._pictures.of_all(list(self._session.runs), *_looks(request)), media_type=TYPES[".svg"]
        )

    async def run(self, request: Request) -> Response:
        """Begin a run."""
        plan = read_plan(await _body(request), self._session.choices)
        return JSONResponse({"number": self._session.start(plan).number}, 202)

    async def stop(self, _request: Request) -> Response:
        """End the run; answers when it has ended."""
        await self._session.stop()
        return JSONResponse({})

    async def begin_race(self, request: Request) -> Response:
        """Begin a race in slow motion; answers with its first state."""
        sent = await _body(request)
        return JSONResponse(await self._session.begin_race(_text(sent, "control"), _text(sent, "database")))

    async def step_race(self, request: Request) -> Response:
        """Let one of the race go on; answers with its new state."""
        sent = await _body(request)
        return JSONResponse(await self._session.step_race(_text(sent, "id"), _text(sent, "who")))


async def _body(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError:
        raise LabError("the body must be JSON") from None


def _text(sent: Any, name: str) -> str:
    value = sent.get(name) if isinstance(sent, dict) else None
    if not isinstance(value, str):
        raise LabError(f"{name} must be a text")
    return value


def _looks(request: Request) -> tuple[int, str]:
    """Width and language that a picture is asked for in."""
    width, language = request.query_params.get("width", ""), request.query_params.get("lang", "")
    digits = width if width.isdecimal() and len(width) < 6 else "720"
    return int(digits), language_for(language, "", LANGUAGES)

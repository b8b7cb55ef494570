"""up, down, status, logs: the cluster on this machine. cluster/laptop does it; here it is asked for and shown."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from becoming_one import settings
from becoming_one.cli.terminal import as_json, printable, say, table
from becoming_one.errors import NotConfigured

if TYPE_CHECKING:
    from cluster.laptop.settings import LaptopSettings
    from cluster.laptop.status import ServerStatus, Status
    from jobs.start import JobServer

HomeOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of this cluster's keys, logs and databases. [BECOMING_ONE_HOME, else .becoming-one]",
    ),
]
QUESTION = "What is the fourth way? Answer in one sentence."


def up(
    port: Annotated[
        int | None,
        typer.Option(metavar="N", min=1024, max=65535, help="Port of the HTTP API; unset, 8000 or the next free one."),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Start everything on this machine, or heal what died; prints the URL and a key.

    Servers, weights, Ray and the applications of serve_config.yaml, all on
    loopback. Run it again whenever you like: what runs and answers stays.

    Examples:
      becoming-one up
      becoming-one up --port 9000 --home ~/becoming-one
    """
    from becoming_one.cli.up_view import shown  # noqa: PLC0415  # both load half of the house
    from cluster.laptop.up import up as bring_up  # noqa: PLC0415

    with shown() as report:
        now = bring_up(_settings(home, port), report)
    print(welcome(now))


def down(
    wipe: Annotated[bool, typer.Option("--wipe", help="Delete keys, logs and databases as well; asks first.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    home: HomeOption = None,
) -> None:
    """Stop everything that `up` started, and nothing else; the data stays.

    Examples:
      becoming-one down
      becoming-one down --wipe
    """
    from cluster.laptop.down import down as bring_down  # noqa: PLC0415  # loads half of the house

    chosen = _settings(_existing(home))
    if wipe and not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter(f"--wipe deletes keys, logs and databases in {chosen.home}; add --yes to mean it")
        typer.confirm(f"Delete keys, logs and databases in {chosen.home.absolute()}?", abort=True, err=True)
    ended = bring_down(chosen, wipe)
    say(f"Stopped {ended} processes." if ended else "Nothing was running.")
    if wipe:
        say(f"{chosen.home} is deleted.")


def status(
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object: condition, url, applications, servers, processes, ...")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Tell what runs here, where it listens, and how much memory it takes.

    The condition is `ready`, `broken` (something died; `up` heals it) or `down`.

    Examples:
      becoming-one status
      becoming-one status --json | jq -r .url
    """
    from cluster.laptop.status import status as ask_status  # noqa: PLC0415  # loads half of the house

    now = ask_status(_settings(_existing(home)))
    if json:
        as_json(now.as_json())
    else:
        _print_status(now)


def logs(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="APP", help="An application of `status`, or valkey, postgres, serve, ray; unset, all but ray."
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written from now on.")] = False,
    home: HomeOption = None,
) -> None:
    """Print what the programs of the cluster wrote, the last 1,000 lines of each.

    Examples:
      becoming-one logs gateway
      becoming-one logs -f
    """
    from cluster.laptop.logs import logs as read_logs  # noqa: PLC0415  # loads half of the house

    for line in read_logs(_settings(_existing(home)), name, follow):
        print(printable(line, sys.stdout), flush=follow)


def database_url(home: Path | None = None) -> str:
    """Where API keys are kept: USER_DATABASE_URL, else the PostgreSQL of the cluster in this home.

    Raises NotConfigured where neither is known.
    """
    from cluster.laptop import postgres  # noqa: PLC0415  # loads psycopg
    from cluster.laptop.home import Home  # noqa: PLC0415  # with it

    chosen = _settings(_existing(home))
    if chosen.user_database_url is not None:
        return chosen.user_database_url.get_secret_value()
    laptop = Home(chosen.home)
    state = laptop.load()
    if state is None or state.postgres is None:
        raise NotConfigured(
            "No database of keys is known here. Start a cluster with `becoming-one up`, or set USER_DATABASE_URL."
        )
    return postgres.url(state.postgres.port, laptop.secret("postgres_password"))


def job_server(home: Path | None = None) -> "JobServer":
    """Where jobs are submitted: the running cluster of this home. Raises NotConfigured where none is."""
    from cluster.laptop import ray_head  # noqa: PLC0415  # loads half of the house
    from cluster.laptop.home import Home  # noqa: PLC0415  # with it
    from jobs.start import JobServer  # noqa: PLC0415  # with it

    laptop = Home(_settings(_existing(home)).home)
    state = laptop.load()
    if state is None or not ray_head.is_whole(state.ray):
        raise NotConfigured("No cluster runs here to give a job to. Start one with `becoming-one up`.")
    token = laptop.secret(laptop.token_path.name)
    url = ray_head.dashboard_url(ray_head.PortPlan(state.port_block))
    return JobServer(url, {"Authorization": f"Bearer {token}"}, python=sys.executable)


def welcome(now: "Status") -> str:
    """What a person needs once everything is up: addresses, the key, a first request, the SDK."""
    key = shlex.quote(str(now.key_file))
    body = f'{{"model": "realtime", "messages": [{{"role": "user", "content": "{QUESTION}"}}]}}'
    return f"""Becoming One is {now.condition}.

  HTTP API   {now.url}  (pages at {now.url}/docs; any user, the key is the password)
  Dashboard  {now.dashboard_url}  (Ray's; asks for the token in {shlex.quote(str(now.home / "ray_auth_token"))})
  Key        {key}  (`becoming-one keys create NAME` makes more)

A first request:

  curl -s {now.url}/v1/chat/completions \\
    -H "Authorization: Bearer $(cat {key})" \\
    -H "Content-Type: application/json" \\
    -d '{body}'

The same with the openai SDK:

  from openai import OpenAI

  client = OpenAI(base_url="{now.url}/v1", api_key=open({str(now.key_file)!r}).read().strip())
  answer = client.chat.completions.create(
      model="realtime", messages=[{{"role": "user", "content": "{QUESTION}"}}]
  )
  print(answer.choices[0].message.content)

`becoming-one status` tells what runs, `becoming-one down` stops it."""


def _settings(home: Path | None = None, port: int | None = None) -> "LaptopSettings":
    from cluster.laptop.settings import LaptopSettings  # noqa: PLC0415  # pydantic-settings, 0.4 s

    given: dict[str, object] = {"home": home, "http_port": port}
    return LaptopSettings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def _existing(home: Path | None) -> Path | None:
    """The home that was named, else the nearest one that exists; None leaves it to the settings."""
    return home or settings.nearest_home()


def _print_status(now: "Status") -> None:
    say(f"{now.condition}: {now.url or 'no address yet'} (home {now.home})")
    if now.condition == "broken":
        say("Something of it is dead; `becoming-one up` heals it.")
    if now.applications:
        rows = [(one.name, one.route_prefix, one.state.lower(), one.message) for one in now.applications]
        table("Applications", ("name", "path", "state", "message"), rows)
    if now.servers:
        print()
        table("Servers", ("name", "state", "port", "pid"), [_server_cells(one) for one in now.servers])
    if now.processes:
        print()
        processes: Sequence[Sequence[str]] = [
            (str(one.pid), one.name, _megabytes(one.pss_bytes), ", ".join(map(str, one.ports))) for one in now.processes
        ]
        table("Processes", ("pid", "name", "memory", "listens on"), processes)
        say(f"{_megabytes(now.pss_bytes)} in {len(now.processes)} processes")


def _server_cells(server: "ServerStatus") -> Sequence[str]:
    if not server.ours:
        return (server.name, "yours, named by the environment", "", "")
    return (server.name, "runs" if server.running else "down", str(server.port or ""), str(server.pid or ""))


def _megabytes(count_bytes: int | None) -> str:
    return "" if count_bytes is None else f"{count_bytes / 1e6:,.0f} MB"

"""A flow with a `ws_server` that echoes, tells and closes: what a peer gets depends on the path that it asked for."""

import json

from harness import Program, patient, wait_for

FLOW = """
define flow main
flow
  use tremor::{{connectors, pipelines}};
  define connector server from ws_server
  with codec = "binary", config = {config} end;
  define pipeline answer
  pipeline
    define script answer
    script
      use std::json;
      match $ws_server.path of
        # Who is there, as the flow knows it.
        case "/who" => json::encode($ws_server)
        # The message goes back, and then the connection is closed.
        case "/leave" => let $ws_server.close = {{"code": 4001, "reason": "as you wish — ✓"}}; event
        case _ => event
      end
    end;
    create script answer;
    select event from in into answer;
    select event from answer into out;
    select event from answer/err into err;
  end;
  create connector server;
  create connector console from connectors::console;
  create pipeline answer;
  create pipeline told from pipelines::passthrough;
{routes}
  connect /pipeline/answer to /connector/server;
  connect /connector/server/control to /pipeline/told;
  connect /pipeline/told to /connector/console;
end;
deploy flow main;
"""
LEFT = [4001, "as you wish — ✓"]


def flow(config: dict) -> str:
    """The flow; the events of all routes of `config` are answered in the same way."""
    exits = {route["exit"] for route in config.get("routes", [])} or {"out"}
    if "exit" in config:
        exits.add(config["exit"])
    routes = "\n".join(f"  connect /connector/server/{exit} to /pipeline/answer;" for exit in sorted(exits))
    return FLOW.format(config=patient(config), routes=routes)


def told(tremor: Program, kind: str) -> list[dict]:
    """What the port `control` has told so far, of this `kind`."""
    *lines, _unfinished = tremor.out.read_text().split("\n")
    return [event for event in map(json.loads, lines) if event["kind"] == kind]


def awaited(tremor: Program, kind: str, count: int) -> list[dict]:
    """The first `count` or more of this `kind`; waits for them."""
    return wait_for(f"{count} times `{kind}`", lambda: len(all_told := told(tremor, kind)) >= count and all_told)


def rejected(tremor: Program, count: int) -> list[dict]:
    """How the first `count` requests that opened nothing were answered; waits for that."""
    return awaited(tremor, "rejected", count)


def closed(tremor: Program, count: int) -> list[dict]:
    """How the first `count` connections have ended, in the order in which they were opened; waits for that."""
    return sorted(awaited(tremor, "closed", count), key=lambda end: end["conn"])

"""Small extensions for tests: real programs, and what functions need to be internal ones."""

from __future__ import annotations

import sys

# What extensions, external and internal, are written with. `call` returns (status, headers, parsed body).
CLIENT = """
import http.client, http.server, json, os, signal, sys, threading, time
NAME = os.path.basename(sys.argv[0])

def call(method, path, body=None, **headers):
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body if isinstance(body, bytes) else json.dumps(body), headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, json.loads(body or b"null")

def register(events=("INVOKE", "SHUTDOWN"), name=NAME, **headers):
    headers["Lambda_Extension_Name"] = name
    answer = call("POST", "/2020-01-01/extension/register", {"events": list(events)}, **headers)
    return answer[1]["Lambda-Extension-Identifier"]

def next_event(identifier):
    return call("GET", "/2020-01-01/extension/event/next", Lambda_Extension_Identifier=identifier)[2]

def report(kind, identifier, error_type):
    return call("POST", "/2020-01-01/extension/" + kind + "/error", {}, Lambda_Extension_Identifier=identifier,
        Lambda_Extension_Function_Error_Type=error_type)

def say(*words):
    os.write(1, (" ".join([NAME, *words]) + chr(10)).encode())  # in one piece, whichever thread says it
"""
HEAD = f"#!{sys.executable} -Su\n{CLIENT}"
# Follows events to its end and says what it hears.
FOLLOWER = (
    HEAD
    + """
me = register()
while True:
    event = next_event(me)
    say(json.dumps(event))
    if event["eventType"] == "SHUTDOWN":
        break
"""
)


def layer(**programs: str) -> dict[str, str | bytes]:
    """The files of a layer with these extensions."""
    return {f"extensions/{name}": program for name, program in programs.items()}

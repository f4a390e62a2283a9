#!/usr/bin/env python3
"""
A policy as people write them for strfry: one line in, one line out.

What an event's content says is done with it. Some programs say hello first.
"""

import json
import os
import sys
import time

print("judge is ready", flush=True)
for line in sys.stdin:
    request = json.loads(line)
    if request["type"] != "new":
        continue
    event = request["event"]
    answer = {"id": event["id"], "action": "accept"}
    word, _, rest = event["content"].partition(" ")
    if word == "reject":
        answer |= {"action": "reject", "msg": rest}
    elif word == "shadow":
        answer["action"] = "shadowReject"
    elif word == "source":
        told = [request["sourceType"], request["sourceInfo"], request.get("authed")]
        answer |= {"action": "reject", "msg": json.dumps(told)}
    elif word == "sleep":
        time.sleep(float(rest))
    elif word == "silence":
        continue
    elif word == "garbage":
        print("{", "\n[]\n", flush=True)
    elif word == "complain":
        print("judge complains", file=sys.stderr, flush=True)
    elif word == "who":
        answer |= {"action": "reject", "msg": f"pid {os.getpid()}"}
    elif word == "die":
        os._exit(3)
    print(json.dumps(answer), flush=True)

"""A client that reads server-sent events as its users write it: requests, json and base64, nothing of ours.

usage: read_events.py URL TEXT
Prints one line for each result: its status and its text.
"""

import base64
import json
import sys

import requests

url, text = sys.argv[1:]
envelope = {
    "header": {"app_id": "123456", "status": 3},
    "payload": {"text": {"text": base64.b64encode(text.encode()).decode(), "status": 3}},
}
headers = {"Accept": "text/event-stream"}
with requests.post(url, headers=headers, json=envelope, stream=True, timeout=60) as response:
    response.raise_for_status()
    for line in response.iter_lines(decode_unicode=True):
        if not line.startswith("data: "):
            continue
        answer = json.loads(line[len("data: ") :])
        print(answer["header"]["status"], answer["payload"]["result"]["text"])

"""A client that signs its requests as ASF's clients do, written from the description of the signature alone.

usage: signed_call.py url|headers URL KEY SECRET [--skew SECONDS] [--times N] [--tamper]   (the body comes from stdin)
Sends the same signed request N times and prints a line for each: the status and the header of the answer. --skew
moves the date of the signature, --tamper changes the body after it was signed.
"""

import argparse
import base64
import hashlib
import hmac
import json
import sys
import time
from email.utils import formatdate
from urllib.parse import urlencode, urlsplit

import requests

arguments = argparse.ArgumentParser()
arguments.add_argument("form", choices=["url", "headers"])
for name in ("url", "key", "secret"):
    arguments.add_argument(name)
arguments.add_argument("--skew", type=float, default=0)
arguments.add_argument("--times", type=int, default=1)
arguments.add_argument("--tamper", action="store_true")
options = arguments.parse_args()

body = sys.stdin.buffer.read()
target = urlsplit(options.url)
date = formatdate(time.time() + options.skew, usegmt=True)
lines = ["host: " + target.netloc, "date: " + date, "POST " + target.path + " HTTP/1.1"]
covered = "host date request-line"
headers = {"Content-Type": "application/json"}
if options.form == "headers":
    digest = "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()
    lines.append("digest: " + digest)
    covered += " digest"
    headers.update({"Date": date, "Digest": digest})

mac = hmac.new(options.secret.encode(), "\n".join(lines).encode(), hashlib.sha256)
authorization = 'api_key="{}", algorithm="hmac-sha256", headers="{}", signature="{}"'.format(
    options.key, covered, base64.b64encode(mac.digest()).decode()
)
if options.form == "headers":
    url = options.url
    headers["Authorization"] = "hmac " + authorization
else:
    query = {"authorization": base64.b64encode(authorization.encode()).decode(), "date": date, "host": target.netloc}
    url = options.url + "?" + urlencode(query)

if options.tamper:
    body += b" "
for _ in range(options.times):
    response = requests.post(url, data=body, headers=headers, timeout=30)
    print(response.status_code, json.dumps(response.json()["header"], sort_keys=True))

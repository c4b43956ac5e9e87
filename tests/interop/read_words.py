"""A client of the unified protocol as its users write it: requests, json and base64, nothing of ours.

usage: read_words.py URL PICTURE
Prints the status, then one line for each word: its text and its box.
"""

import base64
import json
import sys

import requests

url, picture = sys.argv[1:]
with open(picture, "rb") as file:
    image = base64.b64encode(file.read()).decode("utf-8")

envelope = {
    "header": {
        "app_id": "123456",
        "uid": "39769795890",
        "did": "SR082321940000200",
        "imei": "8664020318693660",
        "imsi": "4600264952729100",
        "mac": "6c:92:bf:65:c6:14",
        "net_type": "wifi",
        "net_isp": "CMCC",
        "status": 3,
        "request_id": None,
    },
    "parameter": {
        "mmocr": {
            "category": "ai_category",
            "application_mode": "common_gpu",
            "gpu_id": "first",
            "gpu_type": "T4G16",
            "boxes": {"encoding": "utf8", "compress": "raw", "format": "json"},
        }
    },
    "payload": {"data": {"encoding": "jpg", "image": image, "status": 3}},
}
response = requests.post(
    url,
    headers={"Content-Type": "application/json"},
    data=json.dumps(envelope),
    timeout=60,
)
print(response.status_code)
answer = response.json()
if response.status_code != 200:
    sys.exit(answer["header"]["message"])
for word in answer["payload"]["boxes"]["text"][0].get("result"):
    print("{text}\t{box}\t{box_score}\t{text_score}".format(**word))

"""A client of sessions as its users write it: websockets, json and base64, nothing of ours.

usage: talk.py URL TEXT...
Sends each text as one frame and prints what comes back: the status and the text of each result.
"""

import asyncio
import base64
import json
import sys

import websockets


async def talk(url, texts):
    async with websockets.connect(url) as socket:
        for index, text in enumerate(texts):
            status = 2 if index == len(texts) - 1 else min(index, 1)
            payload = {"data": {"status": status, "text": base64.b64encode(text.encode()).decode()}}
            await socket.send(json.dumps({"header": {"app_id": "123456", "status": status}, "payload": payload}))
        async for message in socket:
            answer = json.loads(message)
            if answer["header"]["code"] != 0:
                sys.exit(answer["header"]["message"])
            if "payload" in answer:
                print(answer["header"]["status"], base64.b64decode(answer["payload"]["data"]["text"]).decode())
        print("closed", socket.close_code)


asyncio.run(talk(sys.argv[1], sys.argv[2:]))

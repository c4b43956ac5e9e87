import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import type { ServiceProcess } from "../../cli/service-process.ts";
import { closeCodeFromError, goingAwayClose, normalClose, takenOverClose } from "../../gateway/adapter/status.ts";
import { errorTable, isReason, ServingError } from "../../proto/errors.ts";
import { startGateway, startLoader, urlOf } from "./cluster.ts";
import { blocksOf } from "./page.ts";
import { openSocket } from "./websocket-client.ts";

const docs = join(import.meta.dir, "../../docs");
let loader: ServiceProcess;
let gateway: ServiceProcess;

beforeAll(async () => {
  loader = await startLoader(["echo"]);
  gateway = await startGateway([{ id: "echo", endpoints: [urlOf(loader)] }]);
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
});

const withoutSid = (text: string): string => text.replaceAll(/"sid":"[^"]+"/g, '"sid":"..."');

test("the conversations of the page about WebSockets go as it says", async () => {
  const conversations = await blocksOf(join(docs, "websocket.md"), "text");
  expect(conversations).toHaveLength(2);
  for (const conversation of conversations) {
    const socket = await openSocket(`${urlOf(gateway)}/v1/private/echo`);
    for (const line of conversation.trim().split("\n")) {
      if (line.startsWith("> ")) socket.send(line.slice(2));
      else if (line.startsWith("< ")) expect(withoutSid(JSON.stringify(await socket.next()))).toBe(line.slice(2));
      else expect(`closed with ${(await socket.closed).code}`).toBe(line);
    }
  }
});

test("the page about WebSockets lists every close code", async () => {
  const page = await Bun.file(join(docs, "websocket.md")).text();
  const listed = new Set([...page.matchAll(/^\| (\d{4}) /gm)].map(([, code]) => Number(code)));
  const reasons = Object.keys(errorTable).filter(isReason);
  const standard = reasons
    .map((reason) => closeCodeFromError(new ServingError(reason, "")))
    .filter((code) => code < 4000);
  for (const code of [normalClose, goingAwayClose, takenOverClose, ...standard]) expect(listed).toContain(code);
});

test("the request of the unified protocol's page gets its results as it says", async () => {
  const page = join(docs, "unified-protocol.md");
  const [curl = ""] = await blocksOf(page, "sh");
  const [events = ""] = await blocksOf(page, "text");
  const command = curl.replace("http://127.0.0.1:30889", urlOf(gateway)).replace("curl", "curl -s");
  const run = Bun.spawnSync(["sh", "-c", command]);
  expect(withoutSid(run.stdout.toString()).trim()).toBe(events.trim());
});

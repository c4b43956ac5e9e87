import { afterAll, beforeAll, expect, test } from "bun:test";
import type { LogLine, ServiceProcess } from "../../cli/service-process.ts";
import { echoEnvelope, echoedText, post, startGateway, startLoader, urlOf } from "./cluster.ts";
import { eventually, frameOf, idleSlots, metric, openSocket, textOf } from "./websocket-client.ts";

const maxAnswerBytes = 65_536;
let loader: ServiceProcess;
let gateway: ServiceProcess;
let url: string;
const lines: LogLine[] = [];

beforeAll(async () => {
  loader = await startLoader(["echo"]);
  const services = [{ id: "echo", endpoints: [urlOf(loader)] }];
  gateway = await startGateway(services, { limits: { maxAnswerBytes } }, (line) => lines.push(line));
  url = `${urlOf(gateway)}/echo`;
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
});

const tooLarge = "x".repeat(maxAnswerBytes + 1);
const header = { code: 10106, message: "service 'echo' gave an answer that is too large" };

test("an answer larger than limits.maxAnswerBytes is an error of its request, and no fault of its loader", async () => {
  for (let i = 0; i < 20; i += 1) {
    const { status, body } = await post(url, echoEnvelope(tooLarge));
    expect([status, body.header]).toMatchObject([500, header]);
  }
  const nearly = "x".repeat(maxAnswerBytes - 1000);
  const answer = await post(url, echoEnvelope(nearly));
  expect([answer.status, echoedText(answer.body)]).toEqual([200, nearly]);
  expect(await eventually(() => lines.filter(({ msg }) => msg === "request").length === 21)).toBe(true);
  expect(lines.filter(({ outcome }) => outcome === "OUTPUT_UNEXPECTED")).toHaveLength(20);
});

test("a result larger than limits.maxAnswerBytes ends its session with the same error, and no other", async () => {
  const other = await openSocket(url);
  other.send(frameOf("a", 0));
  await other.next();
  await other.next();
  const socket = await openSocket(url);
  socket.send(frameOf("small", 0));
  socket.send(frameOf(tooLarge, 1));
  expect((await socket.closed).code).toBe(1011);
  expect(socket.frames.map(textOf)).toEqual(["", "small", ""]);
  expect(socket.frames.at(-1)?.header).toMatchObject(header);
  expect(await eventually(async () => (await idleSlots(loader, "echo")) === 255)).toBe(true);
  other.send(frameOf("b", 2));
  expect(textOf(await other.next())).toBe("b");
  expect((await other.closed).code).toBe(1000);
  expect(await eventually(() => lines.filter(({ msg }) => msg === "session").length === 2)).toBe(true);
  expect(
    await metric(gateway, /^athena_gateway_sessions_total\{service="echo",outcome="OUTPUT_UNEXPECTED"\} (\d+)$/m),
  ).toBe(1);
  expect(await eventually(async () => (await idleSlots(loader, "echo")) === 256)).toBe(true);
});

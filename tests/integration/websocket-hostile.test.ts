import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { addressOf, type LogLine, type ServiceProcess } from "../../cli/service-process.ts";
import { echoEnvelope, post, startGateway, startLoader, urlOf } from "./cluster.ts";
import { eventually, frameOf, idleSlots, metric } from "./websocket-client.ts";
import { first, openRaw, type RawClient, rawFrame } from "./websocket-raw.ts";

const maxFrameBytes = 65_536;
let loader: ServiceProcess;
let gateway: ServiceProcess;
let url: string;
const lines: LogLine[] = [];

beforeAll(async () => {
  loader = await startLoader(["echo"]);
  const service = { id: "echo", endpoints: [urlOf(loader)], session: { idleTimeoutMs: 1000 } };
  const sessions = { maxFrameBytes, connectionIdleTimeoutMs: 1000 };
  gateway = await startGateway([service], { sessions }, (line) => lines.push(line));
  url = `${urlOf(gateway)}/v1/private/echo`;
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
});

const sessionLines = () => lines.filter(({ msg }) => msg === "session");
const whole = JSON.stringify(frameOf("a", 3));
const opening = rawFrame(first.text, JSON.stringify(frameOf("a", 0)));

/** Everything that clients have cost is given back, and the gateway serves. */
async function expectQuiet(): Promise<void> {
  const counts = [/^athena_gateway_websockets (\d+)$/m, /^athena_gateway_resumable_sessions (\d+)$/m];
  for (const count of counts) expect(await eventually(async () => (await metric(gateway, count)) === 0)).toBe(true);
  expect(await metric(gateway, /^athena_gateway_sessions\{service="echo"\} (\d+)$/m)).toBeNaN();
  expect(await eventually(async () => (await idleSlots(loader, "echo")) === 256)).toBe(true);
  expect((await post(url, echoEnvelope("x"))).status).toBe(200);
  expect(lines.filter(({ level }) => Number(level) >= 50)).toEqual([]);
}

async function openSession(): Promise<RawClient> {
  const client = await openRaw(url);
  client.write(opening);
  expect(await eventually(() => client.frames().length === 2)).toBe(true);
  return client;
}

const answersOf = (client: RawClient) =>
  client.frames().flatMap(({ first: kind, payload }) => (kind === first.text ? [JSON.parse(payload.toString())] : []));

describe("an unusual client", () => {
  test("that offers permessage-deflate is told that nothing is compressed, and is served", async () => {
    const client = await openRaw(url, {
      headers: "sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n",
    });
    expect(client.head).toStartWith("HTTP/1.1 101 ");
    expect(client.head.toLowerCase()).not.toContain("sec-websocket-extensions");
    client.write(rawFrame(first.text, whole));
    await client.closed;
    expect([answersOf(client).at(-1)?.header.code, client.closeCode()]).toEqual([0, 1000]);
  });

  test("may send a message in pieces with pings between, and gets each ping's own words back", async () => {
    const client = await openRaw(url);
    client.write(rawFrame(first.textBegins, whole.slice(0, 5)));
    client.write(rawFrame(first.ping, "first"));
    client.write(rawFrame(first.pong, "nobody asked"));
    client.write(rawFrame(first.goesOn, whole.slice(5, 9)));
    client.write(rawFrame(first.ping, "x".repeat(125)));
    client.write(rawFrame(first.ends, whole.slice(9)));
    await client.closed;
    const pongs = client.frames().filter((frame) => frame.first === first.pong);
    expect(pongs.map(({ payload }) => payload.toString())).toEqual(["first", "x".repeat(125)]);
    expect(answersOf(client).at(-1)?.header).toMatchObject({ code: 0, status: 3 });
  });

  test("may cut a message into ever so many pieces, also into empty ones", async () => {
    const client = await openRaw(url);
    client.write(rawFrame(first.textBegins, ""));
    client.write(Buffer.concat(Array.from(whole, (letter) => rawFrame(first.goesOn, letter))));
    const empty = rawFrame(first.goesOn, "");
    client.write(Buffer.concat(Array.from({ length: 100_000 }, () => empty)));
    client.write(rawFrame(first.ends, ""));
    await client.closed;
    expect(answersOf(client).at(-1)?.header).toMatchObject({ code: 0, status: 3 });
  });
});

describe("a handshake", () => {
  for (const [name, handshake, words] of [
    ["of another version", { version: "8" }, "'sec-websocket-version' must be 13"],
    ["of no version", { version: "" }, "'sec-websocket-version' must be 13"],
    ["with a short key", { key: "c2hvcnQ=" }, "'sec-websocket-key' must be 16 bytes in base64"],
    ["with a key that is no base64", { key: "!!!!!!!!!!!!!!!!!!!!!!==" }, "'sec-websocket-key'"],
  ] as const) {
    test(`${name} is answered with 400 and what is wrong, once`, async () => {
      const client = await openRaw(url, handshake);
      await client.closed;
      expect(client.head).toStartWith("HTTP/1.1 400 ");
      expect(client.head.toLowerCase()).toContain("sec-websocket-version: 13\r\n");
      const sid = /^athena-sid: (.*)\r$/im.exec(client.head)?.[1];
      const own = () => lines.filter((line) => line.sid === sid);
      expect(await eventually(() => own().length > 0)).toBe(true);
      expect(own()).toMatchObject([
        { outcome: "MALFORMED_ENVELOPE", status: 400, reason: expect.stringContaining(words) },
      ]);
    });
  }

  test("is the last of HTTP on its connection: what comes right behind it is read as frames", async () => {
    const hasty = await openRaw(url, { behind: rawFrame(first.text, whole) });
    await hasty.closed;
    expect([answersOf(hasty).at(-1)?.header.code, hasty.closeCode()]).toEqual([0, 1000]);
    const pipelining = await openRaw(url, { behind: Buffer.from("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n") });
    await pipelining.closed;
    expect([pipelining.frames().length, pipelining.closeCode()]).toEqual([1, 1002]);
    await expectQuiet();
  });
});

describe("a client that breaks the protocol in its session", () => {
  const json = JSON.stringify(frameOf("b", 1));
  const close = (...payload: number[]) => rawFrame(first.close, Buffer.from(payload));
  const cases: readonly (readonly [string, Uint8Array, number, string, string])[] = [
    ["text that is no UTF-8", rawFrame(first.text, Buffer.from([0xff, 0xfe])), 1007, "MALFORMED_ENVELOPE", "UTF-8"],
    ["a frame that is too large", rawFrame(first.text, "", 2 ** 53), 1009, "PAYLOAD_TOO_LARGE", "larger"],
    [
      "pieces that are too large together",
      Buffer.concat([rawFrame(first.textBegins, "x".repeat(40_000)), rawFrame(first.ends, "x".repeat(40_000))]),
      1009,
      "PAYLOAD_TOO_LARGE",
      "larger",
    ],
    ["a frame without a mask", rawFrame(first.text, json, undefined, false), 1002, "MALFORMED_ENVELOPE", "masked"],
    ["a compressed frame", rawFrame(0xc1, json), 1002, "MALFORMED_ENVELOPE", "RSV1"],
    ["a kind of data that is not there", rawFrame(0x83, "x"), 1002, "MALFORMED_ENVELOPE", "opcode"],
    ["a kind of control that is not there", rawFrame(0x8b, "x"), 1002, "MALFORMED_ENVELOPE", "opcode"],
    ["a ping that is too large", rawFrame(first.ping, Buffer.alloc(126)), 1002, "MALFORMED_ENVELOPE", "control"],
    ["a ping in pieces", rawFrame(0x09, "x"), 1002, "MALFORMED_ENVELOPE", "control"],
    ["a piece of nothing", rawFrame(first.ends, "x"), 1002, "MALFORMED_ENVELOPE", "continuation"],
    [
      "a message inside another",
      Buffer.concat([rawFrame(first.textBegins, "{"), rawFrame(first.text, json)]),
      1002,
      "MALFORMED_ENVELOPE",
      "fragmented",
    ],
    ["a close code that is none", close(3, 0xe7), 1002, "MALFORMED_ENVELOPE", "close code"],
    ["a close code that must not be sent", close(3, 0xed), 1002, "MALFORMED_ENVELOPE", "close code"],
    ["half a close code", close(3), 1002, "MALFORMED_ENVELOPE", "close payload"],
    ["a request of HTTP", Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n"), 1002, "MALFORMED_ENVELOPE", "masked"],
  ];
  for (const [name, bytes, code, outcome, words] of cases) {
    test(`with ${name} is closed with ${code}, and its session is one line that says so`, async () => {
      const client = await openSession();
      client.write(bytes);
      await client.closed;
      expect(client.closeCode()).toBe(code);
      const own = () => sessionLines().filter(({ sid }) => sid === answersOf(client)[0]?.header.sid);
      expect(await eventually(() => own().length > 0)).toBe(true);
      expect(own()).toMatchObject([{ outcome, reason: expect.stringContaining(words), framesIn: 1 }]);
      await expectQuiet();
    });
  }
});

test("half a frame and then nothing is silence, which ends the session and its connection", async () => {
  const client = await openSession();
  client.write(opening.subarray(0, 9));
  await client.closed;
  expect([answersOf(client).at(-1)?.header.code, client.closeCode()]).toEqual([10114, 4408]);
  const early = await openRaw(url);
  early.write(opening.subarray(0, 9));
  await early.closed;
  expect(early.closeCode()).toBe(4408);
  await expectQuiet();
});

/** Numbers that look random, the same in each run. */
function createNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test("300 clients that send frames at random leave nothing behind", async () => {
  const memory = async () => Number(/VmRSS:\s+(\d+)/.exec(await Bun.file(`/proc/${gateway.pid}/status`).text())?.[1]);
  const number = createNumbers(7);
  const kinds = [0x81, 0x82, 0x01, 0x00, 0x80, 0x88, 0x89, 0x8a, 0xc1, 0x83, 0xff];
  const noise = (): Buffer => {
    const payload = Buffer.from(Array.from({ length: number(200) }, () => number(256)));
    const length = number(8) === 0 ? number(100_000) : undefined;
    const kind = kinds[number(kinds.length)] ?? 0;
    return rawFrame(kind, number(3) === 0 ? JSON.stringify(frameOf("a", number(4))) : payload, length, number(6) > 0);
  };
  const before = await memory();
  for (let round = 0; round < 6; round += 1) {
    const clients = await Promise.all(Array.from({ length: 50 }, () => openRaw(url)));
    for (const client of clients) {
      if (number(2) === 0) client.write(opening);
      for (let i = number(5); i >= 0; i -= 1) client.write(noise());
    }
    // Some are closed by the gateway, the others leave as a process that is killed does.
    await Promise.all(
      clients.filter(() => number(2) === 0).map((client) => Promise.race([client.closed, Bun.sleep(50)])),
    );
    for (const client of clients) client.destroy();
  }
  await expectQuiet();
  expect((await memory()) - before).toBeLessThan(100_000);
  const metrics = await (await fetch(`${addressOf(gateway, "admin")}/metrics`)).text();
  const counted = [...metrics.matchAll(/^athena_gateway_sessions_total\{.*\} (\d+)$/gm)].map(([, count]) =>
    Number(count),
  );
  const total = counted.reduce((sum, count) => sum + count, 0);
  expect(await eventually(() => sessionLines().length >= total)).toBe(true);
  expect(sessionLines().length).toBe(total);
});

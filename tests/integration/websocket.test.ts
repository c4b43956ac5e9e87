import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cp, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { LogLine, ServiceProcess } from "../../cli/service-process.ts";
import { post, startGateway, urlOf } from "./cluster.ts";
import {
  eventually,
  frameOf,
  idleSlots,
  metric,
  openSocket,
  startLoaderOf,
  type TestLoader,
  textOf,
} from "./websocket-client.ts";

const python = process.env.ATHENA_TEST_PYTHON ?? "python3";
const wrappers = join(import.meta.dir, "../fixtures/wrappers");
const echo = `
engine: { kind: echo }
inputs: { data: { type: text } }
outputs: { data: { type: text, attributes: { format: { type: string, default: plain } } } }
parameters: { delayMs: { type: integer }, failWith: { type: string } }
`;
const wrapper = `
inputs: { text: { type: text } }
outputs: { result: { type: text } }
once: false
stream: true
`;

let first: TestLoader;
let second: TestLoader;
let gateway: ServiceProcess;
let url: string;
const sessions: LogLine[] = [];

beforeAll(async () => {
  const scarce = `id: scarce\n${echo}\nonce: true\nstream: true\nslots: { total: 1 }\nqueue: { maxLength: 0 }\n`;
  first = await startLoaderOf(
    {
      echo: `id: echo\n${echo}\nonce: true\nstream: true\n`,
      single: `id: single\n${echo}\nonce: true\nstream: false\n`,
      scarce,
      python: `id: python\nengine: { kind: python, threads: 4, config: { log_file: FOLDER/python/log } }\n${wrapper}`,
      native: `id: native\nengine: { kind: native, threads: 4, async: true }\n${wrapper}`,
    },
    async (folder) => {
      const manifest = join(folder, "python/service.yaml");
      await Bun.write(manifest, (await readFile(manifest, "utf8")).replace("FOLDER", folder));
      await cp(join(wrappers, "stream.py"), join(folder, "python/wrapper.py"));
      const library = join(folder, "native/libwrapper.so");
      const flags = ["-O1", "-std=c++17", "-shared", "-fPIC", "-pthread"];
      const build = Bun.spawnSync(["g++", ...flags, join(wrappers, "native.cpp"), "-o", library]);
      expect(build.stderr.toString()).toBe("");
    },
  );
  second = await startLoaderOf({ scarce });
  const near = [urlOf(first.loader)];
  gateway = await startGateway(
    [
      { id: "echo", endpoints: near },
      { id: "single", endpoints: near },
      { id: "scarce", endpoints: [...near, urlOf(second.loader)] },
      { id: "python", endpoints: near },
      { id: "native", endpoints: near },
    ],
    { sessions: { maxPerConnection: 4, maxFrameBytes: 300_000, maxWaitingBytes: 100_000 } },
    (line) => {
      if (line.msg === "session") sessions.push(line);
    },
  );
  url = urlOf(gateway);
});

afterAll(async () => {
  await gateway.stop();
  await first.stop();
  await second.stop();
});

describe("a session over WebSocket", () => {
  test("is acknowledged, answers each frame before the next is sent, and closes with 1000 after its last result", async () => {
    const socket = await openSocket(`${url}/v1/private/echo`);
    socket.send(frameOf("a", 0));
    const ack = await socket.next();
    expect(ack).toEqual({ header: { code: 0, message: "success", sid: ack.header.sid, status: 0 } });
    const texts: string[] = [];
    for (const [index, text] of ["b", "c", "d"].entries()) {
      const frame = await socket.next();
      texts.push(`${textOf(frame)}${frame.header.status}`);
      expect(frame.header.sid).toBe(ack.header.sid);
      socket.send(index === 2 ? frameOf(text, 2) : { payload: { data: { status: 1, text: btoa(text) } } });
    }
    const last = await socket.next();
    expect([...texts, `${textOf(last)}${last.header.status}`]).toEqual(["a0", "b1", "c1", "d2"]);
    expect(await socket.closed).toEqual({ code: 1000, reason: "" });
  });

  test("needs no status until its last frame", async () => {
    const socket = await openSocket(`${url}/echo`);
    for (const text of ["a", "b"]) {
      socket.send(frameOf(text, undefined));
      if (text === "a") await socket.next();
      expect(textOf(await socket.next())).toBe(text);
    }
    socket.send({ header: { status: 2 } });
    expect((await socket.closed).code).toBe(1000);
    expect(socket.frames.at(-1)?.header.status).toBe(2);
  });

  test("gives base64, or JSON as it is where that was asked for", async () => {
    const socket = await openSocket(`${url}/echo`);
    socket.send({ ...frameOf('{"n":1}', 2), parameter: { echo: { data: { format: "json" } } } });
    await socket.next();
    expect((await socket.next()).payload?.data).toMatchObject({ format: "json", text: { n: 1 } });
    const plain = await openSocket(`${url}/echo`);
    plain.send(frameOf('{"n":1}', 2));
    await plain.next();
    expect((await plain.next()).payload?.data?.text).toBe(btoa('{"n":1}'));
  });

  test("may come in binary frames, and be one frame of status 3 for a service that answers once-calls", async () => {
    for (const service of ["single", "echo"]) {
      const socket = await openSocket(`${url}/${service}`);
      socket.sendRaw(new TextEncoder().encode(JSON.stringify(frameOf("whole", 3))));
      const answer = await socket.next();
      expect([textOf(answer), answer.header.status]).toEqual(["whole", 3]);
      expect((await socket.closed).code).toBe(1000);
      expect(socket.frames).toHaveLength(1);
    }
  });

  test("of a Python wrapper and of a C++ library brings what they call back with, in order", async () => {
    for (const [service, expected] of [
      ["python", ["1:a", "2:b", "3:c"]],
      ["native", ["a!", "b!", "c!"]],
    ] as const) {
      const socket = await openSocket(`${url}/${service}`);
      for (const [index, text] of ["a", "b", "c"].entries()) socket.send(frameOf(text, index, {}, "text"));
      expect((await socket.closed).code).toBe(1000);
      expect(socket.frames.slice(1).map(textOf)).toEqual([...expected]);
      expect(socket.frames.at(-1)?.header.status).toBe(2);
    }
  });

  test("is logged once and counted once, with its frames", async () => {
    const socket = await openSocket(`${url}/echo`);
    socket.send(frameOf("a", 0));
    await socket.next();
    expect(await metric(gateway, /^athena_gateway_sessions\{service="echo"\} (\d+)$/m)).toBe(1);
    socket.send(frameOf("b", 2));
    await socket.closed;
    const sid = socket.frames[0]?.header.sid;
    const lines = () => sessions.filter((line) => line.sid === sid);
    expect(await eventually(() => lines().length > 0)).toBe(true);
    expect(lines()).toMatchObject([
      { service: "echo", protocol: "websocket", outcome: "OK", framesIn: 2, framesOut: 2, client: "127.0.0.1" },
    ]);
    expect(await metric(gateway, /^athena_gateway_sessions\{service="echo"\} (\d+)$/m)).toBeNaN();
    expect(
      await metric(gateway, /^athena_gateway_sessions_total\{service="echo",outcome="OK"\} (\d+)$/m),
    ).toBeGreaterThan(0);
    expect(
      await metric(gateway, /^athena_gateway_session_first_result_seconds_count\{service="echo"\} (\d+)$/m),
    ).toBeGreaterThan(0);
    expect(
      await metric(gateway, /^athena_gateway_session_frames_total\{service="echo",direction="in"\} (\d+)$/m),
    ).toBeGreaterThan(1);
  });
});

test("Python's websockets talks to a gateway as to the predecessor", async () => {
  const script = join(import.meta.dir, "../interop/talk.py");
  const run = Bun.spawn([python, script, `${url.replace("http", "ws")}/v1/private/echo`, "one", "two", "three"], {
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, problems] = await Promise.all([new Response(run.stdout).text(), new Response(run.stderr).text()]);
  expect([await run.exited, problems]).toEqual([0, ""]);
  expect(out.trim().split("\n")).toEqual(["0 one", "1 two", "2 three", "closed 1000"]);
});

describe("a session that fails", () => {
  const good = frameOf("a", 0);
  const cases: readonly (readonly [string, string, unknown, number, number, string])[] = [
    ["broken JSON", "echo", "{", 10163, 1008, "not valid JSON"],
    ["JSON that nests too deep", "echo", `{"header":${"[".repeat(99)}${"]".repeat(99)}}`, 10163, 1008, "deeper"],
    ["wrong base64", "echo", { ...good, payload: { data: { text: "%" } } }, 10163, 1008, "$.payload.data.text"],
    ["an unknown input", "echo", frameOf("a", 0, {}, "more"), 10163, 1008, "$.payload.more"],
    ["an unknown parameter", "echo", { ...good, parameter: { echo: { x: 1 } } }, 10163, 1008, "$.parameter.echo.x"],
    ["a status that is none", "echo", frameOf("a", 7), 10163, 1008, "$.header.status"],
    ["no app_id", "echo", { payload: {} }, 10313, 1008, "app_id"],
    ["chunks for a service of once-calls", "single", good, 10163, 1008, "once-calls only"],
    ["an error of the engine", "echo", { ...good, parameter: { echo: { failWith: "error" } } }, 10909, 1011, "failed"],
    [
      "data that the engine refuses",
      "echo",
      { ...good, parameter: { echo: { failWith: "refusal" } } },
      10009,
      1008,
      "refused",
    ],
    ["a wrapper's own error", "python", frameOf("boom", 0, {}, "text"), 10909, 1011, "the text exploded"],
  ];
  for (const [name, service, frame, code, closeCode, message] of cases) {
    test(`by ${name} is told so in an error frame, and closed with ${closeCode}`, async () => {
      const socket = await openSocket(`${url}/${service}`);
      socket.send(frame);
      const { code: closed, reason } = await socket.closed;
      const last = socket.frames.at(-1);
      expect(last?.header).toMatchObject({ code, status: 0 });
      expect(last?.header.message).toContain(message);
      expect(last?.header.message).toStartWith(reason.slice(0, 60));
      expect(last?.header.sid).toHaveLength(32);
      expect(closed).toBe(closeCode);
    });
  }

  test("in the middle keeps the results before", async () => {
    const socket = await openSocket(`${url}/echo`);
    socket.send(frameOf("a", 0));
    await socket.next();
    await socket.next();
    socket.send(frameOf("b", 1, {}, "more"));
    expect((await socket.closed).code).toBe(1008);
    expect(socket.frames.map(({ header }) => header.code)).toEqual([0, 0, 10163]);
  });

  test("is refused with 404 before it begins where the path names no service", async () => {
    expect((await post(`${url}/nobody`, {})).status).toBe(404);
    const upgrade = {
      connection: "upgrade",
      upgrade: "websocket",
      "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
      "sec-websocket-version": "13",
    };
    const answer = await fetch(`${url}/nobody`, { headers: upgrade });
    expect([answer.status, ((await answer.json()) as { header: object }).header]).toMatchObject([404, { code: 10404 }]);
    expect((await fetch(`${url}/echo`)).status).toBe(405);
  });

  test("for want of a slot goes to another loader, and is told 10110 when none has one", async () => {
    const held = [await openSocket(`${url}/scarce`), await openSocket(`${url}/scarce`)];
    for (const socket of held) {
      socket.send(frameOf("a", 0));
      expect((await socket.next()).header).toMatchObject({ code: 0, status: 0 });
    }
    const third = await openSocket(`${url}/scarce`);
    third.send(frameOf("a", 0));
    const { code, message } = (await third.next()).header;
    expect([code, message]).toEqual([10110, expect.stringContaining("busy")]);
    expect((await third.closed).code).toBe(1013);
    for (const socket of held) socket.send(frameOf("b", 2));
    for (const socket of held) expect((await socket.closed).code).toBe(1000);
    const next = await openSocket(`${url}/scarce`);
    next.send(frameOf("a", 2));
    expect((await next.closed).code).toBe(1000);
  });

  test("by frames that come faster than its service takes them, or after its end, is told so", async () => {
    const flood = await openSocket(`${url}/echo`);
    const slow = { parameter: { echo: { delayMs: 5000 } } };
    flood.send({ ...frameOf("a", 0), ...slow });
    for (let i = 0; i < 60; i += 1) flood.send(frameOf("x".repeat(60_000), 1));
    expect((await flood.closed).code).toBe(1009);
    expect(flood.frames.at(-1)?.header.code).toBe(10163);
    expect(flood.frames.at(-1)?.header.message).toContain("faster");
    const late = await openSocket(`${url}/echo`);
    late.send({ ...frameOf("a", 2), ...slow });
    late.send(frameOf("b", 1));
    expect((await late.closed).code).toBe(1008);
    expect(late.frames.at(-1)?.header.message).toContain("has ended");
  });

  test("by a frame that is too large is closed with 1009", async () => {
    const socket = await openSocket(`${url}/echo`);
    socket.send(frameOf("a", 0));
    const { header } = await socket.next();
    socket.send(frameOf("x".repeat(400_000), 1));
    expect((await socket.closed).code).toBe(1009);
    const outcome = () => sessions.find((line) => line.sid === header.sid)?.outcome;
    expect(await eventually(() => outcome() === "PAYLOAD_TOO_LARGE")).toBe(true);
    expect(await eventually(async () => (await idleSlots(first.loader, "echo")) === 256)).toBe(true);
  });
});

describe("a client that hangs up", () => {
  test("leaves no session behind: its engine's is destroyed, and its slot free, within a second", async () => {
    for (const leave of ["cut", "close"] as const) {
      const log = join(first.folder, "python/log");
      const destroyed = async () =>
        (await Bun.file(log).exists()) ? (await readFile(log, "utf8")).split("\n").length : 0;
      const before = await destroyed();
      const socket = await openSocket(`${url}/python`);
      socket.send(frameOf("a", 0, {}, "text"));
      await socket.next();
      expect(textOf(await socket.next())).toBe("1:a");
      expect(await idleSlots(first.loader, "python")).toBe(3);
      socket[leave]();
      expect(await eventually(async () => (await destroyed()) > before, 1000)).toBe(true);
      expect(await eventually(async () => (await idleSlots(first.loader, "python")) === 4, 1000)).toBe(true);
    }
  });

  test("ends an engine that computes", async () => {
    const socket = await openSocket(`${url}/echo`);
    socket.send({ ...frameOf("a", 0), parameter: { echo: { delayMs: 30_000 } } });
    await socket.next();
    expect(await idleSlots(first.loader, "echo")).toBe(255);
    socket.cut();
    expect(await eventually(async () => (await idleSlots(first.loader, "echo")) === 256, 1000)).toBe(true);
    expect(await metric(gateway, /^athena_gateway_in_flight\{service="echo"[^}]*\} (\d+)$/m)).toBe(0);
  });
});

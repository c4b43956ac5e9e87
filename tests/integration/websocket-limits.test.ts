import { afterEach, describe, expect, test } from "bun:test";
import { connect as connectTcp, type Socket } from "node:net";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { LogLine, ServiceProcess } from "../../cli/service-process.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { WebSocketRequestSchema, WebSocketResponseSchema } from "../../proto/gen/athena/v1/websocket_pb.ts";
import { startGateway, startLoader, urlOf } from "./cluster.ts";
import { eventually, type Frame, frameOf, idleSlots, openSocket, type TestSocket, textOf } from "./websocket-client.ts";

const running: ServiceProcess[] = [];

afterEach(async () => {
  for (const process of running.splice(0).reverse()) await process.stop();
});

/** A gateway with these settings in front of a loader with the service echo. */
async function start(settings: {
  readonly sessions?: object;
  readonly session?: object;
  readonly [key: string]: unknown;
}) {
  const { session, ...options } = settings;
  const loader = await startLoader(["echo"]);
  running.push(loader);
  const lines: LogLine[] = [];
  const services = [{ id: "echo", endpoints: [urlOf(loader)], ...(session === undefined ? {} : { session }) }];
  const gateway = await startGateway(services, options, (line) => {
    if (line.msg === "session") lines.push(line);
  });
  running.push(gateway);
  return { loader, gateway, lines, url: `${urlOf(gateway)}/v1/private/echo` };
}

const slow = (delayMs: number) => ({ parameter: { echo: { delayMs } } });

describe("a session's time", () => {
  test("is bounded by silence and in the whole, by timers, with an error frame and 4408", async () => {
    for (const [session, words] of [
      [{ idleTimeoutMs: 100 }, "silent for 100 ms"],
      [{ totalTimeoutMs: 100 }, "lasted 100 ms"],
    ] as const) {
      const { loader, url } = await start({ session });
      const socket = await openSocket(url);
      socket.send(frameOf("a", 0));
      expect((await socket.closed).code).toBe(4408);
      const { code, message } = socket.frames.at(-1)?.header ?? { code: 0, message: "" };
      expect([code, message]).toEqual([10114, expect.stringContaining(words)]);
      expect(await eventually(async () => (await idleSlots(loader, "echo")) === 256, 1000)).toBe(true);
    }
  });

  test("is not spent by an engine that works on its last input, nor while frames come", async () => {
    const { url } = await start({ session: { idleTimeoutMs: 300 } });
    const working = await openSocket(url);
    working.send({ ...frameOf("a", 2), ...slow(700) });
    expect((await working.closed).code).toBe(1000);
    const talking = await openSocket(url);
    talking.send(frameOf("a", 0));
    // Frames without data are signs of life.
    for (let i = 0; i < 6; i += 1) {
      await Bun.sleep(100);
      talking.send({ header: { status: 1 } });
    }
    talking.send(frameOf("b", 2));
    expect((await talking.closed).code).toBe(1000);
  });

  test("runs from its first frame: a connection without one is closed too", async () => {
    const { url } = await start({ sessions: { connectionIdleTimeoutMs: 100 } });
    const socket = await openSocket(url);
    expect(await socket.closed).toEqual({ code: 4408, reason: "no session was opened in time" });
  });
});

/** A WebSocket client that reads nothing after the handshake. */
async function openMute(url: string): Promise<{ readonly socket: Socket; send(frame: object): void }> {
  const { hostname, port, pathname } = new URL(url);
  const socket = connectTcp(Number(port), hostname);
  socket.on("error", () => {});
  const head = `GET ${pathname} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n`;
  socket.write(`${head}sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`);
  await new Promise((resolve) => socket.once("data", resolve));
  socket.pause();
  return {
    socket,
    send(frame) {
      const text = Buffer.from(JSON.stringify(frame));
      const length = Buffer.alloc(14);
      length[0] = 0x81;
      length[1] = 0x80 | 127;
      length.writeBigUInt64BE(BigInt(text.length), 2);
      // Masked with zeros, which leaves the text as it is.
      socket.write(Buffer.concat([length, text]));
    },
  };
}

describe("a client that does not read", () => {
  test("holds up its own session alone, costs bounded memory, and is cut off", async () => {
    const { gateway, loader, lines, url } = await start({ sessions: { slowReaderTimeoutMs: 1500 } });
    const memory = async () => Number(/VmRSS:\s+(\d+)/.exec(await Bun.file(`/proc/${gateway.pid}/status`).text())?.[1]);
    const other = await openSocket(url);
    other.send(frameOf("a", 0));
    await other.next();
    await other.next();
    const before = await memory();
    const mute = await openMute(url);
    const text = "x".repeat(1_000_000);
    mute.send(frameOf(text, 0));
    for (let i = 0; i < 100; i += 1) {
      mute.send(frameOf(text, 1));
      other.send(frameOf(`${i}`, 1));
      expect(textOf(await other.next())).toBe(`${i}`);
      if (lines.length > 0) break;
    }
    expect(await eventually(() => lines.length > 0, 10_000)).toBe(true);
    // Too much of its input may wait before the time is over: its results are in the way.
    expect(lines[0]?.outcome).toBeOneOf(["CANCELED", "PAYLOAD_TOO_LARGE"]);
    expect((await memory()) - before).toBeLessThan(150_000);
    expect(await eventually(async () => (await idleSlots(loader, "echo")) === 255)).toBe(true);
    mute.socket.destroy();
    other.send(frameOf("z", 2));
    expect((await other.closed).code).toBe(1000);
  });

  test("is cut off though it sends nothing more", async () => {
    const { lines, url } = await start({ sessions: { slowReaderTimeoutMs: 200, maxWaitingBytes: 100_000_000 } });
    const mute = await openMute(url);
    const closed = new Promise((resolve) => mute.socket.once("close", resolve));
    mute.send(frameOf("x".repeat(8_000_000), 0));
    for (let i = 0; i < 3; i += 1) mute.send(frameOf("x".repeat(8_000_000), 1));
    expect(await eventually(() => lines.length > 0, 10_000)).toBe(true);
    expect([lines[0]?.outcome, lines[0]?.reason]).toEqual(["CANCELED", "the client does not read its results"]);
    mute.socket.resume();
    await closed;
  });
});

/** Sends the first frame of every session, then the second of every session, and so on. */
function interleave(socket: TestSocket, cids: readonly string[], count: number): void {
  for (let i = 0; i < count; i += 1) {
    const status = i === 0 ? 0 : i === count - 1 ? 2 : 1;
    for (const cid of cids) socket.send(frameOf(`${cid}${i}`, status, { cid }));
  }
}

test("a client that is gone without a word is noticed: it is pinged, and cut off when it does not answer", async () => {
  const { lines, url } = await start({ sessions: { pingTimeoutMs: 8000 }, session: { idleTimeoutMs: 60_000 } });
  const mute = await openMute(url);
  const bytes: number[] = [];
  const closed = new Promise((resolve) => mute.socket.once("close", resolve));
  mute.socket.on("data", (chunk) => bytes.push(...Buffer.from(chunk)));
  mute.socket.resume();
  mute.send(frameOf("a", 0));
  await closed;
  const ping = 0x89;
  expect(bytes).toContain(ping);
  expect(await eventually(() => lines.length === 1)).toBe(true);
  expect(lines[0]?.outcome).toBe("CANCELED");
});

describe("one WebSocket with many sessions", () => {
  const byCid = (frames: readonly Frame[], cid: string) => frames.filter(({ header }) => header.cid === cid);

  test("keeps each in its own order, and a slow one in nobody's way", async () => {
    const { url } = await start({});
    const socket = await openSocket(`${url}?stream_mode=multiplex`);
    socket.send({ ...frameOf("slow", 0, { cid: "slow" }), ...slow(1000) });
    const cids = ["a", "b", "c"];
    const texts = (cid: string) => Array.from({ length: 20 }, (_, index) => `${cid}${index}`);
    interleave(socket, cids, 20);
    expect(await eventually(() => cids.every((cid) => byCid(socket.frames, cid).length === 21))).toBe(true);
    expect(byCid(socket.frames, "slow").map(textOf)).toEqual([""]);
    for (const cid of cids) expect(byCid(socket.frames, cid).slice(1).map(textOf)).toEqual(texts(cid));
    const sids = cids.map((cid) => new Set(byCid(socket.frames, cid).map(({ header }) => header.sid)));
    expect(sids.map(({ size }) => size)).toEqual([1, 1, 1]);
    expect(new Set(sids.flatMap((set) => [...set])).size).toBe(3);
    // A name is free again when its session has ended.
    for (const status of [0, 2]) socket.send(frameOf("again", status, { cid: "a" }));
    expect(await eventually(() => byCid(socket.frames, "a").length === 24)).toBe(true);
    socket.close();
  });

  test("goes on after the errors of one; it has as many as it may, and frames need a cid", async () => {
    const { url, loader } = await start({ sessions: { maxPerConnection: 2 } });
    const socket = await openSocket(`${url}?stream_mode=multiplex`);
    const codeOf = async (frame: unknown) => {
      socket.send(frame);
      const { code, cid } = (await socket.next()).header;
      return [code, cid];
    };
    expect(await codeOf(frameOf("a", 0))).toEqual([10163, undefined]);
    expect(await codeOf("{")).toEqual([10163, undefined]);
    expect(await codeOf(frameOf("a", 0, { cid: "bad" }, "more"))).toEqual([10163, "bad"]);
    // What follows a session that has failed was on its way, and is dropped.
    socket.send(frameOf("a", 1, { cid: "bad" }));
    expect(await codeOf(frameOf("a", 1, { cid: "nobody" }))).toEqual([10008, "nobody"]);
    for (const cid of ["x", "y"]) {
      expect(await codeOf(frameOf("a", 0, { cid }))).toEqual([0, cid]);
      await socket.next();
    }
    expect(await codeOf(frameOf("a", 0, { cid: "z" }))).toEqual([10110, "z"]);
    socket.send(frameOf("b", 2, { cid: "x" }));
    expect((await socket.next()).header).toMatchObject({ cid: "x", status: 2 });
    socket.cut();
    expect(await eventually(async () => (await idleSlots(loader, "echo")) === 256, 1000)).toBe(true);
  });
});

describe("a gateway that shuts down", () => {
  test("closes connections without a session with 1001, lets sessions end, and tells those that do not", async () => {
    const { gateway, url } = await start({ drainTimeoutMs: 1500 });
    const idle = await openSocket(url);
    const [short, long] = [await openSocket(url), await openSocket(url)];
    const many = await openSocket(`${url}?stream_mode=multiplex`);
    for (const socket of [short, long]) socket.send(frameOf("a", 0));
    many.send(frameOf("a", 0, { cid: "a" }));
    for (const socket of [short, long, many]) for (let i = 0; i < 2; i += 1) await socket.next();
    gateway.kill("SIGTERM");
    expect((await idle.closed).code).toBe(1001);
    many.send(frameOf("a", 0, { cid: "b" }));
    expect((await many.next()).header).toMatchObject({ code: 10223, cid: "b" });
    many.send(frameOf("b", 2, { cid: "a" }));
    short.send(frameOf("b", 2));
    expect(textOf(await short.next())).toBe("b");
    expect((await short.closed).code).toBe(1000);
    expect((await many.closed).code).toBe(1001);
    expect((await long.next()).header).toMatchObject({ code: 10223 });
    expect((await long.closed).code).toBe(1001);
    expect(await gateway.exited).toBe(1);
  });

  test("exits with 0 when every session has ended in time", async () => {
    const { gateway, url } = await start({});
    const socket = await openSocket(url);
    socket.send(frameOf("a", 0));
    await socket.next();
    gateway.kill("SIGTERM");
    socket.send(frameOf("b", 2));
    expect((await socket.closed).code).toBe(1000);
    expect(await gateway.exited).toBe(0);
  });
});

describe("a gateway that has as many as it may", () => {
  test("refuses sessions and connections with 1013", async () => {
    const { url } = await start({ sessions: { max: 1, maxConnections: 2 } });
    const first = await openSocket(url);
    first.send(frameOf("a", 0));
    await first.next();
    const second = await openSocket(url);
    const third = await openSocket(url);
    expect((await third.closed).code).toBe(1013);
    expect(third.frames[0]?.header.code).toBe(10110);
    second.send(frameOf("a", 0));
    expect((await second.closed).code).toBe(1013);
    expect(second.frames[0]?.header.message).toContain("1 sessions");
    first.send(frameOf("b", 2));
    expect((await first.closed).code).toBe(1000);
  });
});

describe("frames of protobuf", () => {
  test("carry a session without base64, and its errors", async () => {
    const { url } = await start({});
    const socket = new WebSocket(url.replace("http", "ws"), ["other", "athena.v1.proto"]);
    socket.binaryType = "arraybuffer";
    const answers: ReturnType<typeof read>[] = [];
    const read = (data: unknown) => fromBinary(WebSocketResponseSchema, new Uint8Array(data as ArrayBuffer));
    socket.onmessage = ({ data }) => answers.push(read(data));
    const closed = new Promise<number>((resolve) => {
      socket.onclose = ({ code }) => resolve(code);
    });
    await new Promise((resolve) => {
      socket.onopen = resolve;
    });
    expect(socket.protocol).toBe("athena.v1.proto");
    const send = (message: Parameters<typeof create<typeof WebSocketRequestSchema>>[1]) =>
      socket.send(toBinary(WebSocketRequestSchema, create(WebSocketRequestSchema, message)));
    const part = (text: string) => ({ name: "data", type: PartType.TEXT, data: new TextEncoder().encode(text) });
    send({
      message: { case: "open", value: { headers: { app_id: "1" }, parameters: { delayMs: "1" }, parts: [part("a")] } },
    });
    send({ message: { case: "input", value: { parts: [part("b")] } } });
    send({ message: { case: "input", value: { parts: [part("c")] } }, end: true });
    expect(await closed).toBe(1000);
    expect(answers[0]?.opened?.sid).toHaveLength(32);
    const texts = answers.slice(1).map(({ response }) => new TextDecoder().decode(response?.parts[0]?.data));
    expect(texts).toEqual(["a", "b", "c"]);
  });
});

describe("a session that was cut off", () => {
  async function resumable(url: string): Promise<{ socket: TestSocket; sid: string; token: string }> {
    const socket = await openSocket(`${url}?resume=true`);
    socket.send(frameOf("a", 0, { seq: 1 }));
    const { sid, resume_token: token = "" } = (await socket.next()).header;
    await socket.next();
    return { socket, sid, token };
  }
  const resume = (sid: string, token: string, ack: number) => ({ header: { sid, resume_token: token, ack } });

  test("goes on over another connection, from the frame that its client has", async () => {
    const { loader, lines, url } = await start({});
    const { socket, sid, token } = await resumable(url);
    socket.cut();
    expect(await idleSlots(loader, "echo")).toBe(255);
    const next = await openSocket(`${url}?resume=true`);
    next.send(resume(sid, token, 1));
    expect((await next.next()).header).toMatchObject({ sid, ack: 1, resume_token: token });
    const again = await next.next();
    expect([textOf(again), again.header.seq]).toEqual(["a", 2]);
    next.send(frameOf("b", 2, { seq: 2, ack: 2 }));
    const last = await next.next();
    expect([textOf(last), last.header.seq, last.header.status]).toEqual(["b", 3, 2]);
    expect((await next.closed).code).toBe(1000);
    expect(await eventually(() => lines.length === 1)).toBe(true);
    expect(lines).toMatchObject([{ sid, outcome: "OK", framesIn: 2, framesOut: 2 }]);
    expect(await eventually(async () => (await idleSlots(loader, "echo")) === 256)).toBe(true);
  });

  test("leaves the connection that it is taken from", async () => {
    const { url } = await start({});
    const { socket, sid, token } = await resumable(url);
    const next = await openSocket(`${url}?resume=true`);
    next.send(resume(sid, token, 2));
    expect((await socket.closed).code).toBe(4409);
    next.send(frameOf("b", 2, { seq: 2 }));
    expect((await next.closed).code).toBe(1000);
  });

  test("is destroyed when its client does not come back in time, at once when it says goodbye or never asked", async () => {
    const { loader, url } = await start({ sessions: { resumeWindowMs: 1500 } });
    const { socket, sid, token } = await resumable(url);
    socket.cut();
    await Bun.sleep(500);
    expect(await idleSlots(loader, "echo")).toBe(255);
    expect(await eventually(async () => (await idleSlots(loader, "echo")) === 256, 3000)).toBe(true);
    const late = await openSocket(`${url}?resume=true`);
    late.send(resume(sid, token, 1));
    expect((await late.closed).code).toBe(4404);
    expect(late.frames[0]?.header.code).toBe(10008);
    const polite = await resumable(url);
    polite.socket.close();
    expect(await eventually(async () => (await idleSlots(loader, "echo")) === 256, 1000)).toBe(true);
  });

  test("is not given to one who does not know its token", async () => {
    const { url } = await start({});
    const { sid, token } = await resumable(url);
    for (const wrong of ["", "x", token.slice(1), `${token}x`]) {
      const thief = await openSocket(`${url}?resume=true`);
      thief.send(resume(sid, wrong, 1));
      expect((await thief.closed).code).toBe(4404);
    }
  });

  test("ends with its connection where the gateway is told so", async () => {
    const { loader, url } = await start({ sessions: { resumeWindowMs: 0 } });
    const { socket, token } = await resumable(url);
    expect(token).toBe("");
    socket.cut();
    expect(await eventually(async () => (await idleSlots(loader, "echo")) === 256, 1000)).toBe(true);
  });
});

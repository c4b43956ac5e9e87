import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Socket } from "bun";
import fc from "fast-check";
import { encodeFrame, frameKind } from "./frames.ts";
import { writeText } from "./messages.ts";
import { listenForWorker } from "./worker-channel.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

function build(maxFrameBytes = 10_000) {
  const folder = mkdtempSync(join(tmpdir(), "channel-test-"));
  const path = join(folder, "socket");
  const seen: string[] = [];
  const channel = listenForWorker(path, "secret", maxFrameBytes, {
    onHello: () => void seen.push("hello"),
    onFrame: ({ kind, callId, body }) => void seen.push(`${kind} ${callId} ${body.length}`),
    onLost: (error) => void seen.push(error === undefined ? "lost" : `broken: ${error}`),
  });
  cleanups.push(() => {
    channel.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { path, seen };
}

/** A connection, and whether the other side has ended it. */
async function connect(path: string): Promise<{ socket: Socket; isClosed: () => boolean }> {
  let closed = false;
  const close = (): void => {
    closed = true;
  };
  const socket = await Bun.connect({ unix: path, socket: { data() {}, close } });
  cleanups.push(() => socket.terminate());
  return { socket, isClosed: () => closed };
}

async function eventually(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error("the condition never held");
    await Bun.sleep(2);
  }
}

const bytesOf = (kind: number, callId: number, text: string): Uint8Array =>
  Buffer.concat(encodeFrame(kind, callId, writeText(text)));
const hello = bytesOf(frameKind.hello, 0, "secret");

describe("a worker's channel", () => {
  test("lets in who knows the secret, whatever strangers said before and half said meanwhile", async () => {
    const { path, seen } = build();
    const half = await connect(path);
    half.socket.write(hello.subarray(0, 7));
    const wrong = await connect(path);
    wrong.socket.write(bytesOf(frameKind.hello, 0, "guess"));
    const early = await connect(path);
    early.socket.write(bytesOf(frameKind.ready, 0, ""));
    const large = await connect(path);
    large.socket.write(new Uint8Array([0xff, 0xff, 0, 0, 64]));
    await eventually(() => wrong.isClosed() && early.isClosed() && large.isClosed());
    expect(seen).toEqual([]);

    const worker = await connect(path);
    worker.socket.write(hello.subarray(0, 11));
    worker.socket.write(hello.subarray(11));
    await eventually(() => seen.length === 1);
    worker.socket.write(bytesOf(frameKind.result, 7, "abc"));
    await eventually(() => seen.length === 2);
    expect(seen).toEqual(["hello", `${frameKind.result} 7 7`]);
    half.socket.write(hello.subarray(7));
    await eventually(half.isClosed);
    expect(seen.length).toBe(2);
  });

  test("lets in nobody else after the worker, and tells when the worker leaves", async () => {
    const { path, seen } = build();
    const worker = await connect(path);
    worker.socket.write(hello);
    await eventually(() => seen.length === 1);
    await expect(connect(path)).rejects.toThrow();
    worker.socket.end();
    await eventually(() => seen.length === 2);
    expect(seen).toEqual(["hello", "lost"]);
  });

  test("ends with the worker's garbage, and says so once", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 5, maxLength: 200 }), async (garbage) => {
        const { path, seen } = build(300);
        const worker = await connect(path);
        worker.socket.write(hello);
        await eventually(() => seen.length === 1);
        worker.socket.write(garbage);
        worker.socket.end();
        await eventually(() => seen.some((line) => line === "lost" || line.startsWith("broken: FrameError")));
        expect(seen.filter((line) => line === "lost" || line.startsWith("broken")).length).toBe(1);
      }),
      { numRuns: 30 },
    );
  });
});

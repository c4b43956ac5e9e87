import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { childEnvironment } from "../../../config/child-environment.ts";
import { encodeFrame, type Frame, frameKind } from "../host/frames.ts";
import { readFailure, readResult, writeConfig, writeInput, writeRequest } from "../host/messages.ts";
import { listenForWorker } from "../host/worker-channel.ts";
import { createSocketFolder, spawnWorker } from "../host/worker-start.ts";
import { buildNativeHost } from "./build.ts";
import { compileLibrary, removeFolder, requestOf, textPart } from "./test-library.ts";

/** Frames of which the loader would take no larger one. */
const maxFrameBytes = 10_000;
let folder: string;
let library: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-large-"));
  library = await compileLibrary("native.cpp", folder);
});

afterAll(() => removeFolder(folder));

/** A worker as a loader talks to it, and how each call ended. */
async function startWorker() {
  const socket = await createSocketFolder();
  const ready = Promise.withResolvers<void>();
  const said = new Map<number, PromiseWithResolvers<string>>();
  const config = { library, async: "false", threads: "2", maxFrameBytes: String(maxFrameBytes) };
  const channel = listenForWorker(socket.path, "secret", maxFrameBytes, {
    onHello: () => channel.send(encodeFrame(frameKind.init, 0, writeConfig(config))),
    onFrame(frame) {
      if (frame.kind === frameKind.ready) ready.resolve();
      if (frame.kind === frameKind.result || frame.kind === frameKind.failed)
        said.get(frame.callId)?.resolve(wordsOf(frame));
    },
    onLost: () => {
      for (const outcome of said.values()) outcome.resolve("the connection is lost");
    },
  });
  const child = spawnWorker({ command: [await buildNativeHost()], env: childEnvironment() }, socket.path, "secret");
  await ready.promise;
  return {
    async ask(callId: number, ...frames: readonly (readonly Uint8Array[])[]) {
      const outcome = Promise.withResolvers<string>();
      said.set(callId, outcome);
      channel.send(frames.flat());
      return outcome.promise;
    },
    async stop() {
      child.kill("SIGKILL");
      await child.exited;
      channel.close();
      await socket.remove();
    },
  };
}

function wordsOf({ kind, body }: Frame): string {
  if (kind === frameKind.failed) return readFailure(body).message;
  return `${readResult(body).parts[0]?.data.length} bytes`;
}

test("an answer that is larger than a frame fails alone, once and in a session", async () => {
  const worker = await startWorker();
  const large = "x".repeat(maxFrameBytes);
  const exec = (callId: number, text: string) => encodeFrame(frameKind.exec, callId, writeRequest(requestOf(text)));
  expect(await worker.ask(1, exec(1, large))).toBe("the answer is larger than 10000 bytes");
  const create = encodeFrame(frameKind.create, 2, writeRequest({ ...requestOf("", { sid: "t" }), parts: [] }));
  const write = encodeFrame(frameKind.write, 2, writeInput({ parts: [textPart(large)], last: true }));
  expect(await worker.ask(2, create, write)).toBe("the answer is larger than 10000 bytes");
  expect(await worker.ask(3, exec(3, "small"))).toMatch(/^\d+ bytes$/);
  await worker.stop();
});

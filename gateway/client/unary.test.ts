import { afterEach, describe, expect, test } from "bun:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { InferResponseSchema } from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { createLoaderClient } from "./loader-client.ts";
import { answerBytes, callOptions, errorOf, proto, request, serve, serveRaw, stopServers } from "./test-loader.ts";

const maxResponseBytes = 100_000;
const client = createLoaderClient({ maxResponseBytes });

afterEach(stopServers);

describe("a call's end", () => {
  test("is DEADLINE_EXCEEDED when no answer comes in time, before or in the middle of it", async () => {
    const silent = serveRaw("", "keep");
    expect((await errorOf(client.infer(silent, request, callOptions(30)))).reason).toBe("DEADLINE_EXCEEDED");
    const halting = serveRaw(
      "HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ncontent-length: 9\r\n\r\nab",
      "keep",
    );
    expect((await errorOf(client.infer(halting, request, callOptions(30)))).reason).toBe("DEADLINE_EXCEEDED");
  });

  test("is DEADLINE_EXCEEDED without a call when the deadline has passed", async () => {
    let calls = 0;
    const endpoint = serve(() => {
      calls += 1;
      return proto(answerBytes);
    });
    expect((await errorOf(client.infer(endpoint, request, callOptions(0)))).reason).toBe("DEADLINE_EXCEEDED");
    const aborted = callOptions(1000, AbortSignal.abort());
    expect((await errorOf(client.infer(endpoint, request, aborted))).reason).toBe("CANCELED");
    expect(calls).toBe(0);
  });

  test("is CANCELED when the caller hangs up, and the loader hears of it", async () => {
    const arrived = Promise.withResolvers<void>();
    const heard = Promise.withResolvers<void>();
    const endpoint = serve(({ signal }) => {
      signal.addEventListener("abort", () => heard.resolve());
      arrived.resolve();
      return heard.promise.then(() => proto(answerBytes));
    });
    const caller = new AbortController();
    const answer = errorOf(client.infer(endpoint, request, callOptions(5000, caller.signal)));
    await arrived.promise;
    caller.abort(new Error("a reason of the caller's own"));
    expect((await answer).reason).toBe("CANCELED");
    await heard.promise;
  });
});

describe("an answer's size", () => {
  const large = "x".repeat(maxResponseBytes + 1);

  test("is bounded when the answer states its length", async () => {
    const endpoint = serve(() => proto(new TextEncoder().encode(large)));
    const error = await errorOf(client.infer(endpoint, request, callOptions()));
    expect(error.reason).toBe("OUTPUT_UNEXPECTED");
    expect(error.message).toContain("'echo'");
  });

  test("is bounded when the answer comes in chunks, and its rest is not read", async () => {
    const cancelled = Promise.withResolvers<void>();
    const endpoint = serve(() => {
      const body = new ReadableStream({
        pull(controller) {
          controller.enqueue(new Uint8Array(10_000));
        },
        cancel: () => cancelled.resolve(),
      });
      return new Response(body, { headers: { "content-type": "application/proto" } });
    });
    const error = await errorOf(client.infer(endpoint, request, callOptions()));
    expect(error.reason).toBe("OUTPUT_UNEXPECTED");
    await cancelled.promise;
  });

  test("up to the bound is read, in chunks too", async () => {
    const part = { name: "data", type: PartType.OTHER, data: new Uint8Array(90_000).fill(7) };
    const bytes = toBinary(InferResponseSchema, create(InferResponseSchema, { parts: [part] }));
    const endpoint = serve(() => {
      const chunks = [bytes.subarray(0, 40_000), bytes.subarray(40_000)].values();
      const body = new ReadableStream({
        pull(controller) {
          const { value } = chunks.next();
          if (value === undefined) controller.close();
          else controller.enqueue(value);
        },
      });
      return new Response(body, { headers: { "content-type": "application/proto" } });
    });
    const answer = await client.infer(endpoint, request, callOptions());
    expect(answer.parts[0]?.data).toEqual(part.data);
  });

  test("is that of its bytes on the wire: a compressed answer is not unpacked", async () => {
    const packed = Bun.gzipSync(new Uint8Array(maxResponseBytes * 10));
    const endpoint = serve(() => proto(packed, { "content-encoding": "gzip" }));
    const error = await errorOf(client.infer(endpoint, request, callOptions()));
    expect(error.reason).toBe("INTERNAL");
  });

  test("is bounded for errors too", async () => {
    const endpoint = serve(() => Response.json({ code: "internal", message: "x".repeat(70_000) }, { status: 500 }));
    expect((await errorOf(client.infer(endpoint, request, callOptions()))).reason).toBe("OUTPUT_UNEXPECTED");
  });
});

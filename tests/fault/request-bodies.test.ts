import { afterAll, describe, expect, test } from "bun:test";
import { type ClientHttp2Session, connect } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import fc from "fast-check";
import { addressOf } from "../../cli/service-process.ts";
import {
  InferRequestSchema,
  InferServerStreamRequestSchema,
  InferStreamRequestSchema,
} from "../../proto/gen/athena/v1/inference_pb.ts";
import { ModelInferRequestSchema } from "../../proto/gen/inference/grpc_service_pb.ts";
import { startCluster } from "../conformance/oip/cluster.ts";

/*
 * Good requests of which something was changed, and what is odd put into them, in every protocol: each is answered, and
 * never as if the fault were the gateway's.
 */

const cluster = await startCluster(["echo", "tensors"], { limits: { maxBodyBytes: 200_000 } });

afterAll(async () => {
  await cluster.stop();
});

const envelope = {
  header: { app_id: "1", uid: "u", status: 3 },
  parameter: { echo: { delayMs: 0, data: { encoding: "utf8", format: "json" } } },
  payload: { data: { encoding: "utf8", status: 3, text: "eyJhIjoxfQ==" } },
};
const message = {
  service: "echo",
  headers: { app_id: "1", uid: "u" },
  parameters: { delayMs: "0" },
  expects: [{ name: "data", attributes: { format: "json" } }],
  parts: [{ name: "data", type: "PART_TYPE_TEXT", attributes: { format: "json" }, data: "eyJhIjoxfQ==" }],
};
const tensors = {
  id: "1",
  parameters: { delayMs: 0, priority: 1 },
  inputs: [
    { name: "int64", datatype: "INT64", shape: [2], data: [1, -2] },
    { name: "bytes", datatype: "BYTES", shape: [1], data: ["a"], parameters: { note: "n" } },
    { name: "fp32", datatype: "FP32", shape: [1, 2], data: [[1.5, 2]] },
  ],
  outputs: [{ name: "fp32" }, { name: "int64" }],
};
const generated = {
  ...{ id: "1", parameters: { delayMs: 0, priority: 1 } },
  ...{ text_input: "a", int64: [1, -2], fp32: [[1.5, 2]] },
};
const ownRequest = create(InferRequestSchema, {
  ...{ service: "echo", headers: message.headers, parameters: message.parameters },
  parts: [{ name: "data", type: 1, data: new Uint8Array([1, 2]) }],
});
const ownMessage = toBinary(InferRequestSchema, ownRequest);
const streamMessage = toBinary(
  InferServerStreamRequestSchema,
  create(InferServerStreamRequestSchema, { request: ownRequest }),
);
const openMessage = toBinary(
  InferStreamRequestSchema,
  create(InferStreamRequestSchema, { message: { case: "open", value: ownRequest } }),
);
const tensorMessage = toBinary(
  ModelInferRequestSchema,
  create(ModelInferRequestSchema, {
    modelName: "tensors",
    inputs: [{ name: "int64", datatype: "INT64", shape: [2n], contents: { int64Contents: [1n, 2n] } }],
    // Asks for no output: without its input the engine would not have it, which is an error of the engine's.
  }),
);

/** JSON that is odd wherever it stands. */
const odd = fc.oneof(
  fc.constantFrom(
    ...["null", "[]", "{}", '""', "true", "-1", "0.5", "1e999", "-0.0", "18446744073709551616", "9".repeat(400)],
    ...['"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"__proto__"', '{"__proto__":1}', '{"constructor":{}}', '"NaN"'],
    ...['{"a":1,"a":2}', '"2147483648"', '"x\\r\\n: y"', "NaN", `${"[".repeat(40)}${"]".repeat(40)}`, "[".repeat(5000)],
    `"${"A".repeat(5000)}"`,
  ),
  fc.json(),
);

/** The text of JSON in which one value, or the name of one, is another, or something stands twice. */
function changed(document: unknown): fc.Arbitrary<string> {
  const text = JSON.stringify(document);
  const places = [...text.matchAll(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|[[{]/g)].map(({ 0: token, index }) => ({
    start: index,
    end: index + token.length,
  }));
  const bytes = new TextEncoder().encode(text);
  const replaced = fc.tuple(fc.constantFrom(...places), odd).map(([{ start, end }, value]) => {
    const isOpening = text[start] === "{" || text[start] === "[";
    // An object or a list gets one more member, of a name that it may have already.
    const piece = text[start] === "{" ? `{"data":${value},` : isOpening ? `[${value},` : value;
    return text.slice(0, start) + piece + text.slice(end);
  });
  return fc.oneof(
    { weight: 6, arbitrary: replaced },
    { weight: 1, arbitrary: fc.nat(text.length).map((length) => text.slice(0, length)) },
    { weight: 1, arbitrary: changedBytes(bytes).map((some) => Buffer.from(some).toString("latin1")) },
  );
}

/** Bytes of which some are others, or that break off. */
function changedBytes(bytes: Uint8Array): fc.Arbitrary<Uint8Array<ArrayBuffer>> {
  const changes = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  return fc.tuple(changes, fc.option(fc.nat(bytes.length))).map(([all, length]) => {
    const copy = new Uint8Array(bytes);
    for (const [at, value] of all) copy[at] = value;
    return length === null ? copy : copy.slice(0, length);
  });
}

async function post(path: string, type: string, body: string | Uint8Array<ArrayBuffer>, accept = "*/*") {
  const headers = { "content-type": type, accept };
  const response = await fetch(cluster.url + path, { method: "POST", headers, body });
  return { status: response.status, text: await response.text() };
}

const runs = { numRuns: 300 };
/** Statuses that say whose fault it is: the client's, or that what it wants is not done here. */
const isFair = (status: number): boolean => (status >= 200 && status < 500) || status === 501;

describe("JSON of which something was changed is answered, and not with a fault of the gateway's", () => {
  const infer = "/athena.v1.InferenceService/Infer";
  test.each<[string, string, object, string]>([
    ["an envelope", "/echo", envelope, "*/*"],
    ["an envelope whose results come as events", "/echo", envelope, "text/event-stream"],
    ["a message over Connect", infer, message, "*/*"],
    ["a request of tensors", "/v2/models/tensors/infer", tensors, "*/*"],
    ["a request to generate", "/v2/models/tensors/generate", generated, "*/*"],
    ["a request to generate as a stream", "/v2/models/echo/generate_stream", { text_input: "a", delayMs: 0 }, "*/*"],
  ])("%s", async (_, path, document, accept) => {
    const before = await post(path, "application/json", JSON.stringify(document), accept);
    expect(before.status).toBe(200);
    const property = fc.asyncProperty(changed(document), async (body) => {
      const { status, text } = await post(path, "application/json", body, accept);
      expect({ isFair: isFair(status), status, text: text.slice(0, 300) }).toMatchObject({ isFair: true });
      // Once the head is sent, the last event alone can tell.
      expect(text).not.toMatch(/event: error\ndata: \{"header":\{"code":(11502|102\d\d|109\d\d)/);
    });
    await fc.assert(property, runs);
    expect((await post(path, "application/json", JSON.stringify(document), accept)).status).toBe(200);
  });
});

/** Sends one message over gRPC; gives the code of its status. */
function callGrpc(session: ClientHttp2Session, path: string, body: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" };
    const stream = session.request(headers);
    let status = -1;
    const note = (received: Readonly<Record<string, unknown>>): void => {
      if (received["grpc-status"] !== undefined) status = Number(received["grpc-status"]);
    };
    stream.on("response", note);
    stream.on("trailers", note);
    stream.on("error", reject);
    stream.on("close", () => resolve(status));
    stream.resume();
    stream.end(framed(body));
  });
}

/** A message as gRPC, gRPC-Web and streams of Connect send it. */
function framed(body: Uint8Array): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(5 + body.length);
  new DataView(frame.buffer).setUint32(1, body.length);
  frame.set(body, 5);
  return frame;
}

describe("a message of which bytes were changed is answered, and not with a fault of the gateway's", () => {
  const faults: readonly number[] = [-1, Code.Unknown, Code.Internal, Code.Unavailable, Code.DataLoss];

  test("over Connect", async () => {
    const property = fc.asyncProperty(changedBytes(ownMessage), async (body) => {
      const { status, text } = await post("/athena.v1.InferenceService/Infer", "application/proto", body);
      expect({ isFair: isFair(status), status, text: text.slice(0, 300) }).toMatchObject({ isFair: true });
    });
    await fc.assert(property, runs);
  });

  test.each([
    ["a stream over Connect", "application/connect+proto", "InferServerStream", streamMessage],
    ["a stream over gRPC-Web", "application/grpc-web+proto", "InferServerStream", streamMessage],
    ["over gRPC-Web", "application/grpc-web+proto", "Infer", ownMessage],
    ["the first of a session over Connect", "application/connect+proto", "InferStream", openMessage],
    ["the first of a session over gRPC-Web", "application/grpc-web+proto", "InferStream", openMessage],
  ] as const)("%s", async (_, type, method, valid) => {
    const call = (body: Uint8Array) => post(`/athena.v1.InferenceService/${method}`, type, framed(body));
    const wrong = /"code":"(unknown|internal|unavailable|data_loss)"|grpc-status: (2|13|14|15)\r/;
    expect((await call(valid)).text).toMatch(/(\{\}|grpc-status: 0\r\n)$/);
    const unreadable = await call(new Uint8Array([255]));
    expect([unreadable.status, unreadable.text]).toEqual([
      200,
      expect.stringMatching(/"code":"invalid_argument"|grpc-status: 3\r/),
    ]);
    const property = fc.asyncProperty(changedBytes(valid), async (body) => {
      const { status, text } = await call(body);
      expect(status).toBe(200);
      expect(text).not.toMatch(wrong);
    });
    await fc.assert(property, { numRuns: 100 });
  });

  test.each([
    ["of the contract", "/athena.v1.InferenceService/Infer", ownMessage],
    ["of tensors", "/inference.GRPCInferenceService/ModelInfer", tensorMessage],
  ] as const)("over gRPC, %s", async (_, path, valid) => {
    const session = connect(addressOf(cluster.gateway, "grpc"));
    expect(await callGrpc(session, path, valid)).toBe(0);
    const property = fc.asyncProperty(changedBytes(valid), async (body) => {
      expect(faults).not.toContain(await callGrpc(session, path, body));
    });
    await fc.assert(property, runs);
    expect(await callGrpc(session, path, valid)).toBe(0);
    session.close();
  });
});

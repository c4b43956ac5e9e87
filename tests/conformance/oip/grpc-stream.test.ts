import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { addressOf, type LogLine, type ServiceProcess } from "../../../cli/service-process.ts";
import { GRPCInferenceService, type ModelStreamInferResponse } from "../../../proto/gen/inference/grpc_service_pb.ts";
import { sessionWrapper } from "../../fixtures/session-wrapper.ts";
import { startGateway, urlOf } from "../../integration/cluster.ts";
import { eventually, idleSlots, startLoaderOf, type TestLoader } from "../../integration/websocket-client.ts";

const text = "inputs: { text: { type: text } }\noutputs: { result: { type: text } }";
/** Gives each word of a text as a result of its own; "fail" is an error. */
const speaker = sessionWrapper('len(words), lambda n: None if words[n] == "fail" else words[n].encode(), 0');
const echo = `id: chunks
engine: { kind: echo }
inputs: { result: { type: text } }
outputs: { result: { type: text } }
parameters: { delayMs: { type: integer }, failWith: { type: string } }
once: false
stream: true
`;
let loader: TestLoader;
let gateway: ServiceProcess;
let models: Client<typeof GRPCInferenceService>;
const lines: LogLine[] = [];

beforeAll(async () => {
  const once = echo.replace("chunks", "single").replace("once: false\nstream: true", "");
  const speak = `id: speaker\nengine: { kind: python, threads: 2 }\n${text}\nonce: false\nstream: true\n`;
  loader = await startLoaderOf({ chunks: echo, single: once, speaker: speak }, async (folder) => {
    await Bun.write(join(folder, "speaker/wrapper.py"), speaker);
  });
  const rules = [
    { service: "single", when: { "$.parameter.any.delayMs": [1] } },
    { service: "chunks", when: { "$.payload.result.encoding": ["utf8"] } },
  ];
  gateway = await startGateway(
    ["chunks", "single", "speaker"].map((id) => ({ id, endpoints: [urlOf(loader.loader)] })),
    { categories: [{ id: "any", rules }] },
    (line) => {
      if (line.name === "access") lines.push(line);
    },
  );
  models = createClient(GRPCInferenceService, createGrpcTransport({ baseUrl: addressOf(gateway, "grpc") }));
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
});

type Value = boolean | bigint | string;

function choiceOf(value: Value) {
  if (typeof value === "boolean") return { case: "boolParam" as const, value };
  return typeof value === "bigint" ? { case: "int64Param" as const, value } : { case: "stringParam" as const, value };
}

function requestOf(modelName: string, id: string, words: string, parameters: Readonly<Record<string, Value>> = {}) {
  const name = modelName === "speaker" ? "text" : "result";
  const contents = { bytesContents: [new TextEncoder().encode(words)] };
  const given = Object.entries(parameters).map(([key, value]) => [key, { parameterChoice: choiceOf(value) }] as const);
  return {
    modelName,
    id,
    inputs: [{ name, datatype: "BYTES", shape: [1n], contents }],
    parameters: Object.fromEntries(given),
  };
}

type Request = ReturnType<typeof requestOf>;

/** An answer in short: its id, then its error, or its data and a mark behind the last one. */
function shown({ errorMessage, inferResponse }: ModelStreamInferResponse): string {
  if (errorMessage !== "") return `${inferResponse?.id}: ${errorMessage}`;
  const isFinal = inferResponse?.parameters.triton_final_response?.parameterChoice.value === true;
  const data = inferResponse?.rawOutputContents.map((raw) => new TextDecoder().decode(raw.subarray(4))).join();
  return `${inferResponse?.id}: ${data}${isFinal ? "." : ""}`;
}

async function* each(requests: readonly Request[]): AsyncGenerator<Request> {
  yield* requests;
}

async function answersTo(...requests: readonly Request[]): Promise<string[]> {
  const seen: string[] = [];
  for await (const answer of models.modelStreamInfer(each(requests), { timeoutMs: 20_000 })) seen.push(shown(answer));
  return seen;
}

describe("a stream of requests", () => {
  test("gets every result of a service that streams, and the last one marked", async () => {
    expect(await answersTo(requestOf("speaker", "7", "one two three"))).toEqual(["7: one", "7: two", "7: three."]);
    const isDecoupled = async (name: string) =>
      (await models.modelConfig({ name })).config?.modelTransactionPolicy?.decoupled ?? false;
    expect([await isDecoupled("speaker"), await isDecoupled("single")]).toEqual([true, false]);
  });

  test("is answered by whichever service is ready first", async () => {
    const slow = requestOf("chunks", "slow", "a", { delayMs: 700n });
    const answers = await answersTo(slow, requestOf("single", "once", "b"), requestOf("speaker", "many", "c d"));
    expect(answers.at(-1)).toBe("slow: a.");
    expect(answers.toSorted()).toEqual(["many: c", "many: d.", "once: b.", "slow: a."]);
  });

  test("goes on behind an error, which has its request's id", async () => {
    const answers = await answersTo(
      requestOf("speaker", "1", "a fail b"),
      requestOf("speaker", "2", ""),
      requestOf("speaker", "3", "c"),
    );
    expect(answers.toSorted()).toEqual(["1: a", "1: the wrapper broke", "2: inputs.text: must not be empty", "3: c."]);
  });

  test("ends every request down to the engine when its client leaves, and each is logged once", async () => {
    const leaving = new AbortController();
    const slow = ["1", "2", "3"].map((id) => requestOf("chunks", id, "a", { delayMs: 30_000n }));
    async function* open() {
      yield* slow;
      await new Promise(() => {});
    }
    const reading = Array.fromAsync(models.modelStreamInfer(open(), { signal: leaving.signal })).catch(
      ConnectError.from,
    );
    const total = await idleSlots(loader.loader, "single");
    expect(await eventually(async () => (await idleSlots(loader.loader, "chunks")) === total - 3)).toBe(true);
    leaving.abort();
    await reading;
    expect(await eventually(async () => (await idleSlots(loader.loader, "chunks")) === total)).toBe(true);
    // The log comes in lots, and with what was there before.
    const ends = () => lines.filter(({ outcome }) => outcome === "CANCELED");
    expect(await eventually(() => ends().length >= 3)).toBe(true);
    expect(ends().map(({ msg, protocol, service }) => [msg, protocol, service])).toEqual(
      Array(3).fill(["session", "oip-grpc", "chunks"]),
    );
  });
});

describe("a sequence", () => {
  const start = { sequence_start: true };
  const end = { sequence_end: true };

  test("is one session, whatever other sequences are on its stream", async () => {
    const answers = await answersTo(
      requestOf("chunks", "1", "a", { sequence_id: 5n, ...start }),
      requestOf("chunks", "2", "A", { sequence_id: "five", ...start }),
      requestOf("chunks", "3", "b", { sequence_id: 5n }),
      requestOf("chunks", "4", "B", { sequence_id: "five", ...end }),
      requestOf("chunks", "5", "c", { sequence_id: 5n, ...end }),
      requestOf("chunks", "6", "x", { sequence_id: 6n, ...start, ...end }),
    );
    const of = (ids: string) => answers.filter(([id = ""]) => ids.includes(id));
    expect(of("135")).toEqual(["1: a", "3: b", "5: c."]);
    expect(of("24")).toEqual(["2: A", "4: B."]);
    expect(of("6")).toEqual(["6: x."]);
  });

  test("is refused where it was not begun, or its service has none, and ends with its stream", async () => {
    const answers = await answersTo(
      requestOf("chunks", "1", "a", { sequence_id: 5n }),
      requestOf("single", "2", "a", { sequence_id: 5n, ...start }),
      requestOf("nobody", "3", "a", { sequence_id: 5n, ...start }),
      requestOf("chunks", "4", "a", { sequence_id: true, ...start }),
    );
    expect(answers.toSorted()).toEqual([
      "1: parameters.sequence_id: no sequence '5' is open on this stream",
      "2: parameters.sequence_id: service 'single' answers once-calls only, and has no sequences",
      "3: service 'nobody' not found",
      "4: parameters.sequence_id: expected a whole number above 0, or a text",
    ]);
    const open = requestOf("chunks", "1", "a", { sequence_id: 5n, ...start });
    expect((await answersTo(open)).at(-1)).toBe("1: the stream ended before the sequence");
  });
});

test("a category is a model that chooses another by the request's parameters, in one call and on a stream", async () => {
  const quick = requestOf("any", "1", "a", { delayMs: 1n });
  expect((await models.modelInfer(quick)).modelName).toBe("single");
  const [input] = requestOf("any", "2", "b").inputs;
  const parameters = { encoding: { parameterChoice: choiceOf("utf8") } };
  const encoded = { modelName: "any", id: "2", inputs: [{ ...input, parameters }] };
  async function* requests() {
    yield* [quick, encoded];
    yield requestOf("any", "3", "c");
  }
  const answers = await Array.fromAsync(models.modelStreamInfer(requests(), { timeoutMs: 20_000 }));
  expect(answers.map((answer) => `${answer.inferResponse?.modelName} ${shown(answer)}`).toSorted()).toEqual([
    "any 3: category 'any': no companion route found for the request's values",
    "chunks 2: b.",
    "single 1: a.",
  ]);
});

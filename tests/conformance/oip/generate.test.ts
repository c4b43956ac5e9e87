import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import type { LogLine, ServiceProcess } from "../../../cli/service-process.ts";
import { type ModelServer, startLitserve } from "../../fixtures/remote/model-servers.ts";
import { startGateway, urlOf } from "../../integration/cluster.ts";
import { eventually, idleSlots, startLoaderOf, type TestLoader } from "../../integration/websocket-client.ts";

const fixtures = join(import.meta.dir, "../../fixtures");
const echo = (more = "") => `engine: { kind: echo }
inputs: { data: { type: text } }
outputs: { data: { type: text } }
parameters: { delayMs: { type: integer }, failWith: { type: string }, stop: { type: array } }
once: true
${more}`;
const speller = `
import time
from typing import Iterator

import athena


@athena.service(id="speller", once=False)
def spell(word: str, *, pauseMs: int = 0) -> Iterator[str]:
    for letter in word:
        if letter == "#":
            raise ValueError("no letter")
        yield letter
        for _ in range(pauseMs // 10):
            time.sleep(0.01)
`;

let litserve: ModelServer;
let loader: TestLoader;
let gateway: ServiceProcess;
const lines: LogLine[] = [];

beforeAll(async () => {
  litserve = await startLitserve();
  const chat = `engine: { kind: remote, protocol: openai, url: "${litserve.httpUrl}/v1", model: parrot, healthPath: /health }\n`;
  const tensors = await Bun.file(join(fixtures, "services/tensors/service.yaml")).text();
  const picture = `engine: { kind: echo }
inputs: { image: { type: image } }
outputs: { image: { type: image } }
`;
  const manifests = {
    once: `id: once\n${echo()}`,
    both: `id: both\n${echo("stream: true")}`,
    chat: `id: chat\n${chat}`,
    tensors,
    perceptron: "id: perceptron\nengine: { kind: onnx, model: perceptron.onnx }\n",
    picture: `id: picture\n${picture}`,
    speller: "id: speller\nengine: { kind: python }\n",
  };
  loader = await startLoaderOf(manifests, async (folder) => {
    await cp(join(fixtures, "models/perceptron.onnx"), join(folder, "perceptron/perceptron.onnx"));
    await writeFile(join(folder, "speller/wrapper.py"), speller);
  });
  const services = Object.keys(manifests).map((id) => ({ id, endpoints: [urlOf(loader.loader)] }));
  const categories = [{ id: "any", rules: [{ service: "once" }] }];
  const options = { sessions: { keepAliveMs: 100 }, categories };
  gateway = await startGateway(services, options, (line) => lines.push(line));
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
  await litserve.stop();
});

function ask(path: string, body: unknown, init: RequestInit = {}): Promise<Response> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return fetch(`${urlOf(gateway)}/v2/models/${path}`, { method: "POST", body: text, ...init });
}

async function generate(model: string, body: unknown): Promise<{ status: number; body: unknown }> {
  const response = await ask(`${model}/generate`, body);
  return { status: response.status, body: await response.json() };
}

/** The events of a stream, without what says that it lives. */
async function events(model: string, body: unknown): Promise<unknown[]> {
  const response = await ask(`${model}/generate_stream`, body);
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  const all = (await response.text()).split("\n\n").filter((event) => event !== "" && !event.startsWith(":"));
  return all.map((event) => JSON.parse(event.replace(/^data: /, "")));
}

describe("generate", () => {
  test("takes a text and gives one, under the protocol's names for them", async () => {
    expect(await generate("once", { id: "7", text_input: "grüße", parameters: { stream: false } })).toEqual({
      status: 200,
      body: { id: "7", model_name: "once", model_version: "v1", text_output: "grüße" },
    });
    expect((await ask("once/versions/v1/generate", { text_input: "x" })).status).toBe(200);
  });

  test("talks to a chat model, whose prompt is the text, or whose messages are a member", async () => {
    const first = await generate("chat", { text_input: "hello there", parameters: { temperature: 0.5, stop: ["."] } });
    expect(first).toMatchObject({ status: 200, body: { model_name: "chat", text_output: "hello there " } });
    const messages = [{ role: "user", content: "as a chat" }];
    expect(await generate("chat", { messages, max_tokens: 20 })).toMatchObject({
      body: { text_output: "as a chat ", usage: expect.stringContaining("completion_tokens") },
    });
  });

  test("takes tensors as values and arrays, with every digit, and gives them so", async () => {
    const body = `{"int64": 9223372036854775807, "fp32": [1, 2, 3, 4], "bytes": ["a", "b"], "bool": true}`;
    const response = await ask("tensors/generate", body);
    expect(await response.text()).toContain(`"int64":9223372036854775807`);
    expect(await generate("tensors", { fp32: [[1, 2]], text_input: "the only text" })).toMatchObject({
      status: 200,
      body: { fp32: [1, 2], text_output: "the only text" },
    });
    const { body: computed } = await generate("perceptron", { x: [1, 1, 1, 1, 1, 1, 1, 1] });
    const data = [1, 1, 1, 1, 1, 1, 1, 1];
    const inputs = [{ name: "x", datatype: "FP32", shape: [1, 8], data }];
    const { outputs } = (await (await ask("perceptron/infer", { inputs })).json()) as { outputs: { data: unknown }[] };
    expect(computed).toMatchObject({ y: outputs[0]?.data });
  });

  test("takes and gives data that is no text as base64", async () => {
    const image = Buffer.from([255, 0, 1]).toString("base64");
    expect(await generate("picture", { image })).toMatchObject({ status: 200, body: { image } });
  });

  test.each([
    ["once", "{", 400, "not valid JSON"],
    ["once", "[]", 400, "must be a JSON object"],
    ["once", { text_input: 5 }, 400, "text_input: expected a string"],
    ["once", { text_input: "x", parameters: [] }, 400, "parameters: expected an object"],
    ["once", `{"text_input":"x","parameters":{"__proto__":1}}`, 400, "__proto__"],
    ["once", `{"text_input":"x","__proto__":{"a":1}}`, 400, "__proto__"],
    ["once", { text_input: "x", parameters: { sequence_id: 5 } }, 501, "sequence_id"],
    ["once", { text_input: "x", delayMs: "soon" }, 400, "parameters.delayMs"],
    ["once", { id: 5, text_input: "x" }, 400, "id: expected a string"],
    ["once", {}, 400, "inputs.data: is required"],
    ["once", { text_input: "x", parameters: { failWith: "error" } }, 500, ""],
    ["picture", { image: "%" }, 400, "image: expected a string of base64"],
    ["picture", { text_input: "x" }, 400, "has not one text input, but [image]"],
    ["perceptron", { x: [1, 2, 3] }, 400, "x: 3 values do not fill the shape [-1,8]"],
    ["perceptron", { x: Array(8).fill("a") }, 400, "x: data[0] must be a number"],
    ["perceptron", { x: [[1, 2], [3]] }, 400, "x: 3 values do not fill the shape [-1,8]"],
    ["perceptron", `{"x":1,"y":{"a":[12345678901234567890]}}`, 400, "x: 1 values do not fill"],
    ["once", `{"text_input":"x","other":{"a":[12345678901234567890]}}`, 400, "other"],
    ["speller", { text_input: "x" }, 501, "use generate_stream"],
    ["nobody", { text_input: "x" }, 404, "nobody"],
    ["any", { text_input: "x" }, 404, "'any' is a category, which this protocol cannot call"],
  ])("of %s refuses %j with %d", async (model, body, status, words) => {
    const answer = await generate(model, body);
    expect(answer).toEqual({ status, body: { error: expect.stringContaining(words) } });
    const streamed = model === "speller" ? status : (await ask(`${model}/generate_stream`, body)).status;
    expect(streamed).toBe(status);
  });
});

describe("generate_stream", () => {
  test("gives each result as it comes", async () => {
    const told = { id: "8", model_name: "speller", model_version: "v1" };
    expect(await events("speller", { id: "8", text_input: "ab" })).toEqual([
      { ...told, text_output: "a" },
      { ...told, text_output: "b" },
      // What ends a generator's results.
      { ...told, text_output: "" },
    ]);
    const words = await events("chat", { text_input: "one two three" });
    expect(words.map((event) => (event as { text_output?: string }).text_output ?? "").join("")).toBe("one two three ");
    expect(words.length).toBeGreaterThan(2);
  });

  test("gives the one answer of a service that answers once-calls", async () => {
    expect(await events("once", { text_input: "x" })).toMatchObject([{ text_output: "x" }]);
    expect(await events("both", { text_input: "x" })).toMatchObject([{ text_output: "x" }]);
  });

  test("says an error before the first result with its status, and one after it as an event", async () => {
    const failed = await ask("speller/generate_stream", { text_input: "#" });
    expect({ status: failed.status, body: await failed.json() }).toMatchObject({
      status: 500,
      body: { error: expect.stringContaining("no letter") },
    });
    expect(await events("speller", { text_input: "a#" })).toEqual([
      expect.objectContaining({ text_output: "a" }),
      { error: expect.stringContaining("no letter") },
    ]);
  });

  test("ends the engine's work when its client leaves, says meanwhile that it lives, and is one line of the log", async () => {
    const idle = await idleSlots(loader.loader, "speller");
    const leaving = new AbortController();
    const body = { text_input: "abc", parameters: { pauseMs: 20_000 } };
    const response = await ask("speller/generate_stream", body, { signal: leaving.signal });
    const reader = response.body?.getReader() ?? expect.unreachable();
    let text = "";
    while (!text.includes(": keep-alive")) text += new TextDecoder().decode((await reader.read()).value);
    expect(text).toContain('"text_output":"a"');
    leaving.abort();
    await eventually(async () => (await idleSlots(loader.loader, "speller")) === idle);
    const left = () => lines.filter(({ outcome }) => outcome === "CANCELED");
    await eventually(() => left().length > 0);
    expect(left()).toMatchObject([{ msg: "session", protocol: "oip", service: "speller" }]);
  });
});

interface Operation {
  readonly requestBody: {
    readonly content: {
      readonly "application/json": { readonly examples?: { readonly request: { readonly value: unknown } } };
    };
  };
}

test("the document of a gateway has a request to generate for each model, which is answered as it says", async () => {
  const document = (await (await fetch(`${urlOf(gateway)}/openapi.json`)).json()) as {
    paths: Record<string, { post: Operation }>;
  };
  const compiler = new Ajv2020({ strict: false, logger: false });
  compiler.addSchema({ ...document, $id: "openapi" });
  const asked: string[] = [];
  for (const [path, { post }] of Object.entries(document.paths)) {
    const [, id, kind] = /^\/v2\/models\/(.*)\/(generate|generate_stream)$/.exec(path) ?? [];
    if (id === undefined) continue;
    const { value } = post.requestBody.content["application/json"].examples?.request ?? expect.unreachable(path);
    const check = compiler.getSchema(`openapi#/components/schemas/${id}.Generated`) ?? expect.unreachable();
    const all = kind === "generate" ? [(await generate(id, value)).body] : await events(id, value);
    for (const answer of all)
      expect({ path, value, answer, valid: check(answer), errors: check.errors }).toMatchObject({ valid: true });
    asked.push(`${id} ${kind}`);
  }
  const models = ["once", "both", "chat", "tensors", "perceptron", "picture"];
  const both = models.flatMap((id) => [`${id} generate`, `${id} generate_stream`]);
  expect(asked).toEqual([...both, "speller generate_stream"]);
});

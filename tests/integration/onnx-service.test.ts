import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { addressOf, type ServiceProcess, startServiceProcess, waitUntilReady } from "../../cli/service-process.ts";
import { post, startGateway, urlOf } from "./cluster.ts";

/* Models and modules as an engineer hands them over: an ONNX file, and a TypeScript module around one. */

const fixtures = join(import.meta.dir, "../fixtures");
const services = ["perceptron", "lookup", "table"];
let loader: ServiceProcess;
let gateway: ServiceProcess;

beforeAll(async () => {
  const local = { host: "127.0.0.1", port: 0 };
  const folders = ["models/perceptron.onnx", "models/lookup.onnx", "processors/table"];
  loader = await startServiceProcess({
    main: "loader/main.ts",
    config: JSON.stringify({ listen: local, admin: local, services: folders.map((path) => join(fixtures, path)) }),
  });
  await waitUntilReady(loader, services);
  gateway = await startGateway(services.map((id) => ({ id, endpoints: [urlOf(loader)] })));
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
});

function ask(service: string, payload: object) {
  return post(`${urlOf(gateway)}/${service}`, { header: { app_id: "1" }, payload });
}

const base64 = (array: { readonly buffer: ArrayBufferLike }): string => Buffer.from(array.buffer).toString("base64");

function numbers(seed: number): string {
  return base64(Float32Array.from({ length: 8 }, (_, index) => Math.sin(index + seed) * 3));
}

async function compute(seed: number): Promise<unknown> {
  const { status, body } = await ask("perceptron", { x: { other: numbers(seed), datatype: "FP32", shape: [1, 8] } });
  expect(status).toBe(200);
  return body.payload?.y?.other;
}

async function batches(service: string): Promise<{ readonly rows: number; readonly runs: number }> {
  const text = await (await fetch(`${addressOf(loader, "admin")}/metrics`)).text();
  const value = (name: string): number =>
    Number(new RegExp(`^athena_loader_batch_rows_${name}\\{service="${service}"\\} (\\d+)$`, "m").exec(text)?.[1]);
  return { rows: value("sum"), runs: value("count") };
}

describe("an ONNX file", () => {
  test("is a service: its tensors are parts, and the gateway knows them", async () => {
    const answer = await ask("lookup", { id: { other: base64(BigInt64Array.from([3n, 0n])), shape: [2] } });
    expect(answer.status).toBe(200);
    expect(answer.body.payload?.row).toMatchObject({ datatype: "FP32", shape: "[2,4]" });
    const data = Buffer.from(String(answer.body.payload?.row?.other), "base64");
    expect(Array.from(new Float32Array(new Uint8Array(data).buffer))).toEqual([12, 13, 14, 15, 0, 1, 2, 3]);
  });

  test("answers many callers at once in few runs, each as if it were alone", async () => {
    const seeds = Array.from({ length: 40 }, (_, index) => index);
    const alone: unknown[] = [];
    for (const seed of seeds) alone.push(await compute(seed));
    const before = await batches("perceptron");
    for (let round = 0; round < 5; round += 1) expect(await Promise.all(seeds.map(compute))).toEqual(alone);
    const after = await batches("perceptron");
    expect(after.rows - before.rows).toBe(200);
    expect(after.runs - before.runs).toBeLessThan(150);
  });

  test("fails one bad request among others alone, with the field or the runtime's words", async () => {
    const id = (number: bigint) => ask("lookup", { id: { other: base64(BigInt64Array.from([number])) } });
    const answers = await Promise.all([id(1n), id(77n), id(2n), id(3n), id(-99n), id(4n)]);
    expect(answers.map(({ status }) => status)).toEqual([200, 500, 200, 200, 500, 200]);
    expect(answers[1]?.body.header.message).toContain("out of data bounds, idx=77");
    const wrong = await ask("perceptron", { x: { other: numbers(1), shape: [2, 8] } });
    expect(wrong.status).toBe(400);
    expect(wrong.body.header.message).toBe("payload.x: 64 bytes expected for its shape, got 32");
  });
});

describe("a service's own TypeScript module", () => {
  test("prepares the input and reads the output, with what it is given", async () => {
    const answer = await ask("table", { text: { text: Buffer.from("1 2").toString("base64") } });
    expect(answer.body.payload?.rows?.text).toEqual({ rows: [4, 5, 6, 7, 8, 9, 10, 11], scale: 2 });
    const wrong = await ask("table", { text: { text: Buffer.from("one").toString("base64") } });
    expect(wrong.status).toBe(400);
    expect(wrong.body.header.message).toBe("payload.text must be numbers with spaces between them");
  });
});

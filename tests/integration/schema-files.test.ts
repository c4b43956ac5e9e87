import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { ServiceProcess } from "../../cli/service-process.ts";
import { post, startGateway, startLoader, urlOf } from "./cluster.ts";

let loader: ServiceProcess;
let gateway: ServiceProcess;

beforeAll(async () => {
  loader = await startLoader(["echo"]);
  gateway = await startGateway([{ id: "echo", schema: "s0echo", endpoints: [urlOf(loader)] }], {
    schemas: [join(import.meta.dir, "../fixtures/schemas")],
  });
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
});

const body = (parameters: object = {}) => ({
  header: { app_id: "1" },
  parameter: { say: parameters },
  payload: { data: { text: Buffer.from('{"a":1}').toString("base64") } },
});
const ask = (path: string, parameters?: object, host = "any") =>
  post(`${urlOf(gateway)}${path}`, body(parameters), { "x-forwarded-host": host });

describe("a service that one of the predecessor's schema files describes", () => {
  test("is reached by the file's id, by its own, and by the file's route for the file's host", async () => {
    for (const path of ["/s0echo", "/v1/private/s0echo", "/echo", "/x?serviceId=s0echo"]) {
      expect((await ask(path)).status).toBe(200);
    }
    expect((await ask("/v2/say", {}, "api.example.com:80")).status).toBe(200);
    expect((await ask("/v2/say")).status).toBe(404);
  });

  test("gets what the schema has made of the request, and answers in the schema's types", async () => {
    const { body: answer } = await ask("/s0echo", { delayMs: 1, data: { encoding: "gbk", rate: 8, final: true } });
    expect(answer.header.sid).toStartWith("ech");
    expect(answer.payload?.data).toEqual({
      compress: "raw",
      encoding: "utf8",
      final: true,
      format: "json",
      rate: 8,
      seq: 0,
      status: 3,
      text: { a: 1 },
    });
  });

  test("refuses what the schema refuses, naming the field as the predecessor did", async () => {
    const { status, body: answer } = await ask("/s0echo", { speed: 1, data: { format: "xml" } });
    expect(status).toBe(400);
    expect(answer.header).toMatchObject({
      code: 10163,
      message:
        "parameter schema validate error: '$.parameter.say.speed' unknown field; " +
        "'$.parameter.say.data.format' must be one of [plain, json]; ",
    });
  });

  test("answers an error with the status that the schema has for its code", async () => {
    const { status, headers, body: answer } = await ask("/s0echo", { failWith: "error" });
    expect([status, answer.header.code]).toEqual([503, 10909]);
    expect(headers.get("athena-sid")).toBe(answer.header.sid);
  });

  test("keeps the schema's time", async () => {
    const { status, body: answer } = await ask("/s0echo", { delayMs: "10000" });
    expect([status, answer.header.code]).toEqual([504, 10102]);
  });
});

import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { startServiceProcess, waitUntilReady } from "../../cli/service-process.ts";
import { post, startGateway, urlOf } from "./cluster.ts";

/*
 * Requests whose answers of the predecessor's loader are known, and what becomes of them here; docs/compatibility.md says
 * why where that differs.
 */

const local = { host: "127.0.0.1", port: 0 };
const services = [join(import.meta.dir, "../fixtures/predecessor/noob-once")];
const loader = await startServiceProcess({
  main: "loader/main.ts",
  config: JSON.stringify({ listen: local, admin: local, services }),
});
await waitUntilReady(loader, ["noob_once"]);
const gateway = await startGateway([{ id: "noob_once", endpoints: [urlOf(loader)] }]);
const url = `${urlOf(gateway)}/v1/private/noob_once`;

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
});

const accept = { encoding: "utf8", compress: "raw", format: "plain", data_type: "text" };
const vector = {
  header: { appid: "123456", status: 3 },
  parameter: { noob_once: { text: accept } },
  payload: { text: { encoding: "utf8", status: 3, text: "aGk=" } },
};
const withText = (text: unknown) => ({ ...vector, payload: { text: { ...vector.payload.text, text } } });
const said = (text: string) => Buffer.from(`you said: ${text}`).toString("base64");
const places = { seq: 0, status: 3 };

describe("a request that the predecessor's loader answered", () => {
  test("is answered by the same wrapper with the same attributes and data", async () => {
    const { status, body } = await post(url, vector);
    expect([status, body]).toEqual([
      200,
      {
        header: { code: 0, message: "success", sid: expect.stringMatching(/^ase.{29}$/) },
        payload: { text: { ...accept, ...places, text: said("hi") } },
      },
    ]);
  });

  test.each<[string, object]>([
    ["without data_type", { noob_once: { text: { ...accept, data_type: undefined } } }],
    ["without the output", { noob_once: {} }],
    ["without parameters", {}],
  ])("is answered as well %s, which was error 10106", async (_, parameter) => {
    const { body } = await post(url, { ...vector, parameter });
    expect(body.payload?.text).toMatchObject({ encoding: "utf8", format: "plain", ...places, text: said("hi") });
  });

  test("hands an object in place of text to the wrapper as JSON", async () => {
    expect((await post(url, withText({ a: 1 }))).body.payload?.text?.text).toBe(said('{"a":1}'));
  });

  test("may have numbers and lists for attributes and parameters, which are told in decimal", async () => {
    const parameter = { noob_once: { rate: 16000, list: [1, "b"], none: null, text: { ...accept, rate: 16000 } } };
    const { body } = await post(url, { ...vector, parameter });
    expect(body.payload?.text).toMatchObject({ rate: "16000", text: said("hi") });
  });
});

describe("a request that the predecessor's loader refused", () => {
  test.each<[string, string | object, number, string]>([
    ["broken JSON, 10000", '{"header":', 10163, "line 1, column 11"],
    ["wrong base64, 10001", withText("%%%"), 10163, "'$.payload.text.text' must be standard base64"],
    ["a number for data, 10001", withText(5), 10163, "'$.payload.text.text' must be a string in standard base64"],
    ["no payload, 10101 or 10009 after five seconds", { ...vector, payload: {} }, 10163, "'$.payload.text' field"],
  ])("is refused at once: %s", async (_, request, code, message) => {
    const { status, body } = await post(url, request);
    expect([status, body.header.code]).toEqual([400, code]);
    expect(body.header.message).toContain(message);
  });
});

describe("a request that the predecessor's loader took", () => {
  test.each<[string, object, number, string]>([
    ["without an app", { ...vector, header: {} }, 10313, "app_id"],
    ["with parameters of another service", { ...vector, parameter: { other: {} } }, 10163, "'$.parameter.other'"],
  ])("is refused %s", async (_, request, code, message) => {
    const { status, body } = await post(url, request);
    expect([status, body.header.code]).toEqual([400, code]);
    expect(body.header.message).toContain(message);
  });
});

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ServiceProcess } from "../../cli/service-process.ts";
import { echoEnvelope, post, startGateway, startLoader, urlOf } from "./cluster.ts";

/*
 * Requests of the predecessor's gateway: paths, hosts, methods, and the form of answers; docs/compatibility.md says why where
 * something differs.
 */

let loader: ServiceProcess;
let gateway: ServiceProcess;
let url: string;

beforeAll(async () => {
  loader = await startLoader(["echo"]);
  gateway = await startGateway([{ id: "echo", hosts: ["api.example.com"], endpoints: [urlOf(loader)] }]);
  url = urlOf(gateway);
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
});

describe("a request as the predecessor's gateway took it", () => {
  test.each(["/echo", "/v1/private/echo", "/any/thing/echo", "/any?serviceId=echo"])(
    "reaches its service at %s, also by a node's address where the service has a host",
    async (path) => {
      const { status, headers, body } = await post(url + path, echoEnvelope("a"));
      expect([status, headers.get("content-type")]).toEqual([200, "application/json"]);
      expect(body.header).toEqual({ code: 0, message: "success", sid: expect.stringMatching(/^ase.{29}$/) } as never);
    },
  );

  test.each<[string, object, unknown]>([
    ["JSON where format is json", { format: "json" }, { a: 1 }],
    ["base64 where it is plain", { format: "plain" }, btoa('{"a":1}')],
  ])("is answered with %s", async (_, data, text) => {
    const { body } = await post(`${url}/echo`, echoEnvelope('{"a":1}', "u", { data }));
    expect(body.payload?.data?.text).toEqual(text);
  });

  test("is answered with base64 where JSON was asked for and the data is none", async () => {
    const { body } = await post(`${url}/echo`, echoEnvelope("{a", "u", { data: { format: "json" } }));
    expect(body.payload?.data?.text).toBe(btoa("{a"));
  });
});

describe("a request that the predecessor's gateway refused with a message alone, or took", () => {
  const json = { "content-type": "application/json" };
  test.each<[string, string, RequestInit, number, number]>([
    ["of another type", "/echo", { headers: { "content-type": "text/plain" }, body: "{}" }, 415, 10163],
    ["for a path of nobody's", "/nobody", { headers: json, body: "{}" }, 404, 10404],
    ["of another method", "/echo", { method: "PUT", headers: json, body: "{}" }, 405, 10404],
    ["for the state of the process", "/monitor/health", { headers: json, body: "{}" }, 404, 10404],
  ])("is refused in the envelope of every error: %s", async (_, path, request, status, code) => {
    const response = await fetch(url + path, { method: "POST", ...request });
    const body = (await response.json()) as object;
    expect([response.status, body]).toEqual([
      status,
      { header: { code, message: expect.any(String), sid: expect.any(String) } },
    ]);
  });
});

import { afterAll, expect, test } from "bun:test";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import { addressOf, type LogLine } from "../../cli/service-process.ts";
import { gatewayConfigSchema } from "../../config/gateway.ts";
import { parseConfig } from "../../config/load.ts";
import { startCluster } from "../conformance/oip/cluster.ts";
import { newKey } from "./api-key.ts";
import { startGateway, urlOf } from "./cluster.ts";
import { blocksOf } from "./page.ts";
import { eventually, frameOf, openSocket, textOf } from "./websocket-client.ts";

const page = "https://app.example.com";
const stranger = "https://evil.example.net";
const known = newKey();
const slow = newKey();
const lines: LogLine[] = [];
const keepLine = (line: LogLine): void => {
  if (line.name === "access") lines.push(line);
};

const cluster = await startCluster(
  ["echo"],
  {
    cors: { origins: [page, "http://*.test.example"], maxAgeSeconds: 60 },
    docs: true,
    admission: {
      apps: [
        { id: "known", services: ["*"], keys: [known.hash] },
        // One request, and no other while the test runs.
        { id: "slow", services: ["*"], keys: [slow.hash], limits: { requestsPerSecond: 0.001, requestBurst: 1 } },
      ],
    },
  },
  keepLine,
);
const endpoints = [urlOf(cluster.loader)];
const withoutCors = await startGateway([{ id: "echo", endpoints }], {}, keepLine);
const forEverybody = await startGateway([{ id: "echo", endpoints }], { cors: { origins: ["*"] } });

afterAll(async () => {
  await Promise.all([withoutCors.stop(), forEverybody.stop()]);
  await cluster.stop();
});

/** The one line that the access log has of what is asked. Those of earlier requests may still come beside it. */
async function lineOf(isMeant: (line: LogLine) => boolean, ask: () => Promise<unknown>): Promise<LogLine> {
  lines.length = 0;
  await ask();
  expect(await eventually(() => lines.some(isMeant))).toBe(true);
  // Lines are written together, at most 200 ms later: a second one would be there by then.
  await Bun.sleep(300);
  const meant = lines.filter(isMeant);
  expect(meant).toHaveLength(1);
  return meant[0] ?? {};
}

const isPreflight = ({ path }: LogLine): boolean => path === "OPTIONS";
const isOfRefusedSocket = ({ reason }: LogLine): boolean => String(reason).includes("WebSocket");

async function counted(pattern: RegExp): Promise<number> {
  const text = await (await fetch(`${addressOf(cluster.gateway, "admin")}/metrics`)).text();
  return Number(pattern.exec(text)?.[1] ?? 0);
}

const enveloped = (text: string): Uint8Array<ArrayBuffer> => {
  const data = new TextEncoder().encode(text);
  const bytes = new Uint8Array(5 + data.length);
  new DataView(bytes.buffer).setUint32(1, data.length);
  bytes.set(data, 5);
  return bytes;
};

const envelope = '{"header":{"app_id":"known","status":3},"payload":{"data":{"status":3,"text":"aGk="}}}';
const message = '{"service":"echo","parts":[{"name":"data","type":"PART_TYPE_TEXT","data":"aGk="}]}';
const tensors = '{"inputs":[{"name":"data","datatype":"BYTES","shape":[1],"data":["hi"]}]}';
const connectPath = "/athena.v1.InferenceService";

/** What pages send over each protocol, and the headers that they ask to send beside it. */
const calls: readonly (readonly [string, string, Record<string, string>, BodyInit | undefined])[] = [
  ["the unified protocol", "/v1/private/echo", { "content-type": "application/json" }, envelope],
  ["server-sent events", "/echo", { "content-type": "application/json", accept: "text/event-stream" }, envelope],
  [
    "Connect",
    `${connectPath}/Infer`,
    { "content-type": "application/json", "connect-protocol-version": "1", "connect-timeout-ms": "10000" },
    message,
  ],
  [
    "a stream of Connect",
    `${connectPath}/InferServerStream`,
    { "content-type": "application/connect+json", "connect-protocol-version": "1" },
    enveloped(`{"request":${message}}`),
  ],
  [
    "gRPC-Web",
    `${connectPath}/Infer`,
    { "content-type": "application/grpc-web+json", "x-grpc-web": "1", "x-user-agent": "test", "grpc-timeout": "10S" },
    enveloped(message),
  ],
  [
    "the Open Inference Protocol",
    "/v2/models/echo/infer",
    { "content-type": "application/json", "inference-header-content-length": String(tensors.length) },
    tensors,
  ],
  ["the documents", "/openapi.json", {}, undefined],
];

const preflight = (url: string, origin: string, names: string): Promise<Response> =>
  fetch(url, {
    method: "OPTIONS",
    headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": names },
  });

test.each(calls)("over %s, a page of an allowed origin may ask, call and read", async (_, path, own, body) => {
  const headers = { ...own, ...known.headers };
  const names = Object.keys(headers).sort().join(",");
  let asked: Response | undefined;
  const line = await lineOf(isPreflight, async () => {
    asked = await preflight(cluster.url + path, page, names);
  });
  expect(line).toMatchObject({ msg: "lookup", path: "OPTIONS", outcome: "OK", status: 204 });
  expect(asked?.status).toBe(204);
  expect(Object.fromEntries(asked?.headers ?? [])).toMatchObject({
    "access-control-allow-origin": page,
    "access-control-allow-methods": "GET, HEAD, POST",
    "access-control-allow-headers": names,
    "access-control-max-age": "60",
    vary: "origin",
  });
  const init = body === undefined ? {} : { method: "POST", body };
  const response = await fetch(cluster.url + path, { ...init, headers: { ...headers, origin: page } });
  expect(response.status).toBe(200);
  expect(await response.text()).toMatch(/aGk=|hi|openapi/);
  expect(response.headers.get("access-control-allow-origin")).toBe(page);
  expect(response.headers.get("vary")).toBe("origin");
  const exposed = response.headers.get("access-control-expose-headers")?.split(", ");
  for (const name of [
    "athena-sid",
    "retry-after",
    "grpc-status",
    "grpc-message",
    "grpc-status-details-bin",
    "inference-header-content-length",
  ]) {
    expect(exposed?.map((one) => one.toLowerCase())).toContain(name);
  }
});

test.each(calls)("over %s, a page of another origin may not", async (_, path, headers, body) => {
  const line = await lineOf(isPreflight, async () => {
    const refused = await preflight(cluster.url + path, stranger, Object.keys(headers).join(","));
    expect(refused.status).toBe(403);
    expect(refused.headers.get("access-control-allow-origin")).toBe(null);
    expect(await refused.text()).toContain("cors.origins");
  });
  expect(line).toMatchObject({ msg: "lookup", path: "OPTIONS", outcome: "PERMISSION_DENIED", status: 403 });
  const init = body === undefined ? {} : { method: "POST", body };
  for (const origin of [{ origin: stranger }, {}]) {
    const all = { ...headers, ...known.headers, ...origin };
    const response = await fetch(cluster.url + path, { ...init, headers: all });
    await response.text();
    expect(response.headers.get("access-control-allow-origin")).toBe(null);
    expect(response.headers.get("vary")).toBe("origin");
  }
});

test("a page may read errors of every status, and when to try again", async () => {
  const read = async (path: string, headers: Record<string, string>, body = envelope) => {
    const all = { "content-type": "application/json", origin: page, ...headers };
    const response = await fetch(cluster.url + path, { method: "POST", headers: all, body });
    await response.text();
    expect(response.headers.get("access-control-allow-origin")).toBe(page);
    return response;
  };
  const mine = envelope.replace("known", "slow");
  expect((await read("/echo", slow.headers, mine)).status).toBe(200);
  const limited = await read("/echo", slow.headers, mine);
  expect(limited.status).toBe(429);
  expect(Number(limited.headers.get("retry-after"))).toBeGreaterThan(0);
  expect((await read("/echo", {})).status).toBe(401);
  expect((await read("/nobody", known.headers)).status).toBe(404);
  expect((await read("/echo", known.headers, "{")).status).toBe(400);
  expect((await read(`${connectPath}/Infer`, {}, message)).status).toBe(401);
  expect((await read("/v2/models/echo/infer", {}, tensors)).status).toBe(401);
});

test("preflights are counted as lookups, and other questions of OPTIONS are answered as before", async () => {
  const before = await counted(/^athena_gateway_lookups_total\{protocol="http",outcome="OK"\} (\d+)$/m);
  await preflight(`${cluster.url}/echo`, "http://a.test.example", "content-type");
  const after = await counted(/^athena_gateway_lookups_total\{protocol="http",outcome="OK"\} (\d+)$/m);
  expect(after).toBe(before + 1);
  const plain = await fetch(`${cluster.url}/echo`, { method: "OPTIONS", headers: { origin: page, ...known.headers } });
  expect(plain.status).toBe(405);
});

test("every origin may call where a star stands, that of a page without one too", async () => {
  for (const origin of [page, "null"]) {
    const asked = await preflight(`${urlOf(forEverybody)}/echo`, origin, "content-type");
    expect([asked.status, asked.headers.get("access-control-allow-origin")]).toEqual([204, "*"]);
  }
  const { headers } = await fetch(`${urlOf(forEverybody)}/openapi.json`);
  expect([headers.get("access-control-allow-origin"), headers.get("vary")]).toEqual(["*", null]);
});

test("without the section nothing of it is sent, and preflights are refused", async () => {
  const asked = await preflight(`${urlOf(withoutCors)}/echo`, page, "content-type");
  expect(asked.status).toBe(405);
  const headers = { "content-type": "application/json", origin: page };
  const answer = await fetch(`${urlOf(withoutCors)}/echo`, { method: "POST", headers, body: envelope });
  expect(answer.status).toBe(200);
  for (const all of [asked.headers, answer.headers]) {
    expect([...all.keys()].filter((name) => name.startsWith("access-control") || name === "vary")).toEqual([]);
  }
});

test("over the Open Inference Protocol, no page runs or unloads a model without a preflight", async () => {
  for (const path of ["/v2/models/echo/infer", "/v2/repository/models/echo/unload"]) {
    // As a page sends it with mode: "no-cors": the body alone, or as a form does.
    for (const type of [
      {},
      { "content-type": "text/plain;charset=UTF-8" },
      { "content-type": "multipart/form-data" },
    ]) {
      const line = await lineOf(
        ({ protocol }) => protocol === "oip",
        async () => {
          const init = {
            method: "POST",
            headers: { origin: stranger, ...type },
            body: new TextEncoder().encode(tensors),
          };
          const response = await fetch(urlOf(withoutCors) + path, init);
          expect([response.status, await response.text()]).toEqual([415, expect.stringContaining("content-type")]);
        },
      );
      expect(line.outcome).toBe("UNSUPPORTED_MEDIA_TYPE");
    }
  }
  const infer = `${urlOf(withoutCors)}/v2/models/echo/infer`;
  for (const headers of [{}, { origin: urlOf(withoutCors) }]) {
    expect((await fetch(infer, { method: "POST", headers, body: tensors })).status).toBe(200);
  }
  const type = { "content-type": "application/json" };
  expect((await fetch(infer, { method: "POST", headers: { ...type, origin: page }, body: tensors })).status).toBe(200);
});

test("the section that the page about the unified protocol shows is taken", async () => {
  const [section = ""] = await blocksOf(join(import.meta.dir, "../../docs/unified-protocol.md"), "yaml");
  const services = 'services: [{ id: echo, endpoints: ["http://127.0.0.1:1"] }]';
  const { cors } = parseConfig(`${section}\n${services}`, gatewayConfigSchema, "gateway.yaml");
  expect(cors).toEqual({ origins: ["https://app.example.com", "https://*.example.org"], maxAgeSeconds: 600 });
});

/** Asks for a WebSocket; gives the status and the text of the answer. */
function askForSocket(url: string, headers: Record<string, string>): Promise<{ status: number; text: string }> {
  const upgrade = {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version": "13",
  };
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { headers: { ...upgrade, ...headers } });
    request.on("error", reject);
    request.on("upgrade", ({ statusCode = 0 }, socket) => {
      socket.destroy();
      resolve({ status: statusCode, text: "" });
    });
    request.on("response", async (response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk);
      resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() });
    });
    request.end();
  });
}

test("a WebSocket opens for a page of an allowed origin, and for what is no page", async () => {
  for (const origin of [{ origin: page }, { origin: "http://a.test.example" }, {}]) {
    const socket = await openSocket(`${cluster.url}/echo`, [], { ...known.headers, ...origin });
    socket.send(frameOf("hi", 2, { app_id: "known" }));
    expect((await socket.closed).code).toBe(1000);
    expect(socket.frames.map(textOf)).toEqual(["", "hi"]);
  }
  expect((await askForSocket(`${urlOf(forEverybody)}/echo`, { origin: "null" })).status).toBe(101);
});

test.each([stranger, "null", "not an origin", "https://app.example.com.evil.net"])(
  "a WebSocket for a page of the origin %s is refused with 403, and has one outcome",
  async (origin) => {
    for (const { url, headers } of [
      { url: urlOf(withoutCors), headers: {} },
      { url: cluster.url, headers: known.headers },
    ]) {
      let answer: { status: number; text: string } | undefined;
      const line = await lineOf(isOfRefusedSocket, async () => {
        answer = await askForSocket(`${url}/echo`, { ...headers, origin });
      });
      expect(line).toMatchObject({ msg: "request", service: "", outcome: "PERMISSION_DENIED", status: 403 });
      expect(answer?.status).toBe(403);
      expect(JSON.parse(answer?.text ?? "").header).toEqual({
        code: 10313,
        message: `pages of the origin '${origin}' may not open WebSockets here: cors.origins does not name it`,
        sid: String(line.sid),
      });
    }
  },
);

test("a WebSocket opens for a page of the gateway's own origin, which a proxy before it may name", async () => {
  const url = `${urlOf(withoutCors)}/echo`;
  const { host } = new URL(url);
  const statusFor = async (headers: Record<string, string>) => (await askForSocket(url, headers)).status;
  expect(await statusFor({ origin: `http://${host}` })).toBe(101);
  expect(await statusFor({ origin: "https://a.example.com", "x-forwarded-host": "a.example.com" })).toBe(101);
  expect(await statusFor({ origin: "https://a.example.com", host: "a.example.com:443" })).toBe(101);
  expect(await statusFor({ origin: "https://a.example.com", "x-forwarded-host": "b.example.com" })).toBe(403);
  expect(await statusFor({ origin: "https://a.example.com", host: "a.example.com:8443" })).toBe(403);
  expect(await statusFor({ origin: "http://127.0.0.1:1" })).toBe(403);
});

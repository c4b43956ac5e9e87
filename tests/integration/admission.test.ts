import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { addressOf, type LogLine, type ServiceProcess } from "../../cli/service-process.ts";
import { signedHeaders, signedUrl } from "../../gateway/admission/test-signer.ts";
import { newKey } from "./api-key.ts";
import { type Answer, echoEnvelope, echoedText, post, startGateway, startLoader, urlOf } from "./cluster.ts";
import { type Frame, frameOf, openSocket } from "./websocket-client.ts";

const python = process.env.ATHENA_TEST_PYTHON ?? "python3";

const known = newKey();
const narrow = newKey();
const limited = newKey();
const secret = "a-secret-for-signatures";

const admission = {
  apps: [
    { id: "123456", services: ["echo"], keys: [known.hash], signatureKeys: [{ key: "asf-key", secret }] },
    { id: "narrow", services: ["mm*"], keys: [narrow.hash] },
    {
      id: "limited",
      services: ["*"],
      keys: [limited.hash],
      limits: { concurrentCalls: 1, requestsPerSecond: 0.01, requestBurst: 3 },
    },
  ],
};

const issuer = await generateKeyPair("ES256");
const issuerName = "https://id.example.com/";
const publicKey = { ...(await exportJWK(issuer.publicKey)), kid: "one", alg: "ES256" };

let loader: ServiceProcess;
let gateway: ServiceProcess;
let keys: Bun.Server<undefined>;
let url: string;
const logged: LogLine[] = [];

beforeAll(async () => {
  loader = await startLoader(["echo"]);
  keys = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => Response.json({ keys: [publicKey] }) });
  const jwksUrl = `http://127.0.0.1:${keys.port}/keys`;
  const options = {
    docs: true,
    admission: { ...admission, tokens: [{ issuer: issuerName, audience: "athena", jwksUrl }] },
  };
  gateway = await startGateway([{ id: "echo", endpoints: [urlOf(loader)] }], options, (line) => {
    if (line.msg === "request") logged.push(line);
  });
  url = `${urlOf(gateway)}/v1/private/echo`;
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
  await keys.stop(true);
});

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

async function metric(name: string): Promise<number | undefined> {
  const text = await (await fetch(`${addressOf(gateway, "admin")}/metrics`)).text();
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length + 1));
}

async function eventually(condition: () => Promise<boolean> | boolean): Promise<boolean> {
  const deadline = performance.now() + 5000;
  while (performance.now() < deadline) {
    if (await condition()) return true;
    await Bun.sleep(20);
  }
  return false;
}

describe("the documents of a gateway with admission", () => {
  test("name every way to say who one is, each of which works", async () => {
    const document = await (await fetch(`${urlOf(gateway)}/openapi.json`)).json();
    const { host } = new URL(url);
    const body = JSON.stringify(echoEnvelope("said"));
    const signer = { key: "asf-key", secret, date: new Date().toUTCString(), host, path: "/v1/private/echo", body };
    const signed = signedHeaders(signer);
    const ways: Readonly<Record<string, { readonly to?: string; readonly headers?: Record<string, string> }>> = {
      bearer: { headers: bearer(known.key) },
      apiKey: { headers: { "x-api-key": known.key } },
      signature: {
        headers: Object.fromEntries(
          ["authorization", "date", "digest", "host"].map((name) => [name, signed.header(name) ?? ""]),
        ),
      },
      urlSignature: { to: `${urlOf(gateway)}${signedUrl(signer).target()}` },
    };
    const schemes = Object.keys(document.components.securitySchemes);
    expect(document.security).toEqual(schemes.map((name) => ({ [name]: [] })));
    for (const name of schemes) {
      const { to = url, headers = {} } = ways[name] ?? expect.unreachable();
      expect([name, (await post(to, body, headers)).status]).toEqual([name, 200]);
    }
  });
});

describe("an API key", () => {
  test("lets its app in, in either header, and names it in the access log", async () => {
    const byBearer = await post(url, echoEnvelope("one"), bearer(known.key));
    expect(echoedText(byBearer.body)).toBe("one");
    const byHeader = await post(url, echoEnvelope("two"), { "x-api-key": known.key });
    expect(echoedText(byHeader.body)).toBe("two");
    await eventually(() => logged.some((line) => line.sid === byHeader.body.header.sid));
    expect(logged.find((line) => line.sid === byHeader.body.header.sid)).toMatchObject({
      app: "123456",
      outcome: "OK",
    });
  });

  test("stands in for an app_id that is missing, and is refused beside another", async () => {
    const payload = { data: { text: "aGk=" } };
    expect((await post(url, { header: {}, payload }, bearer(known.key))).status).toBe(200);
    const other = await post(url, { header: { app_id: "654321" }, payload }, bearer(known.key));
    expect(other.status).toBe(403);
    expect(other.body.header).toMatchObject({ code: 10313, message: expect.stringContaining("'$.header.app_id'") });
  });

  test("that is missing or wrong is answered with 401, whether there is such a service or not", async () => {
    for (const headers of [{}, bearer(`${known.key.slice(0, -1)}_`), { authorization: "Basic eDp5" }]) {
      for (const path of [url, `${urlOf(gateway)}/nobody`]) {
        const refused = await post(path, echoEnvelope("x"), headers);
        expect(refused.status).toBe(401);
        expect(refused.headers.get("www-authenticate")).toContain("Bearer");
        expect(refused.body.header.code).toBe(10313);
        expect(refused.body.header.sid).toHaveLength(32);
      }
    }
  });

  test("that is missing is answered before a large body has come", async () => {
    const hangUp = new AbortController();
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
    });
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: endless,
      signal: hangUp.signal,
    });
    expect(response.status).toBe(401);
    hangUp.abort();
  });

  test("opens no service that is not on its app's list", async () => {
    const refused = await post(url, echoEnvelope("x", "u"), bearer(narrow.key));
    expect(refused.status).toBe(403);
    expect(refused.body.header).toMatchObject({ code: 10313, message: "the app may not call service 'echo'" });
  });
});

describe("a token", () => {
  const tokenOf = (app: string) =>
    new SignJWT({ sub: app })
      .setProtectedHeader({ alg: "ES256", kid: "one" })
      .setIssuer(issuerName)
      .setAudience("athena")
      .setExpirationTime("1m")
      .sign(issuer.privateKey);

  test("lets in the app that it names, and no app that is not configured", async () => {
    expect((await post(url, echoEnvelope("x"), bearer(await tokenOf("123456")))).status).toBe(200);
    expect((await post(url, echoEnvelope("x"), bearer(await tokenOf("654321")))).status).toBe(403);
    expect((await post(url, echoEnvelope("x"), bearer(`${await tokenOf("123456")}x`))).status).toBe(401);
  });
});

test("a session that begins on a WebSocket after the end of the token that opened it is refused", async () => {
  // The tolerance for clocks is 30 s, so that this one holds for two or three more.
  const ends = Math.floor(Date.now() / 1000) - 27;
  const token = await new SignJWT({ sub: "123456" })
    .setProtectedHeader({ alg: "ES256", kid: "one" })
    .setIssuer(issuerName)
    .setAudience("athena")
    .setExpirationTime(ends)
    .sign(issuer.privateKey);
  const socket = await openSocket(`${url}?stream_mode=multiplex`, [], bearer(token));
  let sent = 0;
  const session = async () => {
    socket.send(frameOf("x", 3, { app_id: "", cid: `c${sent++}` }));
    let frame = await socket.next();
    while (frame.header.code === 0 && frame.payload === undefined) frame = await socket.next();
    return frame.header;
  };
  expect(await session()).toMatchObject({ code: 0 });
  let last: Frame["header"] | undefined;
  const isRefused = async () => {
    last = await session();
    return last.code !== 0;
  };
  expect(await eventually(isRefused)).toBe(true);
  expect(last).toMatchObject({ code: 10313, message: "the token of this connection has expired" });
  expect(Date.now() / 1000).toBeGreaterThanOrEqual(ends + 30);
  socket.close();
});

describe("a Python client that signs as ASF's clients do", () => {
  let calls = 0;

  /** Runs the client; gives each status with the header of its answer. Every run sends another body. */
  async function call(form: "url" | "headers", options: readonly string[] = [], withSecret = secret) {
    const script = join(import.meta.dir, "../interop/signed_call.py");
    const client = Bun.spawn([python, script, form, url, "asf-key", withSecret, ...options], {
      stdin: new Blob([JSON.stringify(echoEnvelope(`signed ${calls++}`))]),
      stdout: "pipe",
      stderr: "pipe",
    });
    const [output, errors] = await Promise.all([
      new Response(client.stdout).text(),
      new Response(client.stderr).text(),
    ]);
    expect(errors).toBe("");
    return output
      .trim()
      .split("\n")
      .map((line) => [Number(line.slice(0, 3)), JSON.parse(line.slice(4)) as Answer["header"]] as const);
  }

  test("is let in with a signature in the URL, twice within a second too", async () => {
    expect((await call("url", ["--times", "2"])).map(([status]) => status)).toEqual([200, 200]);
  });

  test("is let in with a signature in the headers, once", async () => {
    const [first, second] = await call("headers", ["--times", "2"]);
    expect(first?.[0]).toBe(200);
    expect(second).toMatchObject([401, { code: 10313, message: "the signature was used before" }]);
  });

  test("is refused with a body that is not the signed one, which only the headers can tell", async () => {
    expect(await call("headers", ["--tamper"])).toMatchObject([[401, { message: expect.stringContaining("SHA-256") }]]);
    expect(await call("url", ["--tamper"])).toMatchObject([[200, {}]]);
  });

  test("is refused with a wrong secret, and with a clock that is off by more than 300 s", async () => {
    expect(await call("url", [], "another-secret-entirely")).toMatchObject([
      [401, { message: expect.stringContaining("signature is wrong") }],
    ]);
    for (const skew of ["310", "-310"]) {
      expect(await call("headers", ["--skew", skew])).toMatchObject([
        [401, { message: expect.stringContaining("more than 300 s") }],
      ]);
    }
    expect(await call("headers", ["--skew", "-290"])).toMatchObject([[200, {}]]);
  });
});

describe("an app's limits", () => {
  test("are answered with 429, the time to wait, and a place again when a call is over", async () => {
    const first = post(url, echoEnvelopeOf("limited", { delayMs: 400 }), bearer(limited.key));
    expect(
      await eventually(async () => (await metric('athena_gateway_app_open{app="limited",kind="call"}')) === 1),
    ).toBe(true);
    const tooMany = await post(url, echoEnvelopeOf("limited"), bearer(limited.key));
    expect(tooMany.status).toBe(429);
    expect(tooMany.headers.get("retry-after")).toBe("1");
    expect(tooMany.body.header).toMatchObject({
      code: 10110,
      message: "the app has as many calls under way as it may",
    });
    expect((await first).status).toBe(200);
    for (let i = 0; i < 2; i++)
      expect((await post(url, echoEnvelopeOf("limited"), bearer(limited.key))).status).toBe(200);
    const tooFast = await post(url, echoEnvelopeOf("limited"), bearer(limited.key));
    expect(tooFast.status).toBe(429);
    expect(Number(tooFast.headers.get("retry-after"))).toBeWithin(90, 101);
    expect(await metric('athena_gateway_app_open{app="limited",kind="call"}')).toBe(0);
    expect(await metric('athena_gateway_admission_total{app="limited",decision="admitted"}')).toBe(3);
    expect(await metric('athena_gateway_admission_total{app="limited",decision="calls"}')).toBe(1);
    expect(await metric('athena_gateway_admission_total{app="limited",decision="requests"}')).toBe(1);
    expect(await metric("athena_gateway_requests_in_flight")).toBe(0);
  });
});

test("a WebSocket that is refused is one decision of admission, and one request", async () => {
  const counts = () =>
    Promise.all([
      metric('athena_gateway_admission_total{app="",decision="unauthenticated"}'),
      metric('athena_gateway_requests_total{service="",outcome="UNAUTHENTICATED"}'),
    ]);
  const [decisions = 0, requests = 0] = await counts();
  const handshake = { "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==", "sec-websocket-version": "13" };
  const headers = { connection: "upgrade", upgrade: "websocket", ...handshake };
  const answer = await fetch(url, { headers });
  expect(answer.status).toBe(401);
  expect(answer.headers.get("www-authenticate")).not.toBeNull();
  expect(await answer.json()).toMatchObject({ header: { code: 10313, sid: answer.headers.get("athena-sid") } });
  expect(await counts()).toEqual([decisions + 1, requests + 1]);
});

function echoEnvelopeOf(app: string, parameters: object = {}): object {
  return { header: { app_id: app }, parameter: { echo: parameters }, payload: { data: { text: "aGk=" } } };
}

describe("a stream of results", () => {
  const socketUrl = (): string => url.replace("http", "ws");
  const sse = { accept: "text/event-stream" };

  /** The first frame that a new WebSocket gets for an envelope; what it was refused with where it was not opened. */
  function firstFrame(headers: Record<string, string>, envelope: object): Promise<unknown> {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    // Bun takes headers in this place; the types know the standard's subprotocols alone.
    const socket = new WebSocket(socketUrl(), { headers } as unknown as string[]);
    socket.onopen = () => socket.send(JSON.stringify(envelope));
    socket.onmessage = ({ data }) => resolve(JSON.parse(String(data)));
    socket.onerror = () => resolve("refused");
    return promise.finally(() => socket.close());
  }

  test("is for apps with a key alone, over WebSocket and as server-sent events", async () => {
    expect(await firstFrame({}, echoEnvelope("x"))).toBe("refused");
    expect((await post(url, echoEnvelope("x"), sse)).status).toBe(401);
    expect(await firstFrame(bearer(known.key), echoEnvelope("x"))).toMatchObject({ header: { code: 0 } });
    const request = { method: "POST", headers: { "content-type": "application/json", ...sse, ...bearer(known.key) } };
    const answer = await fetch(url, { ...request, body: JSON.stringify(echoEnvelope("x")) });
    expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining('"code":0')]);
  });

  test("is refused for a service that the app may not call, and for another app's name", async () => {
    expect(await firstFrame(bearer(narrow.key), echoEnvelope("x"))).toMatchObject({ header: { code: 10313 } });
    const other = { ...echoEnvelope("x"), header: { app_id: "other" } };
    expect(await firstFrame(bearer(known.key), other)).toMatchObject({ header: { code: 10313 } });
    expect((await post(url, echoEnvelope("x"), { ...sse, ...bearer(narrow.key) })).status).toBe(403);
  });
});

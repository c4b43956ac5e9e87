import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { addressOf, type ServiceProcess, startServiceProcess, waitUntilReady } from "../../cli/service-process.ts";
import { signedHeaders, signedUrl } from "../../gateway/admission/test-signer.ts";
import { InferenceService } from "../../proto/gen/athena/v1/inference_pb.ts";
import { newKey } from "./api-key.ts";
import { startLoader, urlOf } from "./cluster.ts";
import { openSocket } from "./websocket-client.ts";

/* Whatever a gateway prints, shows and answers, no secret is in it. */

const known = newKey();
const wrong = newKey();
const secret = "signing-secret-of-an-app";
const wrongSecret = "signing-secret-of-nobody";
const redisPassword = "password-of-redis";
const issuer = await generateKeyPair("ES256");
const publicKey = { ...(await exportJWK(issuer.publicKey)), kid: "one", alg: "ES256" };
const tokenOf = (audience: string, expires: string) =>
  new SignJWT({ sub: "app" })
    .setProtectedHeader({ alg: "ES256", kid: "one" })
    .setIssuer("https://id.example.com/")
    .setAudience(audience)
    .setExpirationTime(expires)
    .sign(issuer.privateKey);
const tokens = {
  good: await tokenOf("athena", "1h"),
  other: await tokenOf("elsewhere", "1h"),
  old: await tokenOf("athena", "-1h"),
};

let folder: string;
let loader: ServiceProcess;
let gateway: ServiceProcess;
let redis: Server;
/** Everything that was seen, with where. */
const seen: (readonly [where: string, text: string])[] = [];
const see = (where: string, text: string): void => {
  seen.push([where, text]);
};

/** Writes a file as a whole: it may be looked at at any time. */
async function write(name: string, text: string): Promise<void> {
  await writeFile(join(folder, `${name}.new`), text);
  await rename(join(folder, `${name}.new`), join(folder, name));
}

const appsWith = (signatureKey: string): string => `
apps:
  - id: app
    services: ["*"]
    keys: ["${known.hash}"]
    limits: { concurrentCalls: 100 }
    signatureKeys:
      - ${signatureKey}
`;
const good = appsWith(`{ key: asf-key, secret: ${secret} }`);
/** Each way to write a secret wrongly, in which something may want to show the line. */
const broken: readonly string[] = [
  `{ key: asf-key, secret: *${secret} }`,
  `{ key: asf-key, secret ${secret} }`,
  `{ key: asf-key, secret: a}${secret}`,
  `{ key: asf-key, secret: "${secret}`,
  `{ key: asf-key, secret: ["${secret}"] }`,
  `{ key: asf-key, secret: ${secret}, secretEnv: ${secret} }`,
  `{ key: asf-key, secret: |${secret} }`,
  `key: asf-key\n        secret: |${secret}`,
  `key: asf-key\n        secret: !x!${secret} a`,
  `key: asf-key\n        ${secret}: secret`,
  `{ key: "${secret}'\\"", secret: short }`,
].map(appsWith);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-secrets-"));
  loader = await startLoader(["echo"]);
  // What a Redis with another password says, and to every command alike.
  redis = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", () => socket.write("-WRONGPASS invalid username-password pair or user is disabled.\r\n"));
  });
  await new Promise<void>((resolve) => redis.listen(0, "127.0.0.1", resolve));
  const { port } = redis.address() as { port: number };
  const local = { host: "127.0.0.1", port: 0 };
  await write("apps.yaml", good);
  await write("keys.json", JSON.stringify({ keys: [publicKey] }));
  const admission = {
    appsFile: "apps.yaml",
    tokens: [{ issuer: "https://id.example.com/", audience: "athena", jwksFile: "keys.json" }],
    redis: { url: `redis://user:${redisPassword}@127.0.0.1:${port}` },
  };
  const services = [{ id: "echo", endpoints: [urlOf(loader)] }];
  const config = { listen: local, grpcListen: local, admin: local, reloadIntervalMs: 20, admission, services };
  await write("gateway.yaml", JSON.stringify(config));
  gateway = await startServiceProcess({
    main: "gateway/main.ts",
    config: "",
    configFile: join(folder, "gateway.yaml"),
    onLog: (line) => see("the log", JSON.stringify(line)),
    onText: (text) => see("the output", text),
  });
  await waitUntilReady(gateway, ["echo"]);
});

afterAll(async () => {
  await loader.stop();
  redis.close();
  await rm(folder, { recursive: true });
});

const body = JSON.stringify({ header: {}, payload: { data: { text: "aGk=" } } });

async function fetchAndSee(url: string, init: RequestInit = {}): Promise<number> {
  const response = await fetch(url, init);
  see(new URL(url).pathname, JSON.stringify([...response.headers]) + (await response.text()));
  return response.status;
}

let signedCalls = 0;

async function signed(withSecret: string, form: "url" | "headers"): Promise<number> {
  const url = urlOf(gateway);
  const { host } = new URL(url);
  const date = new Date().toUTCString();
  // A signature that covers the body is taken once.
  const body = JSON.stringify({ header: { uid: String(signedCalls++) }, payload: { data: { text: "aGk=" } } });
  const options = { key: "asf-key", secret: withSecret, date, host, path: "/echo", body };
  const request = form === "url" ? signedUrl(options) : signedHeaders(options);
  const names = form === "url" ? [] : ["date", "digest", "authorization"];
  const headers = Object.fromEntries(names.map((name) => [name, request.header(name) ?? ""]));
  return fetchAndSee(url + request.target(), {
    method: "POST",
    body,
    headers: { "content-type": "application/json", ...headers },
  });
}

/** Sends credentials that hold and others over every protocol; gives the statuses of the plain calls. */
async function callAround(): Promise<readonly number[]> {
  const credentials = [
    known.headers,
    wrong.headers,
    { "x-api-key": known.key },
    { "x-api-key": `${known.key}x` },
    ...Object.values(tokens).map((token) => ({ authorization: `Bearer ${token}` })),
    { authorization: `Bearer ${tokens.good}x` },
    { authorization: `Basic ${known.key}` },
  ];
  const statuses: number[] = [];
  const clients = [
    createClient(InferenceService, createConnectTransport({ baseUrl: urlOf(gateway), httpVersion: "1.1" })),
    createClient(InferenceService, createGrpcTransport({ baseUrl: addressOf(gateway, "grpc") })),
  ];
  for (const headers of credentials) {
    const init = { method: "POST", headers: { "content-type": "application/json", ...headers }, body };
    statuses.push(await fetchAndSee(`${urlOf(gateway)}/echo`, init));
    await fetchAndSee(`${urlOf(gateway)}/nobody`, init);
    await fetchAndSee(`${urlOf(gateway)}/echo`, { ...init, body: "{" });
    await fetchAndSee(`${urlOf(gateway)}/v2/models/echo/infer`, init);
    for (const client of clients) {
      await client.infer({ service: "echo" }, { headers }).catch((thrown) => {
        const { message, metadata } = ConnectError.from(thrown);
        see("an error", message + JSON.stringify([...metadata]));
      });
    }
    const socket = await openSocket(`${urlOf(gateway)}/echo`, [], headers).catch(() => undefined);
    socket?.send({ header: { status: 3, app_id: "other" } });
    if (socket !== undefined) see("a frame", JSON.stringify([await socket.next(), await socket.closed]));
  }
  for (const form of ["url", "headers"] as const) {
    statuses.push(await signed(secret, form), await signed(wrongSecret, form));
  }
  return statuses;
}

test("no key, hash, secret, token or password is in what a gateway prints, shows or answers", async () => {
  const statuses = [200, 401, 200, 401, 200, 401, 401, 401, 401, 200, 401, 200, 401];
  expect(await callAround()).toEqual(statuses);
  for (const text of broken) {
    await write("apps.yaml", text);
    const status = await fetchAndSee(`${addressOf(gateway, "admin")}/reload`, { method: "POST" });
    expect({ text, isRefused: status >= 400 }).toEqual({ text, isRefused: true });
  }
  for (const path of ["/metrics", "/readyz", "/healthz", "/"]) await fetchAndSee(addressOf(gateway, "admin") + path);
  for (const path of ["/openapi.json", "/openapi/echo.json", "/docs", "/v2", "/v2/models"]) {
    await fetchAndSee(urlOf(gateway) + path, { headers: known.headers });
  }
  expect(await callAround()).toEqual(statuses);
  expect(await gateway.stop()).toBe(0);
  const places = new Set(seen.map(([where]) => where));
  for (const where of ["the log", "/echo", "/reload", "/metrics", "an error", "a frame"])
    expect(places).toContain(where);
  expect(seen.some(([where, text]) => where === "the log" && text.includes("Redis cannot be reached"))).toBe(true);
  expect(seen.some(([where, text]) => where === "the log" && text.includes("apps.yaml"))).toBe(true);
  const secrets: Readonly<Record<string, string>> = {
    "a key": known.key.slice(16),
    "a wrong key": wrong.key.slice(16),
    "a key's hash": known.hash.slice(13),
    "a secret": secret,
    "the beginning of a secret": secret.slice(0, 12),
    "a password": redisPassword,
    ...Object.fromEntries(Object.entries(tokens).map(([name, token]) => [`token '${name}'`, token.slice(-40)])),
  };
  const told = seen.flatMap(([where, text]) =>
    Object.entries(secrets)
      .filter(([, hidden]) => text.includes(hidden))
      .map(([name]) => `${name} in ${where}: ${text.slice(0, 400)}`),
  );
  expect(told).toEqual([]);
});

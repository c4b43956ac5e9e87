import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Result } from "../../bench/recorder.ts";
import { run } from "../../bench/run.ts";
import { createTarget } from "../../bench/target.ts";
import {
  addressOf,
  type LogLine,
  type ServiceProcess,
  startServiceProcess,
  waitUntilReady,
} from "../../cli/service-process.ts";
import { post, urlOf } from "./cluster.ts";
import { frameOf, openSocket, textOf } from "./websocket-client.ts";

/*
 * A gateway whose configuration stands in a folder as Kubernetes makes one of a ConfigMap: every file is a symbolic link
 * through `..data`, which leads to a folder of its own for each version.
 */

const local = { host: "127.0.0.1", port: 0 };
const service = (id: string) => `id: ${id}\nengine: { kind: echo }
inputs: { data: { type: text } }
outputs: { data: { type: text } }
parameters: { delayMs: { type: integer } }
once: true
stream: true
slots: { total: 64, best: 64 }
`;

let folder: string;
let loaders: ServiceProcess[];
let gateway: ServiceProcess;
const logs: LogLine[] = [];
let version = 0;
let published: readonly string[] = [];

/** Makes a new version of the folder and swaps it in. */
async function publish(files: Readonly<Record<string, string>>): Promise<void> {
  version += 1;
  const target = join(folder, `..version-${version}`);
  await mkdir(target);
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(target, name), text);
    await symlink(`..data/${name}`, join(folder, name)).catch(() => {});
  }
  await symlink(`..version-${version}`, join(folder, "..data_tmp"));
  await rename(join(folder, "..data_tmp"), join(folder, "..data"));
  for (const name of published) if (!(name in files)) await rm(join(folder, name));
  published = Object.keys(files);
  await rm(join(folder, `..version-${version - 1}`), { recursive: true, force: true });
}

interface Service {
  readonly id: string;
  readonly [key: string]: unknown;
}

const both = (): readonly string[] => loaders.map(urlOf);

/** gateway.yaml, with every service on both loaders unless it says otherwise. */
function yaml(services: readonly Service[], more: object = {}): string {
  return JSON.stringify(
    {
      listen: local,
      grpcListen: local,
      admin: local,
      healthCheck: { intervalMs: 100, timeoutMs: 500 },
      reloadIntervalMs: 25,
      schemas: ["."],
      ...more,
      services: services.map((entry) => ({ endpoints: both(), ...entry })),
    },
    undefined,
    1,
  );
}

const one = { id: "one" };
const two = { id: "two" };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-hot-"));
  const services = ["one", "two"].map((id) => join(folder, `loader-${id}`));
  for (const [index, path] of services.entries()) {
    await mkdir(path);
    await writeFile(join(path, "service.yaml"), service(["one", "two"][index] ?? ""));
  }
  const config = JSON.stringify({ listen: local, admin: local, services });
  loaders = await Promise.all([1, 2].map(() => startServiceProcess({ main: "loader/main.ts", config })));
  for (const loader of loaders) await waitUntilReady(loader, ["one", "two"]);
  await publish({ "gateway.yaml": yaml([one, two]) });
  gateway = await startServiceProcess({
    main: "gateway/main.ts",
    config: "",
    configFile: join(folder, "gateway.yaml"),
    onLog: (line) => logs.push(line),
  });
  await waitUntilReady(gateway, ["one", "two"]);
});

afterAll(async () => {
  await gateway.stop(5000);
  for (const loader of loaders) await loader.stop(5000);
  await rm(folder, { recursive: true });
});

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${addressOf(gateway, "admin")}/metrics`)).text();
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1));
}

const readings = (outcome: string) => metric(`athena_gateway_config_reloads_total{outcome="${outcome}"}`);

/** Publishes a version and waits until the gateway has read it, by itself. */
async function publishAndWait(outcome: "applied" | "refused", files: Readonly<Record<string, string>>): Promise<void> {
  const before = await readings(outcome);
  await publish(files);
  await until(async () => (await readings(outcome)) > before);
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error("it did not come to that");
    await Bun.sleep(10);
  }
}

const ask = (path: string, parameters: object = {}) =>
  post(`${urlOf(gateway)}/${path}`, {
    header: { app_id: "1" },
    parameter: Object.keys(parameters).length === 0 ? {} : { [path]: parameters },
    payload: { data: { text: "aGk=" } },
  });

/** Calls service `one` 250 times a second, whatever the answers, until the work is done. */
async function underLoad(work: () => Promise<void>): Promise<Result> {
  const target = createTarget({
    url: urlOf(gateway),
    unix: undefined,
    protocol: "http-json",
    service: "one",
    input: "data",
    type: "text",
    payload: new Uint8Array(1024).fill(97),
    expectEcho: true,
  });
  const load = { kind: "open", ratePerSecond: 250, maxInFlight: 500 } as const;
  let isOver = false;
  const rounds = (async () => {
    const results: Result[] = [];
    while (!isOver) results.push(await run(target, load, { durationMs: 500 }));
    return results;
  })();
  try {
    await work();
  } finally {
    isOver = true;
  }
  const outcomes: Record<string, number> = {};
  for (const result of await rounds) {
    for (const [name, count] of Object.entries(result.outcomes)) outcomes[name] = (outcomes[name] ?? 0) + count;
  }
  return { ...((await rounds)[0] ?? expect.unreachable()), outcomes };
}

describe("a configuration that changes while services are called", () => {
  test("costs no request of a service that stays, whatever is good, bad, added or removed", async () => {
    const schema = (meta: object, input: object = {}) => JSON.stringify({ meta, schemainput: input });
    const schemaOne = schema({
      serviceId: "one",
      service: ["one"],
      one: { input: { data: "text" }, accept: { data: "text" } },
    });
    const result = await underLoad(async () => {
      for (let round = 0; round < 3; round++) {
        const [first = "", second = ""] = both();
        await publishAndWait("applied", { "gateway.yaml": yaml([{ ...one, endpoints: [first] }, two]) });
        await publishAndWait("refused", { "gateway.yaml": "services: [" });
        await publishAndWait("applied", {
          "gateway.yaml": yaml([
            { ...one, endpoints: [second, "http://127.0.0.1:1"], balancer: { kind: "round-robin" } },
          ]),
        });
        await publishAndWait("refused", { "gateway.yaml": yaml([{ ...one, endpoint: first }]) });
        await publishAndWait("applied", {
          "gateway.yaml": yaml([{ ...one, timeoutMs: 30_000 }, two, { id: "absent" }], {
            healthCheck: { intervalMs: 50 },
          }),
          "schema_one.json": schemaOne,
        });
        await publishAndWait("refused", {
          "gateway.yaml": yaml([one]),
          "schema_one.json": schema({ serviceId: "one" }, { a: 1 }),
        });
        await publishAndWait("refused", { "gateway.yaml": yaml([one], { schemas: ["gone"] }) });
        await publishAndWait("applied", {
          "gateway.yaml": yaml(
            [{ ...one, balancer: { kind: "consistent-hash", key: { client: "address" } }, version: "v1" }],
            { categories: [{ id: "any", rules: [{ service: "one" }] }] },
          ),
        });
        await publishAndWait("applied", { "gateway.yaml": yaml([one, two]) });
      }
    });
    expect(Object.keys(result.outcomes)).toEqual(["200"]);
    expect(result.outcomes["200"]).toBeGreaterThan(500);
  }, 120_000);

  test("does not change by a mistake, which the log tells with its line and a metric shows", async () => {
    await publishAndWait("refused", { "gateway.yaml": yaml([{ ...one, timeoutMs: 0 }]) });
    expect(await metric("athena_gateway_config_current")).toBe(0);
    const line = logs.findLast(({ msg }) => String(msg).startsWith("the configuration was refused"));
    expect(JSON.stringify(line?.mistakes)).toContain("line 29: services.0.timeoutMs");
    expect((await ask("two")).status).toBe(200);
    const before = await readings("unchanged");
    await publish({ "gateway.yaml": yaml([one, two]) });
    await until(async () => (await readings("unchanged")) > before);
    expect(await metric("athena_gateway_config_current")).toBe(1);
  });

  test("lets requests in flight to a service that is taken out finish, and knows it no more afterwards", async () => {
    const slow = ask("two", { delayMs: 1000 });
    const upload = await beginUpload("two");
    await until(
      async () =>
        (await metric(`athena_gateway_in_flight{service="two",endpoint="${both()[0]}"}`)) > 0 ||
        (await metric(`athena_gateway_in_flight{service="two",endpoint="${both()[1]}"}`)) > 0,
    );
    await publishAndWait("applied", { "gateway.yaml": yaml([one]) });
    const gone = await ask("two");
    expect([gone.status, gone.body.header.code]).toEqual([404, 10404]);
    expect((await slow).status).toBe(200);
    expect(await upload.finish()).toStartWith("HTTP/1.1 200");
    const text = await (await fetch(`${addressOf(gateway, "admin")}/readyz`)).text();
    expect(text).not.toContain("two");
  });

  test("lets a session of a service that is taken out go on to its end", async () => {
    await publishAndWait("applied", { "gateway.yaml": yaml([one, two]) });
    await until(async () => (await ask("two")).status === 200);
    const socket = await openSocket(`${urlOf(gateway)}/two`);
    socket.send(frameOf("first", 0));
    await socket.next();
    expect(textOf(await socket.next())).toBe("first");
    await publishAndWait("applied", { "gateway.yaml": yaml([one]) });
    expect((await ask("two")).status).toBe(404);
    socket.send(frameOf("last", 2));
    const last = await socket.next();
    expect([last.header.status, textOf(last)]).toEqual([2, "last"]);
    expect((await socket.closed).code).toBe(1000);
  });

  test("is read when an operator asks for it, and tells what has changed or what is wrong", async () => {
    const reload = () => fetch(`${addressOf(gateway, "admin")}/reload`, { method: "POST" });
    expect(await (await reload()).json()).toEqual({ outcome: "unchanged" });
    await publish({ "gateway.yaml": yaml([two, { ...one, timeoutMs: 5 }], { accessLog: false }) });
    const applied = await reload();
    expect(applied.status).toBe(200);
    // The gateway may have seen it by itself before it was asked.
    const body: unknown = await applied.json();
    if (JSON.stringify(body).includes("applied")) {
      expect(body).toEqual({
        outcome: "applied",
        needsRestart: ["accessLog"],
        added: ["two"],
        removed: [],
        changed: ["one"],
      });
    }
    await until(() => logs.some(({ msg }) => String(msg).startsWith("some changes take effect after a restart")));
    expect(logs.findLast(({ keys }) => keys !== undefined)).toMatchObject({ keys: ["accessLog"] });
    await publish({ "gateway.yaml": "nothing: here" });
    const refused = await reload();
    expect(refused.status).toBe(400);
    expect(JSON.stringify(await refused.json())).toContain("line 1: nothing: unknown key");
    expect((await fetch(`${addressOf(gateway, "admin")}/reload`)).status).toBe(405);
  });

  test("is not read for a web page of another host, which no preflight would keep from asking", async () => {
    const reload = async (origin: string) => {
      const method = "POST";
      return (await fetch(`${addressOf(gateway, "admin")}/reload`, { method, headers: { origin } })).status;
    };
    await publish({ "gateway.yaml": "nothing: here" });
    expect(await reload("https://evil.test")).toBe(403);
    expect(await reload("null")).toBe(403);
    expect(await reload(addressOf(gateway, "admin"))).toBe(400);
  });

  test("is read at SIGHUP", async () => {
    const before = await readings("refused");
    gateway.kill("SIGHUP");
    await until(async () => (await readings("refused")) > before);
    await publish({ "gateway.yaml": yaml([one]) });
    gateway.kill("SIGHUP");
    await until(async () => (await ask("two")).status === 404);
  });
});

/** Sends the first half of a request; the rest leaves when it is told to finish. */
async function beginUpload(path: string): Promise<{ finish(): Promise<string> }> {
  const { hostname, port } = new URL(urlOf(gateway));
  const socket = connect(Number(port), hostname);
  const body = JSON.stringify({ header: { app_id: "1" }, payload: { data: { text: "aGk=" } } });
  const head = `POST /${path} HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  const written = Promise.withResolvers<void>();
  socket.write(head + body.slice(0, 20), () => written.resolve());
  await written.promise;
  // What the gateway does with the first half is seen by nothing: give it time to route.
  await Bun.sleep(100);
  return {
    async finish() {
      const answered = Promise.withResolvers<string>();
      socket.once("data", (data) => answered.resolve(String(data)));
      socket.once("error", answered.reject);
      socket.write(body.slice(20));
      const answer = await answered.promise;
      socket.destroy();
      return answer;
    },
  };
}

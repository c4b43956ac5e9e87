import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import {
  addressOf,
  type LogLine,
  type ServiceProcess,
  startServiceProcess,
  waitUntilReady,
} from "../../cli/service-process.ts";
import { signedUrl } from "../../gateway/admission/test-signer.ts";
import { newKey } from "./api-key.ts";
import { echoEnvelope, post, startLoader, urlOf } from "./cluster.ts";
import { eventually, frameOf, metric, openSocket, textOf } from "./websocket-client.ts";

const stays = newKey();
const other = newKey();
const limited = newKey();

const always = { id: "stays", services: ["*"], keys: [stays.hash] };
const guest = (more: object = {}) => ({ id: "guest", services: ["*"], keys: [other.hash], ...more });
const few = (requestBurst: number) => ({
  id: "limited",
  services: ["*"],
  keys: [limited.hash],
  limits: { requestsPerSecond: 0.001, requestBurst },
});
const signing = { id: "signing", services: ["*"], signatureKeys: [{ key: "asf-key", secretFile: "secret" }] };

let folder: string;
let loader: ServiceProcess;
let gateway: ServiceProcess;
const logs: LogLine[] = [];

/** Writes a file as a whole: it may be looked at at any time. */
async function write(name: string, text: string): Promise<void> {
  await writeFile(join(folder, `${name}.new`), text);
  await rename(join(folder, `${name}.new`), join(folder, name));
}

const writeApps = (...apps: object[]) => write("apps.yaml", JSON.stringify({ apps: [always, ...apps] }, undefined, 1));

const local = { host: "127.0.0.1", port: 0 };
const writeGateway = (more: object) =>
  write(
    "gateway.yaml",
    JSON.stringify({
      ...{ listen: local, grpcListen: local, admin: local, reloadIntervalMs: 20 },
      services: [{ id: "echo", endpoints: [urlOf(loader)] }],
      ...more,
    }),
  );
const admitting = { admission: { appsFile: "apps.yaml" } };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-apps-"));
  loader = await startLoader(["echo"]);
  await writeApps(guest());
  await writeGateway(admitting);
  gateway = await startServiceProcess({
    main: "gateway/main.ts",
    config: "",
    configFile: join(folder, "gateway.yaml"),
    onLog: (line) => logs.push(line),
  });
  await waitUntilReady(gateway, ["echo"]);
});

afterAll(async () => {
  await gateway.stop(5000);
  await loader.stop(5000);
  await rm(folder, { recursive: true });
});

const statusOf = async ({ headers }: Pick<ReturnType<typeof newKey>, "headers">): Promise<number> => {
  const { header, ...rest } = echoEnvelope("x") as { header: object };
  return (await post(`${urlOf(gateway)}/echo`, { header: { ...header, app_id: "" }, ...rest }, headers)).status;
};

const readings = (outcome: string) =>
  metric(gateway, new RegExp(`^athena_gateway_config_reloads_total\\{outcome="${outcome}"\\} (\\d+)$`, "m"));

/** Changes files, and waits until the gateway has seen that by itself. */
async function seen(outcome: "applied" | "refused", change: () => Promise<void>): Promise<void> {
  const before = await readings(outcome);
  await change();
  expect(await eventually(async () => (await readings(outcome)) > before, 10_000)).toBe(true);
}

const applied = (...apps: object[]) => seen("applied", () => writeApps(...apps));

describe("apps that change while a gateway runs", () => {
  test("come, get other rights and go, and no request of an app that stays fails for it", async () => {
    let isOver = false;
    const statuses = new Map<number, number>();
    const callers = Array.from({ length: 4 }, async () => {
      while (!isOver) {
        const status = await statusOf(stays);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    });
    try {
      for (let round = 0; round < 3; round++) {
        await applied(guest({ services: ["mm*"] }));
        expect(await statusOf(other)).toBe(403);
        await applied();
        expect(await statusOf(other)).toBe(401);
        await seen("refused", () => write("apps.yaml", "apps: [{ id: stays }]"));
        expect(await statusOf(other)).toBe(401);
        await applied(guest({ limits: { concurrentCalls: 0 } }));
        expect(await statusOf(other)).toBe(429);
        await applied(guest());
        expect(await statusOf(other)).toBe(200);
      }
    } finally {
      isOver = true;
      await Promise.all(callers);
    }
    expect([...statuses.keys()]).toEqual([200]);
    expect(statuses.get(200)).toBeGreaterThan(50);
  }, 60_000);

  test("keep what they have used of their limits", async () => {
    await applied(few(2));
    expect([await statusOf(limited), await statusOf(limited), await statusOf(limited)]).toEqual([200, 200, 429]);
    await applied(few(2), guest());
    expect(await statusOf(limited)).toBe(429);
    await applied(guest());
    await applied(few(2));
    expect(await statusOf(limited)).toBe(429);
    await applied(few(3));
    expect([await statusOf(limited), await statusOf(limited)]).toEqual([200, 429]);
  });

  test("have the secret that its file has now", async () => {
    const statusBy = async (secret: string): Promise<number> => {
      const { host } = new URL(urlOf(gateway));
      const date = new Date().toUTCString();
      const signed = signedUrl({ key: "asf-key", secret, date, host, path: "/echo" });
      return (await post(`${urlOf(gateway)}${signed.target()}`, { ...echoEnvelope("x"), header: {} })).status;
    };
    await write("secret", "the-secret-of-today\n");
    await applied(signing);
    expect(await statusBy("the-secret-of-today")).toBe(200);
    await seen("applied", () => write("secret", "the-secret-of-tomorrow\n"));
    expect([await statusBy("the-secret-of-today"), await statusBy("the-secret-of-tomorrow")]).toEqual([401, 200]);
    await seen("refused", () => rm(join(folder, "secret")));
    expect(await statusBy("the-secret-of-tomorrow")).toBe(200);
  });

  test("let a session go on to its end, and begin no other on the same WebSocket once they are gone", async () => {
    await applied(guest());
    const socket = await openSocket(`${urlOf(gateway)}/echo?stream_mode=multiplex`, [], other.headers);
    const frame = (text: string, status: number, cid: string) => frameOf(text, status, { app_id: "", cid });
    socket.send(frame("first", 0, "a"));
    await socket.next();
    expect(textOf(await socket.next())).toBe("first");
    await applied();
    socket.send(frame("next", 0, "b"));
    expect((await socket.next()).header).toMatchObject({
      code: 10313,
      cid: "b",
      message: "the credential of this connection does not hold any more",
    });
    socket.send(frame("last", 2, "a"));
    expect((await socket.next()).header).toMatchObject({ code: 0, cid: "a", status: 2 });
    socket.close();
  });

  test("are told to whoever asks for a reload, and mistakes as those of gateway.yaml are", async () => {
    await applied(guest());
    const reload = () => fetch(`${addressOf(gateway, "admin")}/reload`, { method: "POST" });
    const last = (): LogLine | undefined => logs.findLast(({ msg }) => msg === "the configuration was applied");
    const change = { added: ["guest"], removed: [], changed: [] };
    expect(await eventually(() => isDeepStrictEqual(last()?.apps, change))).toBe(true);
    expect(await (await reload()).json()).toEqual({ outcome: "unchanged" });
    await write("apps.yaml", `apps:\n  - { id: stays, services: ["*"], limit: {} }\n`);
    const refused = await reload();
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({
      mistakes: ["admission: apps.yaml: line 2: apps.0.limit: unknown key"],
    });
    expect(await metric(gateway, /^athena_gateway_config_current (\d)$/m)).toBe(0);
    expect(await statusOf(other)).toBe(200);
  });
});

describe("admission itself", () => {
  test("is not switched off by a reload, nor are its stores changed, and the log says so", async () => {
    const tells = (...keys: string[]) =>
      eventually(() => isDeepStrictEqual(logs.findLast((line) => line.keys !== undefined)?.keys, keys));
    await writeApps(guest());
    await seen("applied", () => writeGateway({}));
    expect(await tells("admission")).toBe(true);
    expect([await statusOf({ headers: { authorization: "" } }), await statusOf(other)]).toEqual([401, 200]);
    const signature = { requireDigest: true };
    await seen("applied", () => writeGateway({ admission: { appsFile: "apps.yaml", signature } }));
    expect(await tells("admission.signature")).toBe(true);
  });
});

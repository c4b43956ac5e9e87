import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addressOf, type ServiceProcess, startServiceProcess } from "../../../cli/service-process.ts";
import { newKey } from "../../integration/api-key.ts";
import { startGateway, urlOf } from "../../integration/cluster.ts";

const python = process.env.ATHENA_TEST_PYTHON ?? "python3";
const fixtures = join(import.meta.dir, "../../fixtures/services");
const local = { host: "127.0.0.1", port: 0 };

let root: string;
const running: ServiceProcess[] = [];

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "athena-repository-"));
  await cp(join(fixtures, "tensors"), join(root, "tensors"), { recursive: true });
  await mkdir(join(root, "broken"));
  await writeFile(join(root, "broken/service.yaml"), "id: broken\nengine: { kind: nothing }\n");
});

afterAll(async () => {
  for (const each of running.reverse()) await each.stop();
  await rm(root, { recursive: true, force: true });
});

async function loader(more: object): Promise<ServiceProcess> {
  const config = { listen: local, admin: local, services: [], repository: root, ...more };
  const started = await startServiceProcess({ main: "loader/main.ts", config: JSON.stringify(config) });
  running.push(started);
  return started;
}

/** A gateway in front of these loaders, none of which has anything loaded. */
async function gatewayOf(loaders: readonly ServiceProcess[], more: object): Promise<ServiceProcess> {
  const endpoints = loaders.map(urlOf);
  const services = ["tensors", "broken"].map((id) => ({ id, endpoints }));
  const config = JSON.stringify({
    ...{ listen: local, grpcListen: local, admin: local, services },
    healthCheck: { intervalMs: 100, timeoutMs: 5000 },
    ...more,
  });
  const started = await startServiceProcess({ main: "gateway/main.ts", config });
  running.push(started);
  return started;
}

describe("loading and unloading models through a gateway", () => {
  test.each(["http", "grpc"] as const)("works for Triton's client over %s, on every loader", async (kind) => {
    const [operator, caller] = [newKey(), newKey()];
    const apps = [
      { id: "operator", services: ["*"], keys: [operator.hash], modelControl: true },
      { id: "caller", services: ["*"], keys: [caller.hash] },
    ];
    const loaders = await Promise.all([loader({ modelControl: "explicit" }), loader({ modelControl: "explicit" })]);
    const gateway = await gatewayOf(loaders, { modelControl: "explicit", admission: { apps } });
    const address = new URL(kind === "http" ? urlOf(gateway) : addressOf(gateway, "grpc")).host;
    const script = join(import.meta.dir, "../../interop/oip_repository.py");
    const child = Bun.spawn([python, script, kind, address, operator.key, caller.key], { stderr: "pipe" });
    const text = (stream: ReadableStream) => new Response(stream).text();
    const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr)]);
    expect(errors).toBe("");
    expect(output.trim().split("\n")).toEqual([
      ...["load_makes_it_callable_at_once", "load_anew_while_it_serves"],
      ...["what_cannot_be_done_is_named", "unload_takes_it_out_at_once"],
    ]);
  });

  test("is refused, with the place where it can be done, unless both sides allow it", async () => {
    const closed = await loader({});
    const ask = async (gateway: ServiceProcess) => {
      const response = await fetch(`${urlOf(gateway)}/v2/repository/models/tensors/load`, { method: "POST" });
      return { status: response.status, body: await response.json() };
    };
    expect(await ask(await gatewayOf([closed], {}))).toEqual({
      status: 501,
      body: { error: "loading and unloading needs 'modelControl: explicit' in the configuration" },
    });
    expect(await ask(await gatewayOf([closed], { modelControl: "explicit" }))).toEqual({
      status: 501,
      body: { error: expect.stringContaining("admin address alone") },
    });
  });

  test("never fails a call of a model that is loaded anew all the time", async () => {
    const only = await loader({ services: [join(root, "tensors")], modelControl: "explicit" });
    const gateway = await startGateway([{ id: "tensors", endpoints: [urlOf(only)] }], { modelControl: "explicit" });
    running.push(gateway);
    let isOver = false;
    const statuses = new Map<number, number>();
    const callers = Array.from({ length: 4 }, async () => {
      while (!isOver) {
        const body = JSON.stringify({ inputs: [{ name: "int32", datatype: "INT32", shape: [1], data: [1] }] });
        const response = await fetch(`${urlOf(gateway)}/v2/models/tensors/infer`, { method: "POST", body });
        await response.bytes();
        statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
      }
    });
    for (let times = 0; times < 3; times += 1) {
      const response = await fetch(`${urlOf(gateway)}/v2/repository/models/tensors/load`, { method: "POST" });
      expect({ status: response.status, body: await response.json() }).toEqual({ status: 200, body: {} });
    }
    isOver = true;
    await Promise.all(callers);
    expect([...statuses.keys()]).toEqual([200]);
  });
});

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Deployment } from "kubernetes-types/apps/v1";
import type { Service } from "kubernetes-types/core/v1";
import { parseAllDocuments } from "yaml";
import { athena } from "../../cli/program.ts";
import { loadConfig } from "../../config/load.ts";
import { loaderConfigSchema } from "../../config/loader.ts";
import { replay, type Stage } from "./image.ts";

const repository = join(import.meta.dir, "../..");
let folder: string;
let standIns: string;
let bases: ReadonlyMap<string, Stage>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-package-"));
  // What the images install is on this machine, as every test needs it.
  standIns = join(folder, "bin");
  await Bun.write(join(standIns, "apt-get"), "#!/bin/sh\n");
  await chmod(join(standIns, "apt-get"), 0o755);
  const loader = (await replay("Dockerfile.loader", repository, join(folder, "loader"))).at(-1);
  if (loader === undefined) throw new Error("Dockerfile.loader has no stage");
  bases = new Map([["athena-loader", loader]]);
}, 120_000);

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Creates and packages a project; gives its folder and its image. */
async function packaged(kind: readonly string[]): Promise<{ project: string; image: Stage }> {
  const place = join(folder, kind.join(""));
  const project = join(place, "greeter");
  expect(await athena(["create", project, ...kind])).toBe(0);
  expect(await athena(["package", project])).toBe(0);
  const image = (await replay("Dockerfile", project, join(place, "image"), { bases, standIns })).at(-1);
  if (image === undefined) throw new Error("the Dockerfile has no stage");
  return { project, image };
}

/** Starts an image as its entrypoint does, on free ports, with what it has on its path alone; gives its addresses. */
async function start(
  image: Stage,
): Promise<AsyncDisposable & { readonly publicUrl: string; readonly adminUrl: string }> {
  const inside = (path: string): string => join(image.root, path);
  const config = loadConfig(inside(image.entrypoint.at(-1) ?? ""), loaderConfigSchema);
  const local = { host: "127.0.0.1", port: 0 };
  const file = inside("config.json");
  await mkdir(inside("tmp"), { recursive: true });
  await writeFile(
    file,
    JSON.stringify({ ...config, listen: local, admin: local, services: config.services.map(inside) }),
  );
  const own =
    image.environment
      .get("PATH")
      ?.split(":")
      .filter((path) => path !== "$PATH") ?? [];
  const child = Bun.spawn([process.execPath, image.entrypoint[1] ?? "", "--config", file], {
    cwd: inside(image.workdir),
    // A temporary folder of its own, where no program that another test has built lies ready.
    env: { PATH: [...own.map(inside), dirname(process.execPath)].join(":"), TMPDIR: inside("tmp") },
    stdout: "pipe",
    stderr: "inherit",
  });
  const urls = new Map<string, string>();
  const listening = Promise.withResolvers<void>();
  const read = async (): Promise<void> => {
    for await (const chunk of child.stdout) {
      const lines = new TextDecoder().decode(chunk).matchAll(/"listener":"(\w+)","url":"([^"]+)"/g);
      for (const [, name = "", url = ""] of lines) urls.set(name, url);
      if (urls.size === 2) listening.resolve();
    }
    listening.reject(new Error("the image's entrypoint ended"));
  };
  const ended = read();
  await listening.promise;
  return {
    publicUrl: urls.get("public") ?? "",
    adminUrl: urls.get("admin") ?? "",
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await ended;
      expect(await child.exited).toBe(0);
    },
  };
}

/** Asks until the answer is 200. */
async function untilOk(url: string): Promise<void> {
  while ((await fetch(url)).status !== 200) await Bun.sleep(20);
}

async function greeting(publicUrl: string): Promise<unknown> {
  const part = { name: "name", type: "PART_TYPE_TEXT", data: Buffer.from("World").toString("base64") };
  const response = await fetch(`${publicUrl}/athena.v1.InferenceService/Infer`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ service: "greeter", parts: [part] }),
  });
  const { parts } = (await response.json()) as { parts?: { data: string }[] };
  return Buffer.from(parts?.[0]?.data ?? "", "base64").toString();
}

describe.each([
  ["Python code", ["--python"], "hello, World"],
  ["C++ code", ["--cpp"], "hello, World"],
] as const)("the image of %s", (_, kind, answer) => {
  test("is built by its own commands, runs as nobody in particular, and serves where its deployment says", async () => {
    const { project, image } = await packaged(kind);
    expect(image.user).toBe("65532:65532");
    expect(image.healthcheck).toContain("/healthz");
    expect(image.workdir).toBe("/app");

    const text = await Bun.file(join(project, "deploy/deployment.yaml")).text();
    // The shapes are what the objects were made as; the compiler has checked those.
    const [deployment, service] = parseAllDocuments(text).map((document) => document.toJS()) as [Deployment, Service];
    const pod = deployment.spec?.template.spec;
    const container = pod?.containers[0];
    const portOf = (name: unknown) => container?.ports?.find((port) => port.name === name)?.containerPort;
    const config = loadConfig(join(image.root, "etc/athena/loader.yaml"), loaderConfigSchema);
    expect(config.listen).toEqual({ host: "0.0.0.0", port: portOf("infer") ?? 0 });
    expect(config.admin).toEqual({ host: "0.0.0.0", port: portOf("admin") ?? 0 });
    expect(service.spec?.ports).toEqual([{ name: "infer", port: 5090, targetPort: "infer" }]);
    expect(deployment.spec?.template.metadata?.labels).toMatchObject(service.spec?.selector ?? { none: "" });
    expect(pod?.terminationGracePeriodSeconds).toBeGreaterThan(config.drainTimeoutMs / 1000);

    await using loader = await start(image);
    for (const probe of [container?.readinessProbe, container?.livenessProbe]) {
      expect(probe?.httpGet?.port).toBe("admin");
      await untilOk(`${loader.adminUrl}${probe?.httpGet?.path}`);
    }
    expect(await greeting(loader.publicUrl)).toBe(answer);
  }, 120_000);
});

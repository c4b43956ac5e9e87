import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { replay, type Stage } from "./image.ts";

const context = join(import.meta.dir, "../..");
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-docker-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function lastStage(dockerfile: string): Promise<Stage> {
  const stage = (await replay(dockerfile, context, join(folder, dockerfile))).at(-1);
  if (stage === undefined) throw new Error(`${dockerfile} has no stage`);
  return stage;
}

/** Starts the image's entrypoint in its folder, with another configuration, and asks one of its listeners something. */
async function askImage<Answer>(
  stage: Stage,
  config: object,
  listener: "admin" | "public",
  ask: (url: string) => Promise<Answer>,
): Promise<Answer> {
  const file = join(stage.root, "config.json");
  await Bun.write(file, JSON.stringify(config));
  const [, main = ""] = stage.entrypoint;
  const child = Bun.spawn([process.execPath, main, "--config", file], {
    cwd: join(stage.root, stage.workdir),
    stdout: "pipe",
    stderr: "inherit",
  });
  try {
    let output = "";
    for await (const chunk of child.stdout) {
      output += new TextDecoder().decode(chunk);
      const url = new RegExp(`"listener":"${listener}","url":"([^"]+)"`).exec(output)?.[1];
      if (url !== undefined) return await ask(url);
    }
    throw new Error(output);
  } finally {
    child.kill("SIGTERM");
    await child.exited;
  }
}

const local = { host: "127.0.0.1", port: 0 };

const gatewayConfig = {
  listen: local,
  grpcListen: local,
  admin: local,
  services: [{ id: "echo", endpoints: ["http://127.0.0.1:1"] }],
};

describe.each([
  ["Dockerfile.gateway", gatewayConfig],
  ["Dockerfile.loader", { listen: local, admin: local, services: [join(context, "config/services/echo")] }],
])("the image of %s", (dockerfile, config) => {
  test("is built by its own commands, runs as nobody in particular, and answers its health check", async () => {
    const stage = await lastStage(dockerfile);
    expect(stage.user).toBe("65532:65532");
    expect(stage.healthcheck).toContain("/healthz");
    expect(stage.entrypoint[0]).toBe("bun");
    expect(stage.entrypoint.at(-1)).toMatch(/^\/etc\/athena\/(gateway|loader)\.yaml$/);
    expect(await Bun.file(join(stage.root, stage.entrypoint.at(-1) ?? "")).exists()).toBe(true);
    const health = await askImage(stage, config, "admin", async (url) => (await fetch(`${url}/healthz`)).text());
    expect(health).toBe("ok\n");
  }, 120_000);
});

test("the gateway's image brings the page about its services", async () => {
  const sizes = await askImage(await lastStage("Dockerfile.gateway"), gatewayConfig, "public", async (url) => {
    const page = await (await fetch(`${url}/docs`)).text();
    const files = [...page.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path = ""]) => path);
    return Promise.all(files.map(async (path) => (await (await fetch(url + path)).text()).length));
  });
  expect(sizes).toHaveLength(3);
  expect(Math.min(...sizes)).toBeGreaterThan(100);
  expect(Math.max(...sizes)).toBeGreaterThan(1_000_000);
}, 120_000);

test("the loader's image carries ONNX Runtime for one platform only", async () => {
  const root = join(folder, "Dockerfile.loader/stage-1/app/node_modules/onnxruntime-node/bin/napi-v6");
  expect(await readdir(root)).toEqual(["linux"]);
  expect(await readdir(join(root, "linux"))).toHaveLength(1);
});

test("the build context leaves nothing out that is copied, and lets in no secrets or modules", async () => {
  const ignore = (await Bun.file(join(context, ".dockerignore")).text()).split("\n");
  const allowed = ignore.filter((line) => line.startsWith("!")).map((line) => line.slice(1));
  expect(ignore[0]).toBe("*");
  for (const dockerfile of ["Dockerfile.gateway", "Dockerfile.loader"]) {
    const text = await Bun.file(join(context, dockerfile)).text();
    for (const [, sources = ""] of text.matchAll(/^COPY (?!--from)(.+) \S+$/gm)) {
      for (const source of sources.split(" ")) expect(allowed).toContain(source.split("/")[0] ?? "");
    }
  }
});

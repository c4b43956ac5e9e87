import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadManifest } from "../../loader/manifest/manifest.ts";
import { deploymentValuesFrom, kubernetesFrom, kubernetesName } from "./deployment.ts";
import { dockerfileFrom, imageName } from "./dockerfile.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-dockerfile-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function dockerfile(engine: string, ...files: readonly string[]): Promise<string> {
  for (const file of files) await writeFile(join(folder, file), "");
  const text = `id: s\nengine: ${engine}\ninputs: {}\noutputs: {}\nstartTimeoutMs: 90500\n`;
  await writeFile(join(folder, "service.yaml"), text);
  return dockerfileFrom(loadManifest(folder));
}

describe("dockerfileFrom()", () => {
  test("installs the interpreter, and packages where there are some, into the environment that service.yaml names", async () => {
    const plain = await dockerfile("{ kind: python }");
    expect(plain).toContain("--no-install-recommends python3 &&");
    expect(plain).not.toContain("pip");
    const packages = await dockerfile("{ kind: python, python: env/bin/python }", "requirements.txt");
    expect(packages).toContain("COPY requirements.txt ./\nRUN python3 -m venv env && env/bin/pip install");
    expect(packages).toContain("ENV PATH=/srv/athena/s/env/bin:$PATH");
    await expect(dockerfile("{ kind: python, python: /opt/python }")).rejects.toThrow("engine.python");
  });

  test("builds a library inside where there is a Makefile, and else takes the one that is there", async () => {
    expect(await dockerfile("{ kind: native }", "libwrapper.so")).not.toContain("RUN make");
    expect(await dockerfile("{ kind: native }", "Makefile")).toContain("RUN make\n");
  });

  test("needs nothing more for other engines, and gives each the time to start that it says", async () => {
    const text = await dockerfile("{ kind: echo }");
    expect(text).not.toContain("RUN");
    expect(text).toContain("}\nWORKDIR /srv/athena/s\nCOPY . ./\n");
    expect(text).toContain("--start-period=91s");
  });
});

test("an image has a name that registries take", () => {
  expect(imageName("MyService", "v1")).toBe("myservice:v1");
  expect(imageName("s", "1.0+gpu")).toBe("s:1.0-gpu");
});

describe("kubernetesName()", () => {
  for (const [id, name] of [
    ["greeter", "greeter"],
    ["My_Service.v2", "my-service-v2"],
    ["2nd", "service-2nd"],
    ["_x_", "service--x"],
    ["x".repeat(64), "x".repeat(63)],
  ] as const) {
    test(`makes '${name}' of '${id}'`, () => {
      expect(kubernetesName(id)).toBe(name);
      expect(name).toMatch(/^[a-z]([-a-z0-9]*[a-z0-9])?$/);
    });
  }
});

test("a version becomes a label that Kubernetes takes", async () => {
  await dockerfile("{ kind: echo }");
  const { manifest } = loadManifest(folder);
  const [deployment] = kubernetesFrom(deploymentValuesFrom({ ...manifest, version: "(1.0+gpu)" }, "s"));
  expect(deployment.metadata?.labels?.["app.kubernetes.io/version"]).toBe("1.0-gpu");
});

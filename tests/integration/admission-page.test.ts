import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { addressOf, type ServiceProcess, startServiceProcess, waitUntilReady } from "../../cli/service-process.ts";
import { admissionSchema } from "../../config/admission.ts";
import { parseConfig } from "../../config/load.ts";
import { errorTable, isReason } from "../../proto/errors.ts";
import { startLoader, urlOf } from "./cluster.ts";
import { blocksOf } from "./page.ts";

const page = join(import.meta.dir, "../../docs/admission.md");
const python = process.env.ATHENA_TEST_PYTHON ?? "python3";

let loader: ServiceProcess;
let gateway: ServiceProcess;
let folder: string;
let key: string;

beforeAll(async () => {
  const [gatewayYaml = "", appsYaml = ""] = await blocksOf(page, "yaml");
  const [makeKey = ""] = await blocksOf(page, "sh");
  const made = await output(["sh", "-c", makeKey.replace(/^bun/, process.execPath)]);
  key = /^key: {2}(\S+)$/m.exec(made)?.[1] ?? "";
  const hash = /^hash: (\S+)$/m.exec(made)?.[1] ?? "";
  folder = await mkdtemp(join(tmpdir(), "athena-page-"));
  await writeFile(join(folder, "apps.yaml"), appsYaml.replace("<hash>", hash));
  loader = await startLoader(["echo"]);
  const local = { host: "127.0.0.1", port: 0 };
  const config = parse(gatewayYaml.replace("http://127.0.0.1:5090", urlOf(loader)));
  config.admission.appsFile = join(folder, config.admission.appsFile);
  await writeFile(join(folder, "123456.secret"), "a-secret-of-the-app\n");
  gateway = await startServiceProcess({
    main: "gateway/main.ts",
    config: stringify({ ...config, listen: local, grpcListen: local, admin: local }),
  });
  await waitUntilReady(gateway, ["echo"]);
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
  await rm(folder, { recursive: true, force: true });
});

/** What a command prints; its errors count as a failure. */
async function output(command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  const child = Bun.spawn([...command], { stdout: "pipe", stderr: "pipe", env: { ...process.env, ...env } });
  const [text, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  if ((await child.exited) !== 0) throw new Error(errors);
  return text;
}

const here = (text: string): string => text.replaceAll("http://127.0.0.1:30889", addressOf(gateway, "public"));

describe("the page on admission", () => {
  test("makes a key that lets its curl in", async () => {
    const [, curl = ""] = await blocksOf(page, "sh");
    expect(await output(["sh", "-c", here(curl)], { KEY: key })).toContain('"message":"success"');
    expect(await output(["sh", "-c", here(curl)], { KEY: `${key}x` })).toContain("the API key is wrong");
  });

  test("signs in Python what the gateway takes", async () => {
    const [client = ""] = await blocksOf(page, "python");
    expect(await output([python, "-c", here(client)])).toBe("200 success\n");
  });

  test("shows blocks that the configuration takes, with its own defaults", async () => {
    const blocks = (await blocksOf(page, "yaml")).slice(2);
    expect(blocks).toHaveLength(3);
    const apps = "apps: []\n";
    const shown = parseConfig(apps + blocks.join(""), admissionSchema, "page");
    const { signature } = parseConfig(apps, admissionSchema, "defaults");
    expect(shown.signature).toEqual({ ...signature, hosts: ["api.example.com"] });
    const fewest = "tokens: [{ issuer: i, audience: a, jwksUrl: 'http://h/' }]\nredis: { url: redis://h }\n";
    const { tokens, redis } = parseConfig(apps + fewest, admissionSchema, "defaults");
    const named = { issuer: "i", audience: "a", jwksUrl: "http://h/" };
    expect(shown.tokens.map((issuer) => ({ ...issuer, ...named }))).toEqual(
      tokens.map((issuer) => ({ ...issuer, ...named })),
    );
    expect(JSON.stringify({ ...shown.redis, url: "" })).toBe(JSON.stringify({ ...redis, url: "" }));
  });

  test("tells the status of each reason as the table of errors does", async () => {
    const rows = [...(await Bun.file(page).text()).matchAll(/\| (\d{3}) +\| ([A-Z_]+) +\|/g)];
    expect(rows).toHaveLength(6);
    for (const [, status, reason = ""] of rows) {
      expect(isReason(reason) && errorTable[reason].httpStatus).toBe(Number(status));
    }
  });
});

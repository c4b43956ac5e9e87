import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { admissionSchema } from "./admission.ts";
import { ConfigError, parseConfig } from "./load.ts";
import { readAdmission } from "./read-admission.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-admission-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

const read = (text: string) => readAdmission(parseConfig(text, admissionSchema, "admission"), folder);

function mistakesOf(text: string): readonly string[] {
  try {
    read(text);
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes;
    throw error;
  }
  return [];
}

const hash = `00112233aabb:${"0".repeat(64)}`;

describe("readAdmission()", () => {
  test("reads the apps of a file and the secrets of files and of the environment", async () => {
    await Bun.write(join(folder, "secret"), "a-secret-of-a-file\n");
    await Bun.write(
      join(folder, "apps.yaml"),
      `apps:
  - { id: "1", services: ["*"], signatureKeys: [{ key: a, secretFile: secret }, { key: b, secretEnv: ADMISSION_SECRET }] }
  - { id: "2", services: [echo], limits: { concurrentCalls: 3 } }`,
    );
    process.env.ADMISSION_SECRET = "a-secret-of-the-environment";
    const { apps } = read("{ appsFile: apps.yaml, limits: { concurrentCalls: 9, requestsPerSecond: 5 } }");
    delete process.env.ADMISSION_SECRET;
    expect(apps[0]?.signatureKeys).toEqual([
      { key: "a", secret: "a-secret-of-a-file" },
      { key: "b", secret: "a-secret-of-the-environment" },
    ]);
    expect(apps[1]?.limits).toEqual({ concurrentCalls: 3, requestsPerSecond: 5 });
  });

  test("names every file and variable that it cannot have, and nothing that stands in one", async () => {
    await Bun.write(join(folder, "short"), "tooshort");
    expect(
      mistakesOf(`
apps:
  - id: "1"
    services: ["*"]
    signatureKeys:
      - { key: a, secretFile: none }
      - { key: b, secretEnv: NOT_SET_AT_ALL }
      - { key: c, secretFile: short }
tokens: [{ issuer: i, audience: a, jwksFile: none.json }]
redis: { urlEnv: NOT_SET_EITHER }`),
    ).toEqual([
      "apps.0.signatureKeys.0: none cannot be read (ENOENT)",
      "apps.0.signatureKeys.1: the environment variable NOT_SET_AT_ALL is not set",
      "apps.0.signatureKeys.2: the secret has fewer than 16 characters",
      "tokens.0.jwksFile: none.json cannot be read (ENOENT)",
      "redis.urlEnv: the environment variable NOT_SET_EITHER is not set",
    ]);
  });

  for (const url of ["redis://:hunter2@", "redis://u:hunter2@h:99999", "redis://u:hunter2@h/x", "http://u:hunter2@h"]) {
    test(`names the key of a Redis that cannot be one, and no password: ${url.replace("hunter2", "...")}`, () => {
      process.env.ADMISSION_REDIS = url;
      const both = [
        mistakesOf(`{ apps: [], redis: { url: "${url}" } }`).join("\n"),
        mistakesOf("{ apps: [], redis: { urlEnv: ADMISSION_REDIS } }").join("\n"),
      ];
      delete process.env.ADMISSION_REDIS;
      expect(both[0]).toContain("redis.url: expected ");
      expect(both[1]).toContain("redis.urlEnv: in the environment variable ADMISSION_REDIS: expected ");
      expect(both.join()).not.toContain("hunter2");
    });
  }

  for (const url of ["redis://h", "rediss://u:p@h:6380/2", "redis://[::1]:6379", "redis+unix:///run/redis.sock"]) {
    test(`takes a Redis at ${url}`, () => expect(mistakesOf(`{ apps: [], redis: { url: "${url}" } }`)).toEqual([]));
  }

  test("refuses a key set that is none, without a word of what is in it", async () => {
    await Bun.write(join(folder, "keys.json"), '{"password": "hunter2"}');
    await Bun.write(join(folder, "keys.txt"), "hunter2");
    for (const file of ["keys.json", "keys.txt"]) {
      expect(mistakesOf(`apps: []\ntokens: [{ issuer: i, audience: a, jwksFile: ${file} }]`)).toEqual([
        `tokens.0.jwksFile: ${file} is not a JSON Web Key Set`,
      ]);
    }
  });

  test("tells every file that it reads, those that it cannot have as well", async () => {
    await Bun.write(
      join(folder, "some.yaml"),
      'apps: [{ id: "1", services: ["*"], signatureKeys: [{ key: a, secretFile: gone }] }]',
    );
    const files: string[] = [];
    const block = parseConfig(
      "{ appsFile: some.yaml, tokens: [{ issuer: i, audience: a, jwksFile: none.json }] }",
      admissionSchema,
      "admission",
    );
    expect(() => readAdmission(block, folder, (path) => files.push(path))).toThrow(ConfigError);
    expect(files).toEqual(["some.yaml", "gone", "none.json"].map((name) => join(folder, name)));
  });

  test("names a mistake in a file of apps with the file and its line", async () => {
    await Bun.write(join(folder, "bad.yaml"), 'apps:\n  - { id: "1", services: [] }\n');
    expect(() => read("appsFile: bad.yaml")).toThrow(
      /admission cannot be used:\n {2}bad\.yaml: line 2: apps\.0\.services/,
    );
  });
});

describe("the admission block", () => {
  const app = (rest: string) => `apps: [{ id: "1", services: ["*"]${rest} }]`;
  const mistakes: Readonly<Record<string, [string, string]>> = {
    "neither apps nor a file of them": ["{}", "expected one of apps and appsFile"],
    "both apps and a file of them": ["{ apps: [], appsFile: a.yaml }", "expected one of apps and appsFile"],
    "an app's id without quotes": ["apps: [{ id: 123456, services: ['*'] }]", "put a number between quotes"],
    "an app without services": ['apps: [{ id: "1" }]', "apps.0.services"],
    "one app twice": [
      'apps: [{ id: "1", services: ["*"] }, { id: "1", services: ["*"] }]',
      "apps.1.id: '1' stands twice",
    ],
    "one key's id twice": [app(`, keys: ["${hash}", "${hash}"]`), "apps.0.keys.1: '00112233aabb' stands twice"],
    "a key in clear": [app(', keys: ["ak_00112233aabb_x"]'), "SHA-256 in hex"],
    "a secret that is too short": [
      app(", signatureKeys: [{ key: k, secret: short }]"),
      "apps.0.signatureKeys.0.secret",
    ],
    "two secrets for one key": [
      app(", signatureKeys: [{ key: k, secret: 0123456789abcdef, secretEnv: X }]"),
      "expected one of secret, secretEnv and secretFile",
    ],
    "a key with a quote": [app(`, signatureKeys: [{ key: 'a"b', secretEnv: X }]`), "without quotes"],
    "a symmetric algorithm": [
      `${app("")}\ntokens: [{ issuer: i, audience: a, jwksFile: f, algorithms: [HS256] }]`,
      "tokens.0.algorithms.0",
    ],
    "keys at a file URL": [
      `${app("")}\ntokens: [{ issuer: i, audience: a, jwksUrl: "file:///etc/keys" }]`,
      "http or https",
    ],
    "two places for an issuer's keys": [
      `${app("")}\ntokens: [{ issuer: i, audience: a, jwksUrl: "http://h/", jwksFile: f }]`,
      "expected one of jwksUrl and jwksFile",
    ],
    "one issuer twice": [
      `${app("")}\ntokens: [{ issuer: i, audience: a, jwksFile: f }, { issuer: i, audience: b, jwksFile: f }]`,
      "tokens.1.issuer: 'i' stands twice",
    ],
    "a Redis of another scheme": [`${app("")}\nredis: { url: "http://h" }`, "redis.url"],
    "a limit that is not known": [app(", limits: { requestsPerMinute: 5 }"), "unknown key"],
    "a limit of nothing": [app(", limits: { requestsPerSecond: 0 }"), "requestsPerSecond"],
  };
  for (const [name, [text, message]] of Object.entries(mistakes)) {
    test(`is refused with ${name}`, () => {
      expect(mistakesOf(text).join("\n")).toContain(message);
    });
  }
});

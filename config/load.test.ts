import { describe, expect, test } from "bun:test";
import { z } from "zod";
import { gatewayConfigSchema } from "./gateway.ts";
import { ConfigError, loadConfig, parseConfig } from "./load.ts";
import { loaderConfigSchema } from "./loader.ts";

function mistakesOf(text: string): readonly string[] {
  try {
    parseConfig(text, gatewayConfigSchema, "gateway.yaml");
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes;
    throw error;
  }
  return [];
}

describe("parseConfig()", () => {
  test("names every mistake at once, each with its line", () => {
    const mistakes = mistakesOf(
      [
        "listen: { host: 0.0.0.0, port: 99999 }",
        "services:",
        "  - id: echo",
        "    balanser: { kind: round-robin }",
        '    endpoints: ["ftp://somewhere"]',
        "  - id: echo",
        '    endpoints: ["http://127.0.0.1:1"]',
        "    timeoutMs: soon",
      ].join("\n"),
    );
    expect(mistakes.join("\n")).toContain("line 1: listen.port");
    expect(mistakes.join("\n")).toContain("line 4: services.0.balanser: unknown key");
    expect(mistakes.join("\n")).toContain("line 5: services.0.endpoints.0");
    expect(mistakes.join("\n")).toContain("line 8: services.1.timeoutMs");
  });

  test("takes origins only as browsers write them", () => {
    const services = 'services: [{ id: echo, endpoints: ["http://127.0.0.1:1"] }]';
    const mistakesWith = (origin: string) => mistakesOf(`cors: { origins: ["${origin}"] }\n${services}`);
    for (const origin of [
      "*",
      "https://app.example.com",
      "https://*.example.com",
      "http://localhost:3000",
      "http://[::1]:3000",
      "capacitor://localhost",
    ]) {
      expect(mistakesWith(origin)).toEqual([]);
    }
    for (const origin of [
      "app.example.com",
      "https://app.example.com/",
      "https://App.example.com",
      "https://app.example.com:443",
      "https://*",
      "https://a.*.example.com",
      "*.example.com",
      "null",
    ]) {
      expect(mistakesWith(origin).join()).toContain("line 1: cors.origins.0: expected an origin as browsers write it");
    }
    expect(mistakesOf(`cors: { origins: [] }\n${services}`).join()).toContain("cors.origins");
    expect(mistakesOf(`cors: { origins: ["*"], credentials: true }\n${services}`).join()).toContain("cors.credentials");
  });

  test("refuses two services of one id", () => {
    const service = '  - { id: echo, endpoints: ["http://127.0.0.1:1"] }';
    expect(mistakesOf(`services:\n${service}\n${service}`)).toEqual(["line 3: services.1.id: 'echo' stands twice"]);
  });

  test("says where text is not YAML", () => {
    expect(mistakesOf("services: [").join()).toContain("line 1");
  });

  test("repeats nothing of a file that may be a secret", () => {
    const secret = "hunter2-hunter2-hunter2";
    for (const line of [
      `secret: "a" ${secret}`,
      `secret: *${secret}`,
      `secret: !x!${secret} a`,
      `secret: |${secret}`,
      `secret: ]${secret}`,
      `secret: [${secret}`,
      `secret: "${secret}`,
      `secret: "\\q${secret}"`,
      `secret: a: ${secret}`,
      `<<: *${secret}`,
      `${secret}: x`,
      `? ${secret}`,
      `{ key: a, secret ${secret} }`,
      `{ key: a, secret: a }${secret}`,
      `${secret}: 1\n    ${secret}: 2`,
    ]) {
      const mistakes = mistakesOf(`services:\n  - ${line}\n`);
      expect({ line, mistakes }).toEqual({ line, mistakes: expect.arrayContaining([expect.any(String)]) });
      expect(mistakes.join("\n")).not.toContain("hunter2");
    }
    expect(mistakesOf(`services:\n  - id: a\n    ${secret}: x\n`)).toContain(
      "line 3: services.0: a key that is not known",
    );
  });

  test("fills defaults and freezes what it returns", () => {
    const config = parseConfig(
      'services: [{ id: a, endpoints: ["http://127.0.0.1:1/"] }]',
      gatewayConfigSchema,
      "gateway.yaml",
    );
    expect(config.listen.port).toBe(30889);
    expect(config.services[0]?.endpoints).toEqual([{ url: "http://127.0.0.1:1", weight: 1 }]);
    expect(Object.isFrozen(config.services[0])).toBe(true);
  });

  test("takes an empty file for an empty object", () => {
    expect(parseConfig("", z.strictObject({ a: z.int().default(1) }), "x")).toEqual({ a: 1 });
  });
});

describe("the annotated examples", () => {
  test("are what the schemas take", () => {
    expect(loadConfig("config/gateway.yaml", gatewayConfigSchema).services.map((service) => service.id)).toEqual([
      "mmocr",
      "echo",
    ]);
    expect(loadConfig("config/loader.yaml", loaderConfigSchema).services).toHaveLength(2);
  });

  test("a missing file is a clear mistake", () => {
    expect(() => loadConfig("config/none.yaml", gatewayConfigSchema)).toThrow("config/none.yaml cannot be used");
  });
});

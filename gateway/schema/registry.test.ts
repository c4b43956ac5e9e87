import { describe, expect, test } from "bun:test";
import { mmocrDefinition } from "./mmocr.cases.ts";
import { createSchemaRegistry } from "./registry.ts";

describe("createSchemaRegistry()", () => {
  test("finds a service by version, and without one that which was put last", () => {
    const registry = createSchemaRegistry();
    const first = registry.put(mmocrDefinition({ version: "v1" }));
    const second = registry.put(mmocrDefinition({ version: "v2" }));
    expect(registry.find("mmocr", "v1")).toBe(first);
    expect(registry.find("mmocr")).toBe(second);
    expect(registry.put(mmocrDefinition({ version: "v1" }))).toBe(first);
    expect(registry.find("mmocr")).toBe(first);
    expect(registry.find("mmocr", "v3")).toBeUndefined();
    expect(registry.find("constructor")).toBeUndefined();
  });

  test("compiles a definition again only when it changed", () => {
    const registry = createSchemaRegistry();
    const first = registry.put(mmocrDefinition());
    expect(registry.put(mmocrDefinition())).toBe(first);
    const changed = registry.put(mmocrDefinition({ parametersSchema: "" }));
    expect(changed).not.toBe(first);
    expect(registry.find("mmocr")).toBe(changed);
    expect(registry.size).toBe(1);
  });

  test("keeps what it has when a definition is broken", () => {
    const registry = createSchemaRegistry();
    const first = registry.put(mmocrDefinition());
    expect(() => registry.put(mmocrDefinition({ headerSchema: "{" }))).toThrow("'header_schema'");
    expect(registry.find("mmocr", "v1")).toBe(first);
    expect(() => registry.put(mmocrDefinition({ id: "other", headerSchema: "{" }))).toThrow("'header_schema'");
    expect(registry.size).toBe(1);
  });

  test("holds no more services than it may, and forgets the oldest of many versions", () => {
    const registry = createSchemaRegistry({ maxServices: 1 });
    for (let version = 0; version < 17; version++) registry.put(mmocrDefinition({ version: `v${version}` }));
    expect(registry.find("mmocr", "v0")).toBeUndefined();
    expect(registry.find("mmocr", "v1")?.version).toBe("v1");
    expect(() => registry.put(mmocrDefinition({ id: "another" }))).toThrow("service 'another' is not ready");
    expect(registry.remove("mmocr")).toBe(true);
    expect(registry.remove("mmocr")).toBe(false);
    expect(registry.put(mmocrDefinition({ id: "another" })).id).toBe("another");
  });
});

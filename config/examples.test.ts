import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { z } from "zod";
import { gatewayConfigSchema } from "./gateway.ts";
import { loaderConfigSchema } from "./loader.ts";

/** Every key of a schema, at any depth, but for what stands below `without`. */
function keysOf(schema: unknown, without: string): readonly string[] {
  if (typeof schema !== "object" || schema === null) return [];
  return Object.entries(schema).flatMap(([name, inside]) => {
    if (name !== "properties") return keysOf(inside, without);
    return Object.entries(inside).flatMap(([key, value]) => [key, ...(key === without ? [] : keysOf(value, without))]);
  });
}

describe("an annotated example has every key", () => {
  for (const [file, schema] of [
    ["gateway.yaml", gatewayConfigSchema],
    ["loader.yaml", loaderConfigSchema],
  ] as const) {
    test(`of ${file}`, async () => {
      const text = await Bun.file(join(import.meta.dir, file)).text();
      // The keys of admission are explained in docs/admission.md.
      const keys = keysOf(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }), "admission");
      expect(keys.length).toBeGreaterThan(5);
      expect(keys.filter((key) => !new RegExp(`\\b${key}:`).test(text))).toEqual([]);
    });
  }
});

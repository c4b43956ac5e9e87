import { describe, expect, test } from "bun:test";
import { ConfigError } from "../../../config/load.ts";
import { parseSchemaFile } from "./schema-file.ts";

function read(file: unknown) {
  const text = typeof file === "string" ? file : JSON.stringify(file, undefined, 2);
  return parseSchemaFile(text, "schema_x.json").value;
}

function mistakesOf(file: unknown): readonly string[] {
  try {
    read(file);
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes;
    throw error;
  }
  return [];
}

describe("parseSchemaFile()", () => {
  test("takes every spelling that the predecessor took", () => {
    const file = read({
      meta: {
        serviceId: "s1",
        cloudId: "0",
        service: "one",
        one: { input: { a: { dataType: "video" }, b: "image", c: { dataType: "hologram" } } },
        call_type: 1,
        hosts: ["API.example.com", ""],
        route: "/a",
        read_timeout: 0,
        session_timeout: "30",
        codeMap: { 10110: 503 },
        somethingElse: true,
        build_header: true,
      },
    });
    expect(file).toMatchObject({
      serviceId: "s1",
      cloudId: "",
      capabilities: [
        {
          name: "one",
          inputs: [
            { name: "a", type: "video" },
            { name: "b", type: "image" },
            { name: "c", type: "audio" },
          ],
          accepts: [],
        },
      ],
      hosts: ["api.example.com"],
      routes: ["/a"],
      sessionTimeoutMs: 30_000,
      codeMap: { 10110: 503 },
      isCategory: false,
      ignored: ["build_header"],
    });
    expect(file.readTimeoutMs).toBeUndefined();
  });

  test("takes a capability that says nothing of itself, and files that are indented with tabs", () => {
    const file = read('{\n\t"meta": {\n\t\t"serviceId": "s1",\n\t\t"service": ["one"]\n\t}\n}\n');
    expect(file.capabilities).toEqual([{ name: "one", inputs: [], accepts: [] }]);
  });

  test("tells every mistake with its line", () => {
    const text = `{
  "meta": {
    "serviceId": "",
    "codeMap": { "10110": 99 },
    "service": ["one"],
    "one": { "input": { "a": 5 } }
  },
  "schemainput": {
    "properties": {
      "header": { "minItems": 3 }
    }
  }
}`;
    expect(mistakesOf(text)).toEqual([
      "line 3: meta.serviceId: expected letters, digits, '_', '.' and '-'",
      expect.stringContaining("line 4: meta.codeMap.10110"),
      "line 10: schemainput.properties.header.minItems: unknown keyword",
      "line 6: meta.one.input.a: expected { dataType } or the name of a type",
    ]);
    expect(mistakesOf("{")).toEqual([expect.stringContaining("line 1")]);
  });
});

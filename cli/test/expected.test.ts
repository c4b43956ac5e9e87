import { describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { PartSchema } from "../../proto/gen/athena/v1/part_pb.ts";
import { checkExpected, readExpected } from "./expected.ts";

const part = (name: string, text: string) => create(PartSchema, { name, data: new TextEncoder().encode(text) });

describe("checkExpected()", () => {
  test("compares text as text and anything else as the JSON that the text is", () => {
    const parts = [part("text", '["a"]'), part("json", '{ "b": [1, 2], "a": null }')];
    const checks = checkExpected({ text: '["a"]', json: { a: null, b: [1, 2] } }, parts);
    expect(checks.map(({ isPassed }) => isPassed)).toEqual([true, true]);
  });

  test("says what an output is instead, and which is not there", () => {
    const checks = checkExpected({ text: "b", json: [1], none: "x" }, [part("text", "a"), part("json", "[2]")]);
    expect(checks).toEqual([
      { name: "text is as expected", isPassed: false, detail: "it is a" },
      { name: "json is as expected", isPassed: false, detail: "it is [2]" },
      { name: "none is as expected", isPassed: false, detail: "it is not there" },
    ]);
  });
});

test("readExpected() refuses a file that is no JSON object", async () => {
  const folder = await mkdtemp(join(tmpdir(), "athena-expected-"));
  await writeFile(join(folder, "expected.json"), "[1]");
  expect(() => readExpected(join(folder, "expected.json"))).toThrow("is no JSON object of expected outputs");
  expect(() => readExpected(join(folder, "none.json"))).toThrow("is no JSON object of expected outputs");
  await rm(folder, { recursive: true });
});

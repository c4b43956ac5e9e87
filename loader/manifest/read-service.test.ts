import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readService } from "./read-service.ts";

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "athena-repository-"));
});

afterEach(async () => {
  await rm(root, { recursive: true });
});

async function writeService(folder: string, id: string): Promise<string> {
  const path = join(root, folder);
  await mkdir(path, { recursive: true });
  await writeFile(join(path, "service.yaml"), `id: ${id}\nengine: { kind: echo }\ninputs: {}\noutputs: {}\n`);
  return path;
}

describe("readService()", () => {
  test("remembers the folder of a service that it found in the repository", async () => {
    const path = await writeService("a", "a");
    const sourceOf = new Map<string, string>();
    expect(readService("a", sourceOf, root)?.source).toBe(path);
    expect([...sourceOf]).toEqual([["a", path]]);
  });

  test("does not take a folder that has another name for the source of the service that it defines", async () => {
    const own = await writeService("elsewhere/a", "a");
    await writeService("b", "a");
    const sourceOf = new Map([["a", own]]);
    expect(readService("b", sourceOf, root)?.manifest.id).toBe("a");
    expect(readService("a", sourceOf, root)?.source).toBe(own);
    expect([...sourceOf.keys()]).toEqual(["a"]);
  });
});

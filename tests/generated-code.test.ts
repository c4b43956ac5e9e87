import { expect, test } from "bun:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dir, "..");

async function filesBelow(folder: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) files.set(path.slice(folder.length), await Bun.file(path).text());
  }
  return files;
}

test("the committed generated code is what the protos give today", async () => {
  const output = await mkdtemp(join(tmpdir(), "athena-gen-"));
  try {
    const run = Bun.spawnSync([process.execPath, "run", "buf", "generate", "--output", output], { cwd: root });
    expect(run.stderr.toString()).not.toContain("Failure");
    expect(run.exitCode).toBe(0);
    expect(await filesBelow(join(output, "proto/gen"))).toEqual(await filesBelow(join(root, "proto/gen")));
  } finally {
    await rm(output, { recursive: true, force: true });
  }
});

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rename, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { watchSources } from "./watch.ts";

let folder: string;
const at = (name: string) => join(folder, name);

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-watch-"));
  await writeFile(at("gateway.yaml"), "a");
  await mkdir(at("schemas"));
});
afterEach(() => rm(folder, { recursive: true }));

/** A watch whose looks are taken by hand; `changes` counts what it told. */
function watch(sources: readonly string[] = [at("gateway.yaml"), at("schemas")]) {
  let changes = 0;
  let due = Promise.withResolvers<() => void>();
  let delay = 0;
  const watching = watchSources({
    sources: () => sources,
    intervalMs: 7,
    async onChange() {
      changes++;
    },
    schedule(run, delayMs) {
      delay = delayMs;
      due.resolve(run);
      return () => {
        due = Promise.withResolvers();
      };
    },
  });
  return {
    watching,
    get delay() {
      return delay;
    },
    /** Looks this often, and gives how often it has told of a change since the last time. */
    async look(times: number): Promise<number> {
      const before = changes;
      for (let look = 0; look < times; look++) {
        const run = await due.promise;
        due = Promise.withResolvers();
        run();
        await due.promise;
      }
      return changes - before;
    },
  };
}

describe("watchSources()", () => {
  test("tells of a change once, when two looks in a row have seen the same", async () => {
    const watched = watch();
    expect(await watched.look(1)).toBe(0);
    expect(await watched.look(1)).toBe(1);
    expect(await watched.look(3)).toBe(0);
    await writeFile(at("gateway.yaml"), "ab");
    expect(await watched.look(1)).toBe(0);
    await writeFile(at("gateway.yaml"), "abc");
    expect(await watched.look(1)).toBe(0);
    expect(await watched.look(1)).toBe(1);
    expect(await watched.look(3)).toBe(0);
    expect(watched.delay).toBe(7);
    watched.watching[Symbol.dispose]();
  });

  test("sees a file that comes, changes and goes in a folder, and leaves other names alone", async () => {
    const watched = watch();
    await watched.look(2);
    await writeFile(at("schemas/schema_a.json"), "{}");
    expect(await watched.look(2)).toBe(1);
    await utimes(at("schemas/schema_a.json"), 1, 1);
    expect(await watched.look(2)).toBe(1);
    await writeFile(at("schemas/notes.txt"), "x");
    expect(await watched.look(2)).toBe(0);
    await rm(at("schemas/schema_a.json"));
    expect(await watched.look(2)).toBe(1);
    watched.watching[Symbol.dispose]();
  });

  test("sees the swap of a folder behind symbolic links, as Kubernetes does it for a ConfigMap", async () => {
    for (const version of ["..one", "..two"]) {
      await mkdir(at(version));
      await writeFile(at(`${version}/gateway.yaml`), "same length");
      await writeFile(at(`${version}/schema_a.json`), "{}");
    }
    await rm(at("gateway.yaml"));
    await symlink("..one", at("..data"));
    await symlink("..data/gateway.yaml", at("gateway.yaml"));
    await symlink("..data/schema_a.json", at("schema_a.json"));
    const watched = watch([at("gateway.yaml"), folder]);
    expect(await watched.look(2)).toBe(1);
    await symlink("..two", at("..data_tmp"));
    await rename(at("..data_tmp"), at("..data"));
    expect(await watched.look(2)).toBe(1);
    await rm(at("..one"), { recursive: true });
    expect(await watched.look(2)).toBe(0);
    watched.watching[Symbol.dispose]();
  });

  test("takes a file that is missing for one that may come", async () => {
    const watched = watch([at("none.yaml")]);
    expect(await watched.look(2)).toBe(1);
    await writeFile(at("none.yaml"), "");
    expect(await watched.look(2)).toBe(1);
    watched.watching[Symbol.dispose]();
  });
});

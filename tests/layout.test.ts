import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

const root = join(import.meta.dir, "..");

test("every path that CONTRIBUTING names exists", async () => {
  const guide = await Bun.file(join(root, "CONTRIBUTING.md")).text();
  const tree = /## Where things live\n+```\n([\s\S]*?)```/.exec(guide)?.[1] ?? "";
  const missing: string[] = [];
  let folder = "";
  for (const line of tree.split("\n")) {
    const [, indent = "", name = ""] = /^(\s*)(\S+)/.exec(line) ?? [];
    if (name === "") continue;
    if (indent === "") folder = name.endsWith("/") ? name : "";
    const path = indent === "" ? name : join(folder, name);
    if (!existsSync(join(root, path))) missing.push(path);
  }
  expect(tree).not.toBe("");
  expect(missing).toEqual([]);
});

test("every link between the project's pages leads to a file", async () => {
  const broken: string[] = [];
  for (const page of new Bun.Glob("**/*.md").scanSync({ cwd: root })) {
    if (page.startsWith("node_modules/")) continue;
    const text = await Bun.file(join(root, page)).text();
    for (const [, target = ""] of text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
      if (!existsSync(join(root, dirname(page), target))) broken.push(`${page}: ${target}`);
    }
  }
  expect(broken).toEqual([]);
});

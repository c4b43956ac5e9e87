import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { blocksOf } from "../integration/page.ts";
import { anyPorts, ask, curlOf, replaceIn, runCommand, startCommand, startRun } from "./command.ts";

const root = join(import.meta.dir, "../..");
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-cli-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** A kind of project: how it is made, what it answers to its own example, and what after a change of its code. */
interface Project {
  readonly name: string;
  readonly create: readonly string[];
  readonly answer: string;
  readonly edit: readonly [file: string, from: string, to: string];
  readonly newAnswer: string;
}

const projects: readonly Project[] = [
  {
    name: "python",
    create: ["--python"],
    answer: "hello, hello",
    edit: ["service.py", "* times + [name]", '* times + ["dear " + name]'],
    newAnswer: "hello, dear hello",
  },
  {
    name: "legacy",
    create: ["--python", "--legacy"],
    answer: '["hello, World"]',
    edit: ["wrapper.py", '"%s, %s"', '"%s dear %s"'],
    newAnswer: '["hello dear World"]',
  },
  {
    name: "cpp",
    create: ["--cpp"],
    answer: "hello, World",
    edit: ["wrapper.cpp", '", "', '" dear "'],
    newAnswer: "hello dear World",
  },
  {
    name: "ts",
    create: ["--ts"],
    answer: "hello, World",
    edit: ["processor.ts", "}, ${", "} dear ${"],
    newAnswer: "hello dear World",
  },
];

describe.each(projects)("a project of the kind $name", ({ name, create, answer, edit, newAnswer }) => {
  test("is created, tested, run, called, changed, called again, and ended with 0", async () => {
    expect(await runCommand(folder, "create", name, ...create)).toMatchObject({ code: 0 });
    const tested = await runCommand(folder, "test", name);
    expect(tested.output).toContain("Everything passed.");
    expect(tested.output).not.toContain("FAIL");
    expect(tested.code).toBe(0);

    await using command = await startRun(folder, name);
    const curl = curlOf(command, name);
    expect(ask(curl)).toBe(answer);
    await command.until(new RegExp(`${name} 200 OK`));
    await replaceIn(join(folder, name, edit[0]), edit[1], edit[2]);
    await command.until(new RegExp(`${name} serves the changed files`));
    expect(ask(curl)).toBe(newAnswer);

    command.kill("SIGINT");
    expect(await command.exited).toBe(0);
    const url = /http:\/\/[\d.:]+/.exec(curl)?.[0] ?? "";
    await expect(fetch(url)).rejects.toThrow();
  }, 60_000);
});

describe("a model", () => {
  const perceptron = join(root, "tests/fixtures/models/perceptron.onnx");

  test("becomes a project that is tested with tensors that are made up, run, called, and loaded anew", async () => {
    expect(await runCommand(folder, "create", "net", "--onnx", perceptron)).toMatchObject({ code: 0 });
    const { code, output } = await runCommand(folder, "test", "net");
    expect(output).toMatch(/pass +once +has outputs +y: 16 bytes/);
    expect(code).toBe(0);
    await using command = await startRun(folder, "net");
    const answer = ask(curlOf(command, "net"));
    // Another version of the same model: its file is what changes.
    await mkdir(join(folder, "net/2"));
    await cp(perceptron, join(folder, "net/2/model.onnx"));
    await command.until(/net serves the changed files/);
    expect(ask(curlOf(command, "net"))).toBe(answer);
  }, 60_000);

  test("is a service by itself, without a folder of its own", async () => {
    const { code, output } = await runCommand(folder, "test", join(root, "tests/fixtures/models/lookup.onnx"));
    expect(output).toMatch(/^lookup$/m);
    expect(output).toMatch(/pass +once +has outputs +row: 16 bytes/);
    expect(code).toBe(0);
  });
});

for (const page of ["docs/command-line.md", "README.md"]) {
  test(`the commands of ${page} work one after the other`, async () => {
    const place = await mkdtemp(join(folder, "page-"));
    const blocks = await blocksOf(join(root, page), "sh");
    const lines =
      blocks
        .find((block) => block.includes("run athena"))
        ?.trim()
        .split("\n") ?? [];
    expect(lines.length).toBeGreaterThan(2);
    for (const line of lines) {
      const [, words = ""] = /run athena ([^#]+)/.exec(line) ?? [];
      const args = words.trim().split(" ");
      if (args[0] === "run") {
        await using command = startCommand(place, ...args, ...anyPorts);
        await command.until(/greeter is served/);
        command.kill("SIGINT");
        expect(await command.exited).toBe(0);
      } else expect(await runCommand(place, ...args)).toMatchObject({ code: 0 });
    }
  }, 60_000);
}

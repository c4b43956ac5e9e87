import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { version } from "../../package.json";
import { runCommand } from "./command.ts";

const root = join(import.meta.dir, "../..");
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-cli-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("the command line", () => {
  test("tells its version and its help, and ends with 0", async () => {
    expect(await runCommand(folder, "--version")).toEqual({ code: 0, output: `${version}\n` });
    for (const args of [["--help"], ["run", "--help"]]) {
      const { code, output } = await runCommand(folder, ...args);
      expect(output).toContain("Usage: athena");
      expect(code).toBe(0);
    }
  });

  for (const [what, args, words] of [
    ["no command", [], "Usage: athena"],
    ["an unknown command", ["serve"], "unknown command 'serve'"],
    ["an unknown flag", ["run", "x", "--prot", "1"], "unknown option '--prot'"],
    ["a port that is none", ["run", "x", "--port", "70000"], "expected a number up to 65535"],
    ["no folder", ["test"], "missing required argument 'dir'"],
    ["a folder that is not there", ["run", "nowhere"], "there is no 'nowhere'"],
    ["a folder that is no service", ["test", "."], "'.' is no service"],
    ["no kind of project", ["create", "x"], "one of --python, --cpp, --onnx FILE and --ts"],
    ["two kinds of project", ["create", "x", "--cpp", "--ts"], "cannot be used with"],
    [
      "a flag without the other that it belongs to",
      ["create", "x", "--cpp", "--legacy"],
      "--legacy goes with --python",
    ],
    ["a model that is not there", ["create", "x", "--onnx", "x.onnx"], "there is no file 'x.onnx'"],
    ["a name that no service can have", ["create", "a b", "--cpp"], "cannot be a service's name"],
    ["no folder to write into", ["package", "nowhere"], "'nowhere' is no folder"],
    [
      "no file of expected outputs",
      ["test", join(root, "config/services/echo"), "--expect", "x.json"],
      "x.json is no JSON",
    ],
  ] as const) {
    test(`refuses ${what} in words for the user, and ends with 2`, async () => {
      const { code, output } = await runCommand(folder, ...args);
      expect(output).toContain(words);
      expect(output).not.toContain("    at ");
      expect(code).toBe(2);
    });
  }

  test("refuses a service.yaml with every mistake and its line, and ends with 2", async () => {
    await mkdir(join(folder, "mistaken"));
    await writeFile(join(folder, "mistaken/service.yaml"), "id: a b\nengine: { kind: echo }\nslot: 1\n");
    for (const command of ["run", "test", "package"]) {
      const { code, output } = await runCommand(folder, command, "mistaken");
      expect(output).toContain("line 1: id: expected letters");
      expect(output).toContain("line 3: slot: unknown key");
      expect(code).toBe(2);
    }
  });
});

describe("athena package", () => {
  test("writes over no file unless it is told to", async () => {
    await runCommand(folder, "create", "packed", "--cpp");
    expect((await runCommand(folder, "package", "packed")).code).toBe(0);
    await writeFile(join(folder, "packed/Dockerfile"), "mine");
    const refused = await runCommand(folder, "package", "packed");
    expect(refused.output).toContain("has Dockerfile, .dockerignore, deploy/loader.yaml");
    expect(refused.code).toBe(2);
    expect(await readFile(join(folder, "packed/Dockerfile"), "utf8")).toBe("mine");
    expect((await runCommand(folder, "package", "packed", "--force", "--image", "r/p:1")).code).toBe(0);
    expect(await readFile(join(folder, "packed/Dockerfile"), "utf8")).toStartWith("# docker build -t");
    expect(await readFile(join(folder, "packed/deploy/deployment.yaml"), "utf8")).toContain("image: r/p:1\n");
  });
});

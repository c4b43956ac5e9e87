import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { drawText } from "../fixtures/drawn-text.ts";
import { childrenOf, replaceIn, runCommand, startCommand } from "./command.ts";

const root = join(import.meta.dir, "../..");
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-cli-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("athena test", () => {
  test("calls a service that has both once and in a session", async () => {
    const { code, output } = await runCommand(folder, "test", join(root, "config/services/echo"));
    expect(output).toMatch(/pass +once +status is 3/);
    expect(output).toMatch(/pass +stream +the last status is 2 or 3/);
    expect(code).toBe(0);
  });

  test("opens a session with a streaming wrapper", async () => {
    await mkdir(join(folder, "streaming"));
    await cp(join(root, "tests/fixtures/wrappers/stream.py"), join(folder, "streaming/wrapper.py"));
    const definition =
      "id: streaming\nengine: { kind: python }\ninputs: { text: { type: text, example: hi } }\n" +
      "outputs: { result: { type: text } }\nonce: false\nstream: true\n";
    await writeFile(join(folder, "streaming/service.yaml"), definition);
    const { code, output } = await runCommand(folder, "test", "streaming");
    expect(output).toMatch(/pass +stream +has outputs +result: 4 bytes/);
    expect(output).not.toMatch(/pass +once/);
    expect(code).toBe(0);
  });

  test("sends a picture to the text recognition on ONNX, and compares what it reads", async () => {
    await mkdir(join(folder, "mmocr"));
    const definition = await readFile(join(root, "config/services/mmocr/service.yaml"), "utf8");
    const text = definition.replace("required: true", "required: true\n    example: { file: 0.png }");
    await writeFile(join(folder, "mmocr/service.yaml"), text.replace("workers: 0", "workers: 1"));
    const lines = [{ text: "Athena", x: 20, y: 70, size: 60, color: "#000000" }];
    await writeFile(
      join(folder, "mmocr/0.png"),
      await drawText({ width: 300, height: 100, background: "#ffffff", lines }),
    );
    await writeFile(join(folder, "mmocr/expected.json"), '{ "boxes": [] }');
    const { code, output } = await runCommand(folder, "test", "mmocr");
    expect(output).toMatch(/pass +once +outputs are as declared/);
    expect(output).toMatch(/FAIL +once +boxes is as expected .*"text":"Athena"/);
    expect(code).toBe(1);
  }, 60_000);

  test("tells what is wrong, with what the service itself said, and ends with 1", async () => {
    await runCommand(folder, "create", "broken", "--python", "--legacy");
    await replaceIn(
      join(folder, "broken/wrapper.py"),
      'data.key = "greeting"',
      'print("about to answer")\n        data.key = "greting"',
    );
    const { code, output } = await runCommand(folder, "test", "broken");
    expect(output).toMatch(/pass +load +is ready/);
    expect(output).toMatch(/FAIL +once +answers .*OUTPUT_UNEXPECTED: the engine answered 'greting'/);
    expect(output).toContain("| about to answer");
    expect(code).toBe(1);
  });

  test("tells which input has no example, and why a service is not ready", async () => {
    await runCommand(folder, "create", "blank", "--cpp");
    await replaceIn(join(folder, "blank/service.yaml"), "type: text, example: World", "type: image");
    await runCommand(folder, "create", "lost", "--cpp");
    await replaceIn(join(folder, "lost/service.yaml"), "config:", "library: gone.so # config:");
    const { code, output } = await runCommand(folder, "test", "blank", "lost");
    expect(output).toMatch(/FAIL +call +has test values +input 'name' has no example/);
    expect(output).toMatch(/FAIL +load +is ready .*gone\.so/);
    expect(code).toBe(1);
  });

  test("compares outputs with a file of expected ones", async () => {
    await runCommand(folder, "create", "expecting", "--python", "--legacy");
    await writeFile(join(folder, "expecting/expected.json"), '{ "greeting": ["hello, World"] }');
    expect((await runCommand(folder, "test", "expecting")).output).toMatch(/pass +once +greeting is as expected/);
    await writeFile(join(folder, "other.json"), '{ "greeting": ["hello, Moon"] }');
    const { code, output } = await runCommand(folder, "test", "expecting", "--expect", "other.json");
    expect(output).toMatch(/FAIL +once +greeting is as expected +it is \["hello, World"\]/);
    expect(code).toBe(1);
  });

  test("stops what it started when it is interrupted, and ends as shells expect", async () => {
    await runCommand(folder, "create", "slow", "--python", "--legacy");
    await replaceIn(join(folder, "slow/wrapper.py"), "self.word =", "import time; time.sleep(60)\n        self.word =");
    await using command = startCommand(folder, "test", "slow");
    while (childrenOf(command.pid).size === 0) await Bun.sleep(10);
    const [loader = 0] = childrenOf(command.pid).values();
    command.kill("SIGINT");
    expect(await command.exited).toBe(130);
    expect(() => process.kill(loader, 0)).toThrow();
  });

  test("says that the loader ended, when that is why nothing is checked", async () => {
    await using command = startCommand(folder, "test", "slow");
    const isAsked = (): boolean => [...childrenOf(command.pid).values()].some((pid) => childrenOf(pid).size > 0);
    while (!isAsked()) await Bun.sleep(10);
    const [loader = 0] = childrenOf(command.pid).values();
    process.kill(loader, "SIGKILL");
    expect(await command.exited).toBe(1);
    expect(command.output()).toContain("error: the loader ended with code 137");
    expect(command.output()).not.toContain("    at ");
  });
});

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ask, childrenOf, curlOf, replaceIn, runCommand, startRun } from "./command.ts";

const root = join(import.meta.dir, "../..");
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-cli-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("athena run", () => {
  test("serves several folders; one that cannot be loaded waits for a change, and the others serve", async () => {
    await runCommand(folder, "create", "first", "--python", "--legacy");
    await runCommand(folder, "create", "second", "--python", "--legacy");
    const wrapper = await readFile(join(folder, "second/wrapper.py"), "utf8");
    await writeFile(join(folder, "second/wrapper.py"), "import nothing_of_this_name\n");
    await using command = await startRun(folder, "first", "second");
    expect(command.output()).toContain("second cannot be served until its files change: ModuleNotFoundError");
    expect(ask(curlOf(command, "first"))).toBe('["hello, World"]');
    await writeFile(join(folder, "second/wrapper.py"), wrapper);
    await command.until(/second is served/);
    await command.until(/\/second \\\n.*\n/);
    expect(ask(curlOf(command, "second"))).toBe('["hello, World"]');
  }, 60_000);

  test("says why changed files cannot be loaded, and the old ones go on", async () => {
    await runCommand(folder, "create", "steady", "--cpp");
    await using command = await startRun(folder, "steady");
    const curl = curlOf(command, "steady");
    for (const [file, from, to, why] of [
      ["wrapper.cpp", "data->len == 0", "data->len === 0", /steady cannot be loaded.*cannot be built:\nwrapper\.cpp:/],
      ["service.yaml", "kind: native", "kind: nativ", /steady cannot be loaded[\s\S]*line 3: engine\.kind/],
    ] as const) {
      const before = command.output().length;
      await replaceIn(join(folder, "steady", file), from, to);
      await command.until(why, before);
      await command.until(/The one before goes on/, before);
      expect(ask(curl)).toBe("hello, World");
      await replaceIn(join(folder, "steady", file), to, from);
      await command.until(/steady serves the changed files/, before);
    }
  }, 60_000);

  test("puts a long request into a file, which its curl line sends", async () => {
    await mkdir(join(folder, "long"));
    await writeFile(join(folder, "long/0.txt"), "it's ".repeat(2000));
    const definition = await readFile(join(root, "config/services/echo/service.yaml"), "utf8");
    const text = definition.replace("id: echo", "id: long").replace("example: hello", "example: { file: 0.txt }");
    await writeFile(join(folder, "long/service.yaml"), text);
    await using command = await startRun(folder, "long");
    const curl = curlOf(command, "long");
    expect(curl.length).toBeLessThan(300);
    expect(ask(curl)).toBe("it's ".repeat(2000));
  }, 60_000);

  for (const one of ["loader", "gateway"]) {
    test(`ends with 1 when the ${one} ends, and stops the other`, async () => {
      await using command = await startRun(folder, join(root, "config/services/echo"));
      const children = [...childrenOf(command.pid)];
      const pids = new Map(
        ["loader", "gateway"].map((name) => [
          name,
          children.find(([line]) => line.includes(`${name}/main.ts`))?.[1] ?? 0,
        ]),
      );
      process.kill(pids.get(one) ?? 0, "SIGKILL");
      expect(await command.exited).toBe(1);
      expect(command.output()).toContain(`error: the ${one} ended with code 137`);
      for (const pid of pids.values()) expect(() => process.kill(pid, 0)).toThrow();
    }, 60_000);
  }

  test("ends at once at a second signal, whatever is under way", async () => {
    await using command = await startRun(folder, join(root, "config/services/echo"));
    const url = /curl .*(http:\S+)/.exec(curlOf(command, "echo"))?.[1] ?? "";
    const call = fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"header":{"app_id":"1"},"parameter":{"echo":{"delayMs":30000}},"payload":{"data":{"text":"aGk="}}}',
    }).catch((error: unknown) => error);
    const admin = /gateway .* admin (\S+)\/readyz/.exec(command.output())?.[1];
    while (!/in_flight\S* 1$/m.test(await (await fetch(`${admin}/metrics`)).text())) await Bun.sleep(10);
    command.kill("SIGINT");
    await command.until(/Stopping/);
    const pressing = setInterval(() => command.kill("SIGINT"), 20);
    expect(await command.exited).toBe(1);
    clearInterval(pressing);
    await call;
  }, 60_000);

  test("takes a signal that comes twice, as a script's runner passes it on, for one", async () => {
    await using command = await startRun(folder, join(root, "config/services/echo"));
    command.kill("SIGINT");
    command.kill("SIGINT");
    expect(await command.exited).toBe(0);
  }, 60_000);

  test("says that a port is taken", async () => {
    using taken = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
    const port = ["--port", String(taken.port), "--loader-port", "0"];
    const { code, output } = await runCommand(folder, "run", join(root, "config/services/echo"), ...port);
    expect(code).toBe(1);
    expect(output).toContain(`error: the gateway cannot start: Failed to start server. Is port ${taken.port} in use?`);
    expect(output).not.toContain("    at ");
  }, 60_000);
});

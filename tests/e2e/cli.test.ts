import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { version } from "../../package.json";
import { drawText } from "../fixtures/drawn-text.ts";
import { blocksOf } from "../integration/page.ts";
import { type Command, childrenOf, runCommand, startCommand } from "./command.ts";

const root = join(import.meta.dir, "../..");
const anyPorts = ["--port", "0", "--loader-port", "0"];
let folder: string;
const running: Command[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-cli-"));
});

afterEach(async () => {
  for (const command of running.splice(0)) {
    command.kill("SIGTERM");
    await command.exited;
  }
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Starts `athena run` on free ports, and waits until it has said all that it says at the start. */
async function run(...paths: readonly string[]): Promise<Command> {
  const command = startCommand(folder, "run", ...paths, ...anyPorts);
  running.push(command);
  await command.until(/Ctrl-C ends it/);
  return command;
}

/** The curl line that a run printed for a service. */
function curlOf(command: Command, service: string): string {
  const line = new RegExp(`^  (curl \\S[^\\n]*/${service} \\\\\\n[^\\n]+)$`, "m").exec(command.output())?.[1];
  if (line === undefined) throw new Error(`no curl line for ${service}:\n${command.output()}`);
  return line;
}

/** Runs a curl line in a shell; gives the data of the answer's only output, as text. */
function ask(curl: string): string {
  const { stdout } = Bun.spawnSync(["sh", "-c", curl.replace("curl", "curl --silent")], { cwd: folder });
  const { payload, header } = JSON.parse(stdout.toString()) as { payload?: object; header: { message: string } };
  const [output] = Object.values(payload ?? {}) as { format?: string; text: unknown }[];
  if (output === undefined) return header.message;
  return output.format === "json" ? JSON.stringify(output.text) : Buffer.from(String(output.text), "base64").toString();
}

async function replaceIn(file: string, from: string, to: string): Promise<void> {
  const text = await readFile(join(folder, file), "utf8");
  expect(text).toContain(from);
  await writeFile(join(folder, file), text.replace(from, to));
}

/** A kind of project: how it is made, what it answers to its own example, and what after a change of its code. */
interface Project {
  readonly name: string;
  readonly create: readonly string[];
  readonly answer: string;
  readonly edit: readonly [file: string, from: string, to: string];
  readonly newAnswer: string;
}

/** The projects that go the whole way today. One that is made but not served yet belongs here as soon as it is. */
const projects: readonly Project[] = [
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
];

describe.each(projects)("a project of the kind $name", ({ name, create, answer, edit, newAnswer }) => {
  test("is created, tested, run, called, changed, called again, and ended with 0", async () => {
    expect(await runCommand(folder, "create", name, ...create)).toMatchObject({ code: 0 });
    const tested = await runCommand(folder, "test", name);
    expect(tested.output).toContain("Everything passed.");
    expect(tested.output).not.toContain("FAIL");
    expect(tested.code).toBe(0);

    const command = await run(name);
    const curl = curlOf(command, name);
    expect(ask(curl)).toBe(answer);
    await command.until(new RegExp(`${name} 200 OK`));
    await replaceIn(join(name, edit[0]), edit[1], edit[2]);
    await command.until(new RegExp(`${name} serves the changed files`));
    expect(ask(curl)).toBe(newAnswer);

    command.kill("SIGINT");
    expect(await command.exited).toBe(0);
    const url = /http:\/\/[\d.:]+/.exec(curl)?.[0] ?? "";
    await expect(fetch(url)).rejects.toThrow();
  }, 60_000);
});

describe("athena run", () => {
  test("serves several folders; one that cannot be loaded waits for a change, and the others serve", async () => {
    await runCommand(folder, "create", "first", "--python", "--legacy");
    await runCommand(folder, "create", "second", "--python", "--legacy");
    const wrapper = await readFile(join(folder, "second/wrapper.py"), "utf8");
    await writeFile(join(folder, "second/wrapper.py"), "import nothing_of_this_name\n");
    const command = await run("first", "second");
    expect(command.output()).toContain("second cannot be served until its files change: ModuleNotFoundError");
    expect(ask(curlOf(command, "first"))).toBe('["hello, World"]');
    await writeFile(join(folder, "second/wrapper.py"), wrapper);
    await command.until(/second is served/);
    await command.until(/\/second \\\n.*\n/);
    expect(ask(curlOf(command, "second"))).toBe('["hello, World"]');
  }, 60_000);

  test("says why changed files cannot be loaded, and the old ones go on", async () => {
    await runCommand(folder, "create", "steady", "--cpp");
    const command = await run("steady");
    const curl = curlOf(command, "steady");
    for (const [file, from, to, why] of [
      ["wrapper.cpp", "data->len == 0", "data->len === 0", /steady cannot be loaded.*cannot be built:\nwrapper\.cpp:/],
      ["service.yaml", "kind: native", "kind: nativ", /steady cannot be loaded[\s\S]*line 3: engine\.kind/],
    ] as const) {
      const before = command.output().length;
      await replaceIn(join("steady", file), from, to);
      await command.until(why, before);
      await command.until(/The one before goes on/, before);
      expect(ask(curl)).toBe("hello, World");
      await replaceIn(join("steady", file), to, from);
      await command.until(/steady serves the changed files/, before);
    }
  }, 60_000);

  test("puts a long request into a file, which its curl line sends", async () => {
    await mkdir(join(folder, "long"));
    await writeFile(join(folder, "long/0.txt"), "it's ".repeat(2000));
    const definition = await readFile(join(root, "config/services/echo/service.yaml"), "utf8");
    const text = definition.replace("id: echo", "id: long").replace("example: hello", "example: { file: 0.txt }");
    await writeFile(join(folder, "long/service.yaml"), text);
    const command = await run("long");
    const curl = curlOf(command, "long");
    expect(curl.length).toBeLessThan(300);
    expect(ask(curl)).toBe("it's ".repeat(2000));
  }, 60_000);

  for (const one of ["loader", "gateway"]) {
    test(`ends with 1 when the ${one} ends, and stops the other`, async () => {
      const command = await run(join(root, "config/services/echo"));
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
    const command = await run(join(root, "config/services/echo"));
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
    command.kill("SIGINT");
    expect(await command.exited).toBe(1);
    await call;
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
      "broken/wrapper.py",
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
    await replaceIn("broken/service.yaml", "type: text, example: World", "type: image");
    await runCommand(folder, "create", "lost", "--cpp");
    await replaceIn("lost/service.yaml", "config:", "library: gone.so # config:");
    const { code, output } = await runCommand(folder, "test", "broken", "lost");
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
    await replaceIn("slow/wrapper.py", "self.word =", "import time; time.sleep(60)\n        self.word =");
    const command = startCommand(folder, "test", "slow");
    running.push(command);
    while (childrenOf(command.pid).size === 0) await Bun.sleep(10);
    const [loader = 0] = childrenOf(command.pid).values();
    command.kill("SIGINT");
    expect(await command.exited).toBe(130);
    expect(() => process.kill(loader, 0)).toThrow();
  });
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
        const command = startCommand(place, ...args, ...anyPorts);
        running.push(command);
        await command.until(/greeter is served/);
        command.kill("SIGINT");
        expect(await command.exited).toBe(0);
      } else expect(await runCommand(place, ...args)).toMatchObject({ code: 0 });
    }
  }, 60_000);
}

import { readdirSync, readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A command of the command line, running; disposing of it ends it. */
export interface Command extends AsyncDisposable {
  readonly pid: number;
  /** The exit code, when it has ended. */
  readonly exited: Promise<number>;
  /** What it has printed so far, on both outputs. */
  output(): string;
  /** Resolves when what it prints from `from` on matches; rejects when it ends first, and after 30 s. */
  until(pattern: RegExp, from?: number): Promise<RegExpExecArray>;
  kill(signal: NodeJS.Signals): void;
}

const main = join(import.meta.dir, "../../cli/athena.ts");

/** Starts `athena` with these arguments, as a shell in `folder` would. */
export function startCommand(folder: string, ...args: readonly string[]): Command {
  const child = Bun.spawn([process.execPath, main, ...args], {
    cwd: folder,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  let output = "";
  const waiting = new Set<() => void>();
  const look = (): void => {
    for (const check of waiting) check();
  };
  const read = async (stream: ReadableStream<Uint8Array>): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      output += decoder.decode(chunk, { stream: true });
      look();
    }
  };
  let isOver = false;
  const drained = Promise.all([read(child.stdout), read(child.stderr)]).then(() => {
    isOver = true;
    look();
  });
  return {
    pid: child.pid,
    exited: drained.then(() => child.exited),
    output: () => output,
    until: (pattern, from = 0) =>
      new Promise((resolve, reject) => {
        const fail = (how: string): void => {
          waiting.delete(check);
          reject(new Error(`it ${how} without ${pattern}:\n${output}`));
        };
        const timer = setTimeout(() => fail("goes on"), 30_000);
        const check = (): void => {
          const match = pattern.exec(output.slice(from));
          if (match === null && !isOver) return;
          clearTimeout(timer);
          waiting.delete(check);
          if (match === null) fail("ended");
          else resolve(match);
        };
        waiting.add(check);
        check();
      }),
    kill: (signal) => child.kill(signal),
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.exited;
    },
  };
}

/** Runs `athena` to its end; gives its exit code and what it printed. */
export async function runCommand(
  folder: string,
  ...args: readonly string[]
): Promise<{ readonly code: number; readonly output: string }> {
  const command = startCommand(folder, ...args);
  return { code: await command.exited, output: command.output() };
}

/** For `run`: any ports that are free. */
export const anyPorts = ["--port", "0", "--loader-port", "0"];

/** Starts `athena run` on free ports, and waits until it has said all that it says at the start. */
export async function startRun(folder: string, ...paths: readonly string[]): Promise<Command> {
  const command = startCommand(folder, "run", ...paths, ...anyPorts);
  try {
    await command.until(/Ctrl-C ends it/);
    return command;
  } catch (error) {
    await command[Symbol.asyncDispose]();
    throw error;
  }
}

/** The curl line that a run printed for a service. */
export function curlOf(run: Command, service: string): string {
  const line = new RegExp(`^  (curl \\S[^\\n]*/${service} \\\\\\n[^\\n]+)$`, "m").exec(run.output())?.[1];
  if (line === undefined) throw new Error(`no curl line for ${service}:\n${run.output()}`);
  return line;
}

/** Runs a curl line in a shell; gives the answer's only output: JSON as it is, other data as text. Throws the error of others. */
export function ask(curl: string): string {
  const { stdout } = Bun.spawnSync(["sh", "-c", curl.replace("curl", "curl --silent")]);
  const { payload, header } = JSON.parse(stdout.toString()) as { payload?: object; header: { message: string } };
  const [output] = Object.values(payload ?? {}) as { format?: string; text?: unknown; other?: unknown }[];
  if (output === undefined) throw new Error(header.message);
  if (output.format === "json") return JSON.stringify(output.text);
  return Buffer.from(String(output.text ?? output.other), "base64").toString();
}

/** Replaces a text in a file, which must be there. */
export async function replaceIn(file: string, from: string, to: string): Promise<void> {
  const text = await readFile(file, "utf8");
  if (!text.includes(from)) throw new Error(`${file} does not contain ${from}`);
  await writeFile(file, text.replace(from, to));
}

/** The processes that a process has started and that live, by their command lines. */
export function childrenOf(parent: number): ReadonlyMap<string, number> {
  const children = new Map<string, number>();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      // The name in parentheses may hold anything; the parent stands second after it.
      const [, ppid] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
      if (Number(ppid) === parent)
        children.set(readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " "), Number(pid));
    } catch {
      // It has ended meanwhile.
    }
  }
  return children;
}

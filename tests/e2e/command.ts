import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A command of the command line, running. */
export interface Command {
  readonly pid: number;
  /** The exit code, when it has ended. */
  readonly exited: Promise<number>;
  /** What it has printed so far, on both outputs. */
  output(): string;
  /** Resolves when what it prints from `from` on matches; rejects when it ends first. */
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
        const check = (): void => {
          const match = pattern.exec(output.slice(from));
          if (match === null && !isOver) return;
          waiting.delete(check);
          if (match === null) reject(new Error(`it ended without ${pattern}:\n${output}`));
          else resolve(match);
        };
        waiting.add(check);
        check();
      }),
    kill: (signal) => child.kill(signal),
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

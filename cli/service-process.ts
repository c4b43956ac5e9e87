import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** One line of a process's log: pino's JSON. */
export type LogLine = Readonly<Record<string, unknown>>;

/** A gateway or loader in a process of its own. */
export interface ServiceProcess {
  readonly pid: number;
  /** The address of each listener by its name: "public", "grpc" or "admin". */
  readonly addresses: ReadonlyMap<string, string>;
  /** The exit code, when it has ended and what it printed has been told. */
  readonly exited: Promise<number>;
  /** Ends it as Kubernetes would: SIGTERM, and SIGKILL when that takes longer than `graceMs`. */
  stop(graceMs?: number): Promise<number>;
  kill(signal: NodeJS.Signals): void;
}

/** How a process is started. */
export interface ServiceProcessOptions {
  /** The main file, from the project's root: "gateway/main.ts" or "loader/main.ts". */
  readonly main: string;
  /** The configuration file's text. It is written to a temporary folder, so paths in it must be absolute. */
  readonly config: string;
  /** Environment variables beside those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** An existing configuration file, used where it is in place of `config`. */
  readonly configFile?: string;
  /** How long it may take until it listens. */
  readonly startTimeoutMs?: number;
  /** Told of each log line, listening or not. */
  readonly onLog?: (line: LogLine) => void;
  /** Told of each line that is no log line, such as a runtime's own last words. */
  readonly onText?: (text: string) => void;
  /**
   * Gives it a process group of its own, so that an interrupt typed at the terminal reaches the starter alone, which then
   * stops it in order; on Linux it ends with the starter too. It shares the starter's group unless told.
   */
  readonly ownGroup?: boolean;
  /** Stops the start, and the process with it. */
  readonly signal?: AbortSignal;
}

/** A gateway or loader that did not come to listen. The message holds the end of its output. */
export class StartError extends Error {
  override readonly name = "StartError";
  /** What its log says about it, for a person; undefined when it says nothing. */
  readonly reason: string | undefined;

  constructor(message: string, reason: string | undefined, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

const root = join(import.meta.dir, "..");

/** How long what an ended process has printed is read; a process of its own that it left behind may hold its output open. */
const lastWordsMs = 1000;

/**
 * Starts a gateway or loader and waits until it listens.
 *
 * @throws StartError when it ends first, does not listen in time, or is not wanted any more.
 */
export async function startServiceProcess(options: ServiceProcessOptions): Promise<ServiceProcess> {
  const folder = await mkdtemp(join(tmpdir(), "athena-"));
  const configFile = options.configFile ?? join(folder, "config.yaml");
  if (options.configFile === undefined) await writeFile(configFile, options.config);
  const child = spawnMain(options, configFile);
  const log = readLog(child, options);
  const exited = child.exited.finally(async () => {
    await Promise.race([log.drained, Bun.sleep(lastWordsMs)]);
    await rm(folder, { recursive: true, force: true });
  });
  const stop = async (graceMs = 35_000): Promise<number> => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
    const code = await exited;
    clearTimeout(timer);
    return code;
  };
  try {
    await withTimeout(
      Promise.race([
        log.listening,
        exited.then(async (code) => {
          await log.drained;
          throw new Error(`${options.main} ended with code ${code}`);
        }),
        ...(options.signal === undefined ? [] : [rejectOnAbort(options.signal)]),
      ]),
      options.startTimeoutMs ?? 60_000,
      `${options.main} did not listen in time`,
    );
  } catch (error) {
    await stop(1000);
    const message = error instanceof Error ? error.message : String(error);
    throw new StartError(`${message}\n${log.end()}`, log.reason(), { cause: error });
  }
  return { pid: child.pid, addresses: log.addresses, exited, stop, kill: (signal) => child.kill(signal) };
}

type ServiceChild = Bun.Subprocess<"ignore", "pipe", "pipe">;

function spawnMain({ main, env, ownGroup = false }: ServiceProcessOptions, configFile: string): ServiceChild {
  const preload = ownGroup ? ["--preload", join(import.meta.dir, "end-with-starter.ts")] : [];
  const level = process.env.LOG_LEVEL;
  return Bun.spawn([process.execPath, ...preload, join(root, main), "--config", configFile], {
    stdout: "pipe",
    stderr: "pipe",
    stdin: "ignore",
    // It tells in its log where it listens.
    env: { ...process.env, ...env, LOG_LEVEL: level === "debug" || level === "trace" ? level : "info" },
    detached: ownGroup,
  });
}

/** Reads what a process prints, until it ends. */
function readLog(child: ServiceChild, { onLog, onText }: ServiceProcessOptions) {
  const output: string[] = [];
  const addresses = new Map<string, string>();
  const listening = Promise.withResolvers<void>();
  let reason: string | undefined;
  const onLine = (text: string): void => {
    output.push(text);
    if (output.length > 40) output.shift();
    const line = logLineFromText(text);
    if (line === undefined) {
      onText?.(text);
      return;
    }
    if (line.level === "fatal") reason = reasonFromLog(line);
    onLog?.(line);
    if (line.msg !== "listening" || typeof line.url !== "string") return;
    addresses.set(String(line.listener), line.url);
    if (line.listener === "public") listening.resolve();
  };
  return {
    addresses,
    listening: listening.promise,
    drained: Promise.all([readLines(child.stdout, onLine), readLines(child.stderr, onLine)]),
    end: () => output.join("\n"),
    reason: () => reason,
  };
}

/**
 * The address of one of a process's listeners.
 *
 * @throws Error when it has none of that name.
 */
export function addressOf(process: ServiceProcess, listener: "public" | "grpc" | "admin"): string {
  const url = process.addresses.get(listener);
  if (url === undefined) throw new Error(`the process did not say where its ${listener} listener is`);
  return url;
}

/**
 * Waits until a gateway or loader says that it can serve every one of these services.
 *
 * @throws Error when it cannot within `timeoutMs`; the message holds the last answer of /readyz.
 */
export async function waitUntilReady(
  process: ServiceProcess,
  services: readonly string[],
  timeoutMs = 60_000,
): Promise<void> {
  const url = `${addressOf(process, "admin")}/readyz`;
  const deadline = performance.now() + timeoutMs;
  let last = "";
  while (performance.now() < deadline) {
    const response = await fetch(url);
    last = await response.text();
    const ready = readyServices(last);
    if (services.every((service) => ready.has(service))) return;
    await Bun.sleep(50);
  }
  throw new Error(`not ready in time: ${last}`);
}

function readyServices(text: string): ReadonlySet<unknown> {
  // The shape is our own admin page's; anything else makes no service ready.
  const { services } = JSON.parse(text) as { services?: { service: string; ready: boolean }[] };
  return new Set(services?.filter(({ ready }) => ready).map(({ service }) => service));
}

async function readLines(stream: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  }
  if (rest !== "") onLine(rest);
}

function logLineFromText(text: string): LogLine | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** The words of a fatal log line: a configuration's mistakes, or what was thrown. */
function reasonFromLog({ err, msg }: LogLine): string {
  const thrown = typeof err === "object" && err !== null && "message" in err ? err.message : undefined;
  return String(thrown ?? msg);
}

async function withTimeout(promise: Promise<unknown>, timeoutMs: number, message: string): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(message)), timeoutMs);
  });
  try {
    await Promise.race([promise, expired]);
  } finally {
    clearTimeout(timer);
  }
}

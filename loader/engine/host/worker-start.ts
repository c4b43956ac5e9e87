import { writeFileSync } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { ServingError } from "../../../proto/errors.ts";

/** A private folder with the path of one socket in it. */
export interface SocketFolder {
  readonly path: string;
  /** Resolves when the folder is gone; may be called again. Never rejects: what is left is in the system's temporary folder. */
  remove(): Promise<void>;
}

/** Makes a folder that only this user can enter. */
export async function createSocketFolder(): Promise<SocketFolder> {
  const folder = await mkdtemp(join(tmpdir(), "athena-engine-"));
  await chmod(folder, 0o700);
  return {
    path: join(folder, "socket"),
    remove: () => rm(folder, { recursive: true, force: true }).catch(() => {}),
  };
}

/** How a process is spawned as a worker. */
export interface SpawnOptions {
  readonly command: readonly string[];
  readonly cwd?: string;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Spawns a worker as the leader of a process group of its own: what it starts itself can be ended with it, and an
 * interrupt typed at the loader's terminal reaches the loader alone, which then drains. Throws when there is no such command.
 */
export function spawnWorker({ command, cwd, env }: SpawnOptions, socketPath: string, token: string) {
  const child = Bun.spawn([...command], {
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...env, ATHENA_ENGINE_SOCKET: socketPath, ATHENA_ENGINE_TOKEN: token },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    detached: true,
  });
  preferForMemoryKill(child.pid);
  return child;
}

/** When memory is short, the kernel ends the worker that asked for it, not the loader with all of its services. */
function preferForMemoryKill(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, "1000");
  } catch {
    // Not Linux, or it has ended already.
  }
}

/** A secret that a worker must say, so that nothing else poses as it. */
export function createToken(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(24))).toString("hex");
}

/** In what words a process's end is told. */
export function endOf(child: Subprocess): string {
  return child.signalCode === null ? `exit code ${child.exitCode}` : `signal ${child.signalCode}`;
}

/**
 * Waits until a worker is ready.
 *
 * @throws ServingError SERVICE_NOT_READY when that takes longer than `startTimeoutMs`; the signal's reason when it aborts;
 * what `ready` rejects with.
 */
export async function untilReady<Ready>(
  ready: Promise<Ready>,
  service: string,
  startTimeoutMs: number,
  signal: AbortSignal,
): Promise<Ready> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const message = `the engine of service '${service}' was not ready within ${startTimeoutMs} ms`;
    late.reject(new ServingError("SERVICE_NOT_READY", message));
  }, startTimeoutMs);
  const onAbort = (): void => late.reject(ServingError.from(signal.reason));
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([ready, late.promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

/** Waits for the end of a worker that was asked to stop, and makes it come. */
export async function untilGone(
  gone: Promise<void>,
  end: (how: NodeJS.Signals) => void,
  stopGraceMs: number,
): Promise<void> {
  const timers = [setTimeout(() => end("SIGTERM"), stopGraceMs / 2), setTimeout(() => end("SIGKILL"), stopGraceMs)];
  await gone;
  for (const timer of timers) clearTimeout(timer);
}

import { type HttpConnection, openConnection } from "../gateway/client/http-connection.ts";
import { createRecorder, type Recorder, type Result } from "./recorder.ts";
import type { Target } from "./target.ts";

/** How requests are timed: at a rate whatever happens, or each caller's next one after its last answer. */
export type Load =
  | { readonly kind: "open"; readonly ratePerSecond: number; readonly maxInFlight: number }
  | { readonly kind: "closed"; readonly concurrency: number };

/** What bounds a run, beside its load. */
export interface RunOptions {
  readonly durationMs: number;
  /** Requests after which the run ends, if its time is not over before; undefined: no such bound. */
  readonly requests?: number | undefined;
  /** Milliseconds on a clock that never goes back. */
  readonly now?: () => number;
}

/** Puts load on a target and measures. */
export function run(target: Target, load: Load, options: RunOptions): Promise<Result> {
  return load.kind === "open" ? runOpen(target, load, options) : runClosed(target, load.concurrency, options);
}

async function runClosed(target: Target, concurrency: number, options: RunOptions): Promise<Result> {
  const { durationMs, requests = Number.POSITIVE_INFINITY, now = () => performance.now() } = options;
  const recorder = createRecorder();
  const sender = createSender(target, recorder, now);
  const started = now();
  let sent = 0;
  const caller = async (): Promise<void> => {
    while (now() - started < durationMs && sent < requests) {
      sent += 1;
      await sender.send(now());
    }
  };
  await Promise.all(Array.from({ length: concurrency }, caller));
  sender.close();
  return recorder.finish((now() - started) / 1000);
}

/**
 * Requests leave on a schedule that knows nothing of the answers, and latency is measured from the moment on that schedule.
 * A server that stalls for a second is so seen by every request of that second, not by the one that was under way: the
 * omission of a closed loop.
 */
async function runOpen(target: Target, load: Load & { kind: "open" }, options: RunOptions): Promise<Result> {
  const { durationMs, requests = Number.POSITIVE_INFINITY, now = () => performance.now() } = options;
  const recorder = createRecorder();
  const sender = createSender(target, recorder, now);
  const started = now();
  const total = Math.min(requests, Math.floor((durationMs / 1000) * load.ratePerSecond));
  const underWay = new Set<Promise<void>>();
  for (let next = 0; next < total; ) {
    const due = started + (next / load.ratePerSecond) * 1000;
    const wait = due - now();
    if (wait > 0) {
      await Bun.sleep(Math.min(wait, 5));
      continue;
    }
    next += 1;
    if (underWay.size >= load.maxInFlight) {
      recorder.record("dropped", 0);
      continue;
    }
    const call: Promise<void> = sender.send(due).finally(() => underWay.delete(call));
    underWay.add(call);
  }
  await Promise.all(underWay);
  sender.close();
  return recorder.finish((now() - started) / 1000);
}

interface Sender {
  /** Sends one request that was due at this moment, and records how it ended. Never rejects. */
  send(due: number): Promise<void>;
  close(): void;
}

const maxResponseBytes = 1_073_741_824;

/** Sends over as many connections as there are requests under way, and uses them again. */
function createSender(target: Target, recorder: Recorder, now: () => number): Sender {
  const idle: HttpConnection[] = [];
  return {
    async send(due) {
      let connection: HttpConnection | undefined;
      try {
        connection = idle.pop() ?? (await openConnection(target.address, maxResponseBytes));
        const response = await connection.exchange(target.request);
        recorder.record(target.judge(response), now() - due);
        if (connection.isOpen) idle.push(connection);
      } catch {
        connection?.close();
        recorder.record("connection failed", now() - due);
        // A refused connection answers at once; without a pause a caller would spin.
        await Bun.sleep(10);
      }
    },
    close() {
      for (const connection of idle) connection.close();
    },
  };
}

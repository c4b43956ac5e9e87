import { ServingError } from "../../../proto/errors.ts";
import type { EngineHealth } from "../engine.ts";
import { limitTime } from "./call-ends.ts";

/** What a watch is created from. */
export interface HealthWatchOptions {
  /** Resolves when calls can be taken. A rejection with SERVICE_NOT_READY is an answer, any other the lack of one. */
  readonly probe: (signal: AbortSignal) => Promise<void>;
  /** Between two probes while the server is ready, a second at most while it is not; up to a tenth more or less. */
  readonly intervalMs: number;
  /** How long a probe may take. */
  readonly timeoutMs: number;
  /** Probes in a row without an answer that count as "not ready". */
  readonly failures: number;
  /** Told of each change. */
  readonly onHealth: (health: EngineHealth) => void;
  /** Numbers in [0, 1), so that loaders do not probe one server all at the same moment. */
  readonly random: () => number;
}

/** Probes that go on until they are stopped. */
export interface HealthWatch {
  /** A call failed in a way that speaks against the server: the next probe is due now. */
  suspect(): void;
  stop(): void;
}

const maxRecoveryPauseMs = 1000;
/** Between two probes at the least, however many calls fail. */
const minPauseMs = 100;

/** Watches a server that is ready now. */
export function createHealthWatch(options: HealthWatchOptions): HealthWatch {
  const { probe, intervalMs, timeoutMs, failures, onHealth, random } = options;
  const stopping = new AbortController();
  let current: EngineHealth = { ready: true };
  let unanswered = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let dueAt = 0;

  const become = (health: EngineHealth): void => {
    if (stopping.signal.aborted || Bun.deepEquals(health, current)) return;
    current = health;
    onHealth(health);
  };
  const ask = async (): Promise<void> => {
    timer = undefined;
    using limit = limitTime(stopping.signal, timeoutMs);
    try {
      await probe(limit.signal);
      unanswered = 0;
      become({ ready: true });
    } catch (thrown) {
      const error = ServingError.from(thrown);
      unanswered += 1;
      const isAnswer = error.reason === "SERVICE_NOT_READY";
      if (isAnswer || unanswered >= failures) {
        become({ ready: false, reason: isAnswer ? error.message : `no answer to ${failures} probes` });
      }
    }
    if (!stopping.signal.aborted) order(current.ready ? intervalMs : Math.min(intervalMs, maxRecoveryPauseMs));
  };
  const order = (pauseMs: number): void => {
    clearTimeout(timer);
    const delayMs = Math.max(minPauseMs, pauseMs * (0.9 + 0.2 * random()));
    dueAt = performance.now() + delayMs;
    timer = setTimeout(() => void ask(), delayMs);
  };
  order(intervalMs);
  return {
    suspect() {
      if (timer !== undefined && dueAt - performance.now() > minPauseMs) order(minPauseMs);
    },
    stop() {
      stopping.abort(new ServingError("SERVICE_NOT_READY", "stopped"));
      clearTimeout(timer);
    },
  };
}

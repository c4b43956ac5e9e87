import { ServingError } from "../../proto/errors.ts";
import { createBatchSize } from "./batch-size.ts";
import { createHold } from "./hold.ts";

/** One call that may be computed together with others. */
export interface BatchItem<Call> {
  readonly call: Call;
  /** How many rows it has, at least 1. */
  readonly rows: number;
  /** Calls with the same key may be computed together. */
  readonly key: string;
  readonly signal: AbortSignal;
}

/** Puts calls together and has each group computed at once. */
export interface Batcher<Call, Result> {
  /** Resolves with the call's own result. Throws what its computation throws, or the signal's reason once that aborts. */
  run(item: BatchItem<Call>): Promise<Result>;
}

/** What {@link createBatcher} builds from. */
export interface BatcherOptions<Call, Result> {
  /** The most rows that are computed together. A call with more is computed alone. */
  readonly maxRows: number;
  /** Groups that are computed at once: one for each worker. */
  readonly lanes: number;
  /** The longest that a group waits for more calls while it could be computed. */
  readonly maxDelayMs: number;
  /** Computes a group; one outcome for each call, in their order. */
  readonly compute: (calls: readonly Call[]) => Promise<readonly PromiseSettledResult<Result>[]>;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
  /** Calls back after a time; gives what takes that back. */
  readonly setTimer: (callback: () => void, delayMs: number) => () => void;
  /** Told of each group when it has been computed. */
  readonly onGroup?: (rows: number, tookMs: number) => void;
}

interface Waiting<Call, Result> extends BatchItem<Call> {
  settle(outcome: PromiseSettledResult<Result>): void;
}

/**
 * Builds a batcher. A call that finds a free lane and no sign of others is computed at once. While all lanes compute, calls
 * collect, and the next free lane takes them together, as many rows as have proved best.
 */
export function createBatcher<Call, Result>(options: BatcherOptions<Call, Result>): Batcher<Call, Result> {
  const { lanes, now, setTimer, onGroup = () => {} } = options;
  const size = createBatchSize(options.maxRows);
  const hold = createHold(options.maxDelayMs, now);
  const waiting = new Set<Waiting<Call, Result>>();
  let busy = 0;
  let running = 0;
  let cancelTimer = (): void => {};

  const advance = (): void => {
    cancelTimer();
    while (busy < lanes && waiting.size > 0) {
      const group = nextGroup(waiting, size.limit);
      // One that has its rows, or leaves others behind, has nothing to wait for.
      const isOpen = group.length === waiting.size && rowsOf(group) < size.limit;
      const leftMs = isOpen ? hold.msLeft({ waiting: waiting.size, running, freeLanes: lanes - busy }) : 0;
      if (leftMs > 0) {
        cancelTimer = setTimer(advance, leftMs);
        return;
      }
      hold.end();
      void runGroup(group);
    }
  };

  const runGroup = async (group: readonly Waiting<Call, Result>[]): Promise<void> => {
    const waitingRows = rowsOf(waiting);
    const rows = rowsOf(group);
    for (const item of group) waiting.delete(item);
    busy += 1;
    running += group.length;
    const started = now();
    const outcomes = await outcomesOf(group, options.compute);
    const tookMs = now() - started;
    busy -= 1;
    running -= group.length;
    hold.computed(tookMs);
    // A group that failed says nothing about the time that its rows take.
    if (outcomes.every(({ status }) => status === "fulfilled")) size.observe(rows, waitingRows, tookMs);
    onGroup(rows, tookMs);
    for (const [index, item] of group.entries()) item.settle(outcomes[index] ?? lost);
    advance();
  };

  return {
    run: (item) =>
      new Promise((resolve, reject) => {
        if (item.signal.aborted) {
          reject(item.signal.reason);
          return;
        }
        const onAbort = (): void => {
          waiting.delete(entry);
          reject(item.signal.reason);
        };
        const entry: Waiting<Call, Result> = {
          ...item,
          settle(outcome) {
            item.signal.removeEventListener("abort", onAbort);
            if (outcome.status === "fulfilled") resolve(outcome.value);
            else reject(outcome.reason);
          },
        };
        item.signal.addEventListener("abort", onAbort, { once: true });
        waiting.add(entry);
        hold.arrived({ waiting: waiting.size, running });
        advance();
      }),
  };
}

/** The first that waits and others of its kind, in order, as many as fit. */
function nextGroup<Item extends BatchItem<unknown>>(waiting: Iterable<Item>, maxRows: number): Item[] {
  const group: Item[] = [];
  let rows = 0;
  for (const item of waiting) {
    if (group[0] !== undefined && group[0].key !== item.key) continue;
    if (group.length > 0 && rows + item.rows > maxRows) break;
    group.push(item);
    rows += item.rows;
  }
  return group;
}

async function outcomesOf<Call, Result>(
  group: readonly BatchItem<Call>[],
  compute: BatcherOptions<Call, Result>["compute"],
): Promise<readonly PromiseSettledResult<Result>[]> {
  try {
    return await compute(group.map(({ call }) => call));
  } catch (reason) {
    return group.map(() => ({ status: "rejected", reason }));
  }
}

const lost: PromiseRejectedResult = {
  status: "rejected",
  reason: new ServingError("ENGINE_FAILED", "the engine gave no answer for one call of a batch"),
};

function rowsOf(items: Iterable<{ readonly rows: number }>): number {
  let sum = 0;
  for (const { rows } of items) sum += rows;
  return sum;
}

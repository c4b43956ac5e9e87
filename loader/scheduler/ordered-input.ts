import { ServingError } from "../../proto/errors.ts";

/** How long a session's input waits for a chunk that is missing. */
export interface SessionOrdering {
  /** How long a missing chunk is waited for before the next that is there goes on. */
  readonly holeTimeoutMs: number;
  /** How many chunks may wait for one that is missing. */
  readonly maxWaiting: number;
}

/** What {@link orderInput} is bounded by. */
export interface OrderedInputOptions extends SessionOrdering {
  /** How many bytes the chunks that wait may hold together. */
  readonly maxWaitingBytes: number;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
}

/** One chunk with its place in the session; 0 means in order of arrival. */
export interface Sequenced {
  readonly sequence: number;
  /** What it holds while it waits. */
  readonly bytes: number;
}

/**
 * Gives chunks in the order of their sequence, whatever order they arrive in. `first` is the place of the first. A chunk
 * that comes late, when its place was passed, is dropped, and so is one that comes twice. A hole is waited for, however
 * many chunks arrive behind it meanwhile, and then skipped.
 *
 * Throws ServingError SCHEMA_VIOLATION when more chunks wait than may, PAYLOAD_TOO_LARGE when they hold too much.
 */
export async function* orderInput<Chunk extends Sequenced>(
  chunks: AsyncIterable<Chunk>,
  first: number,
  options: OrderedInputOptions,
): AsyncGenerator<Chunk> {
  const source = chunks[Symbol.asyncIterator]();
  const waiting = new Waiting<Chunk>(first);
  const hole = createHoleWait(options);
  let pending: Promise<IteratorResult<Chunk>> | undefined;
  try {
    for (;;) {
      const arrive = () => (pending ??= source.next());
      const arrived = waiting.size === 0 ? await arrive() : await hole.wait(waiting.next, arrive);
      if (arrived === "timeout") {
        waiting.skipHole();
      } else {
        pending = undefined;
        if (arrived.done === true) break;
        waiting.add(arrived.value);
      }
      yield* waiting.takeReady();
      waiting.assertWithin(options);
    }
    while (waiting.size > 0) {
      waiting.skipHole();
      yield* waiting.takeReady();
    }
  } finally {
    // Not awaited: a source that still waits for its next chunk would keep this generator from ending until it comes.
    Promise.resolve(source.return?.()).catch(() => {});
  }
}

/** The chunks that came before their turn. */
class Waiting<Chunk extends Sequenced> {
  readonly #chunks = new Map<number, Chunk>();
  readonly #inArrivalOrder: Chunk[] = [];
  #bytes = 0;
  /** Whose turn it is. */
  next: number;

  constructor(first: number) {
    this.next = first;
  }

  get size(): number {
    return this.#chunks.size;
  }

  add(chunk: Chunk): void {
    if (chunk.sequence === 0) {
      this.#inArrivalOrder.push(chunk);
    } else if (chunk.sequence >= this.next && !this.#chunks.has(chunk.sequence)) {
      this.#chunks.set(chunk.sequence, chunk);
      this.#bytes += chunk.bytes;
    }
  }

  assertWithin({ maxWaiting, maxWaitingBytes }: OrderedInputOptions): void {
    if (this.size > maxWaiting) {
      throw new ServingError("SCHEMA_VIOLATION", `input: chunk ${this.next} is missing, and ${this.size} wait for it`);
    }
    if (this.#bytes > maxWaitingBytes) {
      throw new ServingError(
        "PAYLOAD_TOO_LARGE",
        `input: chunk ${this.next} is missing, and those that wait for it have more than ${maxWaitingBytes} bytes`,
      );
    }
  }

  /** Gives up on those that are missing before the first that is there. */
  skipHole(): void {
    this.next = Math.min(...this.#chunks.keys());
  }

  *takeReady(): Generator<Chunk> {
    yield* this.#inArrivalOrder.splice(0);
    for (let chunk = this.#chunks.get(this.next); chunk !== undefined; chunk = this.#chunks.get(this.next)) {
      this.#chunks.delete(this.next);
      this.#bytes -= chunk.bytes;
      this.next += 1;
      yield chunk;
    }
  }
}

/** Waits for what may fill a hole: for each hole `holeTimeoutMs` in all, not from each chunk anew. */
function createHoleWait({ holeTimeoutMs, now }: OrderedInputOptions) {
  let place: number | undefined;
  // Only waiting counts: a reader that computes between two chunks does not use up the time of the missing one.
  let leftMs = 0;
  return {
    async wait<Value>(missing: number, arrive: () => Promise<Value>): Promise<Value | "timeout"> {
      if (missing !== place) leftMs = holeTimeoutMs;
      place = missing;
      if (leftMs <= 0) return "timeout";
      const started = now();
      try {
        return await orTimeout(arrive(), leftMs);
      } finally {
        leftMs -= now() - started;
      }
    },
  };
}

async function orTimeout<Value>(promise: Promise<Value>, timeoutMs: number): Promise<Value | "timeout"> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<"timeout">((resolve) => {
    timer = setTimeout(() => resolve("timeout"), timeoutMs);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

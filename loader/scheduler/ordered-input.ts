import { ServingError } from "../../proto/errors.ts";

/** What {@link orderInput} is bounded by. */
export interface OrderedInputOptions {
  /** How long a missing chunk is waited for before the next that is there goes on. */
  readonly holeTimeoutMs: number;
  /** How many chunks may wait for one that is missing. */
  readonly maxWaiting: number;
}

/** One chunk with its place in the session; 0 means in order of arrival. */
export interface Sequenced {
  readonly sequence: number;
}

/**
 * Gives chunks in the order of their sequence, whatever order they arrive in. `first` is the place of the first. A chunk
 * that comes late, when its place was passed, is dropped, and so is one that comes twice. A hole is waited for, then
 * skipped.
 *
 * Throws ServingError SCHEMA_VIOLATION when more chunks wait than may.
 */
export async function* orderInput<Chunk extends Sequenced>(
  chunks: AsyncIterable<Chunk>,
  first: number,
  options: OrderedInputOptions,
): AsyncGenerator<Chunk> {
  const source = chunks[Symbol.asyncIterator]();
  const waiting = new Waiting<Chunk>(first);
  let pending: Promise<IteratorResult<Chunk>> | undefined;
  try {
    for (;;) {
      pending ??= source.next();
      const arrived = waiting.size === 0 ? await pending : await orTimeout(pending, options.holeTimeoutMs);
      if (arrived === "timeout") {
        waiting.skipHole();
      } else {
        pending = undefined;
        if (arrived.done === true) break;
        waiting.add(arrived.value);
      }
      yield* waiting.takeReady();
      waiting.assertAtMost(options.maxWaiting);
    }
    while (waiting.size > 0) {
      waiting.skipHole();
      yield* waiting.takeReady();
    }
  } finally {
    await source.return?.();
  }
}

/** The chunks that came before their turn. */
class Waiting<Chunk extends Sequenced> {
  readonly #chunks = new Map<number, Chunk>();
  readonly #inArrivalOrder: Chunk[] = [];
  /** Whose turn it is. */
  next: number;

  constructor(first: number) {
    this.next = first;
  }

  get size(): number {
    return this.#chunks.size;
  }

  add(chunk: Chunk): void {
    if (chunk.sequence === 0) this.#inArrivalOrder.push(chunk);
    else if (chunk.sequence >= this.next && !this.#chunks.has(chunk.sequence)) this.#chunks.set(chunk.sequence, chunk);
  }

  assertAtMost(max: number): void {
    if (this.size <= max) return;
    throw new ServingError("SCHEMA_VIOLATION", `input: chunk ${this.next} is missing, and ${this.size} wait for it`);
  }

  /** Gives up on those that are missing before the first that is there. */
  skipHole(): void {
    this.next = Math.min(...this.#chunks.keys());
  }

  *takeReady(): Generator<Chunk> {
    yield* this.#inArrivalOrder.splice(0);
    for (let chunk = this.#chunks.get(this.next); chunk !== undefined; chunk = this.#chunks.get(this.next)) {
      this.#chunks.delete(this.next);
      this.next += 1;
      yield chunk;
    }
  }
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

/** The header in which a loader states a service's load beside every answer; its value is made by {@link formatLoad}. */
export const loadHeader = "athena-load";

/**
 * The header, with any value, by which a caller of InferStream asks to be told when its session has its slot: until then
 * nothing of its input was read, and the session may be opened elsewhere.
 */
export const announceHeader = "athena-announce";

/**
 * The header by which a caller over HTTP/2 promises how often, in milliseconds, a request of its comes on a connection as long
 * as it has streams there. A loader ends a connection that is silent for much longer: its caller has vanished without an end.
 */
export const aliveHeader = "athena-alive-ms";

/** How busy one service is on one loader. Slots are units of concurrency. */
export interface Load {
  readonly total: number;
  /** The number of slots best kept busy, at most `total`. */
  readonly best: number;
  readonly idle: number;
  /** Requests that wait for a slot. */
  readonly queued: number;
  /** How long a new request would wait, in milliseconds. */
  readonly waitMs: number;
}

/** `total;best;idle;queued;waitMs` as decimal integers: one short header, cheap to write and to read on every call. */
export function formatLoad(load: Load): string {
  return `${load.total};${load.best};${load.idle};${load.queued};${load.waitMs}`;
}

/** Reads what {@link formatLoad} wrote; undefined for anything else, since a peer of another version may send it. */
export function parseLoad(value: string | null): Load | undefined {
  if (value === null) return undefined;
  const match = /^(\d{1,9});(\d{1,9});(\d{1,9});(\d{1,9});(\d{1,9})$/.exec(value);
  if (match === null) return undefined;
  const [total, best, idle, queued, waitMs] = match.slice(1).map(Number);
  if (total === undefined || best === undefined || idle === undefined) return undefined;
  if (queued === undefined || waitMs === undefined) return undefined;
  return { total, best, idle, queued, waitMs };
}

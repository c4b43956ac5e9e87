import { ServingError } from "../../../proto/errors.ts";
import type { ConnectionSession } from "./connection-session.ts";
import type { ClientFrame } from "./frame-codec.ts";

/** The sessions of one connection by the name that its client gives them. */
export interface SessionTable {
  /** How many run. */
  readonly running: number;
  /** Finds the session that a frame is for, or says why there is none: see {@link Lookup}. */
  find(frame: ClientFrame): Lookup;
  add(cid: string | undefined, session: ConnectionSession): void;
  /** Takes a session out; nothing when another has its name by now. */
  remove(cid: string | undefined, session: ConnectionSession): void;
  all(): Iterable<ConnectionSession>;
}

/**
 * A session, an error that its client is to be told, "new" for a frame that begins a session, or "late" for one whose
 * session has just ended, which is dropped: it was on its way when its client did not know.
 */
export type Lookup = ConnectionSession | ServingError | "new" | "late";

/** What {@link createSessionTable} is told. */
export interface SessionTableOptions {
  readonly isMultiplexed: boolean;
  readonly maxSessions: number;
}

/** How many sessions that ended are remembered. */
const maxRemembered = 256;

/** Builds an empty table. Without multiplexing it has one session, whatever frames call it. */
export function createSessionTable({ isMultiplexed, maxSessions }: SessionTableOptions): SessionTable {
  const sessions = new Map<string, ConnectionSession>();
  const ended = new Set<string>();
  const keyOf = (cid: string | undefined): string => (isMultiplexed ? (cid ?? "") : "");

  const refusalOf = ({ mayOpen }: ClientFrame, key: string): ServingError | "late" | undefined => {
    if (!mayOpen) {
      if (ended.has(key)) return "late";
      const which = isMultiplexed ? `no session '${key}' is open` : "no session is open";
      return new ServingError("SESSION_NOT_FOUND", `${which} on this connection`);
    }
    if (table.running < maxSessions) return undefined;
    return new ServingError("SERVICE_BUSY", `the connection has ${table.running} sessions, as many as it may`);
  };
  const table: SessionTable = {
    get running() {
      let count = 0;
      for (const { isOver } of sessions.values()) if (!isOver) count += 1;
      return count;
    },
    find(frame) {
      const key = keyOf(frame.cid);
      if (isMultiplexed && key === "") return violation("'$.header.cid' is required with stream_mode=multiplex");
      const session = sessions.get(key);
      if (frame.frame === undefined) return session ?? "late";
      // A session that is over takes acknowledgements, and makes way for another of its name.
      const isFree = session === undefined || (session.isOver && frame.mayOpen);
      if (!isFree) return frame.mustOpen ? violation("the session is open already") : session;
      return refusalOf(frame, key) ?? "new";
    },
    add(cid, session) {
      const key = keyOf(cid);
      const before = sessions.get(key);
      sessions.set(key, session);
      before?.lose(new ServingError("CANCELED", "another session has its name now"), true);
      ended.delete(key);
    },
    remove(cid, session) {
      const key = keyOf(cid);
      if (sessions.get(key) !== session) return;
      sessions.delete(key);
      ended.add(key);
      const [oldest] = ended;
      if (ended.size > maxRemembered && oldest !== undefined) ended.delete(oldest);
    },
    all: () => sessions.values(),
  };
  return table;
}

function violation(message: string): ServingError {
  return new ServingError("SCHEMA_VIOLATION", message);
}

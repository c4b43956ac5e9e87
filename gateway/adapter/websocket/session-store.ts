import type { ResumableSession } from "./resumable-session.ts";

/** The sessions of a gateway that their clients may take up again. */
export interface SessionStore {
  /** Whether another may be kept. */
  readonly hasRoom: boolean;
  readonly size: number;
  add(session: ResumableSession): void;
  remove(session: ResumableSession): void;
  /** The session of this id, for a client that knows its token. */
  find(sid: string, token: string): ResumableSession | undefined;
}

/** Builds an empty store. */
export function createSessionStore(maxSessions: number): SessionStore {
  const sessions = new Map<string, ResumableSession>();
  return {
    get hasRoom() {
      return sessions.size < maxSessions;
    },
    get size() {
      return sessions.size;
    },
    add: (session) => void sessions.set(session.sid, session),
    remove: (session) => void sessions.delete(session.sid),
    find(sid, token) {
      const session = sessions.get(sid);
      return session?.knows(token) ? session : undefined;
    },
  };
}

import { ServingError } from "../../../proto/errors.ts";
import { closeCodeFromError, goingAwayClose, normalClose, takenOverClose, timeoutClose } from "../status.ts";
import {
  beginSession,
  type Carrier,
  type ConnectionSession,
  hungUpError,
  type SessionSetup,
} from "./connection-session.ts";
import type { ClientFrame } from "./frame-codec.ts";
import { type ConnectionSocket, createLink, type Link } from "./link.ts";
import { beginResumable, type ResumeLimits } from "./resumable-session.ts";
import type { SessionStore } from "./session-store.ts";
import { createSessionTable, type SessionTable } from "./session-table.ts";

/** What bounds one connection. */
export interface ConnectionLimits {
  /** How many sessions it may have at once, when it is multiplexed. */
  readonly maxSessions: number;
  readonly slowReaderTimeoutMs: number;
  /** How long it may be open without a session. */
  readonly idleTimeoutMs: number;
}

/** How sessions outlive their connections. */
export interface ResumeOptions {
  readonly store: SessionStore;
  readonly limits: ResumeLimits;
}

/** What {@link createConnection} is told. */
export interface ConnectionOptions {
  readonly setup: SessionSetup;
  /** The service that its path means. */
  readonly service: string;
  /** Whether its frames name one of many sessions. */
  readonly isMultiplexed: boolean;
  readonly limits: ConnectionLimits;
  /** Keeps its sessions for a client that comes back; undefined where the client did not ask for that. */
  readonly resume: ResumeOptions | undefined;
  /** Why it is of no use; undefined where it is of some. */
  readonly refusal: ServingError | undefined;
  /** Told when its socket is closed. */
  readonly onClosed: (connection: Connection) => void;
}

/** One WebSocket of a client's. */
export interface Connection {
  open(socket: ConnectionSocket): void;
  message(data: string | Buffer): void;
  /** A ping or a pong came. */
  heard(): void;
  /** Looks whether the client is still there: see {@link Link.isGone}. */
  tick(): void;
  /** The socket has sent what it had. */
  drained(): void;
  /** The socket is closed, by whichever side. */
  closed(code: number, reason: string): void;
  /** The gateway shuts down: the connection is closed as soon as it has no session. */
  drain(): void;
}

/** Bun's own words for a frame that is larger than it takes, and how those for any other that is against the protocol begin. */
const tooBig = "Received too big message";
const breach = "Received ";

/** Builds a connection that is not open yet. */
export function createConnection(options: ConnectionOptions): Connection {
  const { setup, service, isMultiplexed, limits, refusal, onClosed } = options;
  const table = createSessionTable({ isMultiplexed, maxSessions: isMultiplexed ? limits.maxSessions : 1 });
  const loseAll = (error: ServingError, isForGood: boolean): void => {
    for (const session of table.all()) session.lose(error, isForGood);
  };
  const link = createLink({
    slowReaderTimeoutMs: limits.slowReaderTimeoutMs,
    onSlowReader: () => loseAll(new ServingError("CANCELED", "the client does not read its results"), false),
  });
  const idle = createIdleClose(link, table, limits.idleTimeoutMs);
  const begin = createBeginner(options, link, table, idle);
  const route = (frame: ClientFrame, bytes: number): void => {
    if (frame.resume !== undefined) {
      begin.resumed(frame);
      return;
    }
    const found = table.find(frame);
    if (found === "late") return;
    if (found instanceof ServingError) begin.failed(found, frame.cid);
    else (found === "new" ? begin.session(frame.cid) : found).take(frame, bytes);
  };
  const connection: Connection = {
    open(socket) {
      link.open(socket);
      if (refusal === undefined) idle.watch();
      else begin.session(undefined).abort(refusal);
    },
    heard: link.heard,
    tick() {
      if (!link.isGone()) return;
      loseAll(new ServingError("CANCELED", "the client is gone: it answers no ping"), false);
      link.cut();
    },
    message(data) {
      link.heard();
      if (!link.isOpen || refusal !== undefined) return;
      try {
        route(setup.codec.decode(data, service), data.length);
      } catch (thrown) {
        begin.failed(ServingError.from(thrown), undefined);
      }
    },
    drained: link.drained,
    closed(code, reason) {
      // A connection that this side closes ends with the code that it was closed with, whether or not that arrived.
      const isGoodbye = link.isOpen && (code === 1000 || code === 1001 || code === 1005);
      link.closed();
      idle.stop();
      onClosed(connection);
      if (code === 1006 && reason === tooBig) {
        loseAll(new ServingError("PAYLOAD_TOO_LARGE", "a frame is larger than allowed"), true);
      } else if (code === 1006 && reason.startsWith(breach)) {
        const what = reason.slice(breach.length);
        loseAll(new ServingError("MALFORMED_ENVELOPE", `the client broke the protocol of WebSocket: ${what}`), true);
      } else loseAll(hungUpError(), isGoodbye);
    },
    drain: idle.drain,
  };
  return connection;
}

/** Closes a connection that has no session for too long, or none any more when the gateway shuts down. */
interface IdleClose {
  /** Looks whether there is a session now. */
  watch(): void;
  stop(): void;
  drain(): void;
}

function createIdleClose(link: Link, table: SessionTable, timeoutMs: number): IdleClose {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isDraining = false;
  const idle: IdleClose = {
    watch() {
      clearTimeout(timer);
      if (table.running > 0 || !link.isOpen) return;
      if (isDraining) link.close(goingAwayClose, "the gateway is shutting down");
      else timer = setTimeout(link.close, timeoutMs, timeoutClose, "no session was opened in time");
    },
    stop: () => clearTimeout(timer),
    drain() {
      isDraining = true;
      idle.watch();
    },
  };
  return idle;
}

/** Begins the sessions of one connection. */
interface Beginner {
  session(cid: string | undefined): ConnectionSession;
  /** Takes up a session that lost its connection. */
  resumed(frame: ClientFrame): void;
  /** Tells an error that concerns no session that runs: it is one that fails at once, and is counted and logged. */
  failed(error: ServingError, cid: string | undefined): void;
}

function createBeginner(options: ConnectionOptions, link: Link, table: SessionTable, idle: IdleClose): Beginner {
  const { setup, isMultiplexed, limits, resume } = options;
  const carry = createCarriers(isMultiplexed, link, table, idle);
  let failing = 0;
  const add = (cid: string | undefined, session: ConnectionSession): ConnectionSession => {
    table.add(cid, session);
    idle.stop();
    return session;
  };
  const plain = (cid: string | undefined): ConnectionSession => {
    const session = beginSession(
      setup,
      cid,
      carry(cid, () => session),
    );
    return add(cid, session);
  };
  const beginner: Beginner = {
    session(cid) {
      if (resume?.store.hasRoom !== true) return plain(cid);
      const { store, limits: resumeLimits } = resume;
      const carrier = carry(cid, () => session);
      const session = beginResumable({ setup, cid, carrier, limits: resumeLimits, onForgotten: store.remove });
      store.add(session);
      return add(cid, session);
    },
    resumed({ resume: named, cid, ack = 0 }) {
      const found = named === undefined ? undefined : resume?.store.find(named.sid, named.token);
      const isHere = found !== undefined && [...table.all()].includes(found);
      if (
        found === undefined ||
        isHere ||
        found.cid !== cid ||
        !found.attach(
          carry(cid, () => found),
          ack,
        )
      ) {
        beginner.failed(new ServingError("SESSION_NOT_FOUND", "the session cannot be taken up again"), cid);
      } else add(cid, found);
    },
    failed(error, cid) {
      if (!isMultiplexed) {
        const [running] = table.all();
        (running ?? plain(cid)).abort(error);
        return;
      }
      // A client that sends nonsense and does not read what it is told would leave ever more of them behind.
      if (failing >= limits.maxSessions) {
        for (const session of table.all()) session.lose(hungUpError(), true);
        link.cut();
        return;
      }
      failing += 1;
      const onEnd = (): void => {
        failing -= 1;
      };
      beginSession(setup, cid, { send: link.send, onEnd, onTakenOver() {}, onForgotten() {} }).abort(error);
    },
  };
  return beginner;
}

/** Makes what carries the sessions of one connection. The session itself is known only after its carrier. */
function createCarriers(isMultiplexed: boolean, link: Link, table: SessionTable, idle: IdleClose) {
  return (cid: string | undefined, session: () => ConnectionSession): Carrier => ({
    send: link.send,
    onEnd(error) {
      if (isMultiplexed) idle.watch();
      else link.close(error === undefined ? normalClose : closeCodeFromError(error), error?.message ?? "");
    },
    onTakenOver() {
      table.remove(cid, session());
      if (isMultiplexed) idle.watch();
      else link.close(takenOverClose, "the session was taken up on another connection");
    },
    onForgotten: () => table.remove(cid, session()),
  });
}

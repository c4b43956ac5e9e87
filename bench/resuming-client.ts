import { createResumingSession, type ResumingSession } from "./resuming-session.ts";
import { jsonWire, type OutFrame, type ResumingWire } from "./resuming-wire.ts";

/** Sessions of the service echo over one connection that may be cut at any time. */
export interface ResumingClient {
  /**
   * Cuts the connection as a network does; the client connects anew. Does nothing before the client has a token: such a
   * session is lost, and would be begun again.
   */
  cut(): void;
  /** How often it was cut. */
  readonly cuts: number;
  /** How often it has connected. */
  readonly connections: number;
  /** The texts of each session's results, when all have ended. Rejects with what is wrong with one. */
  readonly results: Promise<readonly (readonly string[])[]>;
}

/** What {@link startResumingClient} is told. */
export interface ResumingClientOptions {
  /** The URL of the service, with http. */
  readonly url: string;
  /** The texts that each session sends. More than one: the connection is multiplexed. */
  readonly sessions: readonly (readonly string[])[];
  /** JSON in frames of text unless told. */
  readonly wire?: ResumingWire;
  /** After a cut, sends again at once, and does not wait to hear what has come; it waits unless told. */
  readonly isHasty?: boolean;
}

/** A gateway that refuses every connection is not asked for ever. */
const maxConnections = 5000;

type Socket = WebSocket & { terminate(): void };

/** Sends texts as sessions with `resume=true`, and takes them up again after each cut. */
export function startResumingClient(options: ResumingClientOptions): ResumingClient {
  const { url, sessions: texts, wire = jsonWire, isHasty = false } = options;
  const isMultiplexed = texts.length > 1;
  const cidOf = (index: number): string | undefined => (isMultiplexed ? `s${index}` : undefined);
  const sessions = texts.map((own, index) => createResumingSession({ cid: cidOf(index), texts: own, isHasty }));
  const byCid = new Map(sessions.map((session, index) => [cidOf(index), session]));
  const query = `?resume=true${isMultiplexed ? "&stream_mode=multiplex" : ""}`;
  const address = `${url.replace(/^http/, "ws")}${query}`;
  const done = Promise.withResolvers<readonly (readonly string[])[]>();
  let socket: Socket | undefined;
  let connections = 0;
  let cuts = 0;
  let isOver = false;

  const fail = (error: unknown): void => {
    isOver = true;
    done.reject(error);
    socket?.terminate();
  };
  const take = (session: ResumingSession | undefined, frame: ReturnType<ResumingWire["decode"]>): void => {
    if (session === undefined) throw new Error(`a frame of session '${frame.cid}' came: ${frame.error ?? "no error"}`);
    session.take(frame);
    if (!sessions.every(({ isDone }) => isDone)) return;
    isOver = true;
    socket?.close(1000);
    done.resolve(sessions.map(({ results }) => results));
  };
  const connect = (): void => {
    connections += 1;
    if (connections > maxConnections) {
      fail(new Error(`connected ${maxConnections} times, and was not done`));
      return;
    }
    const current = new WebSocket(address, [wire.subprotocol]) as Socket;
    current.binaryType = "arraybuffer";
    socket = current;
    const send = (frame: OutFrame): void => {
      if (socket === current && current.readyState === WebSocket.OPEN) current.send(wire.encode(frame));
    };
    current.onopen = () => {
      for (const session of sessions) if (!session.isDone) session.begin(send);
    };
    current.onmessage = ({ data }) => {
      if (socket !== current || isOver) return;
      try {
        const frame = wire.decode(data);
        take(byCid.get(frame.cid), frame);
      } catch (error) {
        fail(error);
      }
    };
    current.onclose = () => {
      if (!isOver && socket === current) connect();
    };
  };
  connect();
  return {
    cut() {
      if (isOver || sessions.some(({ hasToken }) => !hasToken)) return;
      cuts += 1;
      socket?.terminate();
    },
    get cuts() {
      return cuts;
    },
    get connections() {
      return connections;
    },
    results: done.promise,
  };
}

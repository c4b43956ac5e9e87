/** One session of the service echo whose connection may be cut at any time. */
export interface ResumingClient {
  /**
   * Cuts the connection as a network does; the client connects anew. Does nothing before the client has a token: such a
   * session is lost, and would be begun again.
   */
  cut(): void;
  /** How often it was cut. */
  readonly cuts: number;
  /** The texts of the results, when the session has ended. Rejects with what is wrong with it. */
  readonly results: Promise<readonly string[]>;
}

/** How many frames it sends ahead of their acknowledgement. */
const window = 8;

interface Header {
  readonly code: number;
  readonly message: string;
  readonly sid: string;
  readonly status: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly resume_token?: string;
}

interface Answer {
  readonly header: Header;
  readonly payload?: { readonly data: { readonly text: string } };
}

/** Sends some texts as one session with `resume=true`, and takes it up again after each cut, as docs/websocket.md says. */
export function startResumingClient(url: string, texts: readonly string[]): ResumingClient {
  const done = Promise.withResolvers<readonly string[]>();
  const results: string[] = [];
  let socket: (WebSocket & { terminate(): void }) | undefined;
  let token: string | undefined;
  let sid = "";
  let received = 0;
  let acknowledged = 0;
  let sent = 0;
  let cuts = 0;
  let isDone = false;

  const fail = (error: Error): void => {
    isDone = true;
    done.reject(error);
    socket?.terminate();
  };
  const sendMore = (): void => {
    while (sent < texts.length && sent - acknowledged < window) {
      sent += 1;
      const status = sent === texts.length ? 2 : sent === 1 ? 0 : 1;
      const header = { app_id: "bench", status, seq: sent, ...(received > 0 ? { ack: received } : {}) };
      socket?.send(JSON.stringify({ header, payload: { data: { text: btoa(texts[sent - 1] ?? "") } } }));
    }
  };
  const onNumbered = ({ header: { seq, status }, payload }: Answer): void => {
    if (seq !== received + 1) {
      fail(new Error(`frame ${seq} came after frame ${received}`));
      return;
    }
    received = seq;
    if (payload !== undefined) results.push(atob(payload.data.text));
    if (status === 2) isDone = true;
  };
  const onMessage = (data: unknown): void => {
    const answer: Answer = JSON.parse(String(data));
    const { code, message, sid: named, ack = 0, seq, resume_token } = answer.header;
    if (code !== 0) {
      fail(new Error(`${code} ${message}`));
      return;
    }
    if (sid !== "" && sid !== named) fail(new Error("a frame of another session came"));
    sid = named;
    acknowledged = Math.max(acknowledged, ack);
    // The answer to a resumption: what was not acknowledged is sent again.
    if (resume_token !== undefined && seq === undefined) sent = ack;
    token ??= resume_token;
    if (seq !== undefined) onNumbered(answer);
    sendMore();
    if (isDone) done.resolve(results);
    else if (seq !== undefined && seq % 16 === 0) socket?.send(JSON.stringify({ header: { ack: received } }));
  };
  const begin = (): void => {
    if (token === undefined) sendMore();
    else socket?.send(JSON.stringify({ header: { sid, resume_token: token, ack: received } }));
  };
  const connect = (): void => {
    const current = new WebSocket(`${url.replace(/^http/, "ws")}?resume=true`) as WebSocket & { terminate(): void };
    socket = current;
    current.onopen = begin;
    current.onmessage = ({ data }) => {
      if (socket === current) onMessage(data);
    };
    current.onclose = () => {
      if (!isDone && socket === current) connect();
    };
  };
  connect();
  return {
    cut() {
      if (isDone || token === undefined) return;
      cuts += 1;
      socket?.terminate();
    },
    get cuts() {
      return cuts;
    },
    results: done.promise,
  };
}

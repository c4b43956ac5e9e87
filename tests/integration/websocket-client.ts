import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addressOf, type ServiceProcess, startServiceProcess, waitUntilReady } from "../../cli/service-process.ts";

/** A frame of a gateway's, as far as tests look at it. */
export interface Frame {
  readonly header: {
    readonly code: number;
    readonly message: string;
    readonly sid: string;
    readonly status: number;
    readonly cid?: string;
    readonly seq?: number;
    readonly ack?: number;
    readonly resume_token?: string;
  };
  readonly payload?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** A WebSocket of a test's. */
export interface TestSocket {
  /** Every frame of text that has come. */
  readonly frames: readonly Frame[];
  /** How many frames have come, of bytes too. */
  readonly received: number;
  send(frame: unknown): void;
  /** Sends a frame as it is, and nothing when the socket is closed. */
  sendRaw(data: string | Uint8Array): void;
  /** The next frame that was not asked for yet; rejects when the socket is closed before it comes. */
  next(): Promise<Frame>;
  /** How it was closed. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  /** Cuts the connection, as a network does. */
  cut(): void;
  close(): void;
}

/** Opens a WebSocket; rejects when the server refuses it. */
export async function openSocket(
  url: string,
  subprotocols: readonly string[] = [],
  headers: Readonly<Record<string, string>> = {},
): Promise<TestSocket> {
  // Bun's own, whose types are hidden by those of browsers.
  const options = { protocols: [...subprotocols], headers } as unknown as string[];
  const socket = new WebSocket(url.replace(/^http/, "ws"), options) as WebSocket & { terminate(): void };
  const frames: Frame[] = [];
  const closed = Promise.withResolvers<{ code: number; reason: string }>();
  let asked = 0;
  let received = 0;
  let wake = (): void => {};
  socket.onmessage = ({ data }) => {
    received += 1;
    if (typeof data === "string") frames.push(JSON.parse(data));
    wake();
  };
  socket.onclose = ({ code, reason }) => {
    closed.resolve({ code, reason });
    wake();
  };
  await new Promise<void>((resolve, reject) => {
    socket.onopen = () => resolve();
    socket.onerror = () => reject(new Error(`no WebSocket at ${url}`));
  });
  return {
    frames,
    get received() {
      return received;
    },
    sendRaw(data) {
      if (socket.readyState === WebSocket.OPEN) socket.send(typeof data === "string" ? data : data.slice());
    },
    send: (frame) => socket.send(typeof frame === "string" ? frame : JSON.stringify(frame)),
    async next() {
      for (;;) {
        const frame = frames[asked];
        if (frame !== undefined) {
          asked += 1;
          return frame;
        }
        if (socket.readyState === WebSocket.CLOSED) throw new Error("the socket was closed before the next frame");
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    closed: closed.promise,
    cut: () => socket.terminate(),
    close: () => socket.close(1000),
  };
}

/** A frame of a session of the service echo, or of one whose input is `name`. */
export function frameOf(
  text: string | undefined,
  status: number | undefined,
  header: object = {},
  name = "data",
): object {
  const payload = text === undefined ? {} : { payload: { [name]: { text: Buffer.from(text).toString("base64") } } };
  return { header: { app_id: "1", ...(status === undefined ? {} : { status }), ...header }, ...payload };
}

/** The text of a frame's only payload member. */
export function textOf({ payload = {} }: Frame): string {
  const [member] = Object.values(payload);
  return member === undefined ? "" : Buffer.from(String(member.text), "base64").toString();
}

/** A loader with services of its own, in a folder that goes when it is stopped. */
export interface TestLoader {
  readonly loader: ServiceProcess;
  readonly folder: string;
  stop(): Promise<void>;
}

/** Starts a loader with one service for each text, which is its service.yaml; `prepare` adds files to their folders. */
export async function startLoaderOf(
  manifests: Readonly<Record<string, string>>,
  prepare: (folder: string) => Promise<void> = async () => {},
): Promise<TestLoader> {
  const folder = await mkdtemp(join(tmpdir(), "athena-sessions-"));
  for (const [id, manifest] of Object.entries(manifests)) {
    await mkdir(join(folder, id));
    await writeFile(join(folder, id, "service.yaml"), manifest);
  }
  await prepare(folder);
  const local = { host: "127.0.0.1", port: 0 };
  const services = Object.keys(manifests).map((id) => join(folder, id));
  const config = JSON.stringify({ listen: local, admin: local, services, drainTimeoutMs: 1000 });
  const loader = await startServiceProcess({ main: "loader/main.ts", config });
  await waitUntilReady(loader, Object.keys(manifests));
  return {
    loader,
    folder,
    async stop() {
      await loader.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A metric of a process; NaN where it has none that matches. */
export async function metric(process: ServiceProcess, pattern: RegExp): Promise<number> {
  const text = await (await fetch(`${addressOf(process, "admin")}/metrics`)).text();
  return Number(pattern.exec(text)?.[1]);
}

/** How many slots of a service a loader has free. */
export function idleSlots(loader: ServiceProcess, service: string): Promise<number> {
  return metric(loader, new RegExp(`^athena_loader_slots_idle\\{service="${service}"\\} (\\d+)$`, "m"));
}

/** Asks again until the condition holds; false when it does not within the time. */
export async function eventually(condition: () => Promise<boolean> | boolean, withinMs = 5000): Promise<boolean> {
  const deadline = performance.now() + withinMs;
  while (performance.now() < deadline) {
    if (await condition()) return true;
    await Bun.sleep(10);
  }
  return false;
}

/**
 * What sessions cost: `bun bench/sessions.ts [--sessions 10000] [--idle 120] [--frames 20]`. Starts a loader and a gateway, opens
 * so many WebSockets with a session each, leaves them alone for so many seconds but for the pings, and states the memory of
 * one. Then every session has to answer right, frames go over all of them, and last 200 sessions are cut at random and taken up
 * again. Everything is on loopback and ends by itself; the exit code is 1 when a session was closed or an answer wrong.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { addressOf, type ServiceProcess, startServiceProcess, waitUntilReady } from "../cli/service-process.ts";
import { startResumingClient } from "./resuming-client.ts";

const { values } = parseArgs({
  options: {
    sessions: { type: "string", default: "10000" },
    idle: { type: "string", default: "120" },
    frames: { type: "string", default: "20" },
  },
});
const wanted = Number(values.sessions);
const idleSeconds = Number(values.idle);
const framesEach = Number(values.frames);

/** Each session is a file to the gateway and one to this process. Bun itself raises a process's limit as far as it may. */
function assertFiles(count: number): void {
  const limit = Bun.spawnSync(["sh", "-c", "ulimit -Hn"]).stdout.toString().trim();
  if (limit === "unlimited" || Number(limit) >= count + 500) return;
  console.error(
    `${count} sessions need ${count + 500} open files, and this shell allows ${limit}: raise its hard limit first`,
  );
  process.exit(2);
}

const definition = (slots: number) => `
id: echo
engine: { kind: echo }
inputs: { data: { type: text } }
outputs: { data: { type: text } }
once: false
stream: true
slots: { total: ${slots} }
session: { idleTimeoutMs: 600000 }
`;

async function startAll(
  slots: number,
): Promise<{ loader: ServiceProcess; gateway: ServiceProcess; stop(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), "athena-bench-"));
  await writeFile(join(folder, "service.yaml"), definition(slots));
  const local = { host: "127.0.0.1", port: 0 };
  const loader = await startServiceProcess({
    main: "loader/main.ts",
    config: JSON.stringify({ listen: local, admin: local, services: [folder] }),
  });
  await waitUntilReady(loader, ["echo"]);
  const service = { id: "echo", endpoints: [addressOf(loader, "public")], session: { idleTimeoutMs: 600_000 } };
  const gateway = await startServiceProcess({
    main: "gateway/main.ts",
    config: JSON.stringify({
      listen: local,
      admin: local,
      accessLog: false,
      drainTimeoutMs: 1000,
      sessions: { max: slots, maxConnections: slots },
      services: [service],
    }),
  });
  await waitUntilReady(gateway, ["echo"]);
  return {
    loader,
    gateway,
    async stop() {
      await gateway.stop();
      await loader.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function memoryOf({ pid }: ServiceProcess): Promise<number> {
  return Number(/VmRSS:\s+(\d+)/.exec(await Bun.file(`/proc/${pid}/status`).text())?.[1]) * 1024;
}

/** Processor time of a process, in seconds. */
async function cpuOf({ pid }: ServiceProcess): Promise<number> {
  const fields = (await Bun.file(`/proc/${pid}/stat`).text()).split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

const frame = (status: number, text: string): string =>
  JSON.stringify({ header: { app_id: "bench", status }, payload: { data: { text: btoa(text) } } });

interface OpenSession {
  readonly socket: WebSocket;
  onResult: (text: string) => void;
}

/** What happened to the sessions while nobody asked. */
const seen = { pings: 0, closed: 0 };

/** Opens a session and waits for its first result. */
function open(url: string, text: string): Promise<OpenSession> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url.replace(/^http/, "ws"));
    const session: OpenSession = { socket, onResult: () => resolve(session) };
    socket.onopen = () => socket.send(frame(0, text));
    socket.onerror = () => reject(new Error("a session could not be opened"));
    // Bun answers pings by itself, and tells of them.
    socket.addEventListener("ping", () => {
      seen.pings += 1;
    });
    socket.onclose = () => {
      seen.closed += 1;
    };
    socket.onmessage = ({ data }) => {
      const { header, payload } = JSON.parse(String(data));
      if (header.code !== 0) reject(new Error(`${header.code} ${header.message}`));
      else if (payload !== undefined) session.onResult(atob(payload.data.text));
    };
  });
}

async function openAll(url: string, count: number): Promise<OpenSession[]> {
  const sessions: OpenSession[] = [];
  for (let at = 0; at < count; at += 100) {
    const some = Array.from({ length: Math.min(100, count - at) }, (_, index) => open(url, `${at + index}`));
    sessions.push(...(await Promise.all(some)));
  }
  return sessions;
}

/** How long all sessions may take for their frames. */
const talkTimeoutMs = 600_000;

/** Sends each session's next frame when its last result is there; counts results that are another's. Throws when one is closed. */
async function talk(sessions: readonly OpenSession[], frames: number): Promise<number> {
  let wrong = 0;
  const one = ({ socket }: OpenSession, index: number, session: OpenSession): Promise<void> =>
    new Promise((resolve, reject) => {
      socket.onclose = ({ code }) => reject(new Error(`session ${index} was closed with ${code}`));
      let sent = 0;
      const next = (): void => {
        sent += 1;
        if (sent > frames) resolve();
        else socket.send(frame(1, `${index}.${sent}`));
      };
      session.onResult = (text) => {
        if (text !== `${index}.${sent}`) wrong += 1;
        next();
      };
      next();
    });
  const late = new Promise<never>((_, reject) =>
    setTimeout(reject, talkTimeoutMs, new Error("a session does not answer")),
  );
  await Promise.race([late, Promise.all(sessions.map((session, index) => one(session, index, session)))]);
  return wrong;
}

async function cutAtRandom(url: string, count: number, frames: number): Promise<{ cuts: number; wrong: number }> {
  const texts = Array.from({ length: count }, () => {
    const nonce = crypto.randomUUID();
    return Array.from({ length: frames }, (_, index) => `${nonce}.${index}`);
  });
  const clients = texts.map((own) => startResumingClient({ url, sessions: [own] }));
  let isOver = false;
  const results = Promise.all(clients.map((client) => client.results)).finally(() => {
    isOver = true;
  });
  const deadline = performance.now() + 60_000;
  while (!isOver && performance.now() < deadline) {
    clients[Math.floor(Math.random() * count)]?.cut();
    await Bun.sleep(1);
  }
  const wrong = (await results).filter(([seen], index) => seen?.join() !== texts[index]?.join()).length;
  return { cuts: clients.reduce((sum, client) => sum + client.cuts, 0), wrong };
}

assertFiles(wanted);
let isRight = false;
const cluster = await startAll(wanted + 1000);
const url = `${addressOf(cluster.gateway, "public")}/echo`;
try {
  const [before, loaderBefore] = [await memoryOf(cluster.gateway), await memoryOf(cluster.loader)];
  let started = performance.now();
  const sessions = await openAll(url, wanted);
  console.log(`${wanted} sessions opened in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  await Bun.sleep(idleSeconds * 1000);
  console.log(`${idleSeconds} s later: ${seen.closed} closed, ${seen.pings} pings answered`);
  const each = (after: number, from: number): string => `${((after - from) / wanted / 1024).toFixed(1)} KiB`;
  console.log(`memory of an idle session: gateway ${each(await memoryOf(cluster.gateway), before)},`);
  console.log(`  loader ${each(await memoryOf(cluster.loader), loaderBefore)}`);
  const late = await talk(sessions, 1);
  console.log(`each session was sent one frame: ${wanted - late} right answers, ${late} wrong`);

  started = performance.now();
  const [gatewayCpu, loaderCpu] = [await cpuOf(cluster.gateway), await cpuOf(cluster.loader)];
  const wrong = await talk(sessions, framesEach);
  const seconds = (performance.now() - started) / 1000;
  const total = wanted * framesEach;
  const micros = (spent: number): string => `${((spent / total) * 1e6).toFixed(0)} us`;
  console.log(`${total} frames and results: ${Math.round(total / seconds)}/s, ${wrong} wrong`);
  console.log(`  processor time of each: gateway ${micros((await cpuOf(cluster.gateway)) - gatewayCpu)},`);
  console.log(`  loader ${micros((await cpuOf(cluster.loader)) - loaderCpu)}`);
  for (const { socket } of sessions) {
    socket.onclose = null;
    socket.close(1000);
  }

  const cut = await cutAtRandom(url, 200, 50);
  console.log(
    `200 sessions of 50 frames, cut ${cut.cuts} times: ${cut.wrong} with a frame lost, doubled or not their own`,
  );
  isRight = seen.closed + late + wrong + cut.wrong === 0;
} finally {
  await cluster.stop();
}
process.exit(isRight ? 0 : 1);

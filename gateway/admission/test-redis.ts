import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RedisClient } from "bun";

/** A Redis server of a test's own, on a Unix socket, that keeps nothing on disk. */
export interface TestRedis extends AsyncDisposable {
  readonly url: string;
  /** Stops answering, as a machine that hangs does; or goes on. */
  hang(): void;
  resume(): void;
  /** Ends at once, as after a crash. */
  kill(): Promise<void>;
  /** Starts again at the same address, with nothing in it. */
  restart(): Promise<void>;
}

/**
 * Starts a Redis server and waits until it answers.
 *
 * @throws Error when there is no redis-server on this machine, or it does not answer in time.
 */
export async function startTestRedis(): Promise<TestRedis> {
  const program = Bun.which("redis-server");
  if (program === null) throw new Error("this test needs redis-server (Debian: apt-get install redis-server)");
  const folder = await mkdtemp(join(tmpdir(), "athena-redis-"));
  const socket = join(folder, "redis.sock");
  const url = `redis+unix://${socket}`;
  const start = async () => {
    await rm(socket, { force: true });
    const settings = ["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", folder];
    const started = Bun.spawn([program, ...settings], { stdout: "ignore", stderr: "ignore", stdin: "ignore" });
    await answers(url);
    return started;
  };
  let server = await start();
  const kill = async (): Promise<void> => {
    server.kill("SIGKILL");
    await server.exited;
  };
  return {
    url,
    hang: () => server.kill("SIGSTOP"),
    resume: () => server.kill("SIGCONT"),
    kill,
    async restart() {
      server = await start();
    },
    async [Symbol.asyncDispose]() {
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Runs commands on a connection of its own; for what a test wants to see or to change in a server. */
export async function withRedis<Result>(url: string, use: (client: RedisClient) => Promise<Result>): Promise<Result> {
  const client = new RedisClient(url, { autoReconnect: false, enableOfflineQueue: false });
  try {
    await client.connect();
    return await use(client);
  } finally {
    client.close();
  }
}

async function answers(url: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    try {
      await withRedis(url, (client) => client.send("PING", []));
      return;
    } catch (cause) {
      if (performance.now() > deadline) throw new Error("redis-server did not answer in time", { cause });
      await Bun.sleep(20);
    }
  }
}

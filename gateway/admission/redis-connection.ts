import { RedisClient } from "bun";

/** A connection to Redis that is there, or is not: no command waits for it to come back. */
export interface RedisConnection extends Disposable {
  readonly isUp: boolean;
  /**
   * Runs one command and gives its result.
   *
   * @throws Error when there is no connection, when it breaks, when Redis refuses, or when it takes too long.
   */
  send(command: string, args: readonly string[]): Promise<unknown>;
  /** As {@link send}, for a script. */
  run(script: RedisScript, keys: readonly string[], args: readonly string[]): Promise<unknown>;
  /** Settles when the first attempt to connect has succeeded or failed. */
  readonly attempted: Promise<void>;
}

/** A Lua script and the hash under which Redis remembers it. */
export interface RedisScript {
  readonly text: string;
  readonly sha1: string;
}

/** How a connection is kept. */
export interface RedisConnectionOptions {
  /** redis://, rediss:// or redis+unix:// */
  readonly url: string;
  /** How long a command, or an attempt to connect, may take. */
  readonly timeoutMs: number;
  /** The pause between two attempts to connect. */
  readonly retryMs: number;
  /** A key that is written, for a second, to find out whether a server takes commands. */
  readonly probeKey: string;
  /** Told once when the connection is lost or cannot be made, and once when it is there again. */
  readonly onChange: (isUp: boolean, cause?: unknown) => void;
}

/** Makes a script of its text. */
export function createScript(text: string): RedisScript {
  return { text, sha1: new Bun.CryptoHasher("sha1").update(text).digest("hex") };
}

/**
 * Keeps one connection to Redis, and makes a new one when it breaks or when a command on it takes too long: what waits
 * behind that command would take too long as well. Each connection is a client of its own that neither queues nor
 * reconnects, since commands that a queue delivers later would count calls that are long over.
 */
export function connectRedis(options: RedisConnectionOptions): RedisConnection {
  let client: RedisClient | undefined;
  let reported: boolean | undefined;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let isDisposed = false;

  const report = (isUp: boolean, cause?: unknown): void => {
    if (reported !== isUp && !isDisposed) options.onChange(isUp, cause);
    reported = isUp;
  };
  const lose = (lost: RedisClient, cause: unknown): void => {
    if (client !== lost) return;
    client = undefined;
    lost.close();
    report(false, cause);
    connectLater();
  };
  const connectLater = (): void => {
    if (isDisposed) return;
    retry = setTimeout(connect, options.retryMs);
    retry.unref();
  };
  const connect = async (): Promise<void> => {
    const candidate = new RedisClient(options.url, {
      autoReconnect: false,
      enableOfflineQueue: false,
      connectionTimeout: options.timeoutMs,
    });
    try {
      await inTime(candidate.connect(), options.timeoutMs);
      // A server that is loading its data, is a replica, or wants a password accepts connections all the same.
      await inTime(candidate.send("SET", [options.probeKey, "1", "PX", "1000"]), options.timeoutMs);
      if (isDisposed) return candidate.close();
      candidate.onclose = (cause) => lose(candidate, cause);
      client = candidate;
      report(true);
    } catch (cause) {
      candidate.close();
      report(false, cause);
      connectLater();
    }
  };
  const bounded = async (use: (client: RedisClient) => Promise<unknown>): Promise<unknown> => {
    const current = client;
    if (current === undefined) throw new Error("there is no connection to Redis");
    try {
      return await inTime(use(current), options.timeoutMs);
    } catch (cause) {
      if (cause instanceof CommandTimeout) lose(current, cause);
      throw cause;
    }
  };
  return {
    get isUp() {
      return client !== undefined;
    },
    attempted: connect(),
    send: (command, args) => bounded((current) => current.send(command, [...args])),
    run: (script, keys, args) => bounded((current) => runScript(current, script, keys, args)),
    [Symbol.dispose]() {
      isDisposed = true;
      clearTimeout(retry);
      client?.close();
      client = undefined;
    },
  };
}

async function runScript(
  client: RedisClient,
  { text, sha1 }: RedisScript,
  keys: readonly string[],
  args: readonly string[],
): Promise<unknown> {
  const rest = [String(keys.length), ...keys, ...args];
  try {
    return await client.send("EVALSHA", [sha1, ...rest]);
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith("NOSCRIPT"))) throw error;
    return await client.send("EVAL", [text, ...rest]);
  }
}

class CommandTimeout extends Error {
  override readonly name = "CommandTimeout";
}

function inTime<Value>(promise: Promise<Value>, timeoutMs: number): Promise<Value> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      // When our own thread was busy for so long, the answer may be there and only not have been read.
      setImmediate(() => reject(new CommandTimeout(`Redis did not answer within ${timeoutMs} ms`)));
    }, timeoutMs);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

import { connect, createServer, type Socket } from "node:net";

/** Where a connection through a proxy breaks. */
export interface Cut {
  /** Counted in bytes from the client, or to it. */
  readonly from: "client" | "server";
  /** So many are passed on, and none after them: the last frame may be a part of one. */
  readonly afterBytes: number;
  /** Who hears of it now. The other one is left with a connection that takes everything and says nothing, for a while. */
  readonly told: "client" | "server" | "both";
  /** As a reset, not as an end. */
  readonly isReset: boolean;
}

/** A TCP proxy on loopback that breaks what passes through it. */
export interface TcpProxy {
  /** Takes the place of the server's URL. */
  readonly url: string;
  /** How many connections it has cut. */
  readonly cuts: number;
  /** How many bytes have come to it, by who sent them. */
  readonly received: Readonly<Record<Cut["from"], number>>;
  /** From now on new connections lead to this URL. */
  aim(target: string): void;
  /** Breaks every connection that it has. */
  cut(): void;
  /** Passes nothing more on of the connections that it has, and no end of theirs, as if a cable were pulled out. */
  mute(): void;
  /** Breaks every connection that it has, and takes no more. */
  stop(): Promise<void>;
}

/** How long the side that is not told of a cut waits for the news. */
const lateNewsMs = 50;

const never = (): Cut => ({ from: "client", afterBytes: Number.POSITIVE_INFINITY, told: "both", isReset: false });

/** Starts a proxy in front of a server's URL. `cutOf` says of each connection where it breaks; none does unless told. */
export async function startProxy(target: string, cutOf = never): Promise<TcpProxy> {
  let aim = new URL(target);
  const pairs = new Set<Pair>();
  let cuts = 0;
  const received = { client: 0, server: 0 };
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const far = connect({ host: aim.hostname, port: Number(aim.port), allowHalfOpen: true });
    const pair = joinPair(client, far, cutOf(), () => {
      cuts += 1;
    });
    pairs.add(pair);
    for (const [side, socket] of Object.entries({ client, server: far }) as [Cut["from"], Socket][]) {
      socket.on("data", (chunk: Buffer) => {
        received[side] += chunk.length;
      });
      socket.once("close", () => {
        if (client.closed && far.closed) pairs.delete(pair);
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    get cuts() {
      return cuts;
    },
    received,
    aim(next) {
      aim = new URL(next);
    },
    cut() {
      for (const pair of pairs) pair.end();
    },
    mute() {
      for (const pair of pairs) pair.mute();
    },
    async stop() {
      for (const pair of pairs) pair.end();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface Pair {
  end(): void;
  mute(): void;
}

function joinPair(client: Socket, server: Socket, cut: Cut, onCut: () => void): Pair {
  let isMute = false;
  const end = (socket: Socket): void => {
    if (cut.isReset) socket.resetAndDestroy();
    else socket.destroy();
  };
  const cutAsPlanned = ({ told }: Cut): void => {
    isMute = true;
    onCut();
    const sides = { client, server };
    for (const side of ["client", "server"] as const) {
      if (told === side || told === "both") end(sides[side]);
      else setTimeout(end, lateNewsMs, sides[side]);
    }
  };
  const join = (from: Socket, to: Socket, side: Cut["from"]): void => {
    let left = cut.from === side ? cut.afterBytes : Number.POSITIVE_INFINITY;
    from.on("data", (chunk: Buffer) => {
      if (isMute) return;
      const isLast = chunk.length >= left;
      const hasRoom = to.write(isLast ? chunk.subarray(0, left) : chunk);
      left -= chunk.length;
      if (isLast) cutAsPlanned(cut);
      else if (!hasRoom) from.pause();
    });
    to.on("drain", () => from.resume());
    from.on("end", () => {
      if (!isMute) to.end();
    });
    from.on("error", () => {});
    from.on("close", () => {
      if (!isMute) to.destroy();
    });
  };
  join(client, server, "client");
  join(server, client, "server");
  return {
    mute() {
      isMute = true;
      for (const socket of [client, server]) socket.resume();
    },
    end() {
      client.destroy();
      server.destroy();
    },
  };
}

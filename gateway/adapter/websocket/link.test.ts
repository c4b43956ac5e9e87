import { expect, test } from "bun:test";
import { createLink } from "./link.ts";

function build() {
  const log: string[] = [];
  const state = { keepsUp: true };
  const take = (data: { readonly length: number }): number => {
    log.push(`sent ${data}`);
    return state.keepsUp ? data.length : -1;
  };
  const slow = Promise.withResolvers<void>();
  const link = createLink({ slowReaderTimeoutMs: 20, onSlowReader: slow.resolve });
  const open = (): void =>
    link.open({
      sendText: take,
      sendBinary: take,
      getBufferedAmount: () => 1,
      close: (code, reason) => log.push(`closed ${code} ${reason}`),
      ping: () => log.push("pinged"),
      terminate: () => log.push("terminated"),
    });
  return { link, log, state, open, slow: slow.promise };
}

const settle = (): Promise<void> => new Promise(setImmediate);

test("a link is open between its opening and its end, by either side", () => {
  for (const end of ["close", "cut", "closed"] as const) {
    const { link, open } = build();
    expect(link.isOpen).toBe(false);
    open();
    expect(link.isOpen).toBe(true);
    if (end === "close") link.close(1000, "");
    else link[end]();
    expect(link.isOpen).toBe(false);
  }
});

test("a link closes at once when everything was sent, once, and sends nothing more", () => {
  const { link, log, open } = build();
  open();
  void link.send("a");
  link.close(1000, "done");
  link.close(1011, "again");
  void link.send("b");
  expect(log).toEqual(["sent a", "closed 1000 done"]);
});

test("a link closes only when its client has taken what was sent", async () => {
  const { link, log, state, open } = build();
  open();
  state.keepsUp = false;
  void link.send("a");
  link.close(1000, "done");
  await settle();
  expect(log).toEqual(["sent a"]);
  link.drained();
  await settle();
  expect(log).toEqual(["sent a", "closed 1000 done"]);
});

test("a link to a client that does not read is cut, though it is being closed", async () => {
  const { link, log, state, open, slow } = build();
  open();
  state.keepsUp = false;
  void link.send("a");
  link.close(1000, "done");
  await slow;
  await settle();
  expect(log).toEqual(["sent a", "terminated"]);
});

test("a client that is slow to read is not taken for one that is gone", () => {
  const { link, log, state, open } = build();
  open();
  state.keepsUp = false;
  void link.send("a");
  for (let i = 0; i < 20; i += 1) expect(link.isGone()).toBe(false);
  state.keepsUp = true;
  link.drained();
  void link.send("b");
  expect(Array.from({ length: 8 }, link.isGone)).toEqual([...new Array(7).fill(false), true]);
  expect(log).toEqual(["sent a", "sent b", "pinged"]);
});

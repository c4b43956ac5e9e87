import { describe, expect, test } from "bun:test";
import { createOutbox } from "./outbox.ts";

/** A socket whose client reads when told. */
function socketWithBuffer() {
  const sent: unknown[] = [];
  const state = { buffered: 0, keepsUp: true };
  const take = (data: { readonly length: number }): number => {
    sent.push(data);
    if (state.keepsUp) return data.length;
    state.buffered += data.length;
    return -1;
  };
  return { sent, state, socket: { sendText: take, sendBinary: take, getBufferedAmount: () => state.buffered } };
}

function build(slowReaderTimeoutMs = 10_000) {
  const fake = socketWithBuffer();
  const slow = Promise.withResolvers<void>();
  const outbox = createOutbox({ socket: fake.socket, slowReaderTimeoutMs, onSlowReader: slow.resolve, onSent() {} });
  return { ...fake, outbox, slow: slow.promise };
}

describe("an outbox", () => {
  test("sends at once while its client keeps up, text as text and bytes as bytes", () => {
    const { outbox, sent } = build();
    expect(outbox.send("a")).toBeUndefined();
    expect(outbox.send(new Uint8Array([1]))).toBeUndefined();
    expect(sent).toEqual(["a", new Uint8Array([1])]);
  });

  test("holds what comes after a frame that did not go out, and sends it in order when it did", async () => {
    const { outbox, sent, state } = build();
    state.keepsUp = false;
    expect(outbox.send("a")).toBeUndefined();
    const later = [outbox.send("b"), outbox.send("c")];
    expect(sent).toEqual(["a"]);
    state.keepsUp = true;
    outbox.drained();
    await Promise.all(later);
    expect(sent).toEqual(["a", "b", "c"]);
  });

  test("tells of a client that reads nothing, and not of one that is only slow", async () => {
    const { outbox, state, slow } = build(20);
    state.keepsUp = false;
    void outbox.send("0123456789");
    let isSlow = false;
    void slow.then(() => {
      isSlow = true;
    });
    for (let i = 0; i < 4; i += 1) {
      await Bun.sleep(15);
      state.buffered -= 1;
      expect(isSlow).toBe(false);
    }
    await slow;
    outbox.close();
  });

  test("tells when its client has taken everything, those that wait included", async () => {
    const { outbox, sent, state } = build();
    expect(outbox.settled()).toBeUndefined();
    state.keepsUp = false;
    void outbox.send("a");
    void outbox.send("b");
    const settled = outbox.settled();
    state.keepsUp = true;
    outbox.drained();
    await settled;
    expect(sent).toEqual(["a", "b"]);
  });

  test("lets go of those that wait when it is closed, and sends nothing more", async () => {
    const { outbox, sent, state } = build();
    state.keepsUp = false;
    void outbox.send("a");
    const waiting = outbox.send("b");
    outbox.close();
    await waiting;
    void outbox.send("c");
    expect(sent).toEqual(["a"]);
  });
});

import { describe, expect, test } from "bun:test";
import { ServingError } from "../../../proto/errors.ts";
import type { ConnectionSession } from "./connection-session.ts";
import type { ClientFrame } from "./frame-codec.ts";
import { createSessionTable, type Lookup } from "./session-table.ts";

const content = { envelope: { header: {}, parameter: {}, payload: [] } };

function frame(cid: string | undefined, changes: Partial<ClientFrame> = {}): ClientFrame {
  return {
    cid,
    frame: content,
    mayOpen: true,
    mustOpen: false,
    seq: undefined,
    ack: undefined,
    resume: undefined,
    ...changes,
  };
}

function session(isOver = false) {
  const lost: ServingError[] = [];
  const fake: ConnectionSession = { sid: "s", isOver, take() {}, abort() {}, lose: (error) => lost.push(error) };
  return { fake, lost };
}

const reasonOf = (found: Lookup) => (found instanceof ServingError ? found.reason : found);
const build = (isMultiplexed = true) => createSessionTable({ isMultiplexed, maxSessions: 2 });

describe("the sessions of a connection", () => {
  test("are found by their cid; without multiplexing there is one, whatever it is called", () => {
    const table = build();
    const [a, b] = [session().fake, session().fake];
    table.add("a", a);
    table.add("b", b);
    expect([table.find(frame("a")), table.find(frame("b"))]).toEqual([a, b]);
    const single = build(false);
    expect(single.find(frame("x"))).toBe("new");
    single.add(undefined, a);
    expect(single.find(frame("y"))).toBe(a);
  });

  test("must be named with multiplexing, and are bounded", () => {
    const table = build();
    expect(reasonOf(table.find(frame(undefined)))).toBe("SCHEMA_VIOLATION");
    for (const cid of ["a", "b"]) table.add(cid, session().fake);
    expect(reasonOf(table.find(frame("c")))).toBe("SERVICE_BUSY");
  });

  test("that have just ended take no frame that was on its way, and leave their name to the next", () => {
    const table = build();
    const { fake } = session();
    table.add("a", fake);
    table.remove("a", fake);
    expect(table.find(frame("a", { mayOpen: false }))).toBe("late");
    expect(table.find(frame("a"))).toBe("new");
    expect(reasonOf(table.find(frame("b", { mayOpen: false })))).toBe("SESSION_NOT_FOUND");
  });

  test("are remembered in bounded number when they have ended", () => {
    const table = build();
    for (let i = 0; i < 300; i += 1) {
      const { fake } = session();
      table.add(`${i}`, fake);
      table.remove(`${i}`, fake);
    }
    expect(reasonOf(table.find(frame("0", { mayOpen: false })))).toBe("SESSION_NOT_FOUND");
    expect(table.find(frame("299", { mayOpen: false }))).toBe("late");
  });

  test("that are over take acknowledgements, and are given up for a new one of their name", () => {
    const table = build();
    const { fake, lost } = session(true);
    table.add("a", fake);
    expect(table.running).toBe(0);
    expect(table.find(frame("a", { frame: undefined, ack: 3 }))).toBe(fake);
    expect(table.find(frame("a"))).toBe("new");
    table.add("a", session().fake);
    expect(lost).toHaveLength(1);
    table.remove("a", fake);
    expect(table.running).toBe(1);
  });

  test("are not begun by a bare acknowledgement, nor opened twice by one that says so", () => {
    const table = build();
    expect(table.find(frame("a", { frame: undefined, ack: 3 }))).toBe("late");
    table.add("a", session().fake);
    expect(reasonOf(table.find(frame("a", { mustOpen: true })))).toBe("SCHEMA_VIOLATION");
  });
});

import { describe, expect, test } from "bun:test";
import { createSidSource } from "./sid.ts";

const options = { pid: 1, location: "dx", address: "10.1.10.1", port: 8889, now: () => 1_716_000_000_000 };

describe("createSidSource()", () => {
  test("makes the predecessor's shape", () => {
    const newSid = createSidSource(options);
    for (let count = 0; count < 9; count++) newSid("ase");
    expect(newSid("ase")).toBe("ase0001000a@dx18f899208000a01882");
  });

  test("keeps to 32 characters whatever it is given", () => {
    for (const prefix of ["", "a", "ase", "aipaas"]) {
      for (const address of ["0.0.0.0", "::", "::1", "fe80::a:b", "::ffff:10.0.1.2", "localhost", "255.255.255.255"]) {
        for (const port of [1, 80, 30889]) {
          const newSid = createSidSource({ ...options, pid: 4_194_303, location: "d", address, port });
          expect(newSid(prefix)).toMatch(/^[a-z0-9]{3}00ff[\da-f]{4}@dx[\da-f]{11}[\da-f]{4}\d{2}2$/);
        }
      }
    }
  });

  test("does not repeat itself within 65,536 ids of one millisecond", () => {
    const newSid = createSidSource(options);
    const sids = new Set<string>();
    for (let count = 0; count < 65_536; count++) sids.add(newSid("ase"));
    expect(sids.size).toBe(65_536);
  });
});
